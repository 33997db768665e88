package e2e_test

import (
	"slices"
	"strings"
	"testing"
)

// list splits the values of a list header.
func list(values []string) []string {
	var out []string
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			if item = strings.TrimSpace(item); item != "" {
				out = append(out, item)
			}
		}
	}
	slices.Sort(out)
	return out
}

// crossOrigin returns the names of the CORS headers of an answer.
func crossOrigin(a *answer) []string {
	var out []string
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func TestPreflights(t *testing.T) {
	t.Parallel()
	s := share(t)
	c := s.client(t)
	ask := func(method, headers string, more ...string) []string {
		out := append([]string{"Access-Control-Request-Method: " + method}, more...)
		if headers != "" {
			out = append(out, "Access-Control-Request-Headers: "+headers)
		}
		return out
	}
	const dev = "Origin: http://localhost:3000"
	var events []wantEvent
	for _, tt := range []struct {
		name, path string
		headers    []string
		passes     bool
	}{
		{"a listed origin", "/api/v1/posts", ask("POST", "content-type,x-csrf-token", dev), true},
		{"another listed origin", "/api/v1/posts", ask("GET", "", "Origin: http://localhost:8080"), true},
		{"the third one", "/api/v1/users/me", ask("PATCH", "authorization", "Origin: http://127.0.0.1:3000"), true},
		{"for a path that is not there", "/nowhere", ask("GET", "", dev), true},
		{"for DELETE", "/api/v1/posts/x", ask("DELETE", "x-api-key", dev), true},
		{"a foreign origin", "/api/v1/posts", ask("POST", "", "Origin: https://evil.example"), false},
		{"a listed name with another port", "/api/v1/posts", ask("POST", "", "Origin: http://localhost:3001"), false},
		{"a listed name with another scheme", "/api/v1/posts", ask("POST", "", "Origin: https://localhost:3000"), false},
		{"an origin that begins like a listed one", "/api/v1/posts", ask("POST", "", "Origin: http://localhost:3000.evil.example"), false},
		{"the opaque origin", "/api/v1/posts", ask("POST", "", "Origin: null"), false},
		{"a method beyond the list", "/api/v1/posts", ask("BREW", "", dev), false},
		{"a method of other case", "/api/v1/posts", ask("patch", "", dev), false},
		{"a header beyond the list", "/api/v1/posts", ask("POST", "x-anything", dev), false},
		{"a private network", "/api/v1/posts", ask("GET", "", dev, "Access-Control-Request-Private-Network: true"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := c.do(t, "OPTIONS", tt.path, nil, tt.headers...)
			vary := list(a.header["Vary"])
			for _, name := range []string{"Access-Control-Request-Headers", "Access-Control-Request-Method", "Origin"} {
				if !slices.Contains(vary, name) {
					t.Errorf("Vary is %q, without %s", vary, name)
				}
			}
			if !tt.passes {
				a.wantProblem(t, 403, "cross-site-request")
				if got := crossOrigin(a); got != nil {
					t.Errorf("the refusal carries %q", got)
				}
				events = append(events, wantEvent{a, "malicious_cors", "suspicious_activity", "medium", "refused", "", "*", nil})
				return
			}
			a.want(t, 204)
			origin := ""
			for _, h := range tt.headers {
				if value, ok := strings.CutPrefix(h, "Origin: "); ok {
					origin = value
				}
			}
			want := map[string][]string{
				"Access-Control-Allow-Origin":      {origin},
				"Access-Control-Allow-Credentials": {"true"},
				"Access-Control-Allow-Headers":     {"Authorization", "Content-Type", "X-API-Key", "X-CSRF-Token", "X-Requested-With"},
				"Access-Control-Max-Age":           {"86400"},
			}
			for name, values := range want {
				if got := list(a.header[name]); !slices.Equal(got, values) {
					t.Errorf("%s is %q, want %q", name, got, values)
				}
			}
			methods := slices.DeleteFunc(list(a.header["Access-Control-Allow-Methods"]), func(m string) bool { return m == "HEAD" })
			if !slices.Equal(methods, []string{"DELETE", "GET", "PATCH", "POST", "PUT"}) {
				t.Errorf("Access-Control-Allow-Methods is %q", methods)
			}
			if got := crossOrigin(a); len(got) != 5 {
				t.Errorf("the answer carries %q", got)
			}
		})
	}
	s.wantEvents(t, events...)
	t.Run("what is no preflight is an ordinary OPTIONS", func(t *testing.T) {
		for _, headers := range [][]string{nil, {dev}, ask("POST", "")} {
			a := c.do(t, "OPTIONS", "/api/v1/posts", nil, headers...)
			if a.status != 405 && a.status != 204 && a.status != 200 {
				t.Errorf("%q: status %d: %s", headers, a.status, a.body)
			}
		}
	})
}

func TestAnswersToOtherOrigins(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada, c := s.register(t), s.client(t)
	exposed := []string{"RateLimit", "RateLimit-Policy", "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id"}
	const dev = "http://localhost:3000"
	for name, a := range map[string]*answer{
		"200":                     c.do(t, "GET", "/api/v1/posts", nil, "Origin: "+dev),
		"200 of a session":        ada.do(t, "GET", "/api/v1/users/me", nil, "Origin: "+dev, "Sec-Fetch-Site: cross-site"),
		"201":                     ada.act(t, "POST", "/api/v1/posts", post(), "Origin: "+dev, "Sec-Fetch-Site: cross-site"),
		"401":                     c.do(t, "GET", "/api/v1/users/me", nil, "Origin: "+dev),
		"403 for want of a token": ada.do(t, "POST", "/api/v1/posts", post(), "Origin: "+dev),
		"404":                     c.do(t, "GET", "/nowhere", nil, "Origin: "+dev),
		"405":                     c.do(t, "PUT", "/api/v1/posts", nil, "Origin: "+dev),
		"422":                     ada.act(t, "POST", "/api/v1/posts", "{}", "Origin: "+dev),
	} {
		if got := a.header["Access-Control-Allow-Origin"]; len(got) != 1 || got[0] != dev {
			t.Errorf("%s: Access-Control-Allow-Origin is %q", name, got)
		}
		if got := a.header["Access-Control-Allow-Credentials"]; len(got) != 1 || got[0] != "true" {
			t.Errorf("%s: Access-Control-Allow-Credentials is %q", name, got)
		}
		if got := list(a.header["Access-Control-Expose-Headers"]); !slices.Equal(got, exposed) {
			t.Errorf("%s: Access-Control-Expose-Headers is %q", name, got)
		}
	}
	for name, a := range map[string]*answer{
		"no origin":       c.do(t, "GET", "/api/v1/posts", nil),
		"a foreign one":   c.do(t, "GET", "/api/v1/posts", nil, "Origin: https://evil.example"),
		"the opaque one":  ada.do(t, "GET", "/api/v1/users/me", nil, "Origin: null"),
		"two":             c.do(t, "GET", "/api/v1/posts", nil, "Origin: "+dev, "Origin: "+dev),
		"a longer one":    c.do(t, "GET", "/api/v1/posts", nil, "Origin: "+dev+"/"),
		"a refused write": ada.act(t, "POST", "/api/v1/posts", post(), "Origin: https://evil.example"),
	} {
		if got := crossOrigin(a); got != nil {
			t.Errorf("%s: the answer carries %q", name, got)
		}
		if a.status != 400 && !slices.Contains(list(a.header["Vary"]), "Origin") { // two are no request
			t.Errorf("%s: Vary is %q", name, a.header["Vary"])
		}
	}
}
