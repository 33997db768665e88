package csrf

import (
	"html/template"
	"net/http"
	"time"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
)

// TokenFor returns a new token for the caller of r, and when it expires: for its
// session or, without one, for the pre-session cookie, which it sets on w unless the
// browser has one. It is called before the first byte of the answer.
func (p *Protection) TokenFor(w http.ResponseWriter, r *http.Request) (token string, expires time.Time) {
	w.Header().Add("Vary", "Cookie")
	now := time.Now()
	if x := exchange.FromContext(r.Context()); x != nil {
		now = x.Now
		if x.Principal.Kind == identity.Session {
			return p.Issue(Session(x.Principal.SessionID), now)
		}
	}
	value := preSession(r)
	if value == "" {
		value = newPreSession()
		http.SetCookie(w, &http.Cookie{
			Name: PreSessionCookie, Value: value,
			Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
	}
	return p.Issue(PreSession(value), now)
}

// Field returns the hidden field of a plain HTML form, with a token of
// [Protection.TokenFor]:
//
//	<form method="post" action="/entries">{{.CSRF}} … </form>
//
// Tokens are bound to the session and not to the page, so any number of pages may be
// open at a time. One that was opened before the caller logged in, in this tab or in
// another, holds a token of nobody: its form is refused, with an answer that says to
// load the page again, since it was filled in as somebody else. So is one that was
// open for longer than tokens live.
//
// The page must not be kept by caches, and should have the header profile "form".
func (p *Protection) Field(w http.ResponseWriter, r *http.Request) template.HTML {
	token, _ := p.TokenFor(w, r)
	// A token is base64url: there is nothing in it to escape.
	return template.HTML(`<input type="hidden" name="` + Field + `" value="` + token + `">`)
}
