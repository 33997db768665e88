package server_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/examples/blog"
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/server"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/server/servertest"
)

func post(t *testing.T, url, body string) (status int, answer string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// settings loads settings of the environment variables alone, with the data in dir.
func settings(t *testing.T, dir string, environ ...string) server.Settings {
	t.Helper()
	set, problems := server.LoadSettings(server.Source{
		Environ: append(environ, "MERLON_DATABASE_URL=sqlite:"+filepath.Join(dir, "data", "merlon.db"), "MERLON_AUDIT__LOG="+filepath.Join(dir, "logs", "security.log")),
		Open:    func(string) (io.ReadCloser, error) { return nil, fs.ErrNotExist },
	})
	if server.Fatal(problems) {
		t.Fatal(problems)
	}
	return set
}

func production(t *testing.T, dir string, environ ...string) server.Settings {
	t.Helper()
	return settings(t, dir, append(environ, "MERLON_SECRET_KEY="+rand.Text()+rand.Text(), "MERLON_HOSTS=api.example.com")...)
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func made(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestWrongSettingsAreReportedAtOnceAndMakeNothing(t *testing.T) {
	dir := t.TempDir()
	set := production(t, dir, "MERLON_TLS__CERT="+filepath.Join(dir, "cert.pem"), "MERLON_TLS__KEY="+filepath.Join(dir, "key.pem"))
	bad := func(module.Host) []module.Route { return []module.Route{{Policy: route.Route{Pattern: "GET /x"}}} }
	none := func(module.Host) []module.Route { return nil }
	_, err := server.New(t.Context(), server.Config{Settings: set, Log: quiet, Modules: []module.Module{
		{Name: "one", Scopes: []module.Scope{{Name: "keys:manage"}, {Name: "shared"}}, Routes: bad},
		{Name: "two", Scopes: []module.Scope{{Name: "shared"}}},
		{Name: "three", Routes: none}, {Name: "three", Routes: none}, {Name: "Four", Routes: none},
	}})
	if !errors.Is(err, server.ErrSettings) {
		t.Fatalf("error %v; want ErrSettings", err)
	}
	for _, want := range []string{"tls.cert: cannot be read", "no endpoint", "say who may call it", `scope "keys:manage" is declared by the service too`,
		`scope "shared" is declared by one too`, `module "two": Routes is nil`, `module "three": there are two`, `module "Four": Name must`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
	if got := made(t, dir); len(got) > 0 {
		t.Errorf("it made %v", got)
	}

	if _, err := server.New(t.Context(), server.Config{Log: quiet}); !errors.Is(err, server.ErrSettings) {
		t.Errorf("the zero Settings: %v, want ErrSettings", err)
	}
	// What is wrong with a file is not wrong with the settings.
	set = production(t, dir, "MERLON_TRUSTED_PROXIES=127.0.0.1")
	if err := os.WriteFile(filepath.Join(dir, "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.New(t.Context(), server.Config{Settings: set, Log: quiet}); err == nil || errors.Is(err, server.ErrSettings) {
		t.Errorf("a file for a directory: %v, want another error", err)
	}
}

func TestSamplesAreMadeInDevelopmentOnly(t *testing.T) {
	set := production(t, t.TempDir(), "MERLON_TRUSTED_PROXIES=127.0.0.1", "MERLON_LISTEN=127.0.0.1:0")
	if set.Environment() != "production" || set.Listen() != "127.0.0.1:0" {
		t.Errorf("settings of %s, %s", set.Environment(), set.Listen())
	}
	srv, err := server.New(t.Context(), server.Config{Settings: set, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	if samples, err := srv.SeedDemo(t.Context()); err == nil || samples != (server.Samples{}) {
		t.Errorf("samples %v, error %v", samples, err)
	}
	// None of the accounts is there.
	if _, err := server.CreateUser(t.Context(), set, server.NewUser{Username: "demo-admin", Email: "demo-admin@demo.invalid", Role: "admin", Password: "moat and portcullis 7"}); err != nil {
		t.Errorf("CreateUser: %v", err)
	}
}

func TestSamplesAreRecorded(t *testing.T) {
	_, dir := servertest.Start(t)
	text, err := os.ReadFile(filepath.Join(dir, "security.log"))
	if err != nil {
		t.Fatal(err)
	}
	for want, n := range map[string]int{`"type":"user_created"`: 2, `"role":"admin"`: 1, `"type":"apikey_created"`: 1, `"by":"demo"`: 3} {
		if got := strings.Count(string(text), want); got != n {
			t.Errorf("%s %d times, want %d:\n%s", want, got, n, text)
		}
	}
}

func TestAnAccountThatCannotBeRecordedIsNotMade(t *testing.T) {
	dir := t.TempDir()
	set := settings(t, dir, "MERLON_ENVIRONMENT=development")
	// A file where the directory of the log belongs.
	logs := filepath.Join(dir, "logs")
	if err := os.WriteFile(logs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ada := server.NewUser{Username: "ada", Email: "ada@example.com", Role: "user", Password: "moat and portcullis 7"}
	if id, err := server.CreateUser(t.Context(), set, ada); err == nil || errors.Is(err, server.ErrUserExists) || id != "" {
		t.Errorf("id %q, error %v", id, err)
	}
	if err := os.Remove(logs); err != nil {
		t.Fatal(err)
	}
	id, err := server.CreateUser(t.Context(), set, ada)
	if err != nil {
		t.Fatalf("it was made all the same: %v", err)
	}
	if _, err := server.CreateUser(t.Context(), set, ada); !errors.Is(err, server.ErrUserExists) {
		t.Errorf("again: %v, want ErrUserExists", err)
	}
	text, err := os.ReadFile(filepath.Join(logs, "security.log"))
	if err != nil || strings.Count(string(text), `"type":"user_created"`) != 1 || !strings.Contains(string(text), id) {
		t.Errorf("%v, the log is:\n%s", err, text)
	}
}

// People type passwords into the field of the name.
func TestLoginEvents(t *testing.T) {
	samples, dir := servertest.Start(t)
	url := samples.URL + "/api/v1/auth/login"
	if status, body := post(t, url, `{"username":"typed-in-the-wrong-field","password":"x"}`); status != 401 || !strings.Contains(body, `"invalid-credentials"`) {
		t.Errorf("an unknown account: status %d, %s", status, body)
	}
	if status, body := post(t, url, `{"username":"demo-user","password":"not-it-at-all"}`); status != 401 || !strings.Contains(body, `"invalid-credentials"`) {
		t.Errorf("a wrong password: status %d, %s", status, body)
	}
	if status, body := post(t, url, `{"username":"demo-user","password":"`+samples.User.Password+`"}`); status != 200 {
		t.Errorf("the right one: status %d, %s", status, body)
	}
	var log string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline) && !strings.Contains(log, "session_created"); time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(dir, "security.log"))
		if err != nil {
			t.Fatal(err)
		}
		log = string(text)
	}
	for _, want := range []string{`"reason":"unknown_account"`, `"reason":"wrong_password"`, `"type":"authn_login_successafterfail"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	for _, never := range []string{"typed-in-the-wrong-field", "not-it-at-all", samples.User.Password, samples.APIKey} {
		if strings.Contains(log, never) {
			t.Errorf("the log holds %q", never)
		}
	}
}

func TestModulesThatDoNotFitAreRefusedAtStart(t *testing.T) {
	type body struct {
		Name string `json:"name"` // no maxLength
	}
	nothing := func(*module.Call, *body) (module.None, error) { return module.None{}, nil }
	routes := func(r ...module.Route) func(module.Host) []module.Route {
		return func(module.Host) []module.Route { return r }
	}
	for _, tt := range []struct {
		name string
		m    module.Module
		want string
	}{
		{"a route without a policy", module.Module{Name: "x", Routes: routes(module.Route{
			Policy: route.Route{Pattern: "GET /x"}, Endpoint: module.Raw(200, "text/plain", http.NotFoundHandler())})}, "say who may call it"},
		{"a route without an endpoint", module.Module{Name: "x", Routes: routes(module.Route{
			Policy: route.Route{Pattern: "GET /x", Public: true}})}, "no endpoint"},
		{"a body without bounds", module.Module{Name: "x", Routes: routes(module.Route{
			Policy: route.Route{Pattern: "POST /x", Public: true}, Endpoint: module.Body(204, nothing)})}, "maxLength"},
		{"a route of the service's own", module.Module{Name: "x", Routes: routes(module.Route{
			Policy: route.Route{Pattern: "GET /health", Public: true}, Endpoint: module.Raw(200, "text/plain", http.NotFoundHandler())})}, "GET /health"},
		{"no routes", module.Module{Name: "x"}, "Routes is nil"},
		{"a name that is none", module.Module{Name: "My Module", Routes: routes()}, "Name must"},
		{"a scope of the service's own", module.Module{Name: "x", Routes: routes(), Scopes: []module.Scope{{Name: "events:read"}}}, "declared by the service"},
		{"the blog", blog.Module(), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, _, err := server.DemoSettings(t.TempDir(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			srv, err := server.New(t.Context(), server.Config{Settings: set, Modules: []module.Module{tt.m}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v; want one about %s", err, tt.want)
			}
			if srv != nil {
				if err := srv.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Fifty failures an hour close an account to strangers, not to its owner's browser.
func TestStrangersCannotLockTheOwnerOut(t *testing.T) {
	set := func(address string) *http.Client {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
		return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	}
	samples, _ := servertest.Start(t)
	login := func(c *http.Client, password string, cookies ...*http.Cookie) *http.Response {
		t.Helper()
		body := `{"username":"demo-user","password":"` + password + `"}`
		req, err := http.NewRequestWithContext(t.Context(), "POST", samples.URL+"/api/v1/auth/login", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		for _, cookie := range cookies {
			req.AddCookie(cookie)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Skipf("no source address of our own on this machine: %v", err)
		}
		_ = resp.Body.Close()
		return resp
	}
	owner := set("127.3.0.1")
	first := login(owner, samples.User.Password)
	var device *http.Cookie
	for _, c := range first.Cookies() {
		if c.Name == "__Host-merlon_device" {
			device = c
		}
	}
	if first.StatusCode != 200 || device == nil {
		t.Fatalf("status %d, cookies %v", first.StatusCode, first.Cookies())
	}
	for i := range 50 {
		if resp := login(set(fmt.Sprintf("127.3.1.%d", 1+i/5)), "guess"); resp.StatusCode != 401 {
			t.Fatalf("guess %d: status %d; want 401", i+1, resp.StatusCode)
		}
	}
	if resp := login(set("127.3.2.1"), samples.User.Password); resp.StatusCode != 429 {
		t.Errorf("a browser that never logged in: status %d; want 429", resp.StatusCode)
	}
	if resp := login(set("127.3.2.2"), "guess", &http.Cookie{Name: device.Name, Value: device.Value[1:] + "A"}); resp.StatusCode != 429 {
		t.Errorf("a forged device: status %d; want 429", resp.StatusCode)
	}
	if resp := login(owner, samples.User.Password, device); resp.StatusCode != 200 {
		t.Errorf("the owner's browser: status %d; want 200", resp.StatusCode)
	}
}
