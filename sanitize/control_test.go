package sanitize_test

import (
	"testing"

	"github.com/merlonhq/merlon/sanitize"
)

func TestControlCharactersAreFound(t *testing.T) {
	for _, tt := range []struct {
		name        string
		in          string
		line, prose bool
	}{
		{"plain text has none", "O'Brien, 東京, é", false, false},
		{"an emoji of several code points has none", "👩‍👩‍👧 ❤️ 🏴\U000e0067\U000e007f", false, false},
		{"Persian with a non-joiner has none", "می\u200cخواهم", false, false},
		{"a soft space has none", "a\u00a0b", false, false},
		{"NUL", "a\x00b", true, true},
		{"escape", "a\x1b[31mb", true, true},
		{"DEL", "a\x7fb", true, true},
		{"C1: next line", "a\u0085b", true, true},
		{"after C1: no-break space", "a\u00a0b", false, false},
		{"byte order mark", "\ufeffa", true, true},
		{"right-to-left override", "a\u202eb", true, true},
		{"a noncharacter", "a\uffffb", true, true},
		{"the replacement character is text", "a\ufffdb", false, false},
		{"bytes that are not UTF-8", "a\xffb", true, true},
		{"a tab", "a\tb", true, false},
		{"a line feed", "a\nb", true, false},
		{"a carriage return", "a\r\nb", true, false},
		{"a vertical tab", "a\vb", true, true},
		{"line separator", "a\u2028b", true, false},
		{"paragraph separator", "a\u2029b", true, false},
		{"right-to-left embedding", "a\u202bb\u202c", true, false},
		{"first strong isolate", "a\u2068b\u2069", true, false},
		{"right-to-left mark", "a\u200fb", false, false},
	} {
		if got := sanitize.HasControl(tt.in, false); got != tt.line {
			t.Errorf("%s: on a line %v, want %v", tt.name, got, tt.line)
		}
		if got := sanitize.HasControl(tt.in, true); got != tt.prose {
			t.Errorf("%s: in prose %v, want %v", tt.name, got, tt.prose)
		}
	}
}
