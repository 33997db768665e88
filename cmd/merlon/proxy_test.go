//go:build unix

package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// Behind a proxy on this machine that terminates TLS.
func TestProductionBehindAProxy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", production+keyAndHosts+"trusted_proxies: [127.0.0.1]\ndatabase_url: sqlite:data/merlon.db\ndrain_time: 0s\n")
	with := merlon("--config", config).in(dir)
	createUser(t, with, "warden", passphrase, "admin")
	s := startService(t, with)
	direct := s.as("Host", "api.example.com")
	proxied := direct.as("X-Forwarded-Proto", "https")

	t.Run("https at the proxy", func(t *testing.T) {
		a := proxied.call(t, 200, "GET", "/csrf/token", nil, "X-Forwarded-For", "192.0.2.7")
		if a.header.Get("Strict-Transport-Security") == "" {
			t.Error("no Strict-Transport-Security")
		}
	})
	t.Run("clear text at the proxy", func(t *testing.T) {
		for _, header := range [][]string{
			nil,
			{"X-Forwarded-For", "192.0.2.7"},
			{"X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "http"},
			{"X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "https, http"},
			{"X-Forwarded-Ssl", "on", "Front-End-Https", "on", "X-Url-Scheme", "https"},
		} {
			a := direct.refused(t, 403, "https-required", "GET", "/csrf/token", nil, header...)
			// RFC 6797 section 7.2: never over clear text.
			if got := a.header.Get("Strict-Transport-Security"); got != "" {
				t.Errorf("%q: Strict-Transport-Security: %s", header, got)
			}
		}
		direct.refused(t, 403, "https-required", "POST", "/api/v1/auth/login", credentials("warden", passphrase))
		direct.call(t, 200, "GET", "/health", nil)
		direct.call(t, 200, "GET", "/health/ready", nil)
	})
	t.Run("a navigation goes to https", func(t *testing.T) {
		a := direct.call(t, 308, "GET", "/openapi.json", nil, "Accept", "text/html,application/xhtml+xml", "X-Forwarded-Proto", "http")
		if got := a.header.Get("Location"); got != "https://api.example.com/openapi.json" {
			t.Errorf("Location: %s", got)
		}
	})
	t.Run("hosts", func(t *testing.T) {
		s.as("Host", "evil.example", "X-Forwarded-Proto", "https").refused(t, 421, "host-not-allowed", "GET", "/csrf/token", nil)
		proxied.refused(t, 421, "host-not-allowed", "GET", "/csrf/token", nil, "X-Forwarded-Host", "evil.example")
		s.as("Host", "evil.example").call(t, 200, "GET", "/health", nil)
	})

	// Each fails once, from an address that its X-Forwarded-For ends with.
	addresses := map[string]string{
		"192.0.2.7":                         "192.0.2.7",
		"198.51.100.1, 192.0.2.8":           "192.0.2.8",
		"127.0.0.1, 192.0.2.9":              "192.0.2.9",
		"10.0.0.1,203.0.113.9 ,2001:db8::1": "2001:db8::1",
	}
	for forwarded := range addresses {
		a := proxied.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("warden", "not this one"),
			"X-Forwarded-For", forwarded)
		addresses[forwarded] += " " + a.header.Get("X-Request-Id")
	}
	// A session in clear text is somebody's loss.
	direct.refused(t, 403, "https-required", "GET", "/api/v1/users/me", nil, "Cookie", cookieName+"=x", "X-Forwarded-For", "192.0.2.66")

	admin := proxied.as("X-Forwarded-For", "192.0.2.1").login(t, "warden", passphrase)
	eventually(t, "the events", func() bool { return len(events(t, admin, "type=authn_login_fail")) == len(addresses) })
	found := map[string]bool{}
	for _, e := range events(t, admin, "type=authn_login_fail") {
		found[e.Address+" "+e.RequestID] = true
	}
	for forwarded, want := range addresses {
		if !found[want] {
			t.Errorf("X-Forwarded-For: %s: no event with address and request %s in %v", forwarded, want, found)
		}
	}
	eventually(t, "the credential in clear", func() bool { return len(events(t, admin, "type=authn_credential_in_clear&address=192.0.2.66")) == 1 })
	s.stop()
}

// Who is not a trusted proxy chooses neither address nor scheme.
func TestForwardingHeadersOfStrangers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", production+keyAndHosts+"trusted_proxies: [192.0.2.1]\ndatabase_url: sqlite:data/merlon.db\ndrain_time: 0s\n")
	s := startService(t, merlon("--config", config).in(dir))
	c := s.as("Host", "api.example.com")
	c.refused(t, 403, "https-required", "GET", "/csrf/token", nil, "X-Forwarded-Proto", "https", "X-Forwarded-For", "192.0.2.1")
	c.call(t, 200, "GET", "/health", nil, "Forwarded", "for=192.0.2.1;proto=https")
	// The operator is told once that a proxy may be missing in the list.
	r := s.stop()
	if n := strings.Count(r.stderr, "id=merlon.N001 peer=127.0.0.1 header=X-Forwarded-For"); n != 1 || strings.Count(r.stderr, "merlon.N001") != 1 {
		t.Errorf("told %d times:\n%s", n, r.stderr)
	}
	if n := count(logged(t, filepath.Join(dir, "logs", "security.log")), "sys_misconfigured"); n != 1 {
		t.Errorf("%d events, want 1", n)
	}

	// Five failures from one machine are five, whatever it says of itself.
	d := startDemo(t, merlon())
	for n, claimed := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"} {
		a, err := d.try("POST", "/api/v1/auth/login", credentials("nobody", "nothing at all"),
			"X-Forwarded-For", claimed, "Forwarded", "for="+claimed, "X-Real-Ip", claimed, "True-Client-Ip", claimed)
		want := 401
		if n == 5 {
			want = 429
		}
		if err != nil || a.status != want {
			t.Errorf("failure %d: %v, status %d, want %d: %s", n+1, err, a.status, want, a.body)
		}
	}
}
