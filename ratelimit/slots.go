package ratelimit

import (
	"encoding/binary"
	"math/bits"
	"time"
)

// A sliding window of more than exactMax units is counted in slots of a fifteenth of the window, rounded up:
// the current one and the 15 before it (24 bits each in cell.data, newest first, then their sum).
// These 16 slots always cover the last Window, whatever the phase: that makes the limit strict. They never
// reach further back than 16/15 of it. The grid begins with the first unit of the cell.
//
// cell.n holds the units of the current slot in 24 bits, and above them how many slots back the oldest unit lies:
// what every answer tells of and only a new slot changes.

const (
	closedSlots = 15
	slotBytes   = 3
	sumOffset   = closedSlots * slotBytes
	oldestShift = 24
)

// slot is the length of a slot.
func slot(l *Limit) int64 { return (int64(l.Window) + closedSlots - 1) / closedSlots }

func (c *cell) closed(i int) uint32 {
	b := c.data[i*slotBytes : i*slotBytes+slotBytes]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
}

func (c *cell) setClosed(i int, n uint32) {
	b := c.data[i*slotBytes : i*slotBytes+slotBytes]
	b[0], b[1], b[2] = byte(n), byte(n>>8), byte(n>>16)
}

// sum is the number of units in closed slots; it stands behind the last of them.
func (c *cell) sum() uint32 {
	return uint32(binary.LittleEndian.Uint64(c.data[sumOffset-5:]) >> (5 * 8))
}
func (c *cell) setSum(n uint32) { c.setClosed(closedSlots, n) }

func (c *cell) current() uint32 { return c.n & (1<<oldestShift - 1) }

// expireSlots moves the cell to the slot of now. An empty cell begins a new grid: else the time it tells of would
// give away that something was counted and given back, such as a login that succeeded.
func (c *cell) expireSlots(l *Limit, now int64) {
	used := c.current() + c.sum()
	if used != 0 && now-c.at < slot(l) {
		return
	}
	c.newSlot(l, used, now)
}

func (c *cell) newSlot(l *Limit, used uint32, now int64) {
	length := slot(l)
	d := (now - c.at) / length
	if used == 0 || d > closedSlots {
		*c = cell{at: now, hash: c.hash}
		return
	}
	c.at += d * length
	k := int(d)
	copy(c.data[k*slotBytes:sumOffset], c.data[:sumOffset-k*slotBytes])
	clear(c.data[:(k-1)*slotBytes])
	c.setClosed(k-1, c.current())
	c.n = 0
	var sum uint32
	for i := range closedSlots {
		sum += c.closed(i)
	}
	c.setSum(sum)
	c.findOldest()
}

func (c *cell) checkSlots(l *Limit, weight, now int64, res *Result) {
	used := int64(c.current()) + int64(c.sum())
	reset, retry := int64(0), int64(0)
	allowed := used+weight <= int64(l.Max)
	if used > 0 {
		length := slot(l)
		last := c.at + (closedSlots+1)*length - now // until the current slot no longer counts
		i := int64(c.n >> oldestShift)
		reset = last - i*length
		if !allowed {
			retry = last - c.holds(i, used+weight-int64(l.Max))*length
		}
	}
	res.room(allowed, int64(l.Max)-used, reset, retry)
}

// takeSlots is expireSlots, checkSlots, add and checkSlots again in one, for a weight that fits in the current slot:
// what nearly every call comes to. It reports whether it did it, and until when the cell holds something.
func (c *cell) takeSlots(l *Limit, weight, now int64, res *Result) (until int64, done bool) {
	length, used := slot(l), int64(c.current())+int64(c.sum())
	left := int64(l.Max) - used - weight
	if left < 0 || used == 0 || now-c.at >= length {
		return 0, false
	}
	c.n += uint32(weight)
	until = c.at + (closedSlots+1)*length
	*res = Result{Allowed: true, Limit: l.Max, Remaining: int(left), Reset: time.Duration(until - now - int64(c.n>>oldestShift)*length),
		Stamp: now<<tierBits | tierOwn}
	return until, true
}

// holds returns how many slots back the newest of those lies that hold the excess together with all older ones,
// from the oldest on.
func (c *cell) holds(oldest, excess int64) int64 {
	for ; oldest > 0; oldest-- {
		if excess -= int64(c.closed(int(oldest - 1))); excess <= 0 {
			break
		}
	}
	return oldest
}

// findOldest notes how many slots back the oldest unit lies.
func (c *cell) findOldest() { c.n = c.current() | uint32(c.oldest())<<oldestShift }

func (c *cell) oldest() int {
	const belowSum = 1<<40 - 1 // the last word ends in the sum
	word := binary.LittleEndian.Uint64(c.data[40:]) & belowSum
	for base := 40; ; base -= 8 {
		if word != 0 {
			return (base+(bits.Len64(word)-1)/8)/slotBytes + 1
		}
		if base == 0 {
			return 0
		}
		word = binary.LittleEndian.Uint64(c.data[base-8:])
	}
}

// removeSlots takes units from the slot they were added in. They are in no other: a unit taken from a newer
// slot would let an older one stand for it and leave too early.
func (c *cell) removeSlots(l *Limit, weight, then int64) {
	if then >= c.at {
		c.n -= uint32(min(weight, int64(c.current())))
		return
	}
	i := int((c.at - then + slot(l) - 1) / slot(l))
	if i > closedSlots {
		return
	}
	n := uint32(min(weight, int64(c.closed(i-1))))
	c.setClosed(i-1, c.closed(i-1)-n)
	c.setSum(c.sum() - n)
	c.findOldest()
}
