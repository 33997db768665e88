package firewall

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The fast loops look at eight bytes at once; these look at one.
func TestEightBytesAtOnceDecideAsOneByOne(t *testing.T) {
	all := func(s string, ok func(c byte) bool) bool {
		for i := range len(s) {
			if !ok(s[i]) {
				return false
			}
		}
		return true
	}
	rapid.Check(t, func(t *rapid.T) {
		// Mostly honest bytes, so that the odd one stands anywhere among them.
		honest := rapid.StringMatching(`[A-Za-z-]{0,40}`).Draw(t, "honest")
		at := rapid.IntRange(0, len(honest)).Draw(t, "at")
		s := honest[:at] + string(rapid.SliceOfN(rapid.Byte(), 0, 2).Draw(t, "odd")) + honest[at:]
		if got, want := isFieldValue(s), all(s, func(c byte) bool { return (c >= ' ' || c == '\t') && c != 0x7f }); got != want {
			t.Errorf("isFieldValue(%q) = %v", s, got)
		}
		if got, want := visible(s), all(s, func(c byte) bool { return c > ' ' && c < 0x7f }); got != want {
			t.Errorf("visible(%q) = %v", s, got)
		}
		token := all(s, func(c byte) bool {
			return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
		})
		if got, want := isToken(s), s != "" && token; got != want {
			t.Errorf("isToken(%q) = %v", s, got)
		}
	})
}
