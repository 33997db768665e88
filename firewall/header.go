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
			return oversized("header too large", "The request has too many header fields.")
		}
		if !isToken(name) {
			return malformed("header name", "A header field has a malformed name.")
		}
		for _, v := range values {
			if len(v) > s.maxHeaderBytes {
				return oversized("header too large", "A header field is too long.")
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
	case r.ProtoMajor >= 2 && r.ContentLength == 0 && claims(r.Header["Content-Length"]):
		// RFC 9113 section 8.1.1. A body that begins and falls short fails when it is
		// read; net/http says nothing of one that never begins.
		return malformed("framing", "The body is shorter than the request says.")
	}
	return nil
}

// claims reports whether a Content-Length says that there is a body.
func claims(length []string) bool { return len(length) == 1 && strings.Trim(length[0], "0") != "" }

// repeated returns the fault of a field that occurs more than once and must not
// (RFC 9110 section 5.3: only lists may). Which one counts would be a guess.
func repeated(canonicalName string) *fault {
	switch canonicalName {
	case "Authorization", "X-Api-Key":
		return &fault{reason: "repeated credential", detail: "The request presents more than one credential.",
			code: problem.AmbiguousCredentials, event: audit.InputValidationFail}
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
	if len(s) >= 8 {
		name := isPlain(word(s[len(s)-8:]))
		for rest := s; len(rest) > 8 && name; rest = rest[8:] {
			name = isPlain(word(rest))
		}
		if name {
			return true
		}
	}
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

// isPlain reports whether eight bytes are letters and hyphens, as the names of
// nearly all header fields are.
func isPlain(w uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	lower := w | ones*0x20 | highs
	letter := (lower - ones*'a') &^ (lower - ones*('z'+1))
	hyphen := ^(((w ^ ones*'-') | highs) - ones)
	return (letter|hyphen)&^w&highs == highs
}

// tokenByte holds the bytes of a token. It is never written.
var tokenByte = func() (t [256]bool) {
	for c := range t {
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		t[c] = alnum || strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0
	}
	return t
}()

// isFieldValue reports whether s holds no control character but the tab (RFC
// 9110 section 5.5).
func isFieldValue(s string) bool {
	if len(s) >= 8 {
		w := suspicious(word(s[len(s)-8:]))
		for rest := s; len(rest) > 8 && !w; rest = rest[8:] {
			w = suspicious(word(rest))
		}
		if !w {
			return true
		}
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// word is the first eight bytes of s.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// suspicious reports whether one of eight bytes is below 0x20, 0x7f or above:
// eight comparisons at once. What it says of the bytes above is for the caller
// to look at again.
func suspicious(w uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	return ((w-ones*0x20)|(w+ones)|w)&highs != 0
}
