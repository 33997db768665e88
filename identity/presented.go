package identity

import (
	"net/http"
	"strings"
)

// SessionCookie is the name of the session cookie. The prefix makes browsers
// refuse it without Secure, with a Domain, or from another path (RFC 6265bis
// section 4.1.3.2).
const SessionCookie = "__Host-merlon_session"

// KeyPrefix begins every API key of Merlon.
const KeyPrefix = "mrl_"

// Multiple is what [Presented] returns for more than one kind of credential.
const Multiple Kind = 255

// Presented returns the kind of credential that the header of a request
// presents, without looking at whether it is good: None, one kind, or Multiple.
// The same kind presented twice is Multiple too: which one counts would be a guess.
func Presented(h http.Header) Kind {
	kind := None
	found := func(k Kind) {
		if kind != None {
			k = Multiple
		}
		kind = k
	}
	_, cookies := sessionCookies(h)
	for range cookies {
		found(Session)
	}
	for range h["X-Api-Key"] {
		found(APIKey)
	}
	for _, v := range h["Authorization"] {
		if secret, ok := Bearer(v); ok && strings.HasPrefix(secret, KeyPrefix) {
			found(APIKey)
		} else {
			found(Token)
		}
	}
	return kind
}

// Bearer returns the credential of an Authorization value of scheme Bearer (RFC
// 6750 section 2.1). The scheme is compared without regard to case.
func Bearer(v string) (string, bool) {
	scheme, secret, ok := strings.Cut(v, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimLeft(secret, " "), true
}

// SessionToken returns the value of the session cookie and whether there is one,
// valid or not. Of several, which no browser sends, none is right: the value is
// then empty.
func SessionToken(h http.Header) (token string, present bool) {
	token, n := sessionCookies(h)
	if n > 1 {
		token = ""
	}
	return token, n > 0
}

// sessionCookies returns the value of the last session cookie and how many there are.
func sessionCookies(h http.Header) (value string, n int) {
	for _, line := range h["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			name, v, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			if strings.TrimRight(name, " \t") == SessionCookie {
				value = v
				n++
			}
		}
	}
	return value, n
}

// KeyText returns the API key that the header presents, or "".
func KeyText(h http.Header) string {
	if v := h["X-Api-Key"]; len(v) > 0 {
		return v[0]
	}
	return BearerToken(h)
}

// BearerToken returns the credential of the Authorization header, or "" when
// there is none or it is not of scheme Bearer.
func BearerToken(h http.Header) string {
	if v := h["Authorization"]; len(v) > 0 {
		secret, _ := Bearer(v[0])
		return secret
	}
	return ""
}
