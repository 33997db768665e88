package ratelimit_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/route"
)

// On one of four nodes, without the store: answers tell of the share that is granted.
func TestLocalGrantsTheShareOfANodeAndTellsOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFragile(t)
		cfg := contract()
		cfg.Store, cfg.OnStoreError, cfg.ExpectedNodes = f, ratelimit.Local, 4
		s := newService(t, cfg, &identity.KeyLimit{Limit: 8, Window: 10 * time.Second}, ok)
		s.spend(3, 200, "POST /users", client)
		f.broken.Store(true)
		wantHeaders(t, "the first without the store", s.send("POST /users", client), 200, map[string]string{
			"RateLimit-Policy": `"register";q=2;w=60`, "RateLimit": `"register";r=1;t=60`,
			"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "946684860",
		})
		s.spend(1, 200, "POST /users", client)
		wantHeaders(t, "beyond the share", s.send("POST /users", client), 429, map[string]string{
			"RateLimit-Policy": `"register";q=2;w=60`, "RateLimit": `"register";r=0;t=60`,
			"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "946684860", "Retry-After": "60",
		})
		s.spend(2, 200, "POST /users", other) // each client has one
		wantHeaders(t, "a key's own limit", s.send("GET /posts", client, "X-API-Key", "good-ann"), 200, map[string]string{
			"RateLimit-Policy": `"default";q=25;w=60, "key";q=2;w=10`, "RateLimit": `"default";r=24;t=60, "key";r=1;t=10`,
			"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "946684810",
		})
		f.broken.Store(false)
		wantHeaders(t, "the store again, which has kept its count", s.send("POST /users", client), 200, map[string]string{
			"RateLimit-Policy": `"register";q=10;w=60`, "RateLimit": `"register";r=6;t=60`,
			"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "6", "X-RateLimit-Reset": "946684860",
		})
		// Coming and going gives nobody a new share.
		f.broken.Store(true)
		s.spend(1, 429, "POST /users", client)
	})
}

func TestAShareIsAtLeastOne(t *testing.T) {
	f := newFragile(t)
	f.broken.Store(true)
	for _, tt := range []struct {
		limit ratelimit.Limit
		nodes int
		want  int
	}{
		{ratelimit.Limit{Max: 10, Window: time.Minute}, 1, 10},
		{ratelimit.Limit{Max: 10, Window: time.Minute}, 3, 3},
		{ratelimit.Limit{Max: 10, Window: time.Minute}, 10, 1},
		{ratelimit.Limit{Max: 10, Window: time.Minute}, 10_000, 1},
		{ratelimit.Limit{Max: 10, Window: time.Minute, Algorithm: ratelimit.TokenBucket, Burst: 8}, 4, 2},
		{ratelimit.Limit{Max: 10, Window: time.Minute, Algorithm: ratelimit.TokenBucket, Burst: 3}, 4, 1},
		// Half of 3 is 1, and a burst of 25 at 1 in 20 days would take longer to fill than can be counted.
		{ratelimit.Limit{Max: 3, Window: 480 * time.Hour, Algorithm: ratelimit.TokenBucket, Burst: 50}, 2, 18},
	} {
		s := newService(t, ratelimit.Config{Store: f, OnStoreError: ratelimit.Local, ExpectedNodes: tt.nodes,
			Default: ratelimit.Rule{Limits: []ratelimit.Limit{tt.limit}}}, nil, ok)
		s.spend(tt.want, 200, "GET /posts", client)
		s.spend(1, 429, "GET /posts", client)
	}
}

// Units go back to whoever counted them, whichever store there is by then.
func TestWhatIsGivenBackGoesToWhoCountedIt(t *testing.T) {
	f := newFragile(t)
	cfg := contract()
	cfg.Store, cfg.OnStoreError, cfg.ExpectedNodes = f, ratelimit.Local, 5
	answer, during := make(chan int, 1), func() {}
	s := newService(t, cfg, nil, func(w http.ResponseWriter, _ *http.Request) {
		during()
		w.WriteHeader(<-answer)
	})
	login := func(status int, what func()) *httptest.ResponseRecorder {
		during = what
		answer <- status
		w := s.send("POST /login", client)
		if len(answer) > 0 {
			<-answer
		}
		return w
	}
	nothing := func() {}
	brake := func(broken bool) func() { return func() { f.broken.Store(broken) } }
	remaining := func() string {
		t.Helper()
		w := login(200, nothing)
		return w.Header().Get("X-RateLimit-Limit") + "/" + w.Header().Get("X-RateLimit-Remaining")
	}

	login(401, nothing)
	if got := remaining(); got != "5/3" {
		t.Errorf("in the store: %s; want one failure and this one", got)
	}
	// Counted by the store, which fails before the answer: the unit stays counted there, and memory is not touched.
	login(200, brake(true))
	if got := remaining(); got != "1/0" {
		t.Errorf("in memory: %s; want the share of one, for this request", got)
	}
	if got := remaining(); got != "1/0" {
		t.Errorf("in memory: %s; want what was given back", got)
	}
	// Counted in memory, and the store is back before the answer: memory gets it, and the store nothing.
	login(200, brake(false))
	if got := remaining(); got != "5/2" {
		t.Errorf("in the store: %s; want two failures and this one", got)
	}
	f.broken.Store(true)
	if got := remaining(); got != "1/0" {
		t.Errorf("in memory: %s; want what was given back", got)
	}
}

func TestTakeKeyIsLocalToo(t *testing.T) {
	f := newFragile(t)
	f.broken.Store(true)
	s := newService(t, ratelimit.Config{Store: f, OnStoreError: ratelimit.Local, ExpectedNodes: 2}, nil, ok)
	own := identity.KeyLimit{Limit: 4, Window: time.Minute}
	for i, want := range []bool{true, true, false} {
		r, err := s.limiter.TakeKey(t.Context(), "key_1", own)
		if err != nil || r.Allowed != want || r.Limit != 2 {
			t.Errorf("use %d: %+v, %v; want allowed %v of 2", i+1, r, err, want)
		}
	}
}

// Where nothing is limited while the store fails, hanging up early must not look like a store that fails.
func TestWhoHangsUpIsNotLetPastTheLimits(t *testing.T) {
	for _, policy := range []ratelimit.OnStoreError{ratelimit.Deny, ratelimit.Allow, ratelimit.Local} {
		served := false
		s := newService(t, ratelimit.Config{Store: newBreaker(t, ratelimit.BreakerConfig{Store: newFragile(t)}), OnStoreError: policy}, nil,
			func(http.ResponseWriter, *http.Request) { served = true })
		ctx, hangUp := context.WithCancel(t.Context())
		r := httptest.NewRequest("GET", "/posts", nil).WithContext(ctx)
		s.handler.ServeHTTP(httptest.NewRecorder(), r)
		if !served {
			t.Errorf("%s: a client that waits is not served", policy)
		}
		hangUp()
		served = false
		s.handler.ServeHTTP(httptest.NewRecorder(), r)
		if served {
			t.Errorf("%s: a client that hung up is served, uncounted", policy)
		}
		if _, err := s.limiter.TakeKey(ctx, "key_1", identity.KeyLimit{Limit: 1, Window: time.Minute}); err == nil {
			t.Errorf("%s: a use of a key passes uncounted", policy)
		}
	}
}

// A store that is away is 503 with Retry-After, never 429 or 401, and tells of no quota.
func TestDenyAndAllowWhileTheStoreIsAway(t *testing.T) {
	for _, tt := range []struct {
		policy ratelimit.OnStoreError
		status int
		retry  string
	}{{ratelimit.Deny, 503, "1"}, {ratelimit.Allow, 200, ""}} {
		var logged atomic.Int64
		f := newFragile(t)
		f.broken.Store(true)
		b := newBreaker(t, ratelimit.BreakerConfig{Store: f, ProbeInterval: time.Minute})
		s := newService(t, ratelimit.Config{Store: b, OnStoreError: tt.policy}, nil, ok)
		s.handler = exchange.New(exchange.Config{
			Stages: []exchange.Stage{s.limiter.Guard(), s.limiter.Before(), authn{}, s.limiter.After()}, Routes: mustRoutes(t), Recorder: s.events,
			ErrorLog: slog.New(slog.NewTextHandler(counter{&logged}, nil)),
		}).Handler(http.HandlerFunc(ok))
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 50 {
					for _, headers := range [][]string{nil, {"X-API-Key", "good-ann"}} {
						w := s.send("GET /posts", client, headers...)
						h := quotaHeaders(w)
						if w.Code != tt.status || h["Retry-After"] != tt.retry || len(h) > 1 || tt.retry == "" && len(h) > 0 {
							t.Errorf("%s: status %d, %v", tt.policy, w.Code, h)
						}
					}
				}
			})
		}
		wg.Wait()
		// Twenty at a time may have begun before the fifth failed.
		if n := f.calls.Load(); n < 5 || n > 5+2*20 {
			t.Errorf("%s: %d calls of the store for 2000 requests; want a few", tt.policy, n)
		}
		if n := logged.Load(); tt.policy == ratelimit.Deny && n > f.calls.Load() || tt.policy == ratelimit.Allow && n > 0 {
			t.Errorf("%s: %d lines logged for 2000 requests", tt.policy, n)
		}
		if len(s.events.list) > 0 {
			t.Errorf("%s: events %v", tt.policy, s.told())
		}
		s.spend(1, 200, "GET /health", client)
	}
}

// counter counts lines.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) { c.n.Add(1); return len(p), nil }

func TestARouteMustNotWeighMoreThanAShare(t *testing.T) {
	routes, err := route.New([]route.Route{{Pattern: "GET /export", Public: true, Weight: 20}})
	if err != nil {
		t.Fatal(err)
	}
	for nodes, good := range map[int]bool{1: true, 5: true, 6: false} {
		for _, policy := range []ratelimit.OnStoreError{ratelimit.Local, ratelimit.Deny} {
			_, err := ratelimit.New(ratelimit.Config{Routes: routes, OnStoreError: policy, ExpectedNodes: nodes, Store: newFragile(t)})
			if want := good || policy == ratelimit.Deny; (err == nil) != want {
				t.Errorf("weight 20 of 100 for %d nodes, %s: error %v; want ok %v", nodes, policy, err, want)
			}
		}
	}
}

// A credential is judged by its own count while the store is away: never as a wrong one.
func TestLocalCountsBadCredentials(t *testing.T) {
	f := newFragile(t)
	f.broken.Store(true)
	s := newService(t, ratelimit.Config{Store: f, OnStoreError: ratelimit.Local, ExpectedNodes: 10}, nil, ok)
	s.spend(3, 401, "GET /posts", client, "X-API-Key", "bad")
	s.spend(1, 429, "GET /posts", client, "X-API-Key", "good-ann")
	s.spend(1, 200, "GET /posts", other, "X-API-Key", "good-ann")
}
