package ratelimittest

import (
	"time"

	"github.com/merlonhq/merlon/ratelimit"
)

// bucket holds a store to the burst and the rate of a token bucket.
func (t *tester) bucket() {
	const interval = time.Second
	l := ratelimit.Limit{Max: 2, Window: 2 * interval, Algorithm: ratelimit.TokenBucket, Burst: 3}
	for range 5 { // a machine that stalls for an interval makes a unit come back too soon
		q, start := t.req(l, 1), time.Now()
		var res []ratelimit.Result
		for range 4 {
			res = append(res, t.take(q)[0])
		}
		if time.Since(start) >= interval {
			continue
		}
		for i, r := range res[:3] {
			t.want("burst", r, true, 2-i)
		}
		if r := res[3]; r.Allowed || r.RetryAfter > interval {
			t.Errorf("after the burst: %+v; want refused for at most %v", r, interval)
		}
		time.Sleep(3 * interval)
		t.want("a full bucket again", t.peekAt(q)[0], true, 3)
		return
	}
	t.Error("five bursts of four calls took longer than a second each")
}
