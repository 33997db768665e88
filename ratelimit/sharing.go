package ratelimit

// Where a key is counted; the low bits of Result.Stamp.
const (
	tierOwn  = 0 // in a cell of its own
	tierNet  = 1 // together with the newcomers of its network
	tierRule = 2 // together with all newcomers of its rule
	tierNone = 3 // nowhere: no room at all, refused

	tierBits = 2
)

// sharing finds a cell for the keys of one call that have none. Under it, a key never has two counts: one that
// was counted together with others begins its own count, when room appears, with all that they had used. Else
// it could have a whole quota twice in one window.
type sharing struct {
	m      *Memory
	now    int64
	locked bool
}

// locate returns the place that counts r, whose hash h has none of its own. A peek makes none: where one would be
// made, it gets the zero spot, and scratch is what would be in it.
func (s *sharing) locate(r *Request, h uint64, scratch *cell) (spot, int64) {
	m := s.m
	if room := m.shards[m.shardOf(h)].room(h, s.now); room.found() {
		var from spot
		if m.sharedUntil.Load() >= coarse(s.now) {
			from = s.common(r)
		}
		return s.begin(r, room, h, from, scratch), tierOwn
	}

	s.lock()
	net, rule := r.Key.shared(), r.Key.rule()
	hn, hr := m.hash(&net, r.Limit), m.hash(&rule, r.Limit)
	if o := m.nets.find(hn); o.found() {
		return o, tierNet
	}
	o := m.rules.find(hr)
	if room := m.nets.room(hn, s.now); room.found() {
		return s.begin(r, room, hn, o, scratch), tierNet
	}
	if o.found() {
		return o, tierRule
	}
	if room := m.rules.room(hr, s.now); room.found() {
		return s.begin(r, room, hr, spot{}, scratch), tierRule
	}
	return spot{}, tierNone
}

// common returns the place that counts for r's newcomers, if there is one. A network's holds all that its rule's
// held when it began.
func (s *sharing) common(r *Request) spot {
	s.lock()
	k := r.Key.shared()
	if o := s.m.nets.find(s.m.hash(&k, r.Limit)); o.found() {
		return o
	}
	k = r.Key.rule()
	return s.m.rules.find(s.m.hash(&k, r.Limit))
}

// begin starts the count of h in room with what from holds, if anything.
func (s *sharing) begin(r *Request, room spot, h uint64, from spot, scratch *cell) spot {
	*scratch = cell{at: s.now}
	idle := coarse(s.now) + 1
	if from.found() {
		*scratch = *from.cell()
		idle = max(idle, from.mark().idle)
	}
	if r.Peek {
		return spot{}
	}
	room.put(h, scratch, idle)
	return room
}

// used notes that a cell of the given tier holds something until then.
func (s *sharing) used(tier, until int64) {
	if tier != tierOwn && coarse(until)+1 > s.m.sharedUntil.Load() {
		s.m.sharedUntil.Store(coarse(until) + 1)
	}
}

func (s *sharing) lock() {
	if !s.locked {
		s.m.shared.Lock()
		s.locked = true
	}
}

func (s *sharing) done() {
	if s.locked {
		s.m.shared.Unlock()
	}
}
