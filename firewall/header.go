package firewall

import (
	"net/http"
	"strings"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/problem"
)

// checkHeader looks at the header of r without knowing what its fields mean,
// but for those that frame the message.
func (s *Stage) checkHeader(r *http.Request) *fault {
	lines := 0
	for name, values := range r.Header {
		lines += len(values)
		if lines > s.maxHeaders {
			return malformed("header too large", "The request has too many header fields.")
		}
		if !isToken(name) {
			return malformed("header name", "A header field has a malformed name.")
		}
		for _, v := range values {
			if len(v) > s.maxHeaderBytes {
				return malformed("header too large", "A header field is too long.")
			}
			if !isFieldValue(v) {
				return malformed("header value", "A header field holds a control character.")
			}
		}
		if len(values) > 1 {
			if fault := repeated(name); fault != nil {
				return fault
			}
		}
	}
	return checkFraming(r)
}

// checkFraming refuses what tells readers of the connection different ends of
// the body (RFC 9112 section 6.3). net/http has settled most of it before.
func checkFraming(r *http.Request) *fault {
	te := r.TransferEncoding
	switch {
	case r.Header["Transfer-Encoding"] != nil, len(te) > 1, len(te) == 1 && te[0] != "chunked":
		return malformed("transfer coding", "The transfer coding of the body is not served here.")
	case len(te) == 1 && r.Header["Content-Length"] != nil:
		return malformed("framing", "The length of the body is given twice.")
	}
	return nil
}

// repeated returns the fault of a field that occurs more than once and must not
// (RFC 9110 section 5.3: only lists may). Which one counts would be a guess.
func repeated(canonicalName string) *fault {
	switch canonicalName {
	case "Authorization", "X-Api-Key":
		return &fault{"repeated credential", "The request presents more than one credential.", problem.AmbiguousCredentials, audit.InputValidationFail}
	case "Access-Control-Request-Method", "Content-Length", "Content-Location", "Content-Range",
		"Content-Type", "Date", "From", "Host", "Idempotency-Key", "If-Modified-Since", "If-Range",
		"If-Unmodified-Since", "Max-Forwards", "Origin", "Proxy-Authorization", "Range", "Referer",
		"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "User-Agent",
		"X-Csrf-Token", "X-Http-Method-Override", "X-Requested-With":
		return malformed("repeated header", "A header field occurs twice that must occur once.")
	}
	return nil
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// isFieldValue reports whether s holds no control character but the tab (RFC
// 9110 section 5.5).
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
