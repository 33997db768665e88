//go:build unix

package redisstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/internal/redistest"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/route"
)

// node is one of the instances of a service under load.
type node struct {
	breaker *ratelimit.Breaker
	handler http.Handler
	calls   atomic.Int64 // of the store, by requests
	changes atomic.Int64 // that the breaker told of

	mu   sync.Mutex
	seen map[answer]int
}

// answer is what a client sees of a limit. The quota is that of X-RateLimit-Limit, "" without.
type answer struct {
	status       int
	quota, retry string
}

// countingStore counts the calls of requests: a probe asks for many counts at once.
type countingStore struct {
	ratelimit.Store
	n *node
}

func (c countingStore) Take(ctx context.Context, reqs []ratelimit.Request, res []ratelimit.Result) error {
	if len(reqs) < 16 {
		c.n.calls.Add(1)
	}
	return c.Store.Take(ctx, reqs, res)
}

func newNode(t *testing.T, addr string, policy ratelimit.OnStoreError) *node {
	t.Helper()
	n := &node{seen: map[answer]int{}}
	b, err := ratelimit.NewBreaker(ratelimit.BreakerConfig{Store: countingStore{newStore(t, addr), n}, Timeout: 200 * time.Millisecond,
		OnChange: func(ratelimit.Outage) { n.changes.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	routes, err := route.New([]route.Route{{Pattern: "GET /", Public: true}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ratelimit.New(ratelimit.Config{Routes: routes, Store: b, OnStoreError: policy, ExpectedNodes: 4,
		Address: ratelimit.Rule{Limits: []ratelimit.Limit{{Max: 1 << 20, Window: time.Minute}}},
		Default: ratelimit.Rule{Limits: []ratelimit.Limit{{Max: 100, Window: 5 * time.Minute}}}})
	if err != nil {
		t.Fatal(err)
	}
	n.breaker = b
	n.handler = exchange.New(exchange.Config{Stages: []exchange.Stage{l.Before(), l.After()}, Routes: routes,
		Recorder: audit.Discard{}, ErrorLog: slog.New(slog.DiscardHandler),
	}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	return n
}

func (n *node) send() {
	w := httptest.NewRecorder()
	n.handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen[answer{w.Code, w.Header().Get("X-RateLimit-Limit"), w.Header().Get("Retry-After")}]++
}

func (n *node) since() map[answer]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen := n.seen
	n.seen = map[answer]int{}
	return seen
}

func (n *node) isAway() bool {
	_, away := n.breaker.Outage()
	return away
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// Two of four expected nodes under load, while the server is killed or hangs, and when it is back.
func TestLosingTheServerUnderLoad(t *testing.T) {
	for _, policy := range []ratelimit.OnStoreError{ratelimit.Deny, ratelimit.Allow, ratelimit.Local} {
		for name, lose := range map[string]func(*redistest.Server) (back func()){
			"kill -9": func(s *redistest.Server) func() { s.Kill(); return s.Restart },
			"SIGSTOP": func(s *redistest.Server) func() { s.Stop(); return s.Continue },
		} {
			t.Run(fmt.Sprintf("%s, %s", policy, name), func(t *testing.T) { testLosing(t, policy, name == "SIGSTOP", lose) })
		}
	}
}

func testLosing(t *testing.T, policy ratelimit.OnStoreError, remembers bool, lose func(*redistest.Server) (back func())) {
	srv := redistest.Start(t)
	nodes := []*node{newNode(t, srv.Addr, policy), newNode(t, srv.Addr, policy)}
	all := func(is func(*node) bool) func() bool {
		return func() bool { return is(nodes[0]) && is(nodes[1]) }
	}
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for _, n := range nodes {
		for range 4 {
			load.Go(func() {
				for ctx.Err() == nil {
					n.send()
					time.Sleep(time.Millisecond)
				}
			})
		}
	}
	defer load.Wait()
	defer stop()
	limited := func(n *node) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		for a := range n.seen {
			if a.status == 429 && a.quota == "100" {
				return true
			}
		}
		return false
	}
	eventually(t, "the limit is reached on both nodes", all(limited))
	admitted := 0
	for _, n := range nodes {
		for a, times := range n.since() {
			if a.status == 200 {
				admitted += times
			}
			if a.status != 200 && a.status != 429 || a.quota != "100" {
				t.Errorf("with the server: %+v", a)
			}
		}
	}
	if admitted != 100 {
		t.Errorf("%d admitted with the server; want 100 by both nodes together", admitted)
	}

	back := lose(srv)
	eventually(t, "both nodes give the server up", all((*node).isAway))
	time.Sleep(250 * time.Millisecond) // calls that had begun have reached their deadlines
	for _, n := range nodes {
		n.since()
		n.calls.Store(0)
	}
	time.Sleep(time.Second)
	for i, n := range nodes {
		if calls := n.calls.Load(); calls != 0 {
			t.Errorf("node %d made %d calls of a server that is away", i, calls)
		}
		seen := n.since()
		for a := range seen {
			good := map[ratelimit.OnStoreError]bool{
				ratelimit.Deny:  a == answer{503, "", "1"},
				ratelimit.Allow: a == answer{200, "", ""},
				ratelimit.Local: a.quota == "25" && (a.status == 200 || a.status == 429),
			}
			if !good[policy] {
				t.Errorf("%s without the server: %+v", policy, a)
			}
		}
		if policy == ratelimit.Local && seen[answer{200, "25", ""}] > 25 || len(seen) == 0 {
			t.Errorf("%s: %v; want some answers, and the share of 25 at most", policy, seen)
		}
	}

	back()
	returned := time.Now()
	eventually(t, "both nodes use the server again", all(func(n *node) bool { return !n.isAway() }))
	t.Logf("used again %v after it was back", time.Since(returned).Round(time.Millisecond))
	for _, n := range nodes {
		n.since()
	}
	eventually(t, "the limit is reached on both nodes again", all(limited))
	stop()
	load.Wait()
	again := 0
	for _, n := range nodes {
		for a, times := range n.since() {
			if a.status == 200 && a.quota == "100" {
				again += times
			}
		}
		if changes := n.changes.Load(); changes != 2 {
			t.Errorf("%d changes told; want away and back", changes)
		}
	}
	// A server that was only asleep has kept its counts; one that was killed begins anew.
	if remembers && again != 0 || again > 100 {
		t.Errorf("%d admitted when the server was back (it remembers: %v)", again, remembers)
	}
}

// Under local, over all that happens: each node admits its share and not one more, in all of one window.
func TestLocalAdmitsItsShareHoweverOftenTheServerIsLost(t *testing.T) {
	srv := redistest.Start(t)
	n := newNode(t, srv.Addr, ratelimit.Local)
	share := 0
	for range 3 {
		srv.Stop()
		eventually(t, "the server is given up", func() bool { n.send(); return n.isAway() })
		for range 50 {
			n.send()
		}
		srv.Continue()
		eventually(t, "the server is used again", func() bool { return !n.isAway() })
		share += n.since()[answer{200, "25", ""}]
	}
	if share != 25 {
		t.Errorf("%d admitted without the server; want the share of 25", share)
	}
}
