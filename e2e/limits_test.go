package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// violated returns the names of the limits that a 429 tells of.
func violated(t *testing.T, a *answer) string {
	t.Helper()
	a.wantProblem(t, 429, "quota-exceeded")
	list, _ := a.at(t, "violated-policies").([]any)
	return strings.Trim(fmt.Sprint(list), "[]")
}

func TestRegistrationIsLimitedToTenAMinuteAnAddress(t *testing.T) {
	t.Parallel()
	s := share(t)
	c := s.client(t)
	for range 10 {
		c.do(t, "POST", "/api/v1/users", "{}").wantProblem(t, 422, "invalid-content")
	}
	a := c.do(t, "POST", "/api/v1/users", object{"username": "ada", "email": "ada@example.com", "password": "eleven crenels in a row"})
	if got := violated(t, a); got != "register" {
		t.Errorf("violated-policies is %q, want register", got)
	}
	if retry := number(a.header.Get("Retry-After")); retry < 1 || retry > 64 {
		t.Errorf("Retry-After is %d, want 1 to 64", retry)
	}
	// The rule stands in place of the default on its route, and counts nothing elsewhere.
	if got := a.header.Get("Ratelimit-Policy"); got != `"register";q=10;w=60` {
		t.Errorf("RateLimit-Policy is %q", got)
	}
	c.do(t, "GET", "/api/v1/posts", nil).want(t, 200)
	s.client(t).do(t, "POST", "/api/v1/users", "{}").wantProblem(t, 422, "invalid-content")
	s.wantEvents(t, wantEvent{a, "excess_rate_limit_exceeded", "rate_limit", "medium", "refused", "", "POST /api/v1/users", object{"rule": "register"}})
}

func TestSixtyRequestsInParallelAgainstALimitOfTenAdmitTen(t *testing.T) {
	t.Parallel()
	s := share(t)
	c := s.client(t)
	var admitted, refused atomic.Int32
	var group sync.WaitGroup
	for range 60 {
		group.Go(func() {
			switch a := c.do(t, "POST", "/api/v1/users", "{}"); a.status {
			case 422:
				admitted.Add(1)
			case 429:
				refused.Add(1)
			default:
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
	group.Wait()
	if admitted.Load() != 10 || refused.Load() != 50 {
		t.Errorf("%d were admitted and %d refused, want 10 and 50", admitted.Load(), refused.Load())
	}
}

func TestOtherRoutesAreLimitedToAHundredAMinuteEach(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada, bob, c := s.asUser(t), s.register(t), s.client(t)
	t.Run("by address where nobody is known", func(t *testing.T) {
		for i := range 100 {
			a := c.do(t, "GET", "/api/v1/posts", nil).want(t, 200)
			if got := a.header.Get("X-Ratelimit-Remaining"); got != fmt.Sprint(99-i) {
				t.Fatalf("request %d: X-RateLimit-Remaining is %s", i, got)
			}
		}
		if got := violated(t, c.do(t, "GET", "/api/v1/posts", nil)); got != "default" {
			t.Errorf("violated-policies is %q, want default", got)
		}
		c.do(t, "GET", "/openapi.json", nil).want(t, 200) // another route
		s.client(t).do(t, "GET", "/api/v1/posts", nil).want(t, 200)
	})
	t.Run("by principal where one is known", func(t *testing.T) {
		for i := range 100 {
			from := ada
			if i == 50 {
				from = ada.elsewhere(t) // a principal takes its count along
			}
			from.do(t, "GET", "/api/v1/users/me", nil).want(t, 200)
		}
		if got := violated(t, ada.elsewhere(t).do(t, "GET", "/api/v1/users/me", nil)); got != "default" {
			t.Errorf("violated-policies is %q, want default", got)
		}
		bob.do(t, "GET", "/api/v1/users/me", nil).want(t, 200)
	})
	t.Run("not at all for probes", func(t *testing.T) {
		for range 120 {
			c.do(t, "GET", "/health", nil).want(t, 200)
		}
		c.do(t, "GET", "/health/ready", nil).want(t, 200)
	})
}

func TestAThousandRequestsAMinuteAreAllThatAnAddressHas(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client(t)
	routes := []string{
		"/api/v1/posts", "/api/v1/posts/x", "/api/v1/events", "/api/v1/users/me", "/api/v1/auth/sessions", "/api/v1/api-keys", "/api/v1/api-keys/x",
		"/csrf/token", "/nowhere", "/openapi.json",
	}
	var group sync.WaitGroup
	for _, path := range routes {
		group.Go(func() {
			for range 100 {
				if a := c.do(t, "HEAD", path, nil); a.status == 429 {
					t.Errorf("%s: refused before the thousandth request", path)
				}
			}
		})
	}
	group.Wait()
	a := c.do(t, "POST", "/api/v1/auth/logout", nil)
	if got := violated(t, a); got != "address" {
		t.Errorf("violated-policies is %q, want address", got)
	}
	if !strings.Contains(a.header.Get("Ratelimit"), `"address";r=0`) {
		t.Errorf("RateLimit is %q: the guard is told of in its own refusal", a.header.Get("Ratelimit"))
	}
	c.do(t, "GET", "/health", nil).want(t, 200)
	s.client(t).do(t, "POST", "/api/v1/auth/logout", nil).wantProblem(t, 401, "unauthenticated")
}

func TestThirtyRefusedCredentialsAMinuteAreAllThatAnAddressHas(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client(t)
	foreign := start(t).apiKey
	for i := range 30 {
		switch i % 3 {
		case 0:
			c.with(t, "mrl_dev_"+marker, "GET", "/api/v1/posts", nil).wantProblem(t, 401, "unauthenticated")
		case 1:
			c.do(t, "GET", "/api/v1/posts", nil, "Authorization: Bearer "+foreign).wantProblem(t, 401, "unauthenticated")
		case 2:
			c.jar[sessionCookie] = strings.Repeat("A", 43)
			c.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
			delete(c.jar, sessionCookie)
		}
	}
	// Then not even a right one is looked at, or the answer would tell whether it is.
	a := c.with(t, s.apiKey, "GET", "/api/v1/posts", nil)
	if got := violated(t, a); got != "bad_credentials" {
		t.Errorf("violated-policies is %q, want bad_credentials", got)
	}
	c.do(t, "GET", "/api/v1/posts", nil).want(t, 200)
	s.client(t).with(t, s.apiKey, "GET", "/api/v1/posts", nil).want(t, 200)
	s.wantEvents(t, wantEvent{a, "excess_rate_limit_exceeded", "rate_limit", "medium", "refused", "", "GET /api/v1/posts", object{"rule": "bad_credentials"}})
}

func TestEveryAnswerTellsWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada, anybody := s.register(t), s.client(t)
	dead := s.client(t)
	dead.jar[sessionCookie] = strings.Repeat("A", 43)
	for name, a := range map[string]*answer{
		"200":                           anybody.do(t, "GET", "/api/v1/posts", nil).want(t, 200),
		"200 of a session":              ada.do(t, "GET", "/api/v1/users/me", nil).want(t, 200),
		"200 of a key":                  anybody.with(t, s.apiKey, "GET", "/api/v1/posts", nil).want(t, 200),
		"201":                           ada.act(t, "POST", "/api/v1/posts", post()).want(t, 201),
		"204":                           s.register(t).logout(t),
		"400 malformed":                 ada.act(t, "POST", "/api/v1/posts", "{").wantProblem(t, 400, "malformed-request"),
		"400 of two credentials":        ada.do(t, "GET", "/api/v1/posts", nil, "X-API-Key: "+s.apiKey).wantProblem(t, 400, "ambiguous-credentials"),
		"401 of nobody":                 anybody.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated"),
		"401 of a bad key":              anybody.with(t, "nonsense", "GET", "/api/v1/posts", nil).wantProblem(t, 401, "unauthenticated"),
		"401 of a dead cookie":          dead.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated"),
		"401 of a wrong password":       anybody.do(t, "POST", "/api/v1/auth/login", object{"username": "nobody", "password": "x"}).wantProblem(t, 401, "invalid-credentials"),
		"403 for want of a token":       ada.do(t, "POST", "/api/v1/posts", post()).wantProblem(t, 403, missing),
		"403 of another site":           anybody.do(t, "POST", "/api/v1/users", "{}", "Origin: https://evil.example").wantProblem(t, 403, "cross-site-request"),
		"403 of another site, a cookie": ada.act(t, "POST", "/api/v1/posts", post(), "Origin: https://evil.example").wantProblem(t, 403, "cross-site-request"),
		"403 of a key without a scope":  anybody.with(t, s.apiKey, "GET", "/api/v1/events", nil).wantProblem(t, 403, "insufficient-scope"),
		"403 of a key on an account":    anybody.with(t, s.apiKey, "GET", "/api/v1/users/me", nil).wantProblem(t, 403, "forbidden"),
		"404 of a path":                 anybody.do(t, "GET", "/nowhere", nil).wantProblem(t, 404, "not-found"),
		"404 of a thing":                anybody.do(t, "GET", "/api/v1/posts/x", nil).wantProblem(t, 404, "not-found"),
		"405":                           anybody.do(t, "DELETE", "/api/v1/posts", nil).wantProblem(t, 405, "method-not-allowed"),
		"415":                           ada.act(t, "POST", "/api/v1/posts", "x", "Content-Type: text/plain").wantProblem(t, 415, "unsupported-media-type"),
		"422":                           ada.act(t, "POST", "/api/v1/posts", "{}").wantProblem(t, 422, "invalid-content"),
	} {
		for _, field := range limitFields {
			if len(a.header[field]) != 1 {
				t.Errorf("%s: %s is %q", name, field, a.header[field])
			}
		}
	}
	for _, path := range []string{"/health", "/health/ready"} {
		a := anybody.do(t, "GET", path, nil).want(t, 200)
		for _, field := range limitFields {
			if a.header[field] != nil {
				t.Errorf("%s: %s is %q, and no limit counts a probe", path, field, a.header[field])
			}
		}
	}
}
