package ratelimit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/route"
)

// authn stands in for the stage of that name: the API key "good-<subject>" is that account's key, all others and
// all session cookies but "dead" are bad. A dead session is an anonymous caller.
type authn struct{ limit *identity.KeyLimit }

func (authn) Name() string { return "authn" }

func (a authn) Decide(x *exchange.Exchange) exchange.Outcome {
	if x.Credential == identity.None || x.Request.Header.Get("Cookie") == "__Host-merlon_session=dead" {
		return exchange.Continue()
	}
	subject, ok := strings.CutPrefix(x.Request.Header.Get("X-API-Key"), "good-")
	if !ok {
		return exchange.Refuse(problem.New(problem.Unauthenticated, ""), audit.APIKeyRejected)
	}
	x.Principal = identity.Principal{Kind: identity.APIKey, Subject: subject, KeyID: "key_" + subject, KeyLimit: a.limit}
	return exchange.Continue()
}

type events struct {
	mu   sync.Mutex
	list []audit.Event
}

func (e *events) Record(v audit.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, v)
}

func (e *events) Commit(_ context.Context, v audit.Event) error { e.Record(v); return nil }

// service is a limiter in a chain before a handler.
type service struct {
	t       *testing.T
	limiter *ratelimit.Limiter
	handler http.Handler
	events  *events
}

var testRoutes = []route.Route{
	{Pattern: "GET /posts", Public: true},
	{Pattern: "GET /posts/{id}", Public: true},
	{Pattern: "POST /users", Public: true},
	{Pattern: "POST /login", Public: true},
	{Pattern: "POST /password", Public: true},
	{Pattern: "GET /tenant", Public: true},
	{Pattern: "GET /health", Probe: true},
}

func minute(n int) []ratelimit.Limit { return []ratelimit.Limit{{Max: n, Window: time.Minute}} }

// contract is the rules of the service's settings.
func contract() ratelimit.Config {
	logins := []string{"POST /login", "POST /password"}
	return ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "login", Match: logins, Limits: []ratelimit.Limit{{Max: 5, Window: 5 * time.Minute}},
			By: []ratelimit.Part{"address"}, Count: "failures"},
		{Name: "login-account", Match: logins, Limits: []ratelimit.Limit{{Max: 50, Window: time.Hour}},
			By: []ratelimit.Part{"account"}, Count: "failures"},
		{Name: "register", Match: []string{"POST /users"}, Limits: minute(10), By: []ratelimit.Part{"address"}},
	}}
}

func newService(t *testing.T, cfg ratelimit.Config, limit *identity.KeyLimit, h http.HandlerFunc) *service {
	t.Helper()
	if cfg.Routes == nil {
		cfg.Routes = mustRoutes(t)
	}
	routes := cfg.Routes
	if cfg.Store == nil {
		cfg.Store = newMemory(t, 1024)
	}
	l, err := ratelimit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, limiter: l, events: &events{}}
	s.handler = exchange.New(exchange.Config{
		Stages:   []exchange.Stage{l.Before(), authn{limit}, l.After()},
		Routes:   routes,
		Recorder: s.events,
		ErrorLog: slog.New(slog.DiscardHandler),
	}).Handler(h)
	return s
}

// send sends a request such as "GET /posts" from an address, with headers in pairs.
func (s *service) send(request, from string, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(from), 40000).String()
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// spend sends the request n times and fails unless all are answered with status.
func (s *service) spend(n, status int, request, from string, headers ...string) {
	s.t.Helper()
	for i := range n {
		if w := s.send(request, from, headers...); w.Code != status {
			s.t.Fatalf("%s from %s, %d of %d: status %d; want %d", request, from, i+1, n, w.Code, status)
		}
	}
}

func ok(http.ResponseWriter, *http.Request) {}

// quotaHeaders are the headers of an answer that are this package's.
func quotaHeaders(w *httptest.ResponseRecorder) map[string]string {
	got := map[string]string{}
	for _, name := range []string{"RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"} {
		if v := w.Header().Values(name); len(v) > 0 {
			got[name] = strings.Join(v, " | ")
		}
	}
	return got
}

func wantHeaders(t *testing.T, what string, w *httptest.ResponseRecorder, status int, want map[string]string) {
	t.Helper()
	if got := quotaHeaders(w); w.Code != status || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: status %d, headers\n%v\nwant %d\n%v", what, w.Code, got, status, want)
	}
}

const client, other = "192.0.2.1", "198.51.100.1"

// In a bubble the clock begins at midnight UTC, 2000-01-01: 946684800.

func TestTheDefaultRuleOfTheZeroConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, ratelimit.Config{}, nil, ok)
		wantHeaders(t, "the first request", s.send("GET /posts", client), 200, map[string]string{
			"RateLimit-Policy": `"default";q=100;w=60`, "RateLimit": `"default";r=99;t=64`,
			"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "99", "X-RateLimit-Reset": "946684864",
		})
		s.spend(99, 200, "GET /posts", client)
		w := s.send("GET /posts", client)
		wantHeaders(t, "the 101st", w, 429, map[string]string{
			"RateLimit-Policy": `"default";q=100;w=60`, "RateLimit": `"default";r=0;t=64`, "Retry-After": "64",
			"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "946684864",
		})
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		delete(body, "request_id")
		if want := map[string]any{
			"type": "https://iana.org/assignments/http-problem-types#quota-exceeded", "title": "Quota exceeded",
			"status": 429.0, "code": "quota-exceeded", "violated-policies": []any{"default"},
			"detail": "Too many requests. Wait before trying again.",
		}; !reflect.DeepEqual(body, want) {
			t.Errorf("body %v; want %v", body, want)
		}
		if n := len(s.events.list); n != 1 {
			t.Fatalf("%d events; want 1", n)
		}
		e := s.events.list[0]
		if e.Type != "excess_rate_limit_exceeded" || e.Category != "rate_limit" || e.Outcome != "refused" ||
			e.Address != client || e.Route != "GET /posts" ||
			slog.GroupValue(e.Detail...).String() != "[control=ratelimit code=quota-exceeded status=429 rule=default]" {
			t.Errorf("event %+v", e)
		}
		s.spend(1, 200, "GET /posts/1", client) // another route
		s.spend(1, 200, "GET /posts", other)    // another address
		time.Sleep(64 * time.Second)
		s.spend(100, 200, "GET /posts", client)
	})
}

func TestTheDefaultRuleCountsAPrincipalWhereverItComesFrom(t *testing.T) {
	s := newService(t, ratelimit.Config{Default: ratelimit.Rule{Limits: minute(3)}}, nil, ok)
	s.spend(2, 200, "GET /posts", client, "X-API-Key", "good-ann")
	s.spend(1, 200, "GET /posts", other, "X-API-Key", "good-ann")
	s.spend(1, 429, "GET /posts", other, "X-API-Key", "good-ann")
	s.spend(1, 200, "GET /posts", other, "X-API-Key", "good-bob")
	s.spend(3, 200, "GET /posts", client) // nobody: by address, apart from principals
	s.spend(1, 429, "GET /posts", client)
	// A dead session is an anonymous caller of the same address, counted behind authentication.
	s.spend(1, 429, "GET /posts", client, "Cookie", "__Host-merlon_session=dead")
}

func TestRefusedRequestsDoNotPostponeTheNextChance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, ratelimit.Config{Default: ratelimit.Rule{Limits: minute(3)}}, nil, ok)
		s.spend(3, 200, "GET /posts", client)
		for range 59 {
			time.Sleep(time.Second)
			s.spend(1, 429, "GET /posts", client)
		}
		time.Sleep(time.Second)
		s.spend(3, 200, "GET /posts", client)
	})
}

func TestTheAddressGuard(t *testing.T) {
	s := newService(t, ratelimit.Config{Address: ratelimit.Rule{Limits: minute(4)}}, nil, ok)
	s.spend(1, 200, "GET /posts", "2001:db8:0:1::1")
	s.spend(1, 200, "GET /posts/1", "2001:db8:0:1::2") // the same /64
	s.spend(1, 200, "POST /users", "2001:db8:0:1::3", "X-API-Key", "good-ann")
	w := s.send("GET /nowhere", "2001:db8:0:1::4")
	if w.Code != 200 || strings.Contains(fmt.Sprint(w.Header()), "address") {
		t.Errorf("status %d, headers %v; want 200 and no word of the guard", w.Code, w.Header())
	}
	w = s.send("GET /posts", "2001:db8:0:1::5")
	if got := w.Header().Get("RateLimit-Policy"); w.Code != 429 || got != `"address";q=4;w=60, "default";q=100;w=60` {
		t.Errorf("status %d, policy %s; want 429 and the guard's", w.Code, got)
	}
	if got := w.Header().Get("X-RateLimit-Limit"); got != "4" {
		t.Errorf("limit %s; want that of the rule that refuses", got)
	}
	if !strings.Contains(w.Body.String(), `"violated-policies":["address"]`) {
		t.Errorf("body %s; want the guard as the violated policy", w.Body)
	}
	s.spend(1, 200, "GET /posts", "2001:db8:0:2::1")
}

func TestRequestsWithoutARouteAreOneRoute(t *testing.T) {
	s := newService(t, ratelimit.Config{Default: ratelimit.Rule{Limits: minute(3)}}, nil, ok)
	s.spend(1, 200, "GET /a", client)
	s.spend(1, 200, "GET /b", client, "X-API-Key", "good-ann") // counted by address nevertheless
	s.spend(1, 200, "DELETE /posts", client)
	s.spend(1, 429, "GET /c", client)
	s.spend(1, 429, "GET /d", client, "X-API-Key", "good-bob")
	s.spend(1, 200, "GET /posts", client)
}

func TestProbesAndExemptNetworksAreNotLimited(t *testing.T) {
	s := newService(t, ratelimit.Config{
		Address: ratelimit.Rule{Limits: minute(1)}, Default: ratelimit.Rule{Limits: minute(1)},
		InsecureExempt: ratelimit.InsecureExempt{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, Reason: "load test"},
	}, nil, ok)
	s.spend(1, 200, "GET /posts", client)
	s.spend(1, 429, "GET /posts", client)
	s.spend(5, 200, "GET /health", client)
	if w := s.send("GET /health", client); len(quotaHeaders(w)) != 0 {
		t.Errorf("a probe's headers %v; want none", quotaHeaders(w))
	}
	s.spend(5, 200, "GET /posts", "10.0.0.255")
	s.spend(5, 401, "GET /posts", "10.0.0.255", "X-API-Key", "bad")
	s.spend(1, 200, "GET /posts", "10.0.1.0")
	s.spend(1, 429, "GET /posts", "10.0.1.0")
}

func TestBadCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, ratelimit.Config{BadCredentials: ratelimit.Rule{Limits: minute(3)}}, nil, ok)
		s.spend(5, 200, "GET /posts", client, "X-API-Key", "good-ann") // good ones do not count
		s.spend(3, 401, "GET /posts", client, "X-API-Key", "bad")
		w := s.send("GET /posts", client, "X-API-Key", "bad")
		wantHeaders(t, "the fourth", w, 429, map[string]string{
			"RateLimit-Policy": `"bad_credentials";q=3;w=60`, "RateLimit": `"bad_credentials";r=0;t=60`, "Retry-After": "60",
			"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "946684860",
		})
		s.spend(1, 429, "GET /posts", client, "X-API-Key", "good-ann") // would tell a right guess
		s.spend(1, 200, "GET /posts", client)                          // without a credential all is well
		s.spend(1, 200, "GET /posts", other, "X-API-Key", "good-ann")
		time.Sleep(time.Minute)
		s.spend(1, 200, "GET /posts", client, "X-API-Key", "good-ann")
	})
}

func TestOnlyRefusedCredentialsCountAsBad(t *testing.T) {
	for _, tt := range []struct {
		name    string
		code    problem.Code
		subject string // whom authentication found
		cookie  bool
		counts  bool
	}{
		{"a credential that is refused", problem.Unauthenticated, "", true, true},
		{"no credential where one is needed", problem.Unauthenticated, "", false, false},
		{"a known caller who must prove more", problem.SecondFactorRequired, "ann", true, false},
		{"a refusal for another reason", problem.CSRFTokenMissing, "", true, false},
		{"a failure", problem.StoreUnavailable, "", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t, ratelimit.Config{BadCredentials: ratelimit.Rule{Limits: minute(2)}}, nil, ok)
			s.handler = exchange.New(exchange.Config{
				Stages:   []exchange.Stage{s.limiter.Before(), refuse{tt.code, tt.subject}},
				ErrorLog: slog.New(slog.DiscardHandler),
			}).Handler(http.HandlerFunc(ok))
			var headers []string
			if tt.cookie {
				headers = []string{"Cookie", "__Host-merlon_session=x"}
			}
			s.spend(2, tt.code.Status(), "GET /posts", client, headers...)
			want := tt.code.Status()
			if tt.counts {
				want = 429
			}
			s.spend(1, want, "GET /posts", client, headers...)
		})
	}
}

// refuse is a stage that refuses all.
type refuse struct {
	code    problem.Code
	subject string
}

func (refuse) Name() string { return "refuse" }

func (r refuse) Decide(x *exchange.Exchange) exchange.Outcome {
	x.Principal.Subject = r.subject
	return exchange.Refuse(problem.New(r.code, ""), "")
}

// Guesses that are all under way when the quota ends must not all be told whether they are right.
func TestBadCredentialsAtTheSameTime(t *testing.T) {
	s := newService(t, ratelimit.Config{BadCredentials: ratelimit.Rule{Limits: minute(10)}}, nil, ok)
	var told atomic.Int64
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			if s.send("GET /posts", client, "X-API-Key", "bad").Code == 401 {
				told.Add(1)
			}
		})
	}
	wg.Wait()
	if told.Load() != 10 {
		t.Errorf("%d of 60 told; want 10", told.Load())
	}
}

func TestRulesReplaceTheDefaultAndAddToTheGuards(t *testing.T) {
	cfg := contract()
	cfg.Address.Limits = minute(12)
	cfg.Default.Limits = minute(1)
	s := newService(t, cfg, nil, ok)
	w := s.send("POST /users", client)
	if got := w.Header().Get("RateLimit-Policy"); got != `"register";q=10;w=60` {
		t.Errorf("policy %s; want register alone", got)
	}
	s.spend(9, 200, "POST /users", client)
	s.spend(1, 429, "POST /users", client)
	s.spend(1, 200, "GET /posts", client)   // the eleventh that the guard admits
	s.spend(1, 429, "GET /posts", client)   // refused by the default rule, hence not counted by the guard
	s.spend(1, 200, "GET /posts/1", client) // the twelfth
	if w := s.send("GET /tenant", client); w.Code != 429 || !strings.Contains(w.Body.String(), `["address"]`) {
		t.Errorf("status %d, %s; want 429 by the guard", w.Code, w.Body)
	}
}

// login answers with the status the request asks for, after asking for the account's quota.
func (s *service) login(w http.ResponseWriter, r *http.Request) {
	x := exchange.FromContext(r.Context())
	if d := s.limiter.TakeAccount(r.Context(), r.Header.Get("Account")); !d.Allowed {
		d.Problem.Write(w, r, x.ID)
		return
	}
	status := 200
	_, _ = fmt.Sscan(r.Header.Get("Answer"), &status)
	w.WriteHeader(status)
}

func newLogin(t *testing.T, cfg ratelimit.Config) *service {
	var s *service
	s = newService(t, cfg, nil, func(w http.ResponseWriter, r *http.Request) { s.login(w, r) })
	return s
}

func TestLoginCountsFailuresByAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLogin(t, contract())
		s.spend(20, 200, "POST /login", client, "Account", "ann", "Answer", "200")
		s.spend(20, 422, "POST /login", client, "Account", "ann", "Answer", "422")
		s.spend(3, 401, "POST /login", client, "Account", "ann", "Answer", "401")
		s.spend(1, 200, "POST /login", client, "Account", "ann", "Answer", "200") // does not reset failures
		s.spend(2, 403, "POST /password", client, "Account", "ann", "Answer", "403")
		w := s.send("POST /login", client, "Account", "ann", "Answer", "200")
		wantHeaders(t, "the sixth", w, 429, map[string]string{
			"RateLimit-Policy": `"login";q=5;w=300`, "RateLimit": `"login";r=0;t=300`, "Retry-After": "300",
			"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "946685100",
		})
		s.spend(1, 401, "POST /login", other, "Account", "ann", "Answer", "401")
		time.Sleep(5*time.Minute - time.Nanosecond)
		s.spend(1, 429, "POST /login", client, "Account", "ann", "Answer", "200")
		time.Sleep(time.Nanosecond)
		s.spend(5, 401, "POST /login", client, "Account", "ann", "Answer", "401")
		s.spend(1, 429, "POST /login", client, "Account", "ann", "Answer", "401")
	})
}

func TestLoginCountsFailuresByAccount(t *testing.T) {
	s := newLogin(t, contract())
	from := func(i int) string { return fmt.Sprintf("203.0.113.%d", i) }
	for i := range 50 {
		s.spend(1, 401, "POST /login", from(i), "Account", "ann", "Answer", "401")
	}
	w := s.send("POST /login", from(60), "Account", "ann", "Answer", "200")
	if w.Code != 429 || !strings.Contains(w.Body.String(), `"violated-policies":["login-account"]`) {
		t.Fatalf("status %d, %s; want 429 by login-account", w.Code, w.Body)
	}
	if got, want := w.Header().Get("RateLimit-Policy"), `"login";q=5;w=300, "login-account";q=50;w=3600`; got != want {
		t.Errorf("policy %s; want %s", got, want)
	}
	if got := w.Header().Get("RateLimit"); !strings.HasPrefix(got, `"login";r=4;t=300, "login-account";r=0;t=38`) {
		t.Errorf("RateLimit %s; want what is left of both", got)
	}
	if w.Header().Get("X-RateLimit-Limit") != "50" {
		t.Errorf("X-RateLimit-Limit %s; want 50", w.Header().Get("X-RateLimit-Limit"))
	}
	if e := s.events.list[len(s.events.list)-1]; e.Type != "excess_rate_limit_exceeded" || e.Outcome != "refused" ||
		slog.GroupValue(e.Detail...).String() != "[control=ratelimit code=quota-exceeded status=429 rule=login-account]" {
		t.Errorf("event %+v", e)
	}
	s.spend(1, 200, "POST /login", from(60), "Account", "bob", "Answer", "200")
	// The refusals for want of the account's quota did not use up the address's.
	s.spend(20, 429, "POST /login", from(61), "Account", "ann")
	s.spend(5, 401, "POST /login", from(61), "Account", "bob", "Answer", "401")
	s.spend(1, 429, "POST /login", from(61), "Account", "bob", "Answer", "401")
}

func TestSixtyLoginsAtTheSameTimeTestFivePasswords(t *testing.T) {
	var tested atomic.Int64
	release := make(chan struct{})
	s := newService(t, contract(), nil, func(w http.ResponseWriter, _ *http.Request) {
		tested.Add(1)
		<-release
		w.WriteHeader(401)
	})
	var wg sync.WaitGroup
	var refused atomic.Int64
	for range 60 {
		wg.Go(func() {
			if s.send("POST /login", client).Code == 429 && refused.Add(1) == 55 {
				close(release)
			}
		})
	}
	wg.Wait()
	if tested.Load() != 5 || refused.Load() != 55 {
		t.Errorf("%d passwords tested, %d refused; want 5 and 55", tested.Load(), refused.Load())
	}
}

func TestSettleDecidesInsteadOfTheStatus(t *testing.T) {
	for _, tt := range []struct {
		name   string
		failed bool
		answer int
		left   string // of 5, at the second request
	}{
		{"a failure that is answered with 200", true, 200, "3"},
		{"a success that is answered with 401", false, 401, "4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s *service
			s = newService(t, contract(), nil, func(w http.ResponseWriter, r *http.Request) {
				s.limiter.Settle(r.Context(), tt.failed)
				w.WriteHeader(tt.answer)
			})
			s.spend(1, tt.answer, "POST /login", client)
			if got := s.send("POST /login", client).Header().Get("X-RateLimit-Remaining"); got != tt.left {
				t.Errorf("%s remaining; want %s", got, tt.left)
			}
		})
	}
}

func TestTakeAccountWhereItCannotCount(t *testing.T) {
	s := newService(t, contract(), nil, ok)
	if d := s.limiter.TakeAccount(context.Background(), "ann"); d.Allowed || d.Problem.Status() != 500 {
		t.Errorf("outside of an exchange: %+v; want a 500", d)
	}
	h := exchange.New(exchange.Config{Routes: mustRoutes(t)}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if d := s.limiter.TakeAccount(r.Context(), "ann"); d.Allowed || d.Problem.Status() != 500 {
			t.Errorf("without the first tap: %+v; want a 500", d)
		}
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/login", nil))
	var d ratelimit.Decision
	s.handler = exchange.New(exchange.Config{Stages: []exchange.Stage{s.limiter.Before()}, Routes: mustRoutes(t)}).Handler(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { d = s.limiter.TakeAccount(r.Context(), "ann") }))
	s.spend(1, 200, "GET /posts", client)
	if !d.Allowed || d.Limit != 0 {
		t.Errorf("on a route without such a rule: %+v; want allowed", d)
	}
	s.spend(1, 200, "POST /login", client)
	if !d.Allowed || d.Limit != 50 || d.Remaining != 49 || d.Reset <= 0 {
		t.Errorf("on the login route: %+v; want allowed, 49 of 50", d)
	}
}

func mustRoutes(t testing.TB, more ...route.Route) *route.Table {
	t.Helper()
	routes, err := route.New(append(more, testRoutes...))
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

func TestAKeyHasItsOwnLimitToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := contract()
		cfg.Default.Limits = minute(5)
		cfg.Rules[2].Match = []string{"POST /users"}
		s := newService(t, cfg, &identity.KeyLimit{Limit: 3, Window: 10 * time.Second}, ok)
		wantHeaders(t, "the first request", s.send("GET /posts", client, "X-API-Key", "good-ann"), 200, map[string]string{
			"RateLimit-Policy": `"default";q=5;w=60, "key";q=3;w=10`, "RateLimit": `"default";r=4;t=60, "key";r=2;t=10`,
			"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "2", "X-RateLimit-Reset": "946684810",
		})
		s.spend(1, 200, "GET /posts/1", client, "X-API-Key", "good-ann") // over all routes
		w := s.send("POST /users", client, "X-API-Key", "good-ann")
		if got, want := w.Header().Get("RateLimit"), `"register";r=9;t=60, "key";r=0;t=10`; w.Code != 200 || got != want {
			t.Errorf("status %d, RateLimit %s; want 200, %s", w.Code, got, want)
		}
		wantHeaders(t, "the fourth", s.send("POST /users", client, "X-API-Key", "good-ann"), 429, map[string]string{
			// No t for register: one may come back before that.
			"RateLimit-Policy": `"register";q=10;w=60, "key";q=3;w=10`, "RateLimit": `"register";r=8, "key";r=0;t=10`, "Retry-After": "10",
			"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "946684810",
		})
		// What the second tap refused has not used up the first tap's rule.
		if got := s.send("POST /users", client).Header().Get("X-RateLimit-Remaining"); got != "8" {
			t.Errorf("register: %s remaining; want 8", got)
		}
		s.spend(1, 200, "GET /posts", client, "X-API-Key", "good-bob")
	})
}

func TestTakeKeySharesTheCountOfTheKeysOwnRequests(t *testing.T) {
	own := identity.KeyLimit{Limit: 3, Window: time.Minute}
	s := newService(t, ratelimit.Config{}, &own, ok)
	s.spend(2, 200, "GET /posts", client, "X-API-Key", "good-ann")
	for _, want := range []bool{true, false} {
		if got, err := s.limiter.TakeKey(context.Background(), "key_ann", own); err != nil || got.Allowed != want {
			t.Errorf("allowed %v, %v; want %v", got.Allowed, err, want)
		}
	}
	s.spend(1, 429, "GET /posts", client, "X-API-Key", "good-ann")
	s.spend(1, 200, "GET /posts", client, "X-API-Key", "good-bob")
	var p *problem.Problem
	s = newService(t, ratelimit.Config{Store: broken{}}, nil, ok)
	if got, err := s.limiter.TakeKey(context.Background(), "key_ann", own); got.Allowed || !errors.As(err, &p) || p.Status() != 503 {
		t.Errorf("store away: allowed %v, %v; want a 503", got.Allowed, err)
	}
	s = newService(t, ratelimit.Config{Store: broken{}, OnStoreError: "allow"}, nil, ok)
	if got, err := s.limiter.TakeKey(context.Background(), "key_ann", own); !got.Allowed || err != nil {
		t.Errorf("store away, allow: allowed %v, %v; want allowed", got.Allowed, err)
	}
}

func TestWeightsOfRoutes(t *testing.T) {
	routes := mustRoutes(t, route.Route{Pattern: "GET /heavy", Public: true, Weight: 40})
	s := newService(t, ratelimit.Config{Routes: routes, Address: ratelimit.Rule{Limits: minute(4)}}, nil, ok)
	if got := s.send("GET /heavy", client).Header().Get("X-RateLimit-Remaining"); got != "60" {
		t.Errorf("%s remaining after a request of weight 40; want 60", got)
	}
	s.spend(1, 200, "GET /heavy", client)
	s.spend(1, 429, "GET /heavy", client)
	s.spend(2, 200, "GET /posts", client) // the guard counted two requests, not their weight
	s.spend(1, 429, "GET /posts", client)
}

func TestSeveralWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, ratelimit.Config{Default: ratelimit.Rule{
			Limits: []ratelimit.Limit{{Max: 10, Window: time.Minute}, {Max: 2, Window: time.Second}},
		}}, nil, ok)
		s.spend(1, 200, "GET /posts", client)
		wantHeaders(t, "the second request", s.send("GET /posts", client), 200, map[string]string{
			"RateLimit-Policy": `"default";q=10;w=60, "default-1s";q=2;w=1`, "RateLimit": `"default";r=8;t=60, "default-1s";r=0;t=1`,
			"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "946684801",
		})
		s.spend(1, 429, "GET /posts", client)
		for range 4 {
			time.Sleep(time.Second)
			s.spend(2, 200, "GET /posts", client)
		}
		time.Sleep(time.Second)
		if w := s.send("GET /posts", client); w.Code != 429 || w.Header().Get("Retry-After") != "55" {
			t.Errorf("status %d, Retry-After %s; want 429, 55", w.Code, w.Header().Get("Retry-After"))
		}
	})
}

func TestWhatARequestLacksIsItsAddress(t *testing.T) {
	s := newService(t, ratelimit.Config{Rules: []ratelimit.Rule{
		{Name: "tenant", Match: []string{"GET /tenant"}, Limits: minute(2), By: []ratelimit.Part{"header:X-Tenant"}},
		{Name: "by-key", Match: []string{"GET /posts"}, Limits: minute(2), By: []ratelimit.Part{"key"}},
	}}, nil, ok)
	s.spend(2, 200, "GET /tenant", client, "X-Tenant", "a")
	s.spend(1, 429, "GET /tenant", other, "X-Tenant", "a")
	s.spend(1, 200, "GET /tenant", client, "X-Tenant", "b")
	s.spend(2, 200, "GET /tenant", client)
	s.spend(1, 429, "GET /tenant", client)
	s.spend(1, 429, "GET /tenant", client, "X-Tenant", "")
	s.spend(1, 200, "GET /tenant", other)
	s.spend(2, 200, "GET /posts", client)
	s.spend(1, 429, "GET /posts", client)
	s.spend(2, 200, "GET /posts", client, "X-API-Key", "good-ann")
	s.spend(1, 429, "GET /posts", other, "X-API-Key", "good-ann")
}

// broken is a store that fails.
type broken struct{ ratelimit.Store }

func (broken) Take(context.Context, []ratelimit.Request, []ratelimit.Result) error {
	return errors.New("dial tcp 10.0.0.5:6379: connection refused")
}

// Clients that have no address (a Unix socket, a broken proxy) share one count: not having one is no way around a rule.
func TestClientsWithoutAnAddressShareOneCount(t *testing.T) {
	s := newService(t, ratelimit.Config{Default: ratelimit.Rule{Limits: minute(2), By: []ratelimit.Part{"principal", "address"}}}, nil, ok)
	for i, tt := range []struct {
		remote string
		want   int
	}{{"@", 200}, {"", 200}, {"not an address", 429}, {"192.0.2.1:40000", 200}} {
		r := httptest.NewRequest("GET", "/posts", nil)
		r.RemoteAddr = tt.remote
		w := httptest.NewRecorder()
		if s.handler.ServeHTTP(w, r); w.Code != tt.want {
			t.Errorf("request %d from %q: status %d; want %d", i+1, tt.remote, w.Code, tt.want)
		}
	}
}

func TestAStoreThatFails(t *testing.T) {
	s := newService(t, ratelimit.Config{Store: broken{}}, nil, ok)
	for _, headers := range [][]string{nil, {"X-API-Key", "good-ann"}, {"X-API-Key", "bad"}} {
		w := s.send("GET /posts", client, headers...)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"store-unavailable"`) ||
			strings.Contains(w.Body.String(), "6379") {
			t.Errorf("deny, %v: status %d, %s", headers, w.Code, w.Body)
		}
	}
	s.spend(1, 200, "GET /health", client)
	s = newLogin(t, ratelimit.Config{Store: broken{}, OnStoreError: "allow", Rules: contract().Rules})
	s.spend(1, 200, "GET /posts", client)
	s.spend(1, 401, "GET /posts", client, "X-API-Key", "bad")
	s.spend(9, 401, "POST /login", client, "Account", "ann", "Answer", "401")
}

func TestHandlerLimitsAlone(t *testing.T) {
	l, err := ratelimit.New(ratelimit.Config{Routes: mustRoutes(t), Rules: contract().Rules, Store: newMemory(t, 1024)})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, handler: l.Handler(http.HandlerFunc(ok))}
	s.spend(10, 200, "POST /users", client)
	s.spend(1, 429, "POST /users", client)
	// Nobody is authenticated, so a credential is no way around.
	s.spend(100, 200, "GET /posts", client)
	s.spend(1, 429, "GET /posts", client, "X-API-Key", "anything")
}

func TestAcceptingAllocatesOneString(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector sync.Pool forgets on purpose")
	}
	s := newService(t, ratelimit.Config{Default: ratelimit.Rule{Limits: minute(1000000)}, Address: ratelimit.Rule{Limits: minute(1000000)}}, nil, ok)
	bare := exchange.New(exchange.Config{Stages: []exchange.Stage{authn{}}, Routes: mustRoutes(t)}).Handler(http.HandlerFunc(ok))
	r := httptest.NewRequest("GET", "/posts", nil)
	w := httptest.NewRecorder()
	measure := func(h http.Handler) float64 {
		return testing.AllocsPerRun(200, func() {
			clear(w.Header())
			h.ServeHTTP(w, r)
		})
	}
	for _, key := range []string{"", "good-ann"} {
		if key != "" {
			r.Header.Set("X-API-Key", key)
		}
		if more := measure(s.handler) - measure(bare); more > 1 {
			t.Errorf("key %q: %v allocations more than without the limiter; want the one of the header values", key, more)
		}
	}
}

func BenchmarkAccept(b *testing.B) {
	routes := mustRoutes(b)
	l, err := ratelimit.New(ratelimit.Config{Routes: routes, Default: ratelimit.Rule{Limits: minute(1 << 23)},
		Address: ratelimit.Rule{Limits: minute(1 << 23)}})
	if err != nil {
		b.Fatal(err)
	}
	h := exchange.New(exchange.Config{Stages: []exchange.Stage{l.Before(), authn{}, l.After()}, Routes: routes}).Handler(http.HandlerFunc(ok))
	bare := exchange.New(exchange.Config{Stages: []exchange.Stage{authn{}}, Routes: routes}).Handler(http.HandlerFunc(ok))
	for _, tt := range []struct {
		name string
		h    http.Handler
	}{{"limited", h}, {"bare", bare}} {
		b.Run(tt.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/posts", nil)
			r.Header.Set("X-API-Key", "good-ann")
			w := httptest.NewRecorder()
			w.Body = nil
			b.ReportAllocs()
			for b.Loop() {
				clear(w.Header())
				tt.h.ServeHTTP(w, r)
			}
		})
	}
}
