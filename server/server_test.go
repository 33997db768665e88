package server_test

import (
	"context"
	"io"
	"log/slog"
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
)

// demo starts a demo on a free port, serving the given modules, and returns its
// samples and its data directory.
func demo(t *testing.T, modules ...module.Module) (server.Samples, string) {
	t.Helper()
	dir := t.TempDir()
	set, problems, err := server.DemoSettings(dir, "127.0.0.1:0")
	if err != nil || server.Fatal(problems) {
		t.Fatal(err, problems)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	srv, err := server.New(t.Context(), server.Config{Settings: set, Modules: modules, Version: "test", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	samples, err := srv.SeedDemo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return samples, dir
}

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

// People type passwords into the field of the name.
func TestLoginEvents(t *testing.T) {
	samples, dir := demo(t)
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
