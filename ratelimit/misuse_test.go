package ratelimit_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/ratelimit"
)

// notes collects misuses, each as its id, the rule, and whether a request showed it.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) note(x *exchange.Exchange, m ratelimit.Misuse) {
	n.mu.Lock()
	defer n.mu.Unlock()
	line := strings.TrimSpace(strings.TrimPrefix(m.ID, "merlon.") + " " + m.Rule)
	if x != nil {
		line += " in a request"
	}
	n.list = append(n.list, line)
}

func (n *notes) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(n.list, want) {
		t.Errorf("notes %q; want %q", n.list, want)
	}
}

func TestMisusesAreFoundWhenALimiterIsMade(t *testing.T) {
	post := func(name string, l ratelimit.Limit, count ratelimit.Count, by ...ratelimit.Part) ratelimit.Rule {
		return ratelimit.Rule{Name: name, Match: []string{"POST /users"}, Limits: []ratelimit.Limit{l}, By: by, Count: count}
	}
	max := func(n int) ratelimit.Limit { return ratelimit.Limit{Max: n, Window: time.Minute} }
	for _, tt := range []struct {
		name string
		cfg  ratelimit.Config
		want []string
	}{
		{"the zero config", ratelimit.Config{}, nil},
		{"IPv6 by 65 bits", ratelimit.Config{IPv6Bits: 65}, []string{"N009"}},
		{"IPv6 by 64 bits", ratelimit.Config{IPv6Bits: 64}, nil},
		{"failures looser than the default", ratelimit.Config{Rules: []ratelimit.Rule{post("login", max(101), "failures", "address")}}, []string{"N007 login"}},
		{"failures as strict as the default", ratelimit.Config{Rules: []ratelimit.Rule{post("login", max(100), "failures", "address")}}, nil},
		{"requests looser than the default", ratelimit.Config{Rules: []ratelimit.Rule{post("search", max(101), "", "address")}}, nil},
		{"by a header alone", ratelimit.Config{Rules: []ratelimit.Rule{post("tenant", max(5), "", "header:X-Tenant", "route")}}, []string{"N008 tenant"}},
		{"by a header and the address", ratelimit.Config{Rules: []ratelimit.Rule{post("tenant", max(5), "", "header:X-Tenant", "address")}}, nil},
		{"by the route alone", ratelimit.Config{Rules: []ratelimit.Rule{post("all", max(5), "", "route")}}, nil},
		{"the default by a header alone", ratelimit.Config{Default: ratelimit.Rule{By: []ratelimit.Part{"header:X-Tenant"}}}, []string{"N008 default"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n notes
			tt.cfg.Routes, tt.cfg.Store, tt.cfg.OnMisuse = mustRoutes(t), newMemory(t, 1024), n.note
			if _, err := ratelimit.New(tt.cfg); err != nil {
				t.Fatal(err)
			}
			n.want(t, tt.want...)
		})
	}
}

func TestTwoLimitersOfOneStoreNeedNamespaces(t *testing.T) {
	store := newMemory(t, 1024)
	limiter := func(namespace string) (*ratelimit.Limiter, *notes) {
		var n notes
		l, err := ratelimit.New(ratelimit.Config{Store: store, Namespace: namespace, OnMisuse: n.note, Default: ratelimit.Rule{Limits: minute(3)}})
		if err != nil {
			t.Fatal(err)
		}
		return l, &n
	}
	last := func(l *ratelimit.Limiter) int {
		w := httptest.NewRecorder()
		for range 2 {
			w = httptest.NewRecorder()
			l.Handler(http.HandlerFunc(ok)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		}
		return w.Code
	}
	a, n := limiter("")
	n.want(t)
	if code := last(a); code != 200 {
		t.Errorf("the first limiter: status %d", code)
	}
	b, n := limiter("")
	n.want(t, "N003")
	if code := last(b); code != 429 {
		t.Errorf("a limiter that shares the counts: status %d; want 429", code)
	}
	c, n := limiter("internal")
	n.want(t)
	if code := last(c); code != 200 {
		t.Errorf("a limiter with a namespace: status %d", code)
	}
	_, n = limiter("internal")
	n.want(t, "N003")
	if _, err := ratelimit.New(ratelimit.Config{Namespace: "a/b"}); err == nil {
		t.Error("a namespace with a slash is accepted")
	}
}

// In front of a store its breaker says what the store says.
func TestTwoLimitersBehindABreakerNeedNamespaces(t *testing.T) {
	breaker, err := ratelimit.NewBreaker(ratelimit.BreakerConfig{Store: newMemory(t, 1024)})
	if err != nil {
		t.Fatal(err)
	}
	defer breaker.Close()
	for _, tt := range []struct{ namespace, want string }{{"", ""}, {"internal", ""}, {"internal", "N003"}, {"", "N003"}} {
		var n notes
		if _, err := ratelimit.New(ratelimit.Config{Store: breaker, Namespace: tt.namespace, OnMisuse: n.note}); err != nil {
			t.Fatal(err)
		}
		if tt.want == "" {
			n.want(t)
		} else {
			n.want(t, tt.want)
		}
	}
}

func TestALimiterMadeInARequestIsNoted(t *testing.T) {
	var n notes
	makeOne := func() {
		if _, err := ratelimit.New(ratelimit.Config{Store: newMemory(t, 1024), OnMisuse: n.note}); err != nil {
			t.Error(err)
		}
	}
	makeOne()
	n.want(t)
	http.HandlerFunc(func(http.ResponseWriter, *http.Request) { makeOne() }).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	n.want(t, "N004")
}

func TestAHandlerThatIsWrappedTwiceCountsOnce(t *testing.T) {
	var n notes
	l, err := ratelimit.New(ratelimit.Config{Store: newMemory(t, 1024), OnMisuse: n.note, Default: ratelimit.Rule{Limits: minute(4)}})
	if err != nil {
		t.Fatal(err)
	}
	h := l.Handler(l.Handler(http.HandlerFunc(ok)))
	for i, want := range []string{"3", "2", "1", "0"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := w.Header().Get("X-RateLimit-Remaining"); w.Code != 200 || got != want {
			t.Errorf("request %d: status %d, %s remaining; want 200, %s", i+1, w.Code, got, want)
		}
	}
	n.want(t, "N002 in a request")

	// Two limiters with counts of their own may stand behind one another: both count, and nothing is noted.
	n = notes{}
	inner, err := ratelimit.New(ratelimit.Config{Store: newMemory(t, 1024), OnMisuse: n.note, Default: ratelimit.Rule{Limits: minute(1)}})
	if err != nil {
		t.Fatal(err)
	}
	outer, err := ratelimit.New(ratelimit.Config{Store: newMemory(t, 1024), OnMisuse: n.note})
	if err != nil {
		t.Fatal(err)
	}
	h = outer.Handler(inner.Handler(http.HandlerFunc(ok)))
	for _, want := range []int{200, 429} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != want {
			t.Errorf("the inner limiter: status %d; want %d", w.Code, want)
		}
	}
	n.want(t)
}

func TestACallerWhoseChainIsPassedTwiceIsCountedOnce(t *testing.T) {
	var n notes
	s := newService(t, ratelimit.Config{OnMisuse: n.note, Default: ratelimit.Rule{Limits: minute(4)}}, nil, ok)
	c := exchange.New(exchange.Config{
		Stages: []exchange.Stage{s.limiter.Before(), authn{}, s.limiter.After()}, Routes: mustRoutes(t), ErrorLog: slog.New(slog.DiscardHandler),
	})
	s.handler = c.Handler(c.Handler(http.HandlerFunc(ok)))
	s.spend(4, 200, "GET /posts", client, "X-API-Key", "good-ann")
	s.spend(1, 429, "GET /posts", client, "X-API-Key", "good-ann")
	n.want(t, "N002 in a request")
}

func TestRulesThatCountNowhereAreNoted(t *testing.T) {
	rules := []ratelimit.Rule{{Name: "register", Match: []string{"POST /users"}, Limits: minute(1), By: []ratelimit.Part{"address"}}}
	for _, tt := range []struct {
		name   string
		routes bool
		rules  []ratelimit.Rule
		want   []string
	}{
		{"rules and no routes", false, rules, []string{"N005 in a request"}},
		{"rules and routes", true, rules, nil},
		{"no rules and no routes", false, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n notes
			cfg := ratelimit.Config{Store: newMemory(t, 1024), OnMisuse: n.note, Rules: tt.rules}
			if tt.routes {
				cfg.Routes = mustRoutes(t)
			}
			l, err := ratelimit.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				l.Handler(http.HandlerFunc(ok)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/users", nil))
			}
			n.want(t, tt.want...)
		})
	}
}

func TestAHandlerThatForgetsTheAccountIsNoted(t *testing.T) {
	cfg := func(n *notes) ratelimit.Config {
		return ratelimit.Config{OnMisuse: n.note, Rules: []ratelimit.Rule{{Name: "account", Match: []string{"POST /login"}, Limits: minute(2), By: []ratelimit.Part{"account"}}}}
	}
	for _, tt := range []struct {
		name   string
		status int
		takes  func(*ratelimit.Limiter, context.Context)
		want   []string
	}{
		{"a login without it", 200, nil, []string{"N006 in a request"}},
		{"a refused login without it", 401, nil, []string{"N006 in a request"}},
		{"a body that is refused before", 422, nil, nil},
		{"a login with it", 200, func(l *ratelimit.Limiter, ctx context.Context) { l.TakeAccount(ctx, "ann") }, nil},
		{"what needs none", 200, (*ratelimit.Limiter).NoAccount, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n notes
			var s *service
			s = newService(t, cfg(&n), nil, func(w http.ResponseWriter, r *http.Request) {
				if tt.takes != nil {
					tt.takes(s.limiter, r.Context())
				}
				w.WriteHeader(tt.status)
			})
			s.spend(2, tt.status, "POST /login", client)
			n.want(t, tt.want...)
		})
	}
}

func TestMisusesGoToTheLogByDefault(t *testing.T) {
	var log bytes.Buffer
	former := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(former)
	if _, err := ratelimit.New(ratelimit.Config{Default: ratelimit.Rule{By: []ratelimit.Part{"header:X-Tenant"}}}); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "id=merlon.N008 rule=default") {
		t.Errorf("log %q", got)
	}
}
