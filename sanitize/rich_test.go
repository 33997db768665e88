package sanitize_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/merlonhq/merlon/sanitize"
)

const rel = ` rel="nofollow noopener"`

var richTests = []struct {
	name, in, want string
	removed        bool
}{
	{"prose stays", "O'Brien said: SELECT a \"book\"; -- really", "O'Brien said: SELECT a \"book\"; -- really", false},
	{"a comparison is serialised", "1 < 2 > 0 & so on", "1 &lt; 2 &gt; 0 &amp; so on", false},
	{"what is serialised stays", "1 &lt; 2 &amp; so on", "1 &lt; 2 &amp; so on", false},
	{"a tag that never closes is text", "if a <b then", "if a &lt;b then", false},
	{"every allowed element stays", "<p>a<br><strong>b</strong><em>c</em></p><ul><li>d</li></ul><ol><li>e</li></ol>",
		"<p>a<br><strong>b</strong><em>c</em></p><ul><li>d</li></ul><ol><li>e</li></ol>", false},
	{"a break in the XML manner", "a<br/>b", "a<br>b", false},
	{"a link gets its rel", `<a href="https://example.com/?a=1&amp;b=2">x</a>`, `<a href="https://example.com/?a=1&amp;b=2"` + rel + `>x</a>`, false},
	{"mail is a link", `<a href="mailto:a@example.com">x</a>`, `<a href="mailto:a@example.com"` + rel + `>x</a>`, false},
	{"plain http is a link", `<a href="http://example.com/">x</a>`, `<a href="http://example.com/"` + rel + `>x</a>`, false},
	{"our own rel is no removal", `<a href="http://example.com/"` + rel + `>x</a>`, `<a href="http://example.com/"` + rel + `>x</a>`, false},
	{"an anchor that leads nowhere is its text", "<a>x</a>", "x", false},
	{"what is open is closed", "<p><em>a", "<p><em>a</em></p>", false},
	{"an end tag that closes nothing goes", "a</ul></p>b", "ab", false},

	{"another rel goes", `<a rel="opener" href="http://example.com/">x</a>`, `<a href="http://example.com/"` + rel + `>x</a>`, true},
	{"a target goes", `<a target=_blank href="http://example.com/">x</a>`, `<a href="http://example.com/"` + rel + `>x</a>`, true},
	{"a script URL goes", `<a href="javascript:alert(1)">x</a>`, "x", true},
	{"a disguised script URL goes", "<a href=\" java\tscript&colon;alert(1)\">x</a>", "x", true},
	{"a data URL goes", `<a href="data:text/html,x">x</a>`, "x", true},
	{"a relative URL goes", `<a href="/logout">x</a>`, "x", true},
	{"a URL with the page's scheme goes", `<a href="//example.com/">x</a>`, "x", true},
	{"a script goes with its contents", "a<script>alert(1)</script>b", "ab", true},
	{"a handler goes, the element stays", `<p onclick="alert(1)">a</p>`, "<p>a</p>", true},
	{"a style goes", `<p style="position:fixed">a</p>`, "<p>a</p>", true},
	{"an id goes", `<p id=x class=y>a</p>`, "<p>a</p>", true},
	{"another element goes, its text stays", "<h1>a</h1><b>b</b><img src=x>", "ab", true},
	{"a comment goes", "a<!-- b -->c", "ac", true},
	{"a script that appears when a tag goes is text", "<<b>script>alert(1)<<b>/script>", "&lt;script&gt;alert(1)&lt;/script&gt;", true},
	{"SVG goes", `<svg><a href="https://example.com/"><p>x`, `<a href="https://example.com/"` + rel + `><p>x</p></a>`, true},
}

func TestRichKeepsTheAllowListOnly(t *testing.T) {
	for _, tt := range richTests {
		t.Run(tt.name, func(t *testing.T) {
			got, removed := sanitize.Rich(tt.in)
			if got != tt.want || removed != tt.removed {
				t.Errorf("Rich(%q)\n got %q, %v\nwant %q, %v", tt.in, got, removed, tt.want, tt.removed)
			}
			checkRich(t, tt.in)
		})
	}
}

func TestRichNestsToALimit(t *testing.T) {
	out, removed := sanitize.Rich(strings.Repeat("<ul><li>", 16))
	if removed || strings.Count(out, "<ul>") != 16 {
		t.Errorf("16 lists in each other: %v, %q", removed, out)
	}
	out, removed = sanitize.Rich(strings.Repeat("<ul><li>", 17))
	if !removed || strings.Count(out, "<ul>") != 16 {
		t.Errorf("17 lists in each other: %v, %q", removed, out)
	}
}

// checkRich holds for every text.
func checkRich(t *testing.T, in string) {
	t.Helper()
	out, _ := sanitize.Rich(in)
	if again, removed := sanitize.Rich(out); again != out || removed {
		t.Errorf("Rich(%.200q)\n     = %.200q\nagain: %.200q, %v", in, out, again, removed)
	}
	nodes, err := html.ParseFragment(strings.NewReader(out), nil)
	if err != nil {
		t.Fatalf("Rich(%.200q) = %.200q: %v", in, out, err)
	}
	for _, n := range nodes {
		checkNode(t, in, n, true)
	}
}

func checkNode(t *testing.T, in string, n *html.Node, frame bool) {
	t.Helper()
	switch n.Type {
	case html.TextNode:
	case html.ElementNode:
		switch n.Data {
		case "html", "head", "body":
			if !frame || len(n.Attr) > 0 {
				t.Errorf("Rich(%q) holds %s %v", in, n.Data, n.Attr)
			}
		case "a":
			for _, a := range n.Attr {
				switch a.Key {
				case "href":
					u, err := url.Parse(a.Val)
					if err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "mailto" {
						t.Errorf("Rich(%q) links to %q", in, a.Val)
					}
				case "rel":
					if a.Val != "nofollow noopener" {
						t.Errorf("Rich(%q) has rel %q", in, a.Val)
					}
				default:
					t.Errorf("Rich(%q) holds attribute %v", in, a)
				}
			}
		case "p", "br", "strong", "em", "ul", "ol", "li":
			if len(n.Attr) > 0 {
				t.Errorf("Rich(%q) holds %s %v", in, n.Data, n.Attr)
			}
		default:
			t.Errorf("Rich(%q) holds element %s", in, n.Data)
		}
	default:
		t.Errorf("Rich(%q) holds a node of type %d: %q", in, n.Type, n.Data)
	}
	for c := range n.ChildNodes() {
		checkNode(t, in, c, frame && n.Type == html.ElementNode && n.Data == "html")
	}
}

func FuzzRich(f *testing.F) {
	for _, tt := range richTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) { checkRich(t, in) })
}

// The payloads are public collections; see the README beside them.
func TestNoPayloadLeavesMarkup(t *testing.T) {
	dir := os.Getenv("VECTORS_DIR")
	if dir == "" {
		t.Skip("VECTORS_DIR is not set")
	}
	data, err := os.ReadFile(filepath.Join(dir, "xss", "payloads.json"))
	if err != nil {
		t.Fatal(err)
	}
	var payloads []struct{ Source, Payload string }
	if err := json.Unmarshal(data, &payloads); err != nil {
		t.Fatal(err)
	}
	if len(payloads) < 1000 {
		t.Fatalf("%d payloads, want 1000", len(payloads))
	}
	for _, p := range payloads {
		checkPlain(t, p.Payload)
		checkRich(t, p.Payload)
	}
}

func ExampleRich() {
	content, removed := sanitize.Rich(`<p onclick="steal()">See <a href="https://example.com/">this</a> & that`)
	fmt.Println(content)
	fmt.Println(removed)
	// Output:
	// <p>See <a href="https://example.com/" rel="nofollow noopener">this</a> &amp; that</p>
	// true
}
