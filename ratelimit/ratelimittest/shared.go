package ratelimittest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
)

// RunShared tests stores that several instances of a service share, on the real clock: it takes some five seconds.
// Every call of newStore returns another instance, on one and the same count; calls are concurrent.
func RunShared(t *testing.T, newStore func(t *testing.T) ratelimit.Store) {
	for _, c := range []struct {
		name string
		run  func(*tester, []ratelimit.Store)
	}{
		{"a thousand callers at once share a quota of a hundred", (*tester).thousand},
		{"instances count together", (*tester).together},
		{"what one instance counted another gives back", (*tester).giveBackElsewhere},
		{"no window ever holds more than the limit, however many ask", (*tester).saturated},
	} {
		for _, instances := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s, %d instances", c.name, instances), func(t *testing.T) {
				t.Parallel()
				stores := make([]ratelimit.Store, instances)
				for i := range stores {
					stores[i] = newStore(t)
				}
				c.run(&tester{t, stores[0]}, stores)
			})
		}
	}
}

func (t *tester) thousand(stores []ratelimit.Store) {
	bucket := ratelimit.Limit{Max: 100, Window: time.Hour, Algorithm: ratelimit.TokenBucket, Burst: 100}
	for _, l := range []ratelimit.Limit{perMinute(100), perMinute(20), bucket} {
		q := t.req(l, 1)
		var wg sync.WaitGroup
		var admitted atomic.Int64
		begin := make(chan struct{})
		for i := range 1000 {
			wg.Go(func() {
				<-begin
				res := make([]ratelimit.Result, 1)
				if err := stores[i%len(stores)].Take(context.Background(), []ratelimit.Request{q}, res); err != nil {
					t.Error(err)
				} else if res[0].Allowed {
					admitted.Add(1)
				}
			})
		}
		close(begin)
		wg.Wait()
		if got := admitted.Load(); got != int64(l.Max) {
			t.Errorf("%d of 1000 admitted; want %d", got, l.Max)
		}
	}
}

func (t *tester) together(stores []ratelimit.Store) {
	for _, l := range []ratelimit.Limit{small, large} {
		q := t.req(l, 1)
		for i := range l.Max {
			t.want(fmt.Sprintf("%d of %d", i+1, l.Max), t.with(stores[i%len(stores)]).take(q)[0], true, l.Max-i-1)
		}
		for _, s := range stores {
			t.want("one more", t.with(s).take(q)[0], false, 0)
		}
	}
}

func (t *tester) with(s ratelimit.Store) *tester { return &tester{t.T, s} }

func (t *tester) giveBackElsewhere(stores []ratelimit.Store) {
	for _, l := range []ratelimit.Limit{small, large} {
		q := t.req(l, uint32(l.Max))
		res := t.take(q)
		if err := stores[len(stores)-1].GiveBack(context.Background(), []ratelimit.Request{q}, res); err != nil {
			t.Fatal(err)
		}
		t.want("what was given back", t.take(q)[0], true, 0)
	}
}

// 64 goroutines take as much as they get, for several windows.
func (t *tester) saturated(stores []ratelimit.Store) {
	type admission struct{ before, after time.Duration }
	for _, l := range []ratelimit.Limit{{Max: 100, Window: time.Second}, {Max: 20, Window: time.Second}} {
		q := t.req(l, 1)
		var mu sync.Mutex
		var admitted []admission
		var wg sync.WaitGroup
		start := time.Now()
		for i := range 64 {
			wg.Go(func() {
				res := make([]ratelimit.Result, 1)
				for time.Since(start) < 2500*time.Millisecond {
					before := time.Since(start) // the decision falls between before and after
					if err := stores[i%len(stores)].Take(context.Background(), []ratelimit.Request{q}, res); err != nil {
						t.Error(err)
						return
					}
					if !res[0].Allowed {
						time.Sleep(min(res[0].RetryAfter, 20*time.Millisecond))
						continue
					}
					mu.Lock()
					admitted = append(admitted, admission{before, time.Since(start)})
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		// Those that surely lie within one window: they began after its start and were done before its end.
		for _, first := range admitted {
			n := 0
			for _, a := range admitted {
				if a.before >= first.before && a.after < first.before+l.Window {
					n++
				}
			}
			if n > l.Max {
				t.Fatalf("%d admitted in one window; want at most %d", n, l.Max)
			}
		}
		if n := len(admitted); n < 2*l.Max {
			t.Errorf("%d admitted in 2.5 windows; want two limits of %d at least", n, l.Max)
		}
	}
}
