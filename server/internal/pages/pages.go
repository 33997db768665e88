package pages

import (
	"bytes"
	"html/template"
	"net/http"
	"strconv"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/headers"
	"github.com/merlonhq/merlon/problem"
)

// Names of the header profiles of the pages.
const (
	docsProfile      = "docs"
	signedOutProfile = "signed-out"
)

// Profiles returns the header profiles that the routes of the pages name.
func Profiles() map[headers.Profile]headers.Page {
	return map[headers.Profile]headers.Page{
		// The icons of Swagger UI are in its style sheet.
		docsProfile: {CSP: headers.CSP{ImgSrc: []headers.Source{headers.Self, "data:"}}, Allow: []headers.Feature{}},
		// It loads its style sheet, and does nothing.
		signedOutProfile: {CSP: headers.CSP{
			ScriptSrc: []headers.Source{}, StyleSrc: []headers.Source{headers.Self}, ConnectSrc: []headers.Source{}, FontSrc: []headers.Source{}, FormAction: []headers.Source{},
		}, Allow: []headers.Feature{}},
	}
}

// Pages are the pages.
type Pages struct {
	assets          map[string]asset
	docs, signedOut *template.Template
}

// New reads the pages that are in the binary.
func New() (*Pages, error) {
	assets, err := loadAssets()
	if err != nil {
		return nil, err
	}
	p := &Pages{assets: assets}
	if p.docs, err = template.ParseFS(embedded, "files/docs.html"); err != nil {
		return nil, err
	}
	if p.signedOut, err = template.ParseFS(embedded, "files/signed-out.html"); err != nil {
		return nil, err
	}
	return p, nil
}

// page is what a template sees.
type page struct {
	*Pages
	Nonce   string
	Cleared bool
}

// Docs answers with the documentation of the API.
func (p *Pages) Docs(w http.ResponseWriter, r *http.Request) {
	show(w, r, p.docs, page{Pages: p, Nonce: headers.Nonce(r.Context())})
}

// SignedOut answers with the end of a session, and tells the browser to forget what
// it holds of this site.
//
// Other sites can make a browser ask for the page, and Clear-Site-Data works in the
// answer to an image too: they would log people out. So it is sent to who comes from
// this site, or types the address, or is no browser, and to nobody else.
func (p *Pages) SignedOut(w http.ResponseWriter, r *http.Request) {
	cleared := ownVisit(r.Header)
	if cleared {
		// The spelling of the OWASP Secure Headers Project, without spaces.
		w.Header().Set("Clear-Site-Data", `"cache","cookies","storage"`)
	}
	show(w, r, p.signedOut, page{Pages: p, Cleared: cleared})
}

// ownVisit reports whether a person opened the page from this site or by hand, by
// what the browser says (Fetch Metadata section 2).
func ownVisit(h http.Header) bool {
	site, mode := h["Sec-Fetch-Site"], h["Sec-Fetch-Mode"]
	if len(site) == 0 && len(mode) == 0 {
		return true // no browser that is still in use; and what it has is its own
	}
	return len(site) == 1 && (site[0] == "same-origin" || site[0] == "none") && len(mode) == 1 && mode[0] == "navigate"
}

func show(w http.ResponseWriter, r *http.Request, t *template.Template, data page) {
	var body bytes.Buffer
	if err := t.Execute(&body, data); err != nil {
		exchange.FromContext(r.Context()).Fail(w, problem.Internal(err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	_, _ = w.Write(body.Bytes()) // the client may be gone
}
