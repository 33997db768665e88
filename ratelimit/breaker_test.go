package ratelimit_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/ratelimit/ratelimittest"
)

// fragile is a store that fails when it is told to, and counts how often it is called by whom.
type fragile struct {
	*ratelimit.Memory
	broken, hanging      atomic.Bool
	calls, backs, probes atomic.Int64
}

var errBroken = errors.New("dial tcp 10.0.0.5:6379: connection refused")

func newFragile(t *testing.T) *fragile { return &fragile{Memory: newMemory(t, 1024)} }

func (f *fragile) Take(ctx context.Context, reqs []ratelimit.Request, res []ratelimit.Result) error {
	if probe := ratelimit.NewKey("probe"); len(reqs) > 1 && strings.HasPrefix(encoded(reqs[0].Key), encoded(probe)) {
		f.probes.Add(1)
	} else {
		f.calls.Add(1)
	}
	if err := f.fail(ctx); err != nil {
		return err
	}
	return f.Memory.Take(ctx, reqs, res)
}

func (f *fragile) GiveBack(ctx context.Context, reqs []ratelimit.Request, res []ratelimit.Result) error {
	f.backs.Add(1)
	if err := f.fail(ctx); err != nil {
		return err
	}
	return f.Memory.GiveBack(ctx, reqs, res)
}

func (f *fragile) fail(ctx context.Context) error {
	if f.hanging.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.broken.Load() {
		return errBroken
	}
	return ctx.Err()
}

func encoded(k ratelimit.Key) string {
	b, _ := k.AppendBinary(nil)
	return string(b)
}

func newBreaker(t *testing.T, c ratelimit.BreakerConfig) *ratelimit.Breaker {
	t.Helper()
	b, err := ratelimit.NewBreaker(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// ask takes one unit of a large quota.
func ask(ctx context.Context, s ratelimit.Store) error {
	limit := ratelimit.Limit{Max: 1000, Window: time.Minute}
	return s.Take(ctx, []ratelimit.Request{{Key: ratelimit.NewKey("test"), Limit: &limit}}, make([]ratelimit.Result, 1))
}

func TestBreakerConforms(t *testing.T) {
	ratelimittest.Run(t, func(t *testing.T) ratelimit.Store {
		return newBreaker(t, ratelimit.BreakerConfig{Store: newMemory(t, 1024)})
	})
}

func TestNewBreakerReportsEverything(t *testing.T) {
	_, err := ratelimit.NewBreaker(ratelimit.BreakerConfig{Timeout: time.Microsecond, Failures: -1, ProbeInterval: time.Hour})
	for _, want := range []string{"Store is nil", "Timeout 1µs is out of range", "Failures -1", "ProbeInterval 1h0m0s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want %q in it", err, want)
		}
	}
}

func TestAStoreThatHangsCostsItsDeadlineAFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFragile(t)
		b := newBreaker(t, ratelimit.BreakerConfig{Store: f})
		f.hanging.Store(true)
		start := time.Now()
		for i := range 5 {
			if err := ask(t.Context(), b); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("call %d: %v; want its deadline", i, err)
			}
		}
		if waited := time.Since(start); waited != 5*25*time.Millisecond {
			t.Errorf("five calls took %v; want 25 ms each", waited)
		}
		for range 100 {
			if err := ask(t.Context(), b); !errors.Is(err, ratelimit.ErrStoreAway) {
				t.Errorf("%v; want ErrStoreAway", err)
			}
		}
		if waited := time.Since(start); waited != 5*25*time.Millisecond || f.calls.Load() != 5 {
			t.Errorf("%d calls after %v; want none, and no time, after the fifth", f.calls.Load(), waited)
		}
	})
}

func TestWhileTheStoreIsAwayOnlyProbesTryIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []ratelimit.Outage
		var probeErrors int
		f := newFragile(t)
		b := newBreaker(t, ratelimit.BreakerConfig{Store: f, OnChange: func(o ratelimit.Outage) { told = append(told, o) },
			OnProbeError: func(err error) {
				if errors.Is(err, errBroken) {
					probeErrors++
				}
			}})
		if err := ask(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		f.broken.Store(true)
		for range 4 {
			if err := ask(t.Context(), b); !errors.Is(err, errBroken) {
				t.Error(err)
			}
		}
		if _, away := b.Outage(); away {
			t.Error("away after four failures; want five")
		}
		_ = ask(t.Context(), b)
		synctest.Wait()
		began := time.Now()
		o, away := b.Outage()
		if !away || !o.Began.Equal(began) || !o.Ended.IsZero() || !errors.Is(o.Cause, errBroken) || len(told) != 1 {
			t.Errorf("after five failures: %+v, away %v, told %d times", o, away, len(told))
		}
		for range 40 { // ten seconds
			time.Sleep(250 * time.Millisecond)
			if err := ask(t.Context(), b); !errors.Is(err, ratelimit.ErrStoreAway) {
				t.Error(err)
			}
		}
		synctest.Wait()
		if f.calls.Load() != 6 || f.probes.Load() != 40 || probeErrors != 40 || len(told) != 1 {
			t.Errorf("%d calls, %d probes, %d of them told, %d changes; want 6, 40, 40, 1", f.calls.Load(), f.probes.Load(), probeErrors, len(told))
		}
		if o, _ := b.Outage(); o.Skipped != 40 {
			t.Errorf("%d calls skipped; want 40", o.Skipped)
		}
		f.broken.Store(false)
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		if err := ask(t.Context(), b); err != nil {
			t.Errorf("a probe was answered, and then: %v", err)
		}
		if len(told) != 2 || told[1].Ended.IsZero() || told[1].Ended.Sub(told[1].Began) != 10250*time.Millisecond || told[1].Skipped != 40 {
			t.Errorf("told %+v", told)
		}
		if c := b.Counters(); c != (ratelimit.BreakerCounters{Calls: 7, Failures: 5, Skipped: 40, Outages: 1}) {
			t.Errorf("counters %+v", c)
		}
		time.Sleep(time.Hour) // nothing runs any more
		if f.probes.Load() != 41 {
			t.Errorf("%d probes; want 41, none after the outage", f.probes.Load())
		}
	})
}

func TestAStoreThatFailsNowAndThenStays(t *testing.T) {
	for _, tt := range []struct {
		every int // one call in so many fails
		away  bool
	}{{12, false}, {9, true}, {2, true}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFragile(t)
			b := newBreaker(t, ratelimit.BreakerConfig{Store: f})
			away := false
			for i := range 5000 {
				f.broken.Store(i%tt.every == 0)
				_ = ask(t.Context(), b) // what becomes of it all is looked at
				_, now := b.Outage()
				away = away || now
			}
			if away != tt.away {
				t.Errorf("one failure in %d: away %v; want %v", tt.every, away, tt.away)
			}
		})
	}
}

func TestWhatIsNotTheStoresFaultDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFragile(t)
		b := newBreaker(t, ratelimit.BreakerConfig{Store: f, Failures: 1})
		res := make([]ratelimit.Result, 1)
		if err := b.Take(t.Context(), []ratelimit.Request{{Limit: &ratelimit.Limit{}}}, res); !errors.Is(err, ratelimit.ErrInvalidLimit) {
			t.Error(err)
		}
		if err := b.Take(t.Context(), make([]ratelimit.Request, 2), res); !errors.Is(err, ratelimit.ErrResults) {
			t.Error(err)
		}
		gone, hangUp := context.WithCancel(t.Context())
		hangUp()
		calls := f.calls.Load()
		if err := ask(gone, b); !errors.Is(err, context.Canceled) || f.calls.Load() != calls {
			t.Errorf("a caller that is gone: %v, %d calls more", err, f.calls.Load()-calls)
		}
		// Whoever hangs up while the store thinks is counted all the same.
		f.hanging.Store(true)
		leaving, hangUp := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, func() { hangUp(); f.hanging.Store(false) })
		start := time.Now()
		if err := ask(leaving, b); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 25*time.Millisecond {
			t.Errorf("a caller that leaves: %v after %v; want the deadline of the call", err, time.Since(start))
		}
		if _, away := b.Outage(); !away {
			t.Error("the hanging call is no failure; want one")
		}
	})
}

func TestAStoreThatComesAndGoesHasToStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFragile(t)
		b := newBreaker(t, ratelimit.BreakerConfig{Store: f, Failures: 1})
		for _, probes := range []int64{1, 2, 4, 4} {
			f.broken.Store(true)
			_ = ask(t.Context(), b)
			f.broken.Store(false)
			before := f.probes.Load()
			for {
				time.Sleep(250 * time.Millisecond)
				synctest.Wait()
				if _, away := b.Outage(); !away {
					break
				}
			}
			if n := f.probes.Load() - before; n != probes {
				t.Errorf("back after %d probes; want %d", n, probes)
			}
		}
		time.Sleep(time.Minute)
		f.broken.Store(true)
		_ = ask(t.Context(), b)
		f.broken.Store(false)
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		if _, away := b.Outage(); away {
			t.Error("away after a probe; want one to be enough after a good minute")
		}
	})
}

func TestCloseEndsTheProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFragile(t)
		b := newBreaker(t, ratelimit.BreakerConfig{Store: f, Failures: 1})
		f.broken.Store(true)
		_ = ask(t.Context(), b)
		time.Sleep(time.Second)
		b.Close()
		n := f.probes.Load()
		f.broken.Store(false)
		time.Sleep(time.Minute)
		if f.probes.Load() != n {
			t.Errorf("%d probes after Close", f.probes.Load()-n)
		}
		if err := ask(t.Context(), b); !errors.Is(err, ratelimit.ErrStoreAway) {
			t.Errorf("after Close: %v; want the outage to go on", err)
		}
	})
}

func TestCheckFindsOutAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFragile(t)
		wrong := errors.New("wrong password")
		var connects atomic.Bool
		told := 0
		b := newBreaker(t, ratelimit.BreakerConfig{Store: f, OnChange: func(ratelimit.Outage) { told++ },
			Connect: func(ctx context.Context) error {
				if _, ok := ctx.Deadline(); !ok {
					t.Error("Connect has no deadline")
				}
				if !connects.Load() {
					return wrong
				}
				return nil
			}})
		if err := b.Check(t.Context()); !errors.Is(err, wrong) {
			t.Error(err)
		}
		if err := ask(t.Context(), b); !errors.Is(err, ratelimit.ErrStoreAway) || f.calls.Load()+f.probes.Load() != 0 {
			t.Errorf("%v, and the store was asked; want it given up", err)
		}
		connects.Store(true)
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		if err := ask(t.Context(), b); err != nil || told != 2 {
			t.Errorf("%v, told %d times", err, told)
		}
		if err := b.Check(t.Context()); err != nil || told != 2 {
			t.Errorf("a check of a good store: %v, told %d times", err, told)
		}
	})
}
