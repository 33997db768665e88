package ratelimit

import "time"

// cell is the state of one count: one cache line, without pointers. What its fields mean depends on how the
// limit counts (slots.go, stamps.go, bucket.go); the limit is no part of it. Times are nanoseconds since the
// store was made.
type cell struct {
	at   int64  // start of the current slot | time of the oldest stamp | theoretical arrival time
	hash uint32 // half the hash of the key, see mark
	n    uint32 // units in the current slot, and the oldest slot | number of stamps | -
	data [48]byte
}

// exactMax is the largest Max of a sliding window that is counted by a stamp per unit.
const exactMax = 32

// inSlots reports whether l is counted in slots.
func (l *Limit) inSlots() bool { return l.Algorithm == SlidingWindow && l.Max > exactMax }

// expire drops what has left the window, so that the other methods see the state as of now.
func (c *cell) expire(l *Limit, now int64) {
	switch {
	case l.Algorithm == TokenBucket:
		c.at = max(c.at, now)
	case l.Max <= exactMax:
		c.expireStamps(l, now)
	default:
		c.expireSlots(l, now)
	}
}

// check fills res with the state of an expired cell, and with whether weight fits.
func (c *cell) check(l *Limit, weight, now int64, res *Result) {
	switch {
	case l.Algorithm == TokenBucket:
		c.checkBucket(l, weight, now, res)
	case l.Max <= exactMax:
		c.checkStamps(l, weight, now, res)
	default:
		c.checkSlots(l, weight, now, res)
	}
	res.Limit = l.Max
	if weight > int64(l.capacity()) {
		res.RetryAfter = l.Window
	}
}

// add counts weight, which fits, and returns until when the cell holds something.
func (c *cell) add(l *Limit, weight, now int64) (until int64) {
	switch {
	case l.Algorithm == TokenBucket:
		c.at += weight * l.interval()
		return c.at
	case l.Max <= exactMax:
		return c.addStamps(l, weight, now)
	}
	c.n += uint32(weight)
	return c.at + (closedSlots+1)*slot(l)
}

// remove takes back weight that was added at the time then.
func (c *cell) remove(l *Limit, weight, then int64) {
	switch {
	case l.Algorithm == TokenBucket:
		c.at -= weight * l.interval()
	case l.Max <= exactMax:
		c.removeStamps(l, weight, then)
	default:
		c.removeSlots(l, weight, then)
	}
}

// room writes what every kind of count says: remaining units, and when the next comes back.
func (r *Result) room(allowed bool, remaining int64, reset, retry int64) {
	r.Allowed = allowed
	r.Remaining = int(max(remaining, 0))
	r.Reset = time.Duration(reset)
	r.RetryAfter = 0
	if !allowed {
		r.RetryAfter = time.Duration(retry)
	}
}
