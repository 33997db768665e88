package acmetest

import (
	"crypto/rand"
	"crypto/tls"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func secret() string { return rand.Text() + rand.Text() }

const metrics = "operations_listen: \"127.0.0.1:0\"\n"

func get(t *testing.T, url, host string) (int, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	client := &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// modes are those of everything below dir.
func modes(t *testing.T, dir string) (files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestACertificateByTLSALPNSurvivesARestart(t *testing.T) {
	t.Parallel()
	a, dir, key := newAuthority(t), t.TempDir(), secret()
	config := settings(a, key, metrics)
	p := start(t, dir, config, "127.0.0.1:0")

	// Before there is one, probes find a service, and clients that verify do not.
	if c, err := served(p.address, name, nil); err != nil || !isPlaceholder(c) {
		t.Fatalf("%v, %v: want the placeholder", c, err)
	}
	if code := p.health(); code != 0 {
		t.Errorf("not healthy while there is a placeholder")
	}
	a.serve(how{tls: portOf(t, p.address), life: 90 * 24 * time.Hour})
	eventually(t, "a certificate of the authority", func() bool {
		_, err := served(p.address, name, a.roots)
		return err == nil
	})
	p.says(`msg="acme: a new certificate is served" host=` + name)
	first, err := served(p.address, name, a.roots)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"www.merlon-acme.dev", "made-up.example.com", ""} {
		if c, err := served(p.address, other, nil); err != nil || c.SerialNumber.Cmp(first.SerialNumber) != 0 {
			t.Errorf("for %q: %v, want the one that there is", other, err)
		}
	}
	if code := p.health(); code != 0 {
		t.Error("not healthy")
	}
	if n := modes(t, filepath.Join(dir, "acme")); n != 3 {
		t.Errorf("%d files; want the account's key, the placeholder and the certificate", n)
	}
	if _, body := get(t, "http://"+p.metrics+"/metrics", ""); !strings.Contains(body, "\nmerlon_acme_orders_total{result=\"obtained\"} 1\n") ||
		!strings.Contains(body, "\nmerlon_tls_certificate_not_after_timestamp_seconds{certificate=\""+name+"\"} ") {
		t.Error("the metrics do not tell of the certificate")
	}
	// Nobody but an authority with an open challenge gets to speak its protocol.
	conn, err := tls.Dial("tcp", p.address, &tls.Config{ServerName: name, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
	if err == nil {
		conn.Close()
		t.Error("acme-tls/1 without a challenge is served")
	}
	// What is HTTPS only stays so.
	resp := overTLS(t, p.address, a)
	if resp.Header.Get("Strict-Transport-Security") == "" || resp.ProtoMajor != 2 {
		t.Errorf("no HSTS, or no HTTP/2: %v", resp)
	}
	eventually(t, "the event", func() bool { return strings.Contains(p.events(), `"type":"sys_config_changed"`) })
	p.stop()

	orders := a.orders.Load()
	again := start(t, dir, config, "127.0.0.1:0")
	second, err := served(again.address, name, a.roots)
	if err != nil || second.SerialNumber.Cmp(first.SerialNumber) != 0 {
		t.Fatalf("after a restart: %v", err)
	}
	again.stop()
	if n := a.orders.Load(); n != orders || n != 1 {
		t.Errorf("%d orders, and %d before the restart: want 1", n, orders)
	}
}

func overTLS(t *testing.T, address string, a *authority) *http.Response {
	t.Helper()
	tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: a.roots, ServerName: name}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequest("GET", "https://"+address+"/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

func TestACertificateByHTTPInClearText(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	p := start(t, t.TempDir(), settings(a, secret(), metrics+"redirect_listen: \"127.0.0.1:0\"\n"), "127.0.0.1:0")
	a.serve(how{http: portOf(t, p.clear), life: 90 * 24 * time.Hour}) // TLS-ALPN-01 finds nobody
	eventually(t, "a certificate of the authority", func() bool {
		_, err := served(p.address, name, a.roots)
		return err == nil
	})
	// What is no open challenge is judged as ever.
	for _, path := range []string{"/.well-known/acme-challenge/unknown", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/../../health/x"} {
		if status, body := get(t, "http://"+p.clear+path, name); status != 403 || !strings.Contains(body, "https-required") {
			t.Errorf("%s: status %d: %s", path, status, body)
		}
	}
	p.stop()
}

func TestCertificatesAreRenewedInTime(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	p := start(t, t.TempDir(), settings(a, secret(), metrics), "127.0.0.1:0")
	a.serve(how{tls: portOf(t, p.address), life: 12 * time.Second})
	serials := map[string]time.Time{}
	eventually(t, "three certificates one after another", func() bool {
		if c, err := served(p.address, name, nil); err == nil && !isPlaceholder(c) {
			serials[c.SerialNumber.String()] = c.NotAfter
		}
		return len(serials) == 3
	})
	p.stop()
	if strings.Contains(p.log.String(), "sys_degraded") || strings.Contains(p.log.String(), "not renewed") {
		t.Error("a renewal failed")
	}
}

func TestTheOldCertificateIsServedWhileTheAuthorityIsAway(t *testing.T) {
	t.Parallel()
	for what, tt := range map[string]struct {
		fail   func(*authority)
		reason string
	}{
		"it is gone": {func(a *authority) { a.stop() }, "unreachable"},
		"it limits": {func(a *authority) {
			limits := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/problem+json")
				w.Header().Set("Replay-Nonce", "bm9uY2U")
				w.Header().Set("Retry-After", "7200")
				w.WriteHeader(429)
				_, _ = io.WriteString(w, `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}`)
			})
			a.instead.Store(&limits)
		}, "rate_limited"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			p := start(t, t.TempDir(), settings(a, secret(), metrics), "127.0.0.1:0")
			a.serve(how{tls: portOf(t, p.address), life: 12 * time.Second})
			p.says(`msg="acme: a new certificate is served"`)
			tt.fail(a)
			before, err := served(p.address, name, nil)
			if err != nil {
				t.Fatal(err)
			}
			p.says(`msg="acme: the certificate was not renewed[^"]*" host=` + name + ` reason=` + tt.reason + ` fix="[^"]+" error=.* next_try_in=`)
			after, err := served(p.address, name, nil)
			if err != nil || after.SerialNumber.Cmp(before.SerialNumber) != 0 {
				t.Errorf("%v: want the certificate of before", err)
			}
			eventually(t, "the event", func() bool {
				return strings.Contains(p.events(), `"type":"sys_degraded"`) && strings.Contains(p.events(), `"reason":"`+tt.reason+`"`)
			})
			p.stop()
		})
	}
}

func TestARefusedOrderLeavesAServiceThatSaysWhy(t *testing.T) {
	t.Parallel()
	for what, tt := range map[string]struct {
		how    how
		reason string
	}{
		"a name that it does not issue for": {how{blocked: []string{name}}, "rejected_name"},
		"it reaches nobody":                 {how{}, "validation"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			p := start(t, t.TempDir(), settings(a, secret(), metrics+"redirect_listen: \"127.0.0.1:0\"\n"), "127.0.0.1:0")
			tt.how.life = time.Hour
			a.serve(tt.how)
			p.says(`level=ERROR msg="acme: no certificate was obtained, and there is none" host=` + name + ` reason=` + tt.reason + ` `)
			if c, err := served(p.address, name, nil); err != nil || !isPlaceholder(c) {
				t.Errorf("%v, %v: want the placeholder", c, err)
			}
			if code := p.health(); code != 0 {
				t.Error("not healthy")
			}
			if _, body := get(t, "http://"+p.metrics+"/metrics", ""); !strings.Contains(body, "\nmerlon_acme_orders_total{result=\"failed\"} 1\n") {
				t.Error("the metrics do not tell of the failure")
			}
			p.stop()
		})
	}
}

// An authority that hangs keeps neither requests nor the end of the process waiting.
func TestASlowAuthorityHoldsNothingUp(t *testing.T) {
	t.Parallel()
	a := newAuthority(t) // takes connections and never answers
	p := start(t, t.TempDir(), settings(a, secret(), metrics), "127.0.0.1:0")
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if code := p.health(); code != 0 {
		t.Error("not healthy")
	}
	p.stop()
}
