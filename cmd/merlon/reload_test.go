//go:build unix

package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// trusting returns a client of s with a connection of its own, which accepts what pool does.
func (s secure) trusting(t *testing.T, pool *x509.CertPool) client {
	tr := newTransport()
	t.Cleanup(tr.CloseIdleConnections)
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.tlsAddress)
	}
	tr.ForceAttemptHTTP2, tr.TLSClientConfig = true, &tls.Config{RootCAs: pool, ServerName: "api.example.com"}
	return client{url: "https://api.example.com", transport: tr}
}

func TestHangupsReloadTheCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startSecure(t, dir, "", "--no-watch")
	const at = `time=\S+ level=`
	s.call(t, 200, "GET", "/health", nil) // on a connection that stays open

	renewed := certificate(t, dir)
	s.signal(syscall.SIGHUP)
	s.line(s.stderr, at+`INFO msg="reload: a new certificate is served" not_after=.* sha256=[0-9a-f]{64}`)
	s.trusting(t, renewed).call(t, 200, "GET", "/health", nil)
	if _, err := s.trusting(t, s.pool).try("GET", "/health", nil); err == nil {
		t.Error("the former certificate is still served")
	}
	// The client trusts the former one only: its connection has not been made anew.
	s.call(t, 200, "GET", "/health", nil)

	for _, bad := range []struct {
		name, id string
		make     func()
	}{
		{"a key of another certificate", "E052", func() { certificate(t, dir); swapKey(t, dir) }},
		{"no certificate at all", "E052", func() { write(t, dir, "cert.pem", "") }},
		{"half of a certificate", "E052", func() {
			certificate(t, dir)
			text := read(t, filepath.Join(dir, "cert.pem"))
			write(t, dir, "cert.pem", text[:len(text)/2])
		}},
		{"half of a key", "E052", func() {
			certificate(t, dir)
			text := read(t, filepath.Join(dir, "key.pem"))
			write(t, dir, "key.pem", text[:len(text)/2])
		}},
		{"a file that cannot be read", "E052", func() {
			certificate(t, dir)
			rename(t, dir, "key.pem", "away.pem")
		}},
		{"a certificate that is not valid yet", "E053", func() {
			certificate(t, dir, func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
			})
		}},
		{"a certificate that has expired", "E053", func() {
			certificate(t, dir, func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
			})
		}},
		{"a certificate of another name", "E054", func() { certificate(t, dir, func(c *x509.Certificate) { c.DNSNames = []string{"other.example.com"} }) }},
	} {
		before := strings.Count(s.stderr.String(), "merlon."+bad.id)
		bad.make()
		s.signal(syscall.SIGHUP)
		eventually(t, bad.name+" is told of", func() bool { return strings.Count(s.stderr.String(), "merlon."+bad.id) > before })
		s.trusting(t, renewed).call(t, 200, "GET", "/health", nil)
	}

	// The nearest that is good: it names another host too, was valid from this second, and ends in a minute.
	again := certificate(t, dir, func(c *x509.Certificate) {
		c.DNSNames = []string{"other.example.com", "api.example.com"}
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Second), time.Now().Add(5*time.Minute)
	})
	s.signal(syscall.SIGHUP)
	eventually(t, "the next one is served", func() bool { return strings.Count(s.stderr.String(), "a new certificate is served") == 2 })
	s.trusting(t, again).call(t, 200, "GET", "/health", nil)
	s.stop()

	var outcomes []string
	for _, e := range logged(t, filepath.Join(dir, "logs", "security.log")) {
		if e.Type == "sys_config_changed" {
			outcomes = append(outcomes, e.Outcome+" "+e.Severity)
		}
	}
	if got := strings.Join(outcomes, ", "); got != "success info"+strings.Repeat(", failure medium", 8)+", success info" {
		t.Errorf("events: %s", got)
	}
}

func TestHangupsPutSettingsInForceWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startSecure(t, dir, "", "--no-watch")
	const at = `time=\S+ level=`
	own := read(t, filepath.Join(dir, "merlon.yaml"))
	short := members{"username": "ada", "email": "ada@example.com", "password": "moat+gate7"}
	s.signal(syscall.SIGHUP)
	s.line(s.stderr, at+`INFO msg="reload: the settings are those in force"`)
	s.line(s.stderr, at+`INFO msg="reload: the certificate is the one in force" not_after=.*`)

	write(t, dir, "merlon.yaml", own+"password: {min_length: 12}\naudit: {keep: 3}\n")
	s.signal(syscall.SIGHUP)
	s.line(s.stderr, at+`ERROR msg="reload: a setting has changed that takes a restart: nothing is taken over" setting=audit.keep why=".*"`)
	write(t, dir, "merlon.yaml", own+"pasword: {min_length: 12}\n")
	s.signal(syscall.SIGHUP)
	s.line(s.stderr, at+`ERROR msg="reload: the settings are wrong: those from before are in force" problem=".*merlon.E003 .*"`)
	s.call(t, 201, "POST", "/api/v1/users", short)

	// A renewed certificate does not wait for them.
	renewed := certificate(t, dir)
	s.signal(syscall.SIGHUP)
	s.line(s.stderr, at+`INFO msg="reload: a new certificate is served" .*`)
	s.trusting(t, renewed).call(t, 200, "GET", "/health", nil)

	write(t, dir, "merlon.yaml", own+"password: {min_length: 12}\n")
	s.signal(syscall.SIGHUP)
	s.line(s.stderr, at+`INFO msg="reload: other settings are in force" settings=password.min_length`)
	short["username"], short["email"] = "grace", "grace@example.com"
	s.call(t, 422, "POST", "/api/v1/users", short)
	if r := s.stop(); r.code != 0 {
		t.Errorf("exit %d", r.code)
	}
}

func TestFilesThatChangeAreReloaded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startSecure(t, dir, "operations_listen: \"127.0.0.1:0\"\n")
	const at = `time=\S+ level=`
	operations := newClient(t, "http://"+s.line(s.stderr, at+`INFO msg="serving metrics" address=(\S+)`)[1])
	metric := func(line string) func() bool {
		return func() bool {
			return strings.Contains(string(operations.call(t, 200, "GET", "/metrics", nil).body), "\nmerlon_config_last_reload_"+line)
		}
	}
	own := read(t, filepath.Join(dir, "merlon.yaml"))
	if !metric("successful 1")() || !metric("success_timestamp_seconds 1.")() {
		t.Error("the metrics do not tell of the start")
	}
	renewed := certificate(t, dir)
	s.line(s.stderr, at+`INFO msg="reload: a new certificate is served" .*`)
	s.trusting(t, renewed).call(t, 200, "GET", "/health", nil)
	write(t, dir, "merlon.yaml", own+"listen: \"127.0.0.1:1\"\nnonsense: 1\n")
	s.line(s.stderr, at+`ERROR msg="reload: the settings are wrong: those from before are in force" problem=".*merlon.E003 .*"`)
	eventually(t, "the metric of a reload that was refused", metric("successful 0"))
	write(t, dir, "merlon.yaml", own+"security_contact: mailto:security@example.com\n")
	s.line(s.stderr, at+`INFO msg="reload: other settings are in force" settings=security_contact`)
	eventually(t, "the metric of a reload", metric("successful 1"))
	s.trusting(t, renewed).call(t, 200, "GET", "/.well-known/security.txt", nil)
	s.stop()
}
