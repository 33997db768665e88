package sanitize_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/merlonhq/merlon/sanitize"
)

var plainTests = []struct {
	name, in, want string
}{
	{"the empty text stays", "", ""},
	{"an apostrophe stays", "O'Brien", "O'Brien"},
	{"SQL in prose stays", "SELECT a book; -- really", "SELECT a book; -- really"},
	{"a comparison stays", "1 < 2", "1 < 2"},
	{"a comparison without spaces stays", "1<2 and 3>2", "1<2 and 3>2"},
	{"an ampersand stays", "a & b", "a & b"},
	{"a character reference stays as sent", "&lt;b&gt; &amp; &#60;", "&lt;b&gt; &amp; &#60;"},
	{"a heart stays", "I <3 you", "I <3 you"},
	{"arrows stay", "a -> b <- c <= d >= e <> f << g", "a -> b <- c <= d >= e <> f << g"},
	{"line endings and blanks stay", " a\r\n\tb\n ", " a\r\n\tb\n "},
	{"a trailing less-than stays", "a <", "a <"},
	{"letters beyond ASCII stay", "Ærøskøbing — 東京 <", "Ærøskøbing — 東京 <"},

	{"a tag goes, its text stays", "<b>bold</b> and <i>slanted</i>", "bold and slanted"},
	{"a script goes with its contents", "a<script>alert(1)</script>b", "ab"},
	{"a script in capitals goes too", "a<SCRIPT SRC=x>alert(1)</ScRiPt >b", "ab"},
	{"a style goes with its contents", "a<style>*{color:red}</style>b", "ab"},
	{"a script that never ends takes the rest", "a<script>alert(1)", "a"},
	{"a tag inside a tag goes", "<scr<script>ipt>alert(1)</scr</script>ipt>", "ipt>alert(1)ipt>"},
	{"a script that appears when a tag goes is gone too", "<<b>script>alert(1)<<b>/script>x", "x"},
	{"three levels of that", "<<<b>b>script>alert(1)<<<b>b>/script>x", "x"},
	{"a handler goes with its element", `<img src=x onerror="alert(1)">hi`, "hi"},
	{"a > inside an attribute does not end the tag", `<img alt="a>b" src=x>hi`, "hi"},
	{"a comment goes", "a<!-- b -->c", "ac"},
	{"a declaration goes", "<!DOCTYPE html>a<?xml version='1.0'?>b<![CDATA[c]]>d", "abd"},
	{"markup in a title goes", "<title><b>a</b></title>", "a"},
	{"markup after plaintext goes", "<plaintext><b>a</b>", "a"},
	{"an unclosed tag loses its bracket only", "if a <b then", "if a b then"},
	{"an unclosed image can no longer be completed", "<img src=x onerror=alert(1) ", "img src=x onerror=alert(1) "},
	{"brackets in a row do not hide one", "<<<<img src=x ", "img src=x "},
	{"an unclosed comment loses its brackets only", "a <!-- b <i> c", "a !-- b i> c"},
	{"an end tag that is cut off", "a</", "a/"},
}

func TestPlainLosesMarkupAndKeepsTheRest(t *testing.T) {
	for _, tt := range plainTests {
		t.Run(tt.name, func(t *testing.T) {
			got, removed := sanitize.Plain(tt.in)
			if got != tt.want {
				t.Errorf("Plain(%q) = %q, want %q", tt.in, got, tt.want)
			}
			if want := tt.in != tt.want; removed != want {
				t.Errorf("Plain(%q) removed = %v, want %v", tt.in, removed, want)
			}
			checkPlain(t, tt.in)
		})
	}
}

// checkPlain holds for every text.
func checkPlain(t *testing.T, in string) {
	t.Helper()
	out, removed := sanitize.Plain(in)
	if len(out) > len(in) {
		t.Errorf("Plain(%q) = %q is longer", in, out)
	}
	if removed != (out != in) {
		t.Errorf("Plain(%q) = %q says removed %v", in, out, removed)
	}
	if again, removed := sanitize.Plain(out); again != out || removed {
		t.Errorf("Plain(%q) = %q, and of that %q", in, out, again)
	}
	// Also when something follows that would close what is open.
	for _, page := range []string{out, out + ">", out + `"'> -->`} {
		z := html.NewTokenizer(strings.NewReader(page))
		for {
			kind := z.Next()
			if kind == html.ErrorToken {
				break
			}
			if kind != html.TextToken {
				t.Fatalf("Plain(%q) = %q holds %v", in, out, z.Token())
			}
		}
	}
}

func TestPlainOfHostileTextTakesBoundedTime(t *testing.T) {
	const size = 16 << 10
	for _, unit := range []string{"<", "<b>", "<!--", "<a ", `<a "`, "<title>", "<script>", "<<b>", "</", "<script></", "<!", "<?", "<plaintext>"} {
		in := strings.Repeat(unit, size/len(unit))
		start := time.Now()
		checkPlain(t, in)
		checkRich(t, in)
		t.Logf("%-12q %v", unit, time.Since(start))
	}
	in := strings.Repeat("<", size/4) + strings.Repeat("b>", size/4)
	checkPlain(t, in)
	checkRich(t, in)
}

func TestPlainOfCleanTextDoesNotAllocate(t *testing.T) {
	in := "O'Brien: 1 < 2 & 3 > 2"
	if n := testing.AllocsPerRun(100, func() { sanitize.Plain(in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzPlain(f *testing.F) {
	for _, tt := range plainTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) { checkPlain(t, in) })
}

func TestThreatsNamesWhatWasInTheMarkup(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"onclick=alert(1) javascript:alert(1)", "none"},
		{"<b title=onclick>a</b>", "none"},
		{"<a href=https://example.com/?javascript:1>a</a>", "none"},
		{"<script>alert(1)</script>", "script-element"},
		{"<<b>script>alert(1)</script>", "script-element"},
		{"<img src=x ONERROR=alert(1)>", "event-handler"},
		{"<a href=\" java\tscript&colon;alert(1)\">a</a>", "script-url"},
		{"<svg onload=x><a href=javascript:x>", "script-element,event-handler,script-url"},
	} {
		if got := sanitize.Threats(tt.in).String(); got != tt.want {
			t.Errorf("Threats(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func ExamplePlain() {
	title, removed := sanitize.Plain(`O'Brien <script>alert(1)</script>says 1 < 2`)
	fmt.Println(title, removed)
	// Output: O'Brien says 1 < 2 true
}
