package problem

import (
	"bytes"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"

	"github.com/merlonhq/merlon/internal/accept"
)

// A person who opened a page or sent a form reads a page; all else reads JSON. The
// page says what the document says, and what a person can do about it.

// style is the style sheet of the page, and stylePolicy the hash that lets it in: the
// page loads nothing and runs nothing.
const (
	style = `body{margin:0;background:#f5f7f9;color:#1b2530;font:1rem/1.6 system-ui,sans-serif}` +
		`main{box-sizing:border-box;max-width:34rem;margin:12vh auto 0;padding:2rem;background:#fff;border:1px solid #c9d2db;border-radius:.5rem}` +
		`h1{margin:0 0 1rem;font-size:1.5rem;line-height:1.3}` +
		`small{display:block;margin-top:1.5rem;color:#4a5868;overflow-wrap:anywhere}`
	stylePolicy = "default-src 'none'; style-src 'sha256-Agpux/jGJGnThxa7icj9T4z+ptYlDrMlQuBBThUBWxM='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// forPerson reports whether a person reads the answer to r, who asked for a page.
// Some programs name pages first without knowing it (Java's URLConnection does), so
// what no browser sends by itself counts too.
func forPerson(r *http.Request) bool {
	if r == nil || !accept.HTML(r.Header["Accept"]) || !accept.Navigation(r) {
		return false
	}
	h := r.Header
	return h["X-Api-Key"] == nil && !strings.HasPrefix(h.Get("Authorization"), "Bearer ") && !strings.Contains(h.Get("Content-Type"), "json")
}

// Page returns p as a page: what [Problem.Body] says, for a person. Everything in it
// that is not of this package is escaped.
func (p *Problem) Page(requestID string) []byte {
	var b bytes.Buffer
	title := html.EscapeString(p.Code.Title())
	fmt.Fprintf(&b, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>%s</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>%s</style>
</head>
<body>
<main>
<h1>%s</h1>
`, title, style, title)
	for _, text := range p.text() {
		fmt.Fprintf(&b, "<p>%s</p>\n", html.EscapeString(text))
	}
	if len(p.Errors) > 0 {
		b.WriteString("<ul>\n")
		for _, e := range p.Errors {
			name := ""
			if len(e.Pointer) > 1 {
				name = e.Pointer[1:] + ": "
			}
			fmt.Fprintf(&b, "<li>%s</li>\n", html.EscapeString(name+e.Detail))
		}
		b.WriteString("</ul>\n")
	}
	fmt.Fprintf(&b, "<small>Status %d, %s", p.Status(), html.EscapeString(string(p.Code)))
	if requestID != "" {
		fmt.Fprintf(&b, ". Request %s", html.EscapeString(requestID))
	}
	b.WriteString("</small>\n</main>\n</body>\n</html>\n")
	return b.Bytes()
}

// text is what the page says in sentences: what happened, and what to do.
func (p *Problem) text() []string {
	switch p.Code {
	case CSRFTokenMissing, CSRFTokenInvalid:
		return []string{
			"The form was not taken, and nothing was changed: its page was open for too long, or was opened before you signed in or out.",
			"Go back to the form, load its page again, and send it once more.",
		}
	case CrossSiteRequest:
		return []string{p.Detail, "Nothing was changed. Open this site by its own address, and try again there."}
	case HTTPSRequired:
		return []string{p.Detail, "Open the address with https:// at its beginning."}
	case Unauthenticated:
		return []string{p.Detail, "Sign in, and try again."}
	}
	text := []string{p.Detail}
	if p.Detail == "" {
		text = nil
	}
	if p.RetryAfter > 0 {
		text = append(text, "Try again in "+strconv.FormatInt(ceilSeconds(p.RetryAfter), 10)+" s.")
	}
	return text
}
