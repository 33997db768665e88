package ratelimit

// table is a hash table of fixed size. A key lives in one of two groups of places, which its hash chooses; it
// goes to the emptier one, which fills seven eighths of the table before any key finds no room. Nothing is ever
// deleted: a new key replaces one that holds nothing any more. So an insert looks at 32 places at most, nothing
// ever grows or moves, and a search ends at the first free place of a group.
type table []group

const groupSize = 16

// group keeps what a search needs apart from the state: two cache lines of marks, then a line for each key.
type group struct {
	mark [groupSize]mark
	cell [groupSize]cell
}

// mark is half the hash of a place's key, and until when the key holds something. The other half is cell.hash.
type mark struct {
	hash uint32 // zero is a free place; free places come last
	idle uint32 // coarse time from which on the cell holds nothing
}

// coarse is the unit of mark.idle: 67 ms a step, 9 years in 32 bits.
func coarse(t int64) uint32 { return uint32(t >> 26) }

// spot is a place in a table. The zero spot is none.
type spot struct {
	g *group
	i int
}

func (s spot) found() bool { return s.g != nil }
func (s spot) cell() *cell { return &s.g.cell[s.i] }
func (s spot) mark() *mark { return &s.g.mark[s.i] }

// keepUntil notes that the cell holds something until t.
func (s spot) keepUntil(t int64) {
	if m := s.mark(); m.idle <= coarse(t) {
		m.idle = coarse(t) + 1
	}
}

// newTable makes a table for the given number of keys.
func newTable(keys int) table {
	const filled = groupSize * 7 / 8
	return make(table, max(2, (keys+filled-1)/filled))
}

// groups returns the two groups of h (they may be the same).
func (t table) groups(h uint64) (a, b *group) {
	n := uint64(len(t))
	h2 := h * 0x9e3779b97f4a7c15
	return &t[(h>>32)*n>>32], &t[(h2>>32)*n>>32]
}

func (t table) find(h uint64) spot {
	a, b := t.groups(h)
	if i := a.find(h); i >= 0 {
		return spot{a, i}
	}
	if i := b.find(h); i >= 0 {
		return spot{b, i}
	}
	return spot{}
}

func (g *group) find(h uint64) int {
	for i := range &g.mark {
		if v := g.mark[i].hash; v == uint32(h) && g.cell[i].hash == uint32(h>>32) {
			return i
		} else if v == 0 {
			break
		}
	}
	return -1
}

// put gives the spot, which room found, to h, with the state in c, to be kept until idle at least.
func (s spot) put(h uint64, c *cell, idle uint32) {
	s.g.mark[s.i] = mark{hash: uint32(h), idle: idle}
	s.g.cell[s.i] = *c
	s.g.cell[s.i].hash = uint32(h >> 32)
}

// room finds a place for h: a free one, or else one whose key holds nothing any more, in the group that has more
// of them.
func (t table) room(h uint64, now int64) spot {
	a, b := t.groups(h)
	ia, na := a.room(now)
	ib, nb := b.room(now)
	switch {
	case na == 0 && nb == 0:
		return spot{}
	case na >= nb:
		return spot{a, ia}
	}
	return spot{b, ib}
}

// room returns a place of the group that can be had, the first free one if there is one, and how many there are.
func (g *group) room(now int64) (place, n int) {
	for i := range &g.mark {
		m := &g.mark[i]
		if m.hash == 0 {
			return i, n + groupSize - i
		}
		if coarse(now) > m.idle {
			place = i
			n++
		}
	}
	return place, n
}
