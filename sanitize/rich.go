package sanitize

import (
	"strings"
	"sync"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
)

// maxRichDepth is how deep elements may nest in the result of Rich. It is far
// beyond any list somebody wrote, and far below what slows a browser down.
const maxRichDepth = 32

// richRel stands on every link: nofollow takes the gain out of spam, noopener
// keeps the linked page from navigating this one.
const richRel = "nofollow noopener"

// richPolicy is compiled at the first use and not changed afterwards.
var richPolicy = sync.OnceValue(func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "strong", "em", "ul", "ol", "li")
	p.AllowAttrs("href").OnElements("a")
	p.RequireParseableURLs(true)
	p.AllowURLSchemes("http", "https", "mailto")
	return p
})

var (
	escapeText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	escapeAttr = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
)

// Rich returns s as HTML that holds the elements p, br, strong, em, a, ul, ol
// and li, each closed, without attributes but for the href and rel of links,
// and whether something beyond that was taken out.
//
// A link is kept with an absolute http, https or mailto URL and gets
// rel="nofollow noopener"; any other href goes and leaves its text. Text is
// written as the HTML standard serialises it (WHATWG HTML, section 13.3):
// & becomes &amp;, < becomes &lt;, > becomes &gt;, quotes stay. That alone, a
// missing end tag added, or an anchor that leads nowhere, is not a removal. A tag
// that never closes is text.
//
// Rich of the result is the same text, and removes nothing.
func Rich(s string) (out string, removed bool) {
	if !strings.ContainsAny(s, "<>&\r\x00") {
		return s, false
	}
	s = escapeUnclosed(s)
	links, removed := inspectRich(s)
	out, kept, tooDeep := tidy(richPolicy().Sanitize(s))
	return out, removed || tooDeep || kept < links
}

// escapeUnclosed turns the < of a tag or comment at the end of s that is never
// closed into text. A tokenizer drops such an end, and with it what may be the
// second half of "if a <b".
func escapeUnclosed(s string) string {
	pos := 0
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		raw := z.Raw()
		if kind == html.CommentToken && raw[len(raw)-1] != '>' {
			break
		}
		pos += len(raw)
	}
	return s[:pos] + strings.ReplaceAll(s[pos:], "<", "&lt;")
}

// inspectRich counts the links of s and reports whether it holds markup beyond
// the allow list.
func inspectRich(s string) (links int, beyond bool) {
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return links, beyond
		case html.CommentToken, html.DoctypeToken:
			beyond = true
		case html.EndTagToken:
			name, _ := z.TagName()
			beyond = beyond || !allowed(string(name))
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			beyond = beyond || !allowed(string(name))
			link := string(name) == "a"
			for more {
				var key, val []byte
				key, val, more = z.TagAttr()
				switch {
				case link && string(key) == "href":
					links++
				case link && string(key) == "rel" && string(val) == richRel:
				default:
					beyond = true
				}
			}
		}
	}
}

func allowed(name string) bool {
	switch name {
	case "p", "br", "strong", "em", "a", "ul", "ol", "li":
		return true
	}
	return false
}

// tidy writes what the policy let through in one form: elements closed in
// order, end tags that close nothing dropped (they would close elements of the
// page around), the attributes of links set.
func tidy(s string) (out string, links int, tooDeep bool) {
	var (
		b    strings.Builder
		open []string
	)
	closeTo := func(n int) {
		for len(open) > n {
			b.WriteString("</" + open[len(open)-1] + ">")
			open = open[:len(open)-1]
		}
	}
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			closeTo(0)
			return b.String(), links, tooDeep
		}
		t := z.Token()
		switch kind {
		case html.TextToken:
			escapeText.WriteString(&b, t.Data)
		case html.EndTagToken:
			for i := len(open) - 1; i >= 0; i-- {
				if open[i] == t.Data {
					closeTo(i)
					break
				}
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			if !allowed(t.Data) {
				continue
			}
			if t.Data == "br" {
				b.WriteString("<br>")
				continue
			}
			if len(open) == maxRichDepth {
				tooDeep = true
				continue
			}
			if t.Data == "a" {
				href, ok := attr(t, "href")
				if !ok {
					continue
				}
				links++
				b.WriteString(`<a href="`)
				escapeAttr.WriteString(&b, href)
				b.WriteString(`" rel="` + richRel + `">`)
			} else {
				b.WriteString("<" + t.Data + ">")
			}
			open = append(open, t.Data)
		}
	}
}

func attr(t html.Token, key string) (string, bool) {
	for _, a := range t.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}
