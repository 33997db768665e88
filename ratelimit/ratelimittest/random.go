package ratelimittest

import (
	"math/rand/v2"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
)

// random holds a store to its whole promise: never more than the limit in any window; never a refusal while fewer were
// admitted in the last window and a fifteenth; Remaining and RetryAfter within the same bound.
func (t *tester) random() {
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		l := ratelimit.Limit{Max: 1 + rnd.IntN(60), Window: time.Second}
		q := t.req(l, 1)
		// How much longer than the window a unit may count, with what clocks and rounding may be apart.
		late := l.Window/15 + time.Millisecond
		if l.Max <= 32 {
			late = l.Window/2048 + time.Millisecond
		}
		// A decision falls between the moments before and after its call: the logs hold both.
		var early, lately Log
		start, decided := time.Now(), 0
		for time.Since(start) < 4*time.Second || decided < 10 {
			time.Sleep(time.Duration(rnd.Int64N(int64(2 * l.Window / time.Duration(l.Max)))))
			q.Weight = 1 + rnd.Uint32N(uint32(min(3, l.Max)))
			weight := int(q.Weight)
			before := time.Since(start)
			r := t.take(q)[0]
			after := time.Since(start)
			if after-before > l.Window/2 {
				// Nothing can be said about a call that took so long: another count begins.
				q = t.req(l, 1)
				early, lately = Log{}, Log{}
				continue
			}
			decided++
			if r.Allowed {
				early.Add(before, weight)
				lately.Add(after, weight)
			}
			least, most := early.In(after, l.Window), lately.In(before, l.Window+late)
			if least > l.Max {
				t.Fatalf("%d admitted in one window; want at most %d", least, l.Max)
			}
			if r.Remaining < l.Max-most || r.Remaining > l.Max-least {
				t.Fatalf("%d remain of %d; the log says %d to %d", r.Remaining, l.Max, l.Max-most, l.Max-least)
			}
			if r.Allowed {
				continue
			}
			if most+weight <= l.Max {
				t.Fatalf("%d refused while %d of %d are in the window", weight, most, l.Max)
			}
			soonest := early.Fits(after, l.Window, l.Max, weight)
			latest := lately.Fits(before, l.Window+late, l.Max, weight)
			if r.RetryAfter < soonest || r.RetryAfter > latest {
				t.Fatalf("retry after %v; the log says %v to %v", r.RetryAfter, soonest, latest)
			}
		}
	}
}
