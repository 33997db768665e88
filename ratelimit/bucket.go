package ratelimit

// A token bucket is kept as GCRA: cell.at is the theoretical arrival time, up to which what was admitted has
// used the rate. A request fits if it moves that time no further ahead than a full burst.

func (c *cell) checkBucket(l *Limit, weight, now int64, res *Result) {
	interval := l.interval()
	burst := int64(l.Burst) * interval
	free := burst - (c.at - now)
	remaining := free / interval
	reset := int64(0)
	if c.at > now {
		reset = (remaining+1)*interval - free
	}
	missing := int64(0)
	if weight <= int64(l.Burst) {
		missing = weight*interval - free
	}
	res.room(weight <= remaining, remaining, reset, missing)
}
