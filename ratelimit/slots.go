package ratelimit

import (
	"encoding/binary"
	"math/bits"
)

// A sliding window of more than exactMax units is counted in slots of a fifteenth of the window, rounded up:
// the current one (cell.n) and the 15 before it (24 bits each in cell.data, newest first, then their sum).
// These 16 slots always cover the last Window, whatever the phase: that makes the limit strict. They never
// reach further back than 16/15 of it. The grid begins with the first unit of the cell.

const (
	closedSlots = 15
	slotBytes   = 3
	sumOffset   = closedSlots * slotBytes
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
func (c *cell) sum() uint32     { return c.closed(closedSlots) }
func (c *cell) setSum(n uint32) { c.setClosed(closedSlots, n) }

// expireSlots moves the cell to the slot of now. An empty cell begins a new grid: else the time it tells of would
// give away that something was counted and given back, such as a login that succeeded.
func (c *cell) expireSlots(l *Limit, now int64) {
	if c.n == 0 && c.sum() == 0 {
		*c = cell{at: now, hash: c.hash}
		return
	}
	length := slot(l)
	if now-c.at < length {
		return
	}
	d := (now - c.at) / length
	if d > closedSlots {
		*c = cell{at: now, hash: c.hash}
		return
	}
	c.at += d * length
	k := int(d)
	copy(c.data[k*slotBytes:sumOffset], c.data[:sumOffset-k*slotBytes])
	clear(c.data[:(k-1)*slotBytes])
	c.setClosed(k-1, c.n)
	c.n = 0
	var sum uint32
	for i := range closedSlots {
		sum += c.closed(i)
	}
	c.setSum(sum)
}

func (c *cell) checkSlots(l *Limit, weight, now int64, res *Result) {
	used := int64(c.n) + int64(c.sum())
	reset, retry := int64(0), int64(0)
	if used > 0 {
		length := slot(l)
		last := c.at + (closedSlots+1)*length - now // until the current slot no longer counts
		i := c.oldest()
		reset = last - int64(i)*length
		excess := used + weight - int64(l.Max)
		for ; i > 0; i-- { // the slots from the oldest to this one hold the excess, if there is any
			if excess -= int64(c.closed(i - 1)); excess <= 0 {
				break
			}
		}
		retry = last - int64(i)*length
	}
	res.room(used+weight <= int64(l.Max), int64(l.Max)-used, reset, retry)
}

// oldest is how many slots back the oldest unit lies.
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
		c.n -= uint32(min(weight, int64(c.n)))
		return
	}
	i := int((c.at - then + slot(l) - 1) / slot(l))
	if i > closedSlots {
		return
	}
	n := uint32(min(weight, int64(c.closed(i-1))))
	c.setClosed(i-1, c.closed(i-1)-n)
	c.setSum(c.sum() - n)
}
