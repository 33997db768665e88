//go:build unix

package main_test

import (
	"strings"
	"testing"
)

const askedMethod = "Access-Control-Request-Method"

// The origins come from the environment in each environment there is.
func TestOriginsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	const app, partner, local = "https://app.example.com", "https://shop.partner.example", "http://localhost:3000"
	listed := "MERLON_ORIGINS=" + app + ", https://*.partner.example"
	inProduction := []string{"MERLON_SECRET_KEY=3f9b2c71d84e60a5f7c1290eb46d8a53", "MERLON_HOSTS=api.example.com", "MERLON_TRUSTED_PROXIES=127.0.0.1", "MERLON_DRAIN_TIME=0s"}
	for _, tt := range []struct {
		name  string
		env   []string
		trust map[string]bool
	}{
		{"production without a list", inProduction, map[string]bool{app: false, local: false, "null": false}},
		{"production with a list", append(inProduction, listed),
			map[string]bool{app: true, partner: true, "https://partner.example": false, local: false, "http://app.example.com": false}},
		{"development without a list", []string{"MERLON_ENVIRONMENT=development"},
			map[string]bool{local: true, "http://localhost:8080": true, "http://127.0.0.1:3000": true, "http://localhost:3001": false, app: false}},
		{"development with a list, which replaces the defaults", []string{"MERLON_ENVIRONMENT=development", "MERLON_ORIGINS=http://localhost:5173," + app},
			map[string]bool{"http://localhost:5173": true, app: true, local: false}},
		{"development with an empty list", []string{"MERLON_ENVIRONMENT=development", "MERLON_ORIGINS="}, map[string]bool{local: false, app: false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startService(t, merlon().in(t.TempDir()).with(tt.env...))
			c := s.as("Host", "api.example.com", "X-Forwarded-Proto", "https", "X-Forwarded-For", "192.0.2.7")
			if strings.HasPrefix(tt.name, "development") {
				c = s.client
			}
			for origin, trusted := range tt.trust {
				status, allowed := 204, origin
				if !trusted {
					status, allowed = 403, ""
				}
				a := c.call(t, status, "OPTIONS", "/api/v1/auth/login", nil, "Origin", origin, askedMethod, "POST")
				if got := a.header.Get("Access-Control-Allow-Origin"); got != allowed {
					t.Errorf("preflight of %s: Access-Control-Allow-Origin %q", origin, got)
				}
				// CSRF trusts the same list: a login from there is judged, and fails.
				a = c.call(t, map[bool]int{true: 401, false: 403}[trusted], "POST", "/api/v1/auth/login", credentials("nobody", "nothing at all"),
					"Origin", origin, "Sec-Fetch-Site", "cross-site")
				if got := a.header.Get("Access-Control-Allow-Origin"); got != allowed {
					t.Errorf("login of %s: Access-Control-Allow-Origin %q", origin, got)
				}
			}
			s.stop()
		})
	}
}

// Refused preflights say why only where the setting asks for it.
func TestDebuggingCORS(t *testing.T) {
	t.Parallel()
	ask := func(c client, header ...string) answer {
		return c.call(t, 403, "OPTIONS", "/csrf/token", nil, header...)
	}
	for _, debug := range []bool{false, true} {
		env := []string{"MERLON_ENVIRONMENT=development"}
		if debug {
			env = append(env, "MERLON_CORS__DEBUG=true")
		}
		s := startService(t, merlon().in(t.TempDir()).with(env...))
		const local = "http://localhost:3000"
		for what, a := range map[string]answer{
			"origin":          ask(s.client, "Origin", "https://evil.example", askedMethod, "GET"),
			"method":          ask(s.client, "Origin", local, askedMethod, "BREW"),
			"headers":         ask(s.client, "Origin", local, askedMethod, "GET", "Access-Control-Request-Headers", "x-evil"),
			"private network": ask(s.client, "Origin", local, askedMethod, "GET", "Access-Control-Request-Private-Network", "true"),
		} {
			if says := strings.Contains(string(a.body), "the "+what+" of this preflight"); says != debug {
				t.Errorf("debug %v, %s: %s", debug, what, a.body)
			}
			if shows := a.header.Get("Access-Control-Allow-Methods") != ""; shows != (debug && what != "origin") {
				t.Errorf("debug %v, %s: %v", debug, what, a.header)
			}
		}
		s.stop()
	}
}

// Pages of the internet reach a private network only where a reason is given, which
// is told at start.
func TestPrivateNetworks(t *testing.T) {
	t.Parallel()
	const local = "http://localhost:3000"
	ask := []string{"Origin", local, askedMethod, "GET", "Access-Control-Request-Private-Network", "true"}
	s := startService(t, merlon().in(t.TempDir()).with("MERLON_ENVIRONMENT=development"))
	a := s.refused(t, 403, "cross-site-request", "OPTIONS", "/csrf/token", nil, ask...)
	if got := a.header.Get("Access-Control-Allow-Private-Network"); got != "" {
		t.Errorf("refused with Access-Control-Allow-Private-Network: %s", got)
	}
	s.stop()

	s = startService(t, merlon().in(t.TempDir()).with("MERLON_ENVIRONMENT=development", "MERLON_CORS__INSECURE_PRIVATE_NETWORK=the printer in the office"))
	if got := s.call(t, 204, "OPTIONS", "/csrf/token", nil, ask...).header.Get("Access-Control-Allow-Private-Network"); got != "true" {
		t.Errorf("allowed with Access-Control-Allow-Private-Network: %q", got)
	}
	if got := s.call(t, 204, "OPTIONS", "/csrf/token", nil, ask[:4]...).header.Get("Access-Control-Allow-Private-Network"); got != "" {
		t.Errorf("not asked for, and Access-Control-Allow-Private-Network: %q", got)
	}
	if r := s.stop(); !strings.Contains(r.stderr, `setting=CORS.InsecurePrivateNetwork reason="the printer in the office"`) {
		t.Errorf("the reason is not told:\n%s", r.stderr)
	}
}
