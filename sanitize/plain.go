package sanitize

import (
	"strings"

	"golang.org/x/net/html"
)

// maxPasses bounds how often Plain looks again at its own result. Markup that
// appears when other markup is taken out (<<b>script>) needs one pass a level;
// honest text needs one. Deeper nests are broken up instead of followed, so
// that hostile input costs a constant number of scans.
const maxPasses = 8

// Plain returns s without markup, and whether anything was taken out.
//
// Tags, comments, declarations and processing instructions go, as the
// tokenizer of the HTML standard (WHATWG HTML, section 13.2.5) sees them; the
// contents of script and style go with the element. The result is scanned
// again until nothing is left to remove. All other bytes stay as they were:
// quotes, ampersands, character references, a < that opens nothing.
//
// A tag or comment that never closes is not markup yet, but would become
// markup as soon as something is printed behind it. It loses its < only.
//
// The result is never longer than s, contains no tag, and Plain of it is the
// same text. The time taken is proportional to the length of s.
func Plain(s string) (out string, removed bool) {
	out, _ = plain(s)
	return out, len(out) != len(s)
}

func plain(s string) (out string, threats Threat) {
	for range maxPasses {
		if !opensMarkup(s) {
			return s, threats
		}
		next, t := strip(s)
		threats |= t
		if len(next) == len(s) {
			break
		}
		s = next
	}
	return breakUp(s), threats
}

// strip removes the markup that one run of the tokenizer finds in s.
func strip(s string) (string, Threat) {
	var (
		b       strings.Builder
		threats Threat
		pos     int
		skip    bool // the next text is the content of a script or style element
	)
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			// The reader is a string: the only error is its end, here inside a tag.
			b.WriteString(breakUp(s[pos:]))
			return b.String(), threats
		}
		raw := s[pos : pos+len(z.Raw())]
		pos += len(raw)
		switch kind {
		case html.TextToken:
			if !skip {
				b.WriteString(raw)
			}
			skip = false
		case html.StartTagToken, html.SelfClosingTagToken:
			name, hasAttr := z.TagName()
			skip = string(name) == "script" || string(name) == "style"
			threats |= tagThreats(z, string(name), hasAttr)
			if !skip {
				// title, textarea, plaintext and their like: look at the
				// contents now, not in the next pass.
				z.NextIsNotRawText()
			}
		case html.CommentToken:
			if !strings.HasSuffix(raw, ">") {
				b.WriteString(breakUp(raw))
			}
			skip = false
		default:
			skip = false
		}
	}
}

// opensMarkup reports whether s holds a < that begins a tag, a comment or a
// declaration: WHATWG HTML 13.2.5.6, the tag open state.
func opensMarkup(s string) bool {
	for {
		i := strings.IndexByte(s, '<')
		if i < 0 || i+1 == len(s) {
			return false
		}
		if opens(s[i+1]) {
			return true
		}
		s = s[i+1:]
	}
}

func opens(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '/' || c == '!' || c == '?'
}

// breakUp removes every < that would open markup, also where several stand in
// a row, and nothing else.
func breakUp(s string) string {
	if !opensMarkup(s) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if opens(s[i]) {
			for len(out) > 0 && out[len(out)-1] == '<' {
				out = out[:len(out)-1]
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}
