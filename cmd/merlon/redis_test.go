//go:build unix

package main_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/merlonhq/merlon/internal/redistest"
)

// sharedConfig is developmentConfig with limits in Redis, and the default limit that a test says.
func sharedConfig(url, policy string, limit, nodes int) string {
	return "redis_url: \"" + url + "\"\n" + strings.Replace(developmentConfig,
		"  default: {limit: 1000000, window: 1m, by: [principal_or_address, route]}\n",
		fmt.Sprintf("  default: {limit: %d, window: 10m, by: [principal_or_address, route]}\n  on_store_error: %s\n  expected_nodes: %d\n  store_timeout: 1s\n", limit, policy, nodes), 1)
}

// startShared starts a service of its own directory on a Redis that it shares.
func startShared(t *testing.T, config string, env ...string) (s service, dir string) {
	t.Helper()
	dir = t.TempDir()
	return startService(t, merlon("--config", write(t, dir, "merlon.yaml", config)).in(dir).with(env...)), dir
}

// Two processes admit together what one would, and not one more or less, with 1,600 requests from sixteen clients.
func TestTwoProcessesShareTheirLimits(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	config := sharedConfig("redis://"+redis.Addr, "deny", 100, 2)
	one, _ := startShared(t, config)
	two, _ := startShared(t, config)
	redis.Do("SCRIPT", "FLUSH") // which must cost nobody anything
	var mu sync.Mutex
	statuses := map[int]int{}
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() {
			c := []service{one, two}[i%2].client
			for range 100 {
				a, err := c.try("GET", "/csrf/token", nil)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				statuses[a.status]++
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	if statuses[200] != 100 || statuses[429] != 1500 {
		t.Errorf("statuses %v; want 100 × 200 and 1500 × 429", statuses)
	}
	// One process that starts again finds the limit as it was.
	one.stop()
	again, _ := startShared(t, config)
	again.refused(t, 429, "quota-exceeded", "GET", "/csrf/token", nil)
}

type limitsReady struct {
	Status string
	Checks struct {
		RateLimits string `json:"rate_limits"`
	}
}

// ready waits until readiness is what is wanted.
func (s service) ready(t *testing.T, status int, limits string) {
	t.Helper()
	var last string
	eventually(t, fmt.Sprintf("/health/ready is %d with rate_limits %q", status, limits), func() bool {
		a, err := s.try("GET", "/health/ready", nil)
		last = string(a.body)
		return err == nil && a.status == status && decode[limitsReady](t, a).Checks.RateLimits == limits
	})
	if want := map[bool]string{true: "ok", false: "unavailable"}[status == 200]; !strings.Contains(last, `"status":"`+want+`"`) {
		t.Errorf("/health/ready: %s; want the status %q", last, want)
	}
}

// What a running service does when its Redis is killed and comes back, under each policy.
func TestRedisGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]struct {
		ready  int
		limits string
	}{"deny": {503, "unavailable"}, "allow": {200, "degraded"}, "local": {200, "degraded"}} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			dir := t.TempDir()
			config := write(t, dir, "merlon.yaml", sharedConfig("redis://"+redis.Addr, policy, 1000, 4))
			createUser(t, merlon("--config", config).in(dir), "warden", passphrase, "admin")
			s := startService(t, merlon("--config", config).in(dir))
			s.line(s.stderr, `time=\S+ level=INFO msg="rate limits are shared in Redis" version=\S+ cluster=false`)
			admin := s.login(t, "warden", passphrase)
			s.ready(t, 200, "ok")

			redis.Kill()
			// Until the service has seen it fail a few times, each request finds out for itself, and gets the same answer.
			get := func() answer { return mustTry(t, s.client, "GET", "/csrf/token") }
			eventually(t, "the service gives Redis up", func() bool {
				if a := get(); a.status != 200 && (policy != "deny" || a.status != 503) {
					t.Errorf("status %d: %s", a.status, a.body)
				}
				return strings.Contains(s.stderr.String(), `msg="Redis is away: `)
			})
			s.ready(t, want.ready, want.limits)

			for range 30 {
				get()
			}
			a, quota := get(), ""
			switch policy {
			case "deny":
				s.refused(t, 503, "store-unavailable", "GET", "/csrf/token", nil)
				if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 1 {
					t.Errorf("Retry-After %q; want seconds", a.header.Get("Retry-After"))
				}
				// Neither credential is called wrong, nor is anybody called too fast.
				s.refused(t, 503, "store-unavailable", "POST", "/api/v1/auth/login", credentials("warden", passphrase))
				s.refused(t, 503, "store-unavailable", "POST", "/api/v1/auth/login", credentials("warden", "not this one"))
				s.as("X-API-Key", "mrl_dev_none").refused(t, 503, "store-unavailable", "GET", "/api/v1/events", nil)
				admin.refused(t, 503, "store-unavailable", "GET", "/api/v1/users/me", nil)
			case "local":
				quota = "250"
				fallthrough
			default:
				admin.call(t, 200, "GET", "/api/v1/users/me", nil)
				s.call(t, 200, "POST", "/api/v1/auth/login", credentials("warden", passphrase))
				s.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("warden", "not this one"))
			}
			if got := a.header.Get("X-RateLimit-Limit"); got != quota {
				t.Errorf("X-RateLimit-Limit %q; want %q", got, quota)
			}

			redis.Restart()
			s.ready(t, 200, "ok")
			if a := s.call(t, 200, "GET", "/csrf/token", nil); a.header.Get("X-RateLimit-Limit") != "1000" {
				t.Errorf("X-RateLimit-Limit %q; want 1000 again", a.header.Get("X-RateLimit-Limit"))
			}
			r := s.stop()
			all := logged(t, filepath.Join(dir, "logs", "security.log"))
			if count(all, "sys_degraded") != 1 || count(all, "sys_recovered") != 1 {
				t.Errorf("%d × sys_degraded, %d × sys_recovered; want one of each", count(all, "sys_degraded"), count(all, "sys_recovered"))
			}
			for _, e := range all {
				if e.Type == "sys_degraded" && (e.Detail["store"] != "redis" || e.Detail["on_store_error"] != policy || e.Severity != "high" || e.Outcome != "failure") {
					t.Errorf("event %+v", e)
				}
			}
			for _, once := range []string{`msg="Redis is away: `, `msg="Redis is back: `} {
				if n := strings.Count(r.stderr, once); n != 1 {
					t.Errorf("%q is logged %d times; want once", once, n)
				}
			}
			if n := strings.Count(r.stderr, "refused by a failure"); n > 20 {
				t.Errorf("%d lines for refused requests; want those of the first few", n)
			}
		})
	}
}

func mustTry(t *testing.T, c client, method, path string) answer {
	t.Helper()
	a, err := c.try(method, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A service starts without its Redis, says so, does what the policy says, and finds it when it comes.
func TestStartWithoutRedis(t *testing.T) {
	t.Parallel()
	const password = "fixture-driftwood"
	for policy, want := range map[string]struct {
		ready, status int
		limits        string
	}{"deny": {503, 503, "unavailable"}, "allow": {200, 200, "degraded"}, "local": {200, 200, "degraded"}} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			redis.Kill()
			s, dir := startShared(t, sharedConfig("redis://"+redis.Addr, policy, 1000, 1))
			s.ready(t, want.ready, want.limits)
			if !strings.Contains(s.stderr.String(), "reason=refused") {
				t.Errorf("it does not say that Redis is away:\n%s", s.stderr)
			}
			s.call(t, want.status, "GET", "/csrf/token", nil)
			s.call(t, 200, "GET", "/health", nil)
			redis.Restart()
			s.ready(t, 200, "ok")
			s.call(t, 200, "GET", "/csrf/token", nil)
			s.stop()
			if all := logged(t, filepath.Join(dir, "logs", "security.log")); count(all, "sys_degraded") != 1 || count(all, "sys_recovered") != 1 || all[0].Type != "sys_startup" {
				t.Errorf("events %+v; want sys_startup first, and one outage", all)
			}
		})
	}
	t.Run("a wrong password", func(t *testing.T) {
		t.Parallel()
		redis := redistest.Start(t, "--requirepass", password)
		s, _ := startShared(t, sharedConfig("redis://:"+password+"x@"+redis.Addr, "deny", 1000, 1))
		s.ready(t, 503, "unavailable")
		r := s.stop()
		if !strings.Contains(r.stderr, "reason=wrong_password") || strings.Contains(r.stderr, password) {
			t.Errorf("want the reason, and not the password:\n%s", r.stderr)
		}
	})
	t.Run("the right password, from a file", func(t *testing.T) {
		t.Parallel()
		redis := redistest.Start(t, "--requirepass", password)
		dir := t.TempDir()
		file := write(t, dir, "redis_url", "redis://:"+password+"@"+redis.Addr+"/2\n")
		s := startService(t, merlon("--config", write(t, dir, "merlon.yaml", developmentConfig)).in(dir).with("MERLON_REDIS_URL_FILE="+file))
		s.call(t, 200, "GET", "/csrf/token", nil)
		s.ready(t, 200, "ok")
		s.stop()
	})
}

// The certificate of Redis must hold for the host of redis_url, by an authority that the machine trusts.
func TestRedisOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	redistest.Certificate(t, dir, "localhost")
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	redis := redistest.StartTLS(t, cert, key)
	for host, want := range map[string]string{"localhost": "ok", "127.0.0.1": "degraded"} {
		s, _ := startShared(t, sharedConfig("rediss://"+net.JoinHostPort(host, redis.TLSPort), "local", 1000, 1), "SSL_CERT_FILE="+cert)
		s.ready(t, 200, want)
		if r := s.stop(); want == "degraded" && !strings.Contains(r.stderr, "reason=certificate") {
			t.Errorf("%s: no reason:\n%s", host, r.stderr)
		}
	}
}
