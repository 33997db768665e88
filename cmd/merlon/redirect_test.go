//go:build unix

package main_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// secure is a service that speaks TLS at one address and clear text at another.
type secure struct {
	*process
	client            // over TLS
	clear      client // in clear text
	at         string // the address of clear text
	tlsAddress string
	pool       *x509.CertPool
}

func startSecure(t *testing.T, dir, more string, flags ...string) secure {
	t.Helper()
	pool := certificate(t, dir)
	config := write(t, dir, "merlon.yaml", productionTLS+"redirect_listen: \"127.0.0.1:0\"\n"+more)
	createUser(t, merlon("--config", config).in(dir), "warden", passphrase, "admin")
	s := startService(t, merlon(append(flags, "--config", config)...).in(dir))
	at := s.line(s.stderr, `time=\S+ level=INFO msg="redirecting clear text to https" address=(\S+)`)[1]

	tr := newTransport()
	t.Cleanup(tr.CloseIdleConnections)
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.address)
	}
	tr.ForceAttemptHTTP2, tr.TLSClientConfig = true, &tls.Config{RootCAs: pool, ServerName: "api.example.com"}
	return secure{s.process, client{url: "https://api.example.com", transport: tr}, newClient(t, "http://"+at, "Host", "api.example.com"), at, s.address, pool}
}

var styleHash = regexp.MustCompile(`'sha256-[A-Za-z0-9+/]{43}='`)

func TestClearTextBesideTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startSecure(t, dir, "redirect_port: 8444\n")
	page := []string{"Accept", "text/html,application/xhtml+xml"}

	// Whatever is answered in clear text has the security headers, and no HSTS.
	check := func(t *testing.T, a answer) {
		t.Helper()
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "X-Content-Type-Options": "nosniff",
			"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Strict-Transport-Security": "", "Set-Cookie": "",
		} {
			got := a.header.Get(name)
			if name == "Content-Security-Policy" && strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
				// The page that people get has a style of its own, named by its hash.
				want = "default-src 'none'; style-src 'sha256-HASH'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
				got = styleHash.ReplaceAllString(got, "'sha256-HASH'")
			}
			if got != want {
				t.Errorf("status %d: %s is %q, want %q", a.status, name, got, want)
			}
		}
		if a.header.Get("X-Request-Id") == "" {
			t.Errorf("status %d: no X-Request-Id", a.status)
		}
	}

	t.Run("navigations go to https on a configured host", func(t *testing.T) {
		for host, path := range map[string]string{
			"api.example.com": "/openapi.json?a=b", "api.example.com:80": "/openapi.json", "evil.example": "/openapi.json",
			"api.example.com@evil.example": "/nowhere", "": "//evil.example/x",
		} {
			c := s.clear
			if host != "" {
				c = c.as("Host", host)
			}
			a := c.call(t, 308, "GET", path, nil, page...)
			check(t, a)
			if got, want := a.header.Get("Location"), "https://api.example.com:8444"+path; got != want {
				t.Errorf("Host %s: Location %q, want %q", host, got, want)
			}
		}
	})
	t.Run("all else is refused", func(t *testing.T) {
		for _, r := range [][]string{
			{"GET", "/openapi.json"}, {"GET", "/nowhere"}, {"GET", "/csrf/token"}, {"POST", "/api/v1/users"}, {"BREW", "/"},
			{"GET", "/openapi.json", "X-Forwarded-Proto", "https", "X-Forwarded-For", "192.0.2.7"},
			{"OPTIONS", "/csrf/token", "Origin", "https://app.example.com", "Access-Control-Request-Method", "GET"},
			append([]string{"POST", "/api/v1/auth/login"}, page...),
		} {
			a := s.clear.refused(t, 403, "https-required", r[0], r[1], nil, r[2:]...)
			check(t, a)
		}
	})
	t.Run("a password is refused before it is read", func(t *testing.T) {
		conn, err := net.Dial("tcp", s.at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience)) // a connection has deadlines
		fmt.Fprint(conn, "POST /api/v1/auth/login HTTP/1.1\r\nHost: api.example.com\r\nContent-Type: application/json\r\nContent-Length: 60\r\nExpect: 100-continue\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != 403 {
			t.Fatalf("%v, %v: want 403, not 100 Continue", resp, err)
		}
		resp.Body.Close()
	})
	t.Run("probes are answered", func(t *testing.T) {
		check(t, s.clear.call(t, 200, "GET", "/health", nil))
		check(t, s.clear.as("Host", s.at).call(t, 200, "GET", "/health/ready", nil))
	})

	admin := s.login(t, "warden", passphrase)
	clearText := map[string]string{} // request id: kind of credential
	for _, tt := range []struct {
		credential, path string
		header           []string
	}{
		{"api_key", "/api/v1/api-keys", []string{"X-API-Key", "mrl_live_x_y"}},
		{"token", "/openapi.json", append([]string{"Authorization", "Bearer x.y.z"}, page...)},
		{"session", "/", append([]string{"Cookie", cookieName + "=x"}, page...)},
		{"multiple", "/", []string{"Cookie", cookieName + "=x", "X-API-Key", "k"}},
		{"query", "/openapi.json?api_key=mrl_live_x_y", page},
	} {
		a := s.clear.refused(t, 403, "https-required", "GET", tt.path, nil, tt.header...)
		check(t, a)
		clearText[a.header.Get("X-Request-Id")] = tt.credential
	}
	eventually(t, "the events", func() bool { return len(events(t, admin, "type=authn_credential_in_clear")) >= len(clearText) })
	for _, e := range events(t, admin, "type=authn_credential_in_clear") {
		if want, ok := clearText[e.RequestID]; !ok || e.Detail["credential"] != want || e.Severity != "high" || e.Outcome != "refused" {
			t.Errorf("event %+v, want one of high severity about %q", e, want)
		}
		delete(clearText, e.RequestID)
	}
	if len(clearText) > 0 {
		t.Errorf("no event for %v", clearText)
	}

	s.stop()
	for _, address := range []string{s.at, s.tlsAddress} {
		if !isRefused(address) {
			t.Errorf("%s is served after the end", address)
		}
	}
}

// A port that is taken is told before anything is served.
func TestThePortOfClearTextIsTaken(t *testing.T) {
	t.Parallel()
	dir, taken := t.TempDir(), listen(t)
	certificate(t, dir)
	config := write(t, dir, "merlon.yaml", productionTLS+"redirect_listen: \""+taken+"\"\n")
	r := run(t, merlon("serve", "--listen", "127.0.0.1:0", "--config", config).in(dir))
	line := complaint(t, r)
	if r.code != 1 || !strings.Contains(line, "redirect_listen "+taken) || strings.Contains(r.stderr, "msg=serving") {
		t.Errorf("exit %d, want 1 and the address:\n%s", r.code, r.stderr)
	}
	for _, e := range logged(t, filepath.Join(dir, "logs", "security.log")) {
		if e.Type == "sys_startup" {
			t.Error("a start is recorded")
		}
	}
}
