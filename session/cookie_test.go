package session_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/session"
)

// attributes splits a Set-Cookie line; the order of attributes has no meaning (RFC 6265, section 4.1.2).
func attributes(line string) (pair string, attrs []string) {
	parts := strings.Split(line, "; ")
	slices.Sort(parts[1:])
	return parts[0], parts[1:]
}

func TestTheCookieIsThatOfTheContract(t *testing.T) {
	token := strings.Repeat("A", 43)
	pair, attrs := attributes(session.Cookie(token).String())
	if pair != "__Host-merlon_session="+token || !slices.Equal(attrs, []string{"HttpOnly", "Path=/", "SameSite=Lax", "Secure"}) {
		t.Errorf("Cookie = %q with %q", pair, attrs)
	}
	pair, attrs = attributes(session.ExpiredCookie().String())
	if pair != "__Host-merlon_session=" || !slices.Equal(attrs, []string{"HttpOnly", "Max-Age=0", "Path=/", "SameSite=Lax", "Secure"}) {
		t.Errorf("ExpiredCookie = %q with %q", pair, attrs)
	}
}
