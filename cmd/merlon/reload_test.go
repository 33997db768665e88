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
	s := startSecure(t, dir, "")
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

	again := certificate(t, dir)
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
	if got := strings.Join(outcomes, ", "); got != "success info, failure medium, failure medium, failure medium, failure medium, success info" {
		t.Errorf("events: %s", got)
	}
}

func TestHangupsTellWhichSettingsNeedARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startSecure(t, dir, "")
	const at = `time=\S+ level=`
	own := read(t, filepath.Join(dir, "merlon.yaml"))
	s.signal(syscall.SIGHUP)
	s.line(s.stderr, at+`INFO msg="reload: the certificate is the one in force" not_after=.*`)
	s.line(s.stderr, at+`INFO msg="reload: the settings are those in force"`)
	write(t, dir, "merlon.yaml", own+"password: {min_length: 12}\naudit: {keep: 3}\n")
	s.signal(syscall.SIGHUP)
	s.line(s.stderr, at+`WARN msg="reload: settings have changed that need a restart" settings="password.min_length audit.keep"`)
	write(t, dir, "merlon.yaml", own+"pasword: {min_length: 12}\n")
	s.signal(syscall.SIGHUP)
	s.line(s.stderr, at+`ERROR msg="reload: the settings are wrong: a restart would fail" problem=".*merlon.E003 .*"`)
	s.call(t, 200, "GET", "/health", nil)
	if r := s.stop(); r.code != 0 {
		t.Errorf("exit %d", r.code)
	}
}
