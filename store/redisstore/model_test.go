//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/merlonhq/merlon/internal/redistest"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/ratelimit/ratelimittest"
	"github.com/merlonhq/merlon/store/redisstore"
)

// clocked is a store whose scripts run on a real server and read the test's clock instead of the server's.
type clocked struct {
	*redisstore.Store
	now time.Duration // since 2026, in whole microseconds
}

const epoch = 1767225600_000000 // the first moment of 2026, in microseconds

func newClocked(t *testing.T, addr string) *clocked {
	t.Helper()
	const serverTime = "local time = redis.call('TIME')"
	c := &clocked{}
	run := eval(connect(t, addr))
	store, err := redisstore.New(redisstore.Config{Eval: func(ctx context.Context, s *redisstore.Script, keys, args []string) ([]int64, error) {
		source := strings.Replace(s.Source, serverTime, "local time = {0, tonumber(ARGV[#KEYS + 1])}", 1)
		if source == s.Source {
			return nil, fmt.Errorf("the script does not read the time by %q", serverTime)
		}
		// The server forgets by its own clock, which does not wait for the test's on a slow machine.
		if life := strings.Replace(source, "ceil(life / 1000) + 1", "ceil(life / 1000) + 600000", 1); life != source {
			source = life
		} else {
			return nil, errors.New("the script does not set expiries as it did")
		}
		// The digest is of no script, hence NOSCRIPT.
		now := strconv.FormatInt(epoch+c.now.Microseconds(), 10)
		return run(ctx, &redisstore.Script{Source: source, SHA1: "none"}, keys, append(slices.Clone(args), now))
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.Store = store
	return c
}

var serial atomic.Int64

func freshKey() ratelimit.Key {
	k := ratelimit.NewKey("test")
	k.Add(ratelimit.KindOther, fmt.Sprint(serial.Add(1)))
	return k
}

// An arrival is a request that comes a while after the one before it.
type arrival struct {
	wait   time.Duration
	weight int
	back   int // before it, the units of the back-th last admission are given back; zero for none
}

// The whole promise of the sliding window, against a log of every admission.
func TestSlidingWindowAgainstALog(t *testing.T) {
	store := newClocked(t, redistest.Start(t).Addr)
	rapid.Check(t, func(rt *rapid.T) {
		limit := ratelimit.Limit{
			Max:    rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(33, 2000)).Draw(rt, "max"),
			Window: time.Duration(rapid.IntRange(1, 600).Draw(rt, "seconds")) * time.Second,
		}
		// Waits from bursts to whole windows, many of them at the edges of slots and windows.
		const step = time.Microsecond
		w, slot := limit.Window, (limit.Window/step+14)/15*step
		waits := rapid.Map(rapid.OneOf(
			rapid.Just(time.Duration(0)),
			rapid.SampledFrom([]time.Duration{step, slot, slot + step, slot - step, w, w - step, w + step, 16 * slot, w * 2}),
			rapid.Map(rapid.Int64Range(0, int64(3*w)/int64(limit.Max)), func(n int64) time.Duration { return time.Duration(n) }),
			rapid.Map(rapid.Int64Range(0, int64(w)), func(n int64) time.Duration { return time.Duration(n) }),
		), func(d time.Duration) time.Duration { return d.Truncate(step) })
		weights := rapid.OneOf(rapid.Just(1), rapid.IntRange(1, limit.Max))
		arrivals := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) arrival {
			return arrival{waits.Draw(rt, "wait"), weights.Draw(rt, "weight"), max(0, rapid.IntRange(-8, 4).Draw(rt, "back"))}
		}), 1, 120).Draw(rt, "arrivals")
		if problem := compare(store, limit, arrivals); problem != "" {
			rt.Fatal(problem)
		}
	})
}

// compare runs arrivals against the store and the log, and says what is wrong, if anything.
func compare(store *clocked, limit ratelimit.Limit, arrivals []arrival) string {
	// How much longer than the window a unit may count: nothing where each has its stamp, else a slot, which is
	// rounded up to a microsecond; sixteen of them count.
	var late time.Duration
	if limit.Max > 32 {
		late = 16*((limit.Window/time.Microsecond+14)/15)*time.Microsecond - limit.Window
	}
	var log ratelimittest.Log
	type admission struct {
		at     time.Duration
		weight int
		res    ratelimit.Result
	}
	var admitted []admission // and not given back
	ctx := context.Background()
	reqs := []ratelimit.Request{{Key: freshKey(), Limit: &limit}}
	res := make([]ratelimit.Result, 1)
	for i, a := range arrivals {
		store.now += a.wait
		now := store.now
		if i := len(admitted) - a.back; a.back > 0 && i >= 0 {
			back := admitted[i]
			admitted = slices.Delete(admitted, i, i+1)
			reqs[0].Weight = uint32(back.weight)
			if err := store.GiveBack(ctx, reqs, []ratelimit.Result{back.res}); err != nil {
				return err.Error()
			}
			log.Remove(back.at, back.weight)
		}
		reqs[0].Weight = uint32(a.weight)
		if err := store.Take(ctx, reqs, res); err != nil {
			return err.Error()
		}
		r := res[0]
		if !r.Allowed {
			if n := log.In(now, limit.Window+late); n+a.weight <= limit.Max {
				return fmt.Sprintf("arrival %d: %d refused at %d of %d in the window", i, a.weight, n, limit.Max)
			}
			earliest := log.Fits(now, limit.Window, limit.Max, a.weight)
			latest := log.Fits(now, limit.Window+late, limit.Max, a.weight)
			if r.RetryAfter < earliest || r.RetryAfter > latest || r.RetryAfter < r.Reset {
				return fmt.Sprintf("arrival %d: retry after %v, reset %v; the log says %v to %v", i, r.RetryAfter, r.Reset, earliest, latest)
			}
			continue
		}
		log.Add(now, a.weight)
		admitted = append(admitted, admission{now, a.weight, r})
		if n := log.In(now, limit.Window); n > limit.Max {
			return fmt.Sprintf("arrival %d: %d in one window of limit %d", i, n, limit.Max)
		}
		most, least := limit.Max-log.In(now, limit.Window), limit.Max-log.In(now, limit.Window+late)
		if r.Remaining < least || r.Remaining > most {
			return fmt.Sprintf("arrival %d: %d remaining; the log says %d to %d", i, r.Remaining, least, most)
		}
		if r.Reset <= 0 || r.Reset > limit.Window+late {
			return fmt.Sprintf("arrival %d: reset %v", i, r.Reset)
		}
	}
	// Whoever waits as told is admitted.
	reqs[0].Weight = uint32(limit.Max)
	for range 2 {
		if err := store.Take(ctx, reqs, res); err != nil {
			return err.Error()
		}
		store.now += res[0].RetryAfter
	}
	if !res[0].Allowed {
		return fmt.Sprintf("refused after waiting as told: %+v", res[0])
	}
	return ""
}

// Never above burst plus rate, and nothing refused that the bucket holds.
func TestTokenBucketAgainstAnExactBucket(t *testing.T) {
	store := newClocked(t, redistest.Start(t).Addr)
	rapid.Check(t, func(rt *rapid.T) {
		// The interval is whole microseconds, so that an integer model is exact. Filling the slowest bucket takes
		// longer than what a script counts in nanoseconds.
		limit := ratelimit.Limit{
			Max: rapid.SampledFrom([]int{1, 2, 5, 10, 100, 1000}).Draw(rt, "max"), Algorithm: ratelimit.TokenBucket,
			Window: rapid.SampledFrom([]time.Duration{time.Minute, 168 * time.Hour}).Draw(rt, "window"),
			Burst:  rapid.IntRange(1, 50).Draw(rt, "burst"),
		}
		interval := limit.Window.Microseconds() / int64(limit.Max)
		waits := rapid.SliceOfN(rapid.Int64Range(0, 3*interval), 1, 80).Draw(rt, "waits")
		weights := rapid.SliceOfN(rapid.IntRange(1, limit.Burst), len(waits), len(waits)).Draw(rt, "weights")
		level := int64(limit.Burst) * interval // in microseconds of rate
		reqs := []ratelimit.Request{{Key: freshKey(), Limit: &limit}}
		res := make([]ratelimit.Result, 1)
		for i, wait := range waits {
			store.now += time.Duration(wait) * time.Microsecond
			level = min(level+wait, int64(limit.Burst)*interval)
			reqs[0].Weight = uint32(weights[i])
			if err := store.Take(context.Background(), reqs, res); err != nil {
				rt.Fatal(err)
			}
			cost := int64(weights[i]) * interval
			retry := max(0, cost-level)
			allowed := cost <= level
			if allowed {
				level -= cost
			}
			if r := res[0]; r.Allowed != allowed || int64(r.Remaining) != level/interval || r.RetryAfter.Microseconds() != retry {
				rt.Fatalf("arrival %d: %+v; want allowed %v, %d remaining, retry %dus", i, r, allowed, level/interval, retry)
			}
		}
	})
}

// A clock that is set back has not gone on: nothing more is admitted, and nobody waits for it to catch up.
func TestAClockThatIsSetBack(t *testing.T) {
	store := newClocked(t, redistest.Start(t).Addr)
	store.now = 24 * time.Hour
	for _, limit := range []ratelimit.Limit{
		{Max: 10, Window: time.Minute},
		{Max: 100, Window: time.Minute},
		{Max: 10, Window: time.Minute, Algorithm: ratelimit.TokenBucket, Burst: 10},
	} {
		t.Run(fmt.Sprint(limit.Algorithm, limit.Max), func(t *testing.T) {
			reqs := []ratelimit.Request{{Key: freshKey(), Limit: &limit, Weight: uint32(limit.Max)}}
			take := func(want bool) ratelimit.Result {
				t.Helper()
				res := make([]ratelimit.Result, 1)
				if err := store.Take(context.Background(), reqs, res); err != nil {
					t.Fatal(err)
				}
				if res[0].Allowed != want {
					t.Errorf("%+v; want allowed %v", res[0], want)
				}
				return res[0]
			}
			take(true)
			store.now += 20 * time.Second
			took := take(false).RetryAfter
			store.now -= 12 * time.Hour
			back := take(false).RetryAfter
			if back < took || back > 20*time.Second+took {
				t.Errorf("retry after %v where it was %v before, 20 s after the units were taken", back, took)
			}
			store.now += back - time.Microsecond
			take(false)
			store.now += time.Microsecond
			take(true)
		})
	}
}
