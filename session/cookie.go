package session

import (
	"net/http"

	"github.com/merlonhq/merlon/identity"
)

// Cookie returns the cookie that carries token, by the name that package identity looks for. It has no lifetime of its own: the session ends on the server.
func Cookie(token string) *http.Cookie {
	return &http.Cookie{Name: identity.SessionCookie, Value: token, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// ExpiredCookie returns the cookie that makes a browser forget the token, for the answer to a logout.
func ExpiredCookie() *http.Cookie {
	c := Cookie("")
	c.MaxAge = -1 // Max-Age=0
	return c
}
