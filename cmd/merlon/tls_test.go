//go:build unix

package main_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// certificate writes a self-signed certificate for api.example.com and its key
// below dir, as cert.pem and key.pem, and returns who trusts it.
func certificate(t *testing.T, dir string, change ...func(*x509.Certificate)) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "api.example.com"}, DNSNames: []string{"api.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, c := range change {
		c(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, dir, "cert.pem", string(cert))
	write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

const productionTLS = production + keyAndHosts + "tls: {cert: cert.pem, key: key.pem}\ndatabase_url: sqlite:data/merlon.db\ndrain_time: 0s\n"

func TestProductionOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool := certificate(t, dir)
	config := write(t, dir, "merlon.yaml", productionTLS)
	createUser(t, merlon("--config", config).in(dir), "ada", passphrase, "user")
	s := startService(t, merlon("--config", config).in(dir))

	// Whatever the name, it is this server.
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.address)
	}
	tr := newTransport()
	tr.DialContext, tr.ForceAttemptHTTP2 = dial, true
	tr.TLSClientConfig = &tls.Config{RootCAs: pool, ServerName: "api.example.com"}
	t.Cleanup(tr.CloseIdleConnections)
	c := client{url: "https://api.example.com", transport: tr}

	t.Run("HSTS on answers and refusals", func(t *testing.T) {
		for _, a := range []answer{
			c.call(t, 200, "GET", "/csrf/token", nil),
			c.call(t, 404, "GET", "/nowhere", nil),
			c.call(t, 401, "GET", "/api/v1/users/me", nil),
			c.call(t, 421, "GET", "/csrf/token", nil, "Host", "evil.example"),
		} {
			// Two years: RFC 6797 section 6.1.
			if got := a.header.Values("Strict-Transport-Security"); len(got) != 1 || got[0] != "max-age=63072000; includeSubDomains" {
				t.Errorf("status %d: Strict-Transport-Security: %q", a.status, got)
			}
		}
	})

	t.Run("a login by cookie", func(t *testing.T) {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{Transport: tr, Jar: jar, Timeout: patience}
		resp, err := browser.Post("https://api.example.com/api/v1/auth/login", "application/json",
			strings.NewReader(`{"username":"ada","password":"`+passphrase+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v, status %d: %s", err, resp.StatusCode, body)
		}
		if resp.ProtoMajor != 2 {
			t.Errorf("spoke %s, want HTTP/2", resp.Proto)
		}
		want := regexp.MustCompile(`^__Host-merlon_session=[A-Za-z0-9_-]{20,}; Path=/; HttpOnly; Secure; SameSite=Lax\n` +
			`__Host-merlon_device=[A-Za-z0-9_-]{20,}; Path=/; Max-Age=15552000; HttpOnly; Secure; SameSite=Lax$`)
		if got := resp.Header.Values("Set-Cookie"); !want.MatchString(strings.Join(got, "\n")) {
			t.Errorf("Set-Cookie: %q", got)
		}
		token := regexp.MustCompile(`"csrf_token":"([^"]+)"`).FindSubmatch(body)
		if token == nil {
			t.Fatalf("no csrf_token: %s", body)
		}
		browse := func(method, path, csrf string) int {
			req, err := http.NewRequest(method, "https://api.example.com"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if csrf != "" {
				req.Header.Set("X-CSRF-Token", csrf)
			}
			resp, err := browser.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		if got := browse("GET", "/api/v1/users/me", ""); got != 200 {
			t.Errorf("with the cookie: %d, want 200", got)
		}
		if got := browse("POST", "/api/v1/auth/logout", ""); got != 403 {
			t.Errorf("logout without a token: %d, want 403", got)
		}
		if got := browse("POST", "/api/v1/auth/logout", string(token[1])); got != 204 {
			t.Errorf("logout: %d, want 204", got)
		}
		if got := browse("GET", "/api/v1/users/me", ""); got != 401 {
			t.Errorf("after the logout: %d, want 401", got)
		}
	})

	t.Run("hosts", func(t *testing.T) {
		for _, host := range []string{"evil.example", "127.0.0.1", "localhost", "sub.api.example.com", s.address} {
			c.refused(t, 421, "host-not-allowed", "GET", "/csrf/token", nil, "Host", host)
			c.call(t, 200, "GET", "/health", nil, "Host", host)
			c.call(t, 200, "GET", "/health/ready", nil, "Host", host)
		}
		for _, host := range []string{"api.example.com", "api.example.com:443", "API.Example.com"} {
			c.call(t, 200, "GET", "/csrf/token", nil, "Host", host)
		}
	})

	t.Run("no blog", func(t *testing.T) {
		c.refused(t, 404, "not-found", "GET", "/api/v1/posts", nil)
	})

	t.Run("clear text", func(t *testing.T) {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience)) // a connection has deadlines
		if _, err := io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if err != nil || bytes.Contains(got, []byte(" 200 ")) || bytes.Contains(got, []byte(`"status"`)) {
			t.Errorf("%v, answered:\n%s", err, got)
		}
	})

	t.Run("old versions of TLS", func(t *testing.T) {
		for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
			conn, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: pool, ServerName: "api.example.com", MinVersion: version, MaxVersion: version})
			if (err == nil) != want {
				t.Errorf("%s: %v, want accepted: %v", tls.VersionName(version), err, want)
			}
			if err == nil {
				conn.Close()
			}
		}
	})
	s.stop()
}

func TestBrokenCertificates(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"no certificate":                 func(*testing.T, string) {},
		"a certificate that is none":     func(t *testing.T, dir string) { certificate(t, dir); write(t, dir, "cert.pem", "nothing\n") },
		"a key that is another's":        func(t *testing.T, dir string) { certificate(t, dir); swapKey(t, dir) },
		"a directory for a certificate":  func(t *testing.T, dir string) { write(t, dir, "cert.pem/x", "") },
		"a key in place of certificates": func(t *testing.T, dir string) { certificate(t, dir); rename(t, dir, "key.pem", "cert.pem") },
		"an expired certificate": func(t *testing.T, dir string) {
			certificate(t, dir, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
		},
		"a certificate for tomorrow": func(t *testing.T, dir string) {
			certificate(t, dir, func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
			})
		},
		"a certificate for another host": func(t *testing.T, dir string) {
			certificate(t, dir, func(c *x509.Certificate) { c.DNSNames = []string{"www.example.com"} })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			spoil(t, dir)
			r := run(t, merlon("serve", "--listen", "127.0.0.1:0", "--config", write(t, dir, "merlon.yaml", productionTLS)).in(dir))
			told := regexp.MustCompile(`(?m)^merlon\.E05[234] (cert|key)\.pem: .+; .+$`).FindAllString(r.stderr, -1)
			if r.code != 2 || len(told) == 0 || r.stdout != "" {
				t.Errorf("exit %d, want 2, an id and the name of the file:\n%s", r.code, r.stderr)
			}
			for _, made := range names(t, dir) {
				if made == "data" || made == "logs" {
					t.Errorf("it made %s", made)
				}
			}
			// What did not start is not said to serve.
			if strings.Contains(r.stderr, "msg=serving") {
				t.Errorf("it said that it serves:\n%s", r.stderr)
			}
		})
	}
}

func swapKey(t *testing.T, dir string) {
	other := t.TempDir()
	certificate(t, other)
	rename(t, other, "key.pem", "moved.pem")
	write(t, dir, "key.pem", read(t, filepath.Join(other, "moved.pem")))
}
