// Package ratelimittest holds the tests that every [ratelimit.Store] passes. A store of one's own is tested with one
// call in a test:
//
//	func TestStore(t *testing.T) {
//		ratelimittest.Run(t, func(t *testing.T) ratelimit.Store { return newStore(t) })
//	}
//
// [Run] is for stores in this process: their windows pass in a bubble of [testing/synctest], without waiting. [RunLive]
// is for stores behind a network, on the real clock. [Log] is the naive limiter that they are compared with, for tests of
// one's own.
package ratelimittest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
)

// Run tests a store that lives in this process. Each test runs in a bubble of [testing/synctest], where newStore
// is called, so that windows pass without waiting.
func Run(t *testing.T, newStore func(t *testing.T) ratelimit.Store) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.run(&tester{t, newStore(t)}) })
		})
	}
}

// RunLive tests a store behind a network, on the real clock: it takes some 20 seconds. newStore may return the
// same store for every test: each uses keys of its own.
func RunLive(t *testing.T, newStore func(t *testing.T) ratelimit.Store) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(&tester{t, newStore(t)})
		})
	}
}

var cases = []struct {
	name string
	run  func(*tester)
}{
	{"a fresh key has its whole quota", (*tester).fresh},
	{"the limit and not one more is admitted", (*tester).limit},
	{"a refused request consumes nothing", (*tester).refusedIsFree},
	{"weights count", (*tester).weights},
	{"a weight of zero counts as one", (*tester).zeroWeight},
	{"a weight above the limit never fits", (*tester).tooHeavy},
	{"all requests of a call are counted or none", (*tester).allOrNone},
	{"one count twice in a call is counted twice", (*tester).sameTwice},
	{"a call of many requests", (*tester).many},
	{"keys are independent", (*tester).keys},
	{"limits are independent", (*tester).limits},
	{"peek does not count", (*tester).peek},
	{"a call waits for what it peeks at", (*tester).peekGates},
	{"what is given back can be taken again", (*tester).giveBack},
	{"giving back does not shift what others took", (*tester).giveBackIsExact},
	{"obeying RetryAfter succeeds", (*tester).retryAfter},
	{"a token bucket admits its burst, then its rate", (*tester).bucket},
	{"invalid arguments are refused", (*tester).invalid},
	{"sixty callers at once share a quota of ten", (*tester).concurrent},
	{"crossing calls do not block each other", (*tester).crossing},
	{"sixty-four goroutines that take, look and give back", (*tester).sixtyFour},
	{"random arrivals, against a log of every admission", (*tester).random},
}

type tester struct {
	*testing.T
	store ratelimit.Store
}

var serial atomic.Int64

// req makes a request under a key that no other call of req made.
func (t *tester) req(l ratelimit.Limit, weight uint32) ratelimit.Request {
	k := ratelimit.NewKey("conformance")
	k.Add(ratelimit.KindOther, fmt.Sprint(time.Now().UnixNano(), " ", serial.Add(1)))
	return ratelimit.Request{Key: k, Limit: &l, Weight: weight}
}

func (t *tester) take(reqs ...ratelimit.Request) []ratelimit.Result {
	t.Helper()
	res := make([]ratelimit.Result, len(reqs))
	if err := t.store.Take(context.Background(), reqs, res); err != nil {
		t.Fatal(err)
	}
	return res
}

func (t *tester) peekAt(q ratelimit.Request) []ratelimit.Result {
	t.Helper()
	q.Peek = true
	return t.take(q)
}

// want compares what of a result does not depend on the moment.
func (t *tester) want(what string, got ratelimit.Result, allowed bool, remaining int) {
	t.Helper()
	if got.Allowed != allowed || got.Remaining != remaining || allowed != (got.RetryAfter == 0) {
		t.Errorf("%s: allowed %v, %d remaining, retry after %v; want allowed %v, %d remaining",
			what, got.Allowed, got.Remaining, got.RetryAfter, allowed, remaining)
	}
}

// Limits small enough to be exact, and too large for that.
var small, large = perMinute(5), perMinute(100)

func perMinute(n int) ratelimit.Limit { return ratelimit.Limit{Max: n, Window: time.Minute} }

func (t *tester) fresh() {
	for _, l := range []ratelimit.Limit{small, large} {
		r := t.peekAt(t.req(l, 1))[0]
		t.want("fresh", r, true, l.Max)
		if r.Limit != l.Max || r.Reset != 0 {
			t.Errorf("limit %d, reset %v; want %d, 0", r.Limit, r.Reset, l.Max)
		}
	}
}

func (t *tester) limit() {
	for _, l := range []ratelimit.Limit{perMinute(1), small, perMinute(32), perMinute(33), large} {
		q := t.req(l, 1)
		for i := range l.Max {
			r := t.take(q)[0]
			t.want(fmt.Sprintf("%d of %d", i+1, l.Max), r, true, l.Max-i-1)
			if r.Reset <= 0 || r.Reset > l.Window+l.Window/15+1 {
				t.Errorf("reset %v after a take; want at most 16/15 of %v", r.Reset, l.Window)
			}
		}
		r := t.take(q)[0]
		t.want("one more", r, false, 0)
		if r.RetryAfter < r.Reset {
			t.Errorf("retry after %v, before the first unit is back in %v", r.RetryAfter, r.Reset)
		}
	}
}

func (t *tester) refusedIsFree() {
	q := t.req(small, 3)
	t.want("3 of 5", t.take(q)[0], true, 2)
	for range 10 {
		t.want("3 of 2", t.take(q)[0], false, 2)
	}
	q.Weight = 2
	t.want("2 of 2", t.take(q)[0], true, 0)
}

func (t *tester) weights() {
	for _, l := range []ratelimit.Limit{perMinute(32), large} {
		q := t.req(l, uint32(l.Max-1))
		t.want("all but one", t.take(q)[0], true, 1)
		t.want("again", t.take(q)[0], false, 1)
		q.Weight = 1
		t.want("the last", t.take(q)[0], true, 0)
	}
}

func (t *tester) zeroWeight() {
	t.want("weight 0", t.take(t.req(small, 0))[0], true, 4)
}

func (t *tester) tooHeavy() {
	bucket := ratelimit.Limit{Max: 100, Window: time.Minute, Algorithm: ratelimit.TokenBucket, Burst: 10}
	for _, l := range []ratelimit.Limit{small, large, bucket} {
		q := t.req(l, 101)
		r := t.take(q)[0]
		if r.Allowed || r.RetryAfter != l.Window {
			t.Errorf("weight 101 of %+v: %+v; want refused for a window", l, r)
		}
		q.Weight = 1<<32 - 1
		if r = t.take(q)[0]; r.Allowed {
			t.Errorf("weight 1<<32-1 of %+v is allowed", l)
		}
	}
}

func (t *tester) allOrNone() {
	a, b := t.req(small, 1), t.req(perMinute(1), 1)
	res := t.take(a, b)
	t.want("both, first", res[0], true, 4)
	t.want("both, second", res[1], true, 0)
	for range 3 {
		res = t.take(a, b)
		t.want("second full, first", res[0], true, 4)
		t.want("second full, second", res[1], false, 0)
	}
	t.want("the first alone", t.take(a)[0], true, 3)
}

func (t *tester) sameTwice() {
	q := t.req(small, 2)
	res := t.take(q, q)
	t.want("twice 2 of 5", res[0], true, 1)
	t.want("twice 2 of 5, second", res[1], true, 1)
	if r := t.take(q, q); r[0].Allowed && r[1].Allowed {
		t.Errorf("twice 2 of 1: %+v", r)
	}
	q.Weight = 1
	t.want("1 of 1", t.take(q)[0], true, 0)
}

func (t *tester) many() {
	var reqs []ratelimit.Request
	for range 100 {
		reqs = append(reqs, t.req(perMinute(1), 1))
	}
	for i, r := range t.take(reqs...) {
		t.want(fmt.Sprint("request ", i), r, true, 0)
	}
	for i, r := range t.take(reqs...) {
		t.want(fmt.Sprint("request again ", i), r, false, 0)
	}
}

func (t *tester) keys() {
	a, b := t.req(perMinute(1), 1), t.req(perMinute(1), 1)
	t.want("a", t.take(a)[0], true, 0)
	t.want("b", t.take(b)[0], true, 0)
	t.want("a again", t.take(a)[0], false, 0)
}

func (t *tester) limits() {
	a := t.req(perMinute(1), 1)
	b := a
	b.Limit = &ratelimit.Limit{Max: 2, Window: time.Hour}
	t.want("1 per minute", t.take(a)[0], true, 0)
	t.want("2 per hour", t.take(b)[0], true, 1)
}

func (t *tester) peek() {
	for _, l := range []ratelimit.Limit{small, large} {
		q := t.req(l, 1)
		for range 200 {
			t.want("peek before", t.peekAt(q)[0], true, l.Max)
		}
		q.Weight = uint32(l.Max)
		t.want("all", t.take(q)[0], true, 0)
		q.Weight = 1
		p := t.peekAt(q)[0]
		t.want("peek after", p, false, 0)
	}
}

func (t *tester) peekGates() {
	a, gate := t.req(small, 1), t.req(perMinute(1), 1)
	look := gate
	look.Peek = true
	res := t.take(a, look)
	t.want("open gate", res[0], true, 4)
	t.want("the gate itself", res[1], true, 1)
	t.take(gate)
	res = t.take(a, look)
	t.want("closed gate", res[0], true, 4)
	t.want("the gate itself, closed", res[1], false, 0)
	res = t.take(gate, a)
	t.want("a call that the gate refuses", res[1], true, 4)
}

func (t *tester) giveBack() {
	bucket := ratelimit.Limit{Max: 5, Window: time.Hour, Algorithm: ratelimit.TokenBucket, Burst: 5}
	for _, l := range []ratelimit.Limit{small, large, bucket} {
		q := t.req(l, uint32(l.Max))
		res := t.take(q)
		t.want("all", res[0], true, 0)
		if err := t.store.GiveBack(context.Background(), []ratelimit.Request{q}, res); err != nil {
			t.Fatal(err)
		}
		t.want("after giving back", t.peekAt(q)[0], true, l.Max)
		t.want("all again", t.take(q)[0], true, 0)
		q.Weight = 1
		t.want("one more", t.take(q)[0], false, 0)
	}
}

// Taken and given back by turns with another unit in between, the other one must keep its own time.
func (t *tester) giveBackIsExact() {
	for _, l := range []ratelimit.Limit{{Max: 2, Window: 2 * time.Second}, {Max: 40, Window: 2 * time.Second}} {
		half := uint32(l.Max / 2)
		a := t.req(l, half)
		reserved := t.take(a)
		time.Sleep(l.Window / 2)
		since := time.Now()
		t.want("the other half", t.take(a)[0], true, 0)
		if err := t.store.GiveBack(context.Background(), []ratelimit.Request{a}, reserved); err != nil {
			t.Fatal(err)
		}
		t.want("the half given back", t.take(a)[0], true, 0)
		time.Sleep(l.Window*3/4 - l.Window/2) // both halves taken at 1/2 still count at 3/4
		a.Weight = 1
		r := t.take(a)[0]
		if left := l.Window - time.Since(since); left > 0 && (r.Allowed || r.RetryAfter < left) {
			t.Errorf("limit %d: allowed %v, retry after %v; want refused for another %v or more", l.Max, r.Allowed, r.RetryAfter, left)
		}
	}
}

func (t *tester) retryAfter() {
	for _, l := range []ratelimit.Limit{{Max: 5, Window: time.Second}, {Max: 50, Window: time.Second},
		{Max: 50, Window: time.Second, Algorithm: ratelimit.TokenBucket, Burst: 5}} {
		q := t.req(l, 1)
		for range 4 {
			r := t.take(q)[0]
			for r.Allowed {
				r = t.take(q)[0]
			}
			if r.RetryAfter <= 0 || r.RetryAfter > l.Window*16/15+time.Millisecond {
				t.Fatalf("limit %d: retry after %v; want at most 16/15 of %v", l.Max, r.RetryAfter, l.Window)
			}
			time.Sleep(r.RetryAfter)
			if r = t.take(q)[0]; !r.Allowed {
				t.Errorf("limit %d: refused after waiting as told: %+v", l.Max, r)
			}
		}
	}
}

func (t *tester) invalid() {
	good := t.req(small, 1)
	for _, l := range []*ratelimit.Limit{nil, {}, {Max: 1}, {Window: time.Second}, {Max: -1, Window: time.Second},
		{Max: 1, Window: time.Second, Algorithm: ratelimit.TokenBucket}} {
		bad := good
		bad.Limit = l
		err := t.store.Take(context.Background(), []ratelimit.Request{good, bad}, make([]ratelimit.Result, 2))
		if !errors.Is(err, ratelimit.ErrInvalidLimit) {
			t.Errorf("limit %+v: error %v; want ErrInvalidLimit", l, err)
		}
	}
	if err := t.store.Take(context.Background(), []ratelimit.Request{good}, nil); !errors.Is(err, ratelimit.ErrResults) {
		t.Errorf("no results: error %v; want ErrResults", err)
	}
	t.want("after failed calls", t.take(good)[0], true, 4)
	if err := t.store.Take(context.Background(), nil, nil); err != nil {
		t.Errorf("no requests: %v", err)
	}
}

func (t *tester) concurrent() {
	for _, n := range []int{10, 40} {
		q := t.req(perMinute(n), 1)
		var wg sync.WaitGroup
		var admitted atomic.Int64
		for range 60 {
			wg.Go(func() {
				res := make([]ratelimit.Result, 1)
				if err := t.store.Take(context.Background(), []ratelimit.Request{q}, res); err != nil {
					t.Error(err)
				} else if res[0].Allowed {
					admitted.Add(1)
				}
			})
		}
		wg.Wait()
		if got := admitted.Load(); got != int64(n) {
			t.Errorf("%d admitted; want %d", got, n)
		}
	}
}

func (t *tester) crossing() {
	a, b := t.req(perMinute(40), 1), t.req(perMinute(40), 1)
	var wg sync.WaitGroup
	var admitted atomic.Int64
	for i := range 80 {
		reqs := []ratelimit.Request{a, b}
		if i%2 == 1 {
			reqs = []ratelimit.Request{b, a}
		}
		wg.Go(func() {
			res := make([]ratelimit.Result, 2)
			if err := t.store.Take(context.Background(), reqs, res); err != nil {
				t.Error(err)
			} else if res[0].Allowed && res[1].Allowed {
				admitted.Add(1)
			}
		})
	}
	wg.Wait()
	if got := admitted.Load(); got != 40 {
		t.Errorf("%d admitted; want 40", got)
	}
}

// Of what 64 goroutines take and give back, what is kept is never above the limit, and in the end the rest of it, and
// not one more, can be taken.
func (t *tester) sixtyFour() {
	for _, l := range []ratelimit.Limit{{Max: 20, Window: time.Hour}, {Max: 200, Window: time.Hour},
		{Max: 100, Window: 24 * time.Hour, Algorithm: ratelimit.TokenBucket, Burst: 50}} {
		q, most := t.req(l, 1), l.Max
		if l.Burst > 0 {
			most = l.Burst
		}
		var kept atomic.Int64
		var wg sync.WaitGroup
		for g := range 64 {
			wg.Go(func() {
				ctx, rnd := context.Background(), rand.New(rand.NewPCG(uint64(g), 2))
				for range 20 {
					reqs, res := []ratelimit.Request{q}, make([]ratelimit.Result, 1)
					reqs[0].Weight, reqs[0].Peek = 1+rnd.Uint32N(3), rnd.IntN(4) == 0
					if err := t.store.Take(ctx, reqs, res); err != nil {
						t.Error(err)
						return
					}
					if !res[0].Allowed || reqs[0].Peek {
						continue
					}
					if n := kept.Add(int64(reqs[0].Weight)); n > int64(most) {
						t.Errorf("%d units at a time; want at most %d", n, most)
					}
					if rnd.IntN(2) == 0 {
						kept.Add(-int64(reqs[0].Weight)) // before it is free for others
						if err := t.store.GiveBack(ctx, reqs, res); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		left := 0
		for t.take(q)[0].Allowed {
			left++
		}
		if got := int(kept.Load()) + left; got != most {
			t.Errorf("limit %d: %d kept and %d taken afterwards; want %d together", l.Max, kept.Load(), left, most)
		}
	}
}
