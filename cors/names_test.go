package cors_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/cors"
)

// The lists of github.com/rs/cors v1.11.1, internal/sortedset_test.go, but for
// the rows that are about order, which does not matter here.
func TestRequestHeaderLists(t *testing.T) {
	s := mustNew(t, cors.Config{Origins: one, RequestHeaders: []string{"X-Foo", "X-Bar", "X-Baz"}})
	many := func(n int, more ...string) []string { return append(make([]string, n), more...) }
	for _, tt := range []struct {
		lines []string
		want  bool
	}{
		{[]string{"x-bar"}, true},
		{[]string{"x-baz"}, true},
		{[]string{"x-foo"}, true},
		{[]string{"x-bar,x-baz,x-foo"}, true},
		{[]string{""}, true},
		{[]string{","}, true},
		{[]string{"\t, , "}, true},
		{[]string{"\tx-bar ,"}, true},
		{[]string{" x-baz\t,"}, true},
		{[]string{"\tx-bar ,\tx-baz ,"}, true},
		{[]string{" x-bar , x-baz , x-foo ,"}, true},
		{[]string{strings.Repeat(",", 16) + "x-foo"}, true},
		{[]string{"x-bar" + strings.Repeat(",", 17) + "x-foo"}, true},
		{[]string{"x-bar", "x-baz,x-foo"}, true},
		{many(16), true},
		{many(16, "x-bar", "x-foo"), true},
		{[]string{"x-foo,x-bar"}, true},
		{[]string{"X-FOO", "x-Bar"}, true},

		{[]string{"x-qux"}, false},
		{[]string{"x-qux,x-baz"}, false},
		{[]string{"x-quxbaz,x-foo"}, false},
		{[]string{"x-foo-and-more"}, false},
		{[]string{"x-fo"}, false},
		{[]string{"*"}, false},
		{[]string{"x-foo\x00"}, false},
		{[]string{"x-foo;x-bar"}, false},
		{[]string{"x-bar x-foo"}, false},
		{[]string{"x-bar,x-baz,x-baz,x-foo"}, false},
		{[]string{"x-foo  "}, false},
		{[]string{"  x-foo  "}, false},
		{[]string{"x-bar\t\t,x-baz"}, false},
		{[]string{"x-bar,\tx-foo\t\t"}, false},
		{[]string{"x-qux", "\t\tx-bar"}, false},
		{[]string{strings.Repeat(",", 17) + "x-foo"}, false},
		{[]string{"x-bar" + strings.Repeat(",", 18) + "x-foo"}, false},
		{many(17), false},
		{many(17, "x-foo"), false},
		{[]string{strings.Repeat("a", 1<<20)}, false},
		{[]string{"x-foo," + strings.Repeat(" ", 1<<20)}, false},
	} {
		rec, _, _ := do(t, s, "OPTIONS", http.Header{"Origin": one, acrm: {"PUT"}, acrh: tt.lines})
		if got := rec.Code == 204; got != tt.want {
			short := slices.Clone(tt.lines)
			for i := range short {
				short[i] = short[i][:min(40, len(short[i]))]
			}
			t.Errorf("%q: passes = %v, want %v", short, got, tt.want)
		}
	}
}

func FuzzRequestHeaderListsAreWhatTheySay(f *testing.F) {
	for _, v := range []string{"", "x-foo", "X-Foo, x-bar", " ,x-bar\t,", "x-foo  ", "x-qux", "x-foo,x-foo", strings.Repeat(",", 17)} {
		f.Add(v)
	}
	s := mustNew(f, cors.Config{Origins: one, RequestHeaders: []string{"X-Foo", "X-Bar"}})
	f.Fuzz(func(t *testing.T, line string) {
		rec, _, _ := do(t, s, "OPTIONS", http.Header{"Origin": one, acrm: {"GET"}, acrh: {line}})
		clean := true
		for elem := range strings.SplitSeq(line, ",") {
			switch strings.ToLower(strings.Trim(elem, " \t")) {
			case "", "x-foo", "x-bar":
			default:
				clean = false
			}
		}
		if rec.Code == 204 && !clean {
			t.Errorf("%q passes", line)
		}
		if rec.Code != 204 && clean && !strings.ContainsAny(line, " \t") && strings.Count(line, ",") < 2 {
			t.Errorf("%q does not pass", line)
		}
	})
}
