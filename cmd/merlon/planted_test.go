//go:build unix

package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A hoard is the secrets that a test has planted, each of them different and new.
type hoard struct {
	mu      sync.Mutex
	planted []planted
}

type planted struct {
	what, value string
	// shown are the calls whose answers the contract lets hold it: "POST /csrf/token".
	shown string
}

// plant returns a new secret and remembers what it is.
func (h *hoard) plant(what string) string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	value := "Pl4nt" + base64.RawURLEncoding.EncodeToString(b)
	h.remember(what, value, "")
	return value
}

// remember adds a secret that the program made. Its answer may hold it, no other.
func (h *hoard) remember(what, value, shown string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.planted = append(h.planted, planted{what, value, shown})
}

// search reports every secret that text holds, plain or in an encoding.
func (h *hoard) search(t *testing.T, where string, text []byte) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.planted {
		if p.shown == where && p.shown != "" {
			continue
		}
		for name, form := range map[string]string{
			"": p.value, " in hex": hex.EncodeToString([]byte(p.value)), " in base64": base64.StdEncoding.EncodeToString([]byte(p.value))[:len(p.value)],
			" in a URL": url.QueryEscape(p.value),
		} {
			if bytes.Contains(text, []byte(form)) {
				t.Errorf("%s holds %s%s", where, p.what, name)
			}
		}
	}
}

// searchFiles searches every file below dir but those that the test has written.
func (h *hoard) searchFiles(t *testing.T, dir string, written ...string) (searched map[string][]byte) {
	t.Helper()
	searched = map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		for _, w := range written {
			if name == w {
				return nil
			}
		}
		text, err := os.ReadFile(path)
		searched[name] = text
		h.search(t, "the file "+name, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return searched
}

// Every setting, every place of a secret and every mistake with one: no output of any
// command holds what was written.
func TestPlantedSecretsInSettingsAreShownNowhere(t *testing.T) {
	t.Parallel()
	all := named(run(t, merlon("config", "print").with("MERLON_ENVIRONMENT=development")).stdout)
	commands := [][]string{
		{"serve", "--listen", "127.0.0.1:0"}, {"check"}, {"check", "--format", "json"}, {"check", "--format", "sarif"},
		{"config", "print"}, {"config", "print", "--json"}, {"users", "create", "--username", "eve", "--email", "eve@example.com", "--password-stdin"},
	}
	// try runs every command. What a setting that is no secret is set to, config print
	// shows: it is left out where a secret is a good value for one.
	try := func(name string, build func(h *hoard, dir string) (file string, env []string), skip ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, args := range commands {
				if len(skip) > 0 && args[0] == skip[0] {
					continue
				}
				h := &hoard{}
				dir := t.TempDir()
				file, env := build(h, dir)
				args = append(args[:len(args):len(args)], "--config", write(t, dir, "merlon.yaml", file))
				r := run(t, merlon(args...).in(dir).with(env...).reading(h.plant("the password")+"\n"))
				if r.code == 0 && args[0] == "serve" || len(h.planted) < 2 {
					t.Errorf("%v: exit %d with %d secrets", args, r.code, len(h.planted))
				}
				if r.stdout+r.stderr == "" {
					t.Errorf("%v says nothing", args)
				}
				h.search(t, strings.Join(args[:2], " "), []byte(r.stdout+r.stderr))
			}
		})
	}
	const rest = "hosts: [api.example.com]\ntrusted_proxies: [127.0.0.1]\nnonsense: 1\n"

	secrets := []string{"secret_key", "secret_key_previous", "database_url", "redis_url"}
	try("in the file", func(h *hoard, _ string) (string, []string) {
		text := rest
		for _, s := range secrets {
			text += s + ": " + h.plant(s) + "\n"
		}
		return text, nil
	})
	try("in lists and sections of the file", func(h *hoard, _ string) (string, []string) {
		text := rest
		for _, s := range secrets {
			text += s + ": [" + h.plant(s) + ", {x: " + h.plant(s) + "}]\n"
		}
		return text, nil
	})
	try("in the environment", func(h *hoard, _ string) (string, []string) {
		var env []string
		for _, s := range secrets {
			env = append(env, "MERLON_"+strings.ToUpper(s)+"="+h.plant(s), "MERLON_X"+strings.ToUpper(s)+"="+h.plant("a misspelt "+s))
		}
		return rest, env
	})
	try("in files, with a second place", func(h *hoard, dir string) (string, []string) {
		env := []string{"CREDENTIALS_DIRECTORY=" + filepath.Join(dir, "credentials")}
		for _, s := range secrets {
			env = append(env, "MERLON_"+strings.ToUpper(s)+"_FILE="+write(t, dir, "files/"+s, h.plant(s)))
			write(t, dir, "credentials/"+s, h.plant(s))
		}
		return rest, env
	})
	try("in the place of the file's name", func(h *hoard, _ string) (string, []string) {
		var env []string
		for _, s := range secrets {
			env = append(env, "MERLON_"+strings.ToUpper(s)+"_FILE="+h.plant(s))
		}
		return rest, env
	})
	try("in URLs", func(h *hoard, _ string) (string, []string) {
		return rest + "database_url: postgres://merlon:" + h.plant("database_url") + "@db/merlon\norigins: [\"https://u:" + h.plant("an origin") + "@a.example\"]\n",
			[]string{"MERLON_REDIS_URL=redis://:" + h.plant("redis_url") + "@cache", "MERLON_SECURITY_CONTACT=https://u:" + h.plant("the contact") + "@a.example"}
	})
	try("in .env", func(h *hoard, dir string) (string, []string) {
		write(t, dir, ".env", "MERLON_SECRET_KEY='"+h.plant("secret_key")+"'\nMERLON_NONSENSE="+h.plant("nonsense")+"\nOTHER="+h.plant("another variable")+"\nMERLON_LISTEN=x\n")
		return "environment: development\n", nil
	})
	try("in a broken .env", func(h *hoard, dir string) (string, []string) {
		write(t, dir, ".env", "MERLON_SECRET_KEY='"+h.plant("secret_key")+"\nB "+h.plant("a line")+"\n")
		return "environment: development\n", nil
	})
	try("on the line of a syntax error", func(h *hoard, _ string) (string, []string) {
		return rest + "secret_key: \"" + h.plant("secret_key") + "\nlisten: [" + h.plant("listen"), nil
	})
	try("as a private key in place of its path", func(h *hoard, _ string) (string, []string) {
		return rest + "tls:\n  cert: cert.pem\n  key: |\n    -----BEGIN PRIVATE KEY-----\n    " + h.plant("tls.key") + "\n    -----END PRIVATE KEY-----\n", []string{"MERLON_TLS__CERT=-----BEGIN CERTIFICATE-----" + h.plant("tls.cert")}
	})
	try("as the bare key in place of its path", func(h *hoard, _ string) (string, []string) {
		return behindProxy, []string{keyInEnvironment, "MERLON_TLS__KEY=" + h.plant("tls.key"), "MERLON_TLS__CERT=" + h.plant("tls.cert")}
	}, "config")
	try("in the files of certificate and key", func(h *hoard, dir string) (string, []string) {
		write(t, dir, "cert.pem", "-----BEGIN "+h.plant("a header of the certificate")+"-----\n"+h.plant("the certificate")+"\n")
		write(t, dir, "key.pem", "-----BEGIN PRIVATE KEY-----\n"+h.plant("the key")+"\n-----END PRIVATE KEY-----\n")
		return behindProxy + "tls: {cert: cert.pem, key: key.pem}\n", []string{keyInEnvironment}
	})
	try("in every other setting of the file", func(h *hoard, _ string) (string, []string) {
		text := ""
		for _, name := range all {
			if i := strings.LastIndexByte(name, '.'); i < 0 {
				text += name + ": [" + h.plant(name) + "]\n" + name + ": " + h.plant(name) + "\n"
			}
		}
		return text, nil
	})
	try("in every variable", func(h *hoard, _ string) (string, []string) {
		var env []string
		for _, name := range all {
			env = append(env, "MERLON_"+strings.ToUpper(strings.ReplaceAll(name, ".", "__"))+"="+h.plant(name))
		}
		return "", env
	}, "config")
	try("in every member of a rule", func(h *hoard, _ string) (string, []string) {
		text := rest + "rate_limits:\n  rules:\n"
		for _, member := range []string{"name", "match", "limit", "window", "by", "count", "weight"} {
			text += "    - {" + member + ": " + h.plant(member) + "}\n    - {" + member + ": [" + h.plant(member) + "]}\n"
		}
		return text, nil
	})
	t.Run("on the command line", func(t *testing.T) {
		t.Parallel()
		h := &hoard{}
		for _, args := range [][]string{
			{"serve", "--listen", h.plant("--listen")},
			{"users", "create", "--username", "eve", "--email", "eve@example.com", "--password-stdin", h.plant("the password")},
			{"users", "create", "--username", "eve", "--email", "eve@example.com", "--password", h.plant("the password")},
		} {
			r := run(t, merlon(args...).with("MERLON_ENVIRONMENT=development"))
			if r.code != 2 {
				t.Errorf("%v: exit %d", args[:2], r.code)
			}
			h.search(t, strings.Join(args[:2], " "), []byte(r.stdout+r.stderr))
		}
	})
	t.Run("beside help", func(t *testing.T) {
		t.Parallel()
		h := &hoard{}
		env := []string{"MERLON_SECRET_KEY=" + h.plant("secret_key"), "MERLON_DATABASE_URL=" + h.plant("database_url")}
		for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"check", "--help"}, {"config", "init"}, {"version"}} {
			h.search(t, strings.Join(args, " "), []byte(run(t, merlon(args...).with(env...)).stdout))
		}
	})
}

// recorded is a transport that keeps what was answered.
type recorded struct {
	http.RoundTripper
	mu      sync.Mutex
	answers map[string][]byte // by method and path
}

func (r *recorded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.RoundTripper.RoundTrip(req)
	if err != nil {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	call := req.Method + " " + req.URL.Path
	r.answers[call] = fmt.Appendf(r.answers[call], "%v\n%s\n", resp.Header, body)
	return resp, err
}

// securely returns a client of a service that serves TLS as api.example.com.
func securely(t *testing.T, s service, pool *x509.CertPool) (client, *recorded) {
	tr := newTransport()
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.address)
	}
	tr.TLSClientConfig = &tls.Config{RootCAs: pool, ServerName: "api.example.com"}
	t.Cleanup(tr.CloseIdleConnections)
	r := &recorded{RoundTripper: tr, answers: map[string][]byte{}}
	return client{url: "https://api.example.com", transport: r}, r
}

// A production run with everything that is secret in it: logs, answers, database and
// event log hold a secret only where the contract shows it, after a crash too.
func TestPlantedSecretsOfARunAreShownNowhere(t *testing.T) {
	t.Parallel()
	h := &hoard{}
	dir := t.TempDir()
	pool := certificate(t, dir)
	for i, line := range lines(read(t, filepath.Join(dir, "key.pem"))) {
		if len(line) > 30 && !strings.HasPrefix(line, "-----") {
			h.remember(fmt.Sprintf("line %d of the key", i), line, "")
		}
	}
	config := write(t, dir, "merlon.yaml", production+"hosts: [api.example.com]\ntls: {cert: cert.pem, key: key.pem}\n"+
		"database_url: sqlite:data/merlon.db\norigins: [https://app.example.com]\n"+
		"rate_limits:\n  rules:\n    - {name: all, match: [POST /api/v1/auth/login, POST /api/v1/auth/token, POST /api/v1/users/me/password, POST /api/v1/users], limit: 1000, window: 1m, by: [address]}\n")
	serve := merlon("--config", config).in(dir).with(
		"MERLON_SECRET_KEY_FILE="+write(t, dir, "secret_key", h.plant("secret_key")),
		"MERLON_SECRET_KEY_PREVIOUS="+h.plant("secret_key_previous")+","+h.plant("another secret_key_previous"),
		"UNRELATED="+h.plant("a variable of another program"))
	password := h.plant("the admin's password")
	createUser(t, serve, "warden", password, "admin")

	exercise := func(s service) *recorded {
		c, r := securely(t, s, pool)
		name := strings.ToLower("u" + rand.Text()[:8])
		own, wrong, later := h.plant("a password"), h.plant("a wrong password"), h.plant("a new password")
		c.call(t, 201, "POST", "/api/v1/users", members{"username": name, "email": name + "@example.com", "password": own})
		// Secrets where they do not belong. The name of a member is told back to who
		// sent it, so that the error can be found, and is recorded nowhere.
		member := "Pl4nt" + rand.Text()
		h.remember("a password as member", member, "POST /api/v1/users")
		c.call(t, 422, "POST", "/api/v1/users", members{"username": name, "email": h.plant("a password as e-mail"), "password": own, member: 1})
		c.call(t, 422, "POST", "/api/v1/users", members{"username": name + "x", "email": name + "x@example.com", "password": own, "website": "https://u:" + h.plant("a password in a URL") + "@"})
		c.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials(name, wrong))
		c.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("nobody", wrong))
		c.call(t, 400, "POST", "/api/v1/auth/login", nil, "Content-Type", "application/json", "X-Note", h.plant("a header"))
		c.refused(t, 401, "unauthenticated", "GET", "/api/v1/users/me", nil, "Cookie", cookieName+"="+h.plant("a cookie"))
		for _, header := range [][]string{
			{"Authorization", "Bearer " + h.plant("a token")}, {"X-API-Key", h.plant("a key that is none")}, {"Authorization", "Basic " + h.plant("basic credentials")},
		} {
			c.call(t, 401, "GET", "/api/v1/users/me", nil, header...)
		}
		if a, err := c.try("GET", "/api/v1/users/me?api_key="+h.plant("a key in the query")+"&access_token="+h.plant("a token in the query"), nil); err != nil || a.status < 400 {
			t.Errorf("a key in the query: status %d, %v", a.status, err)
		}
		c.call(t, 404, "GET", "/"+h.plant("a secret in the path"), nil)

		login := c.call(t, 200, "POST", "/api/v1/auth/login", credentials(name, own))
		for _, cookie := range (&http.Response{Header: login.header}).Cookies() {
			h.remember("the cookie "+cookie.Name, cookie.Value, "POST /api/v1/auth/login")
		}
		got, err := sessionOf(login)
		if err != nil {
			t.Fatal(err)
		}
		h.remember("the CSRF token of the login", got.csrf, "POST /api/v1/auth/login")
		me := c.as(got.headers()...)
		token := get[struct {
			CSRFToken string `json:"csrf_token"`
		}](t, me, "/csrf/token").CSRFToken
		h.remember("a CSRF token", token, "GET /csrf/token")
		c.as("Cookie", cookieName+"="+got.cookie).refused(t, 403, "csrf-token-invalid", "POST", "/api/v1/api-keys", members{"name": "x"}, "X-CSRF-Token", h.plant("a CSRF token that is none"))
		c.as("Cookie", cookieName+"="+got.cookie).refused(t, 403, "cross-site-request", "POST", "/api/v1/api-keys", members{"name": "x"}, "X-CSRF-Token", token, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		key := decode[struct{ ID, Key string }](t, me.call(t, 201, "POST", "/api/v1/api-keys", members{"name": "planted", "scopes": []string{"keys:manage"}}))
		h.remember("an API key", samples{APIKey: key.Key}.secret(), "POST /api/v1/api-keys")
		withKey := c.as("X-API-Key", key.Key)
		withKey.call(t, 200, "GET", "/api/v1/api-keys", nil)
		withKey.call(t, 403, "GET", "/api/v1/users/me", nil)
		c.as(append(got.headers(), "X-API-Key", key.Key)...).refused(t, 400, "ambiguous-credentials", "GET", "/api/v1/api-keys", nil)
		rotated := decode[struct{ ID, Key string }](t, me.call(t, 201, "POST", "/api/v1/api-keys/"+key.ID+"/rotate", members{}))
		h.remember("a rotated key", samples{APIKey: rotated.Key}.secret(), "POST /api/v1/api-keys/"+key.ID+"/rotate")
		me.refused(t, 401, "invalid-credentials", "POST", "/api/v1/users/me/password", members{"current_password": wrong, "new_password": later})
		me.call(t, 204, "POST", "/api/v1/users/me/password", members{"current_password": own, "new_password": later})
		me.call(t, 204, "DELETE", "/api/v1/api-keys/"+rotated.ID, nil)
		me.call(t, 200, "GET", "/api/v1/auth/sessions", nil)
		me.call(t, 204, "POST", "/api/v1/auth/logout", nil)

		login = c.call(t, 200, "POST", "/api/v1/auth/login", credentials("warden", password))
		admin, err := sessionOf(login)
		if err != nil {
			t.Fatal(err)
		}
		h.remember("the admin's session", admin.cookie, "POST /api/v1/auth/login")
		if n := len(events(t, c.as(admin.headers()...), "")); n < 5 {
			t.Errorf("only %d events", n)
		}
		for _, path := range []string{"/health", "/health/ready", "/openapi.json", "/.well-known/security.txt"} {
			if _, err := c.try("GET", path, nil); err != nil {
				t.Error(err)
			}
		}
		return r
	}
	judge := func(s service, r *recorded) {
		for call, text := range r.answers {
			h.search(t, call, text)
		}
		h.search(t, "standard output", []byte(s.stdout.String()))
		h.search(t, "standard error", []byte(s.stderr.String()))
		searched := h.searchFiles(t, dir, "merlon.yaml", "secret_key", "key.pem")
		// A search that finds nothing must be known to look where things are.
		database := append(searched["data/merlon.db"], searched["data/merlon.db-wal"]...)
		if !bytes.Contains(database, []byte("warden@example.com")) || !bytes.Contains(searched["logs/security.log"], []byte("authn_login_fail")) || len(r.answers) < 15 {
			t.Errorf("files %d, answers %d: not everything was searched", len(searched), len(r.answers))
		}
	}

	s := startService(t, serve)
	r := exercise(s)
	s.kill()
	judge(s, r)

	s = startService(t, serve)
	r = exercise(s)
	s.stop()
	judge(s, r)

	for _, args := range [][]string{{"check"}, {"check", "--format", "json"}, {"check", "--format", "sarif"}, {"config", "print"}, {"config", "print", "--json"}} {
		i := serve
		i.args = append(args, serve.args...)
		out := run(t, i)
		if out.stdout == "" {
			t.Errorf("%v says nothing: %s", args, out.stderr)
		}
		h.search(t, strings.Join(args, " "), []byte(out.stdout+out.stderr))
	}
	if len(h.planted) < 50 {
		t.Errorf("only %d secrets", len(h.planted))
	}
}
