package session

import (
	"net/http"
	"strings"
)

// CookieName is the name of the session cookie. Browsers take a cookie of that prefix only with Secure, with Path=/
// and without Domain, so that no other host, and no page over plain HTTP, can set it.
const CookieName = "__Host-merlon_session"

// Cookie returns the cookie that carries token. It has no lifetime of its own: the session ends on the server.
func Cookie(token string) *http.Cookie {
	return &http.Cookie{Name: CookieName, Value: token, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// ExpiredCookie returns the cookie that makes a browser forget the token, for the answer to a logout.
func ExpiredCookie() *http.Cookie {
	c := Cookie("")
	c.MaxAge = -1 // Max-Age=0
	return c
}

// FromRequest returns the session cookie of r and whether there is one, valid or not. Of several, which no browser
// sends, none is right: the token is then empty. It does not allocate.
func FromRequest(r *http.Request) (token string, present bool) {
	for _, line := range r.Header["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			if strings.TrimRight(name, " \t") != CookieName {
				continue
			}
			if present {
				return "", true
			}
			token, present = value, true
		}
	}
	return token, present
}
