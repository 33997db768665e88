package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/server"
	"github.com/merlonhq/merlon/server/module"
)

// limited starts a development server with the settings and a module of some routes, and returns its URL and its log.
func limited(t *testing.T, rateLimits string) (url string, log *lines) {
	t.Helper()
	dir := t.TempDir()
	file := "environment: development\nsecret_key: " + rand.Text() + rand.Text() + "\ndatabase_url: sqlite:" + filepath.Join(dir, "merlon.db") +
		"\naudit: {log: " + filepath.Join(dir, "security.log") + "}\n" + rateLimits
	set, problems := server.LoadSettings(server.Source{File: "merlon.yaml", Listen: "127.0.0.1:0", Open: func(path string) (io.ReadCloser, error) {
		if path != "merlon.yaml" {
			return nil, fs.ErrNotExist
		}
		return io.NopCloser(strings.NewReader(file)), nil
	}})
	if server.Fatal(problems) {
		t.Fatal(problems)
	}
	answer := module.Bare(204, func(*module.Call) (module.None, error) { return module.None{}, nil })
	log = &lines{}
	srv, err := server.New(t.Context(), server.Config{Settings: set, Version: "test", Log: slog.New(slog.NewTextHandler(log, nil)), Modules: []module.Module{{
		Name: "tests",
		Routes: func(module.Host) []module.Route {
			routes := []module.Route{{Policy: route.Route{Pattern: "GET /api/v1/light", Public: true}, Summary: "One unit", Endpoint: answer}}
			if strings.Contains(rateLimits, "/heavy") { // heavier than some limits are
				routes = append(routes, module.Route{Policy: route.Route{Pattern: "GET /api/v1/heavy", Public: true, Weight: 5}, Summary: "Five units", Endpoint: answer})
			}
			return routes
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Listen(); err != nil {
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
	return "http://" + srv.Addr(), log
}

type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

// What the settings say about limits is what the service does.
func TestLimitsOfTheSettings(t *testing.T) {
	const rules = "rate_limits:\n  rules:\n    - {name: tests, by: [address], match: "
	for _, tt := range []struct {
		name, settings string
		path           string
		admitted       int // in a row
		policy         string
	}{
		{"several windows: the one that is full first", rules + "[GET /api/v1/light], limits: [100/1h, 7/1m]}\n", "light", 7, `"tests";q=100;w=3600, "tests-60s";q=7;w=60`},
		{"a token bucket admits its burst at once", rules + "[GET /api/v1/light], limit: 1, window: 1h, algorithm: token_bucket, burst: 3}\n", "light", 3, `"tests";q=1;w=3600`},
		{"routes of modules weigh what they say", rules + "[GET /api/v1/heavy], limit: 12, window: 1h}\n", "heavy", 2, `"tests";q=12;w=3600`},
		{"the default with several windows", "rate_limits: {default: {limits: [9/1h, 50/24h]}}\n", "light", 9, `"default";q=9;w=3600, "default-86400s";q=50;w=86400`},
		{"the default as a token bucket", "rate_limits: {default: {limit: 1, window: 1h, algorithm: token_bucket, burst: 4, by: [address]}}\n", "light", 4, `"default";q=1;w=3600`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, _ := limited(t, tt.settings)
			for i := range tt.admitted + 1 {
				resp, err := http.Get(url + "/api/v1/" + tt.path)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				want := 204
				if i == tt.admitted {
					want = 429
				}
				if got := resp.Header.Get("RateLimit-Policy"); resp.StatusCode != want || got != tt.policy {
					t.Errorf("request %d: status %d, RateLimit-Policy %s; want %d, %s", i+1, resp.StatusCode, got, want, tt.policy)
				}
				if (resp.Header.Get("Retry-After") != "") != (want == 429) {
					t.Errorf("request %d: Retry-After %q", i+1, resp.Header.Get("Retry-After"))
				}
			}
		})
	}
}

func TestExemptAddressesOfTheSettings(t *testing.T) {
	const limit = "rate_limits: {default: {limit: 1, window: 1h, by: [address]}"
	for settings, want := range map[string]int{
		limit + "}\n": 429,
		limit + ", insecure_exempt: {addresses: [127.0.0.0/8], reason: the load test}}\n": 204,
		limit + ", insecure_exempt: {addresses: [192.0.2.0/24], reason: elsewhere}}\n":    429,
	} {
		url, log := limited(t, settings)
		status := 0
		for range 3 {
			resp, err := http.Get(url + "/api/v1/light")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			status = resp.StatusCode
		}
		if status != want {
			t.Errorf("%s: status %d; want %d", settings, status, want)
		}
		if loud := strings.Contains(log.String(), `msg="a control is relaxed" setting=RateLimit.InsecureExempt`); loud != strings.Contains(settings, "insecure") {
			t.Errorf("%s: told of at start: %v\n%s", settings, loud, log)
		}
	}
}

func TestARuleOfTheSettingsThatMatchesNoRouteIsNoted(t *testing.T) {
	for pattern, want := range map[string]bool{"GET /api/v1/absent": true, "GET /api/v1/light": false, "GET /api/v1/{rest...}": false} {
		_, log := limited(t, fmt.Sprintf("rate_limits:\n  rules:\n    - {name: tests, match: [%q], limit: 5, window: 1m, by: [address]}\n", pattern))
		if got := strings.Contains(log.String(), "id=merlon.N005 rule=tests"); got != want {
			t.Errorf("%s: noted %v; want %v\n%s", pattern, got, want, log)
		}
	}
}
