package ratelimit

import (
	"encoding/binary"
	"math/bits"
)

// A sliding window of up to exactMax units is counted by one time stamp per unit, oldest first: offsets from
// cell.at, the oldest unit's time, packed into cell.data as wide as Max of them fit, from 48 bits (exact to the
// nanosecond) for 8 units to 12 bits for 32. Offsets are rounded up, so a unit may count up to one step of the
// clock longer than the window, never shorter.

// stampClock is the width of an offset in bits, and the step of the clock as a shift of nanoseconds.
func stampClock(l *Limit) (width, shift int) {
	width = min(48, len(cell{}.data)*8/l.Max)
	shift = max(0, bits.Len64(uint64(l.Window))-width)
	if int64(l.Window)>>shift+2 >= 1<<width { // an offset reaches one step past the window
		shift++
	}
	return width, shift
}

// field is where the i-th offset lies: a word of data, and the shift in it.
func field(i, width int) (start, shift int) {
	start = min(i*width/8, len(cell{}.data)-8)
	return start, i*width - start*8
}

func (c *cell) stamp(i, width int) int64 {
	start, shift := field(i, width)
	return int64(binary.LittleEndian.Uint64(c.data[start:]) >> shift & (1<<width - 1))
}

func (c *cell) setStamp(i, width int, v int64) {
	start, shift := field(i, width)
	word := binary.LittleEndian.Uint64(c.data[start:])
	word = word&^((1<<width-1)<<shift) | uint64(v)<<shift
	binary.LittleEndian.PutUint64(c.data[start:], word)
}

// stampLeaves is when the i-th stamp no longer counts.
func (c *cell) stampLeaves(l *Limit, i int) int64 {
	width, shift := stampClock(l)
	return c.at + c.stamp(i, width)<<shift + int64(l.Window)
}

func (c *cell) expireStamps(l *Limit, now int64) {
	gone := 0
	for gone < int(c.n) && c.stampLeaves(l, gone) <= now {
		gone++
	}
	c.dropStamps(l, 0, gone)
	if c.n == 0 {
		c.at = now
	}
}

// dropStamps removes count stamps from the i-th on.
func (c *cell) dropStamps(l *Limit, i, count int) {
	if count == 0 {
		return
	}
	width, shift := stampClock(l)
	for j := i + count; j < int(c.n); j++ {
		c.setStamp(j-count, width, c.stamp(j, width))
	}
	c.n -= uint32(count)
	if i > 0 || c.n == 0 {
		return
	}
	first := c.stamp(0, width) // the oldest stamp is the origin again, on the same grid
	for j := range int(c.n) {
		c.setStamp(j, width, c.stamp(j, width)-first)
	}
	c.at += first << shift
}

func (c *cell) checkStamps(l *Limit, weight, now int64, res *Result) {
	used := int64(c.n)
	reset, retry := int64(0), int64(0)
	if used > 0 {
		reset = c.stampLeaves(l, 0) - now
	}
	if excess := used + weight - int64(l.Max); excess > 0 && excess <= used {
		retry = c.stampLeaves(l, int(excess)-1) - now
	}
	res.room(used+weight <= int64(l.Max), int64(l.Max)-used, reset, retry)
}

func (c *cell) addStamps(l *Limit, weight, now int64) (until int64) {
	width, shift := stampClock(l)
	if c.n == 0 {
		c.at = now
	}
	offset := (now - c.at + 1<<shift - 1) >> shift
	for range weight {
		c.setStamp(int(c.n), width, offset)
		c.n++
	}
	return c.stampLeaves(l, int(c.n)-1)
}

// removeStamps drops the stamps that an addStamps at the time then left, as far as they still count.
func (c *cell) removeStamps(l *Limit, weight, then int64) {
	width, shift := stampClock(l)
	offset := (then - c.at + 1<<shift - 1) >> shift
	for i := range int(c.n) {
		if c.stamp(i, width) == offset {
			same := 1
			for same < int(weight) && i+same < int(c.n) && c.stamp(i+same, width) == offset {
				same++
			}
			c.dropStamps(l, i, same)
			return
		}
	}
}
