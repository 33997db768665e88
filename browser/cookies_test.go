package browser_test

import (
	"testing"

	"github.com/chromedp/cdproto/network"
)

// The flags are written out from the contract, and read from the browser's jar.
func TestCookiesAreKeptWithTheirFlags(t *testing.T) {
	s := demo(t)
	browser := launch(t, nil)
	v := newVictim(t, browser, s)
	v.fetch(t, v.home, "GET", "/csrf/token", nil, "") // with a session: no cookie of its own
	kept := v.cookies(t)
	for _, name := range []string{"__Host-merlon_session", "__Host-merlon_device"} {
		c := kept[name]
		if c == nil {
			t.Fatalf("%s is not kept: %v", name, kept)
		}
		wantFlags(t, c)
	}
	if len(kept) != 2 {
		t.Errorf("the browser keeps %d cookies, want 2: %v", len(kept), kept)
	}
	if c := kept["__Host-merlon_session"]; !c.Session {
		t.Errorf("the session outlives the browser: %v", c)
	}
	if got := evaluate[string](t, v.home, "document.cookie"); got != "" {
		t.Errorf("scripts read the cookies %q", got)
	}

	token := v.fetch(t, v.home, "GET", "/csrf/token", nil, "").json(t, "csrf_token")
	if out := v.fetch(t, v.home, "POST", "/api/v1/auth/logout", nil, token); out.Status != 204 {
		t.Fatalf("logging out: %+v", out)
	}
	if c := v.cookies(t)["__Host-merlon_session"]; c != nil {
		t.Errorf("the browser keeps the session after logging out: %v", c)
	}
	v.fetch(t, v.home, "GET", "/csrf/token", nil, "")
	c := v.cookies(t)["__Host-merlon_presession"]
	if c == nil {
		t.Fatal("a token without a session is bound to no cookie")
	}
	wantFlags(t, c)
}

func wantFlags(t *testing.T, c *network.Cookie) {
	t.Helper()
	if !c.Secure || !c.HTTPOnly || c.SameSite != "Lax" || c.Path != "/" || c.Domain != "localhost" {
		t.Errorf("%s is kept with Secure %v, HttpOnly %v, SameSite %q, Path %q, for %q", c.Name, c.Secure, c.HTTPOnly, c.SameSite, c.Path, c.Domain)
	}
}
