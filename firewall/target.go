package firewall

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkTarget looks at the request target and at whom it is for.
func (s *Stage) checkTarget(r *http.Request) *fault {
	u := r.URL
	// RequestURI is empty in requests that no server has read.
	if len(r.RequestURI) > s.maxURI || len(u.Path)+len(u.RawQuery) > s.maxURI {
		return oversized("target too long", "The request target is too long.")
	}
	// RFC 3986 section 2: whatever is not visible ASCII comes encoded.
	if !visible(r.RequestURI) || !visible(u.RawQuery) {
		return malformed("target", "The request target holds characters that must be percent-encoded.")
	}
	if u.Opaque != "" || u.User != nil || u.Fragment != "" {
		return malformed("target", "The request target is not a path.")
	}
	if u.Scheme != "" || u.Host != "" {
		// RFC 9112 section 3.2.2: a server must take a target in absolute form. It
		// overrides Host there; where both are known they must agree.
		if u.Scheme != "http" && u.Scheme != "https" || !strings.EqualFold(u.Host, r.Host) {
			return malformed("authority", "The request names different hosts.")
		}
	}
	// RFC 9113 section 8.3.1: HTTP/2 may carry Host beside :authority, and then
	// they must agree. net/http removes Host in HTTP/1.1, unless there are two.
	if h := r.Header["Host"]; len(h) > 1 || len(h) == 1 && !strings.EqualFold(h[0], r.Host) {
		return malformed("authority", "The request names different hosts.")
	}
	return nil
}

func visible(s string) bool {
	if len(s) >= 8 {
		w := invisible(word(s[len(s)-8:]))
		for rest := s; len(rest) > 8 && !w; rest = rest[8:] {
			w = invisible(word(rest))
		}
		return !w
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func invisible(w uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	return ((w-ones*0x21)|(w+ones)|w)&highs != 0
}

// checkPath refuses paths that are not in normal form: those that differ from
// what somebody gets who cleans, splits or decodes them once more.
func checkPath(u *url.URL) *fault {
	path := u.Path
	if path == "" || path[0] != '/' {
		return malformed("path", "The request target has no path.")
	}
	start := 1 // of the segment
	ascii := true
	for i := 1; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			switch segment := path[start:i]; {
			case segment == "." || segment == "..":
				return traversal("dot segment", "The path holds a dot segment.")
			case segment == "" && i < len(path):
				return malformed("empty segment", "The path holds an empty segment.")
			}
			start = i + 1
			continue
		}
		switch c := path[i]; {
		case c == '\\':
			return traversal("backslash", "The path holds a backslash.")
		case c == '%':
			return traversal("encoded percent sign", "The path holds a percent sign.")
		case c == ';':
			return traversal("semicolon", "The path holds a semicolon.")
		case c < ' ' || c == 0x7f:
			return malformed("control character", "The path holds a control character.")
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if !ascii {
		if fault := checkUnicode(path); fault != nil {
			return fault
		}
	}
	return checkEncoding(u)
}

func checkUnicode(path string) *fault {
	if !utf8.ValidString(path) {
		return malformed("invalid UTF-8", "The path is not UTF-8.")
	}
	for _, r := range path {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return malformed("control character", "The path holds a control character.")
		}
	}
	return nil
}

// checkEncoding looks at the path as sent, which [url.URL] keeps when it differs
// from the default encoding, as it does with an encoded slash or dot.
func checkEncoding(u *url.URL) *fault {
	raw := u.RawPath
	for {
		i := strings.IndexByte(raw, '%')
		if i < 0 {
			break
		}
		if len(raw) < i+3 {
			return malformed("encoding", "The path is not well encoded.")
		}
		if raw[i+1] == '2' && (raw[i+2]|0x20 == 'f' || raw[i+2]|0x20 == 'e') {
			return traversal("encoded slash or dot", "The path holds an encoded slash or dot.")
		}
		raw = raw[i+3:]
	}
	if u.RawPath != "" {
		if path, err := url.PathUnescape(u.RawPath); err != nil || path != u.Path {
			return malformed("encoding", "The path is not well encoded.")
		}
	}
	return nil
}
