package ratelimit

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// MemoryConfig configures a [Memory].
type MemoryConfig struct {
	// MaxKeys is how many keys are counted apart: 1,024 to 1<<28; zero means 262,144 (21 MiB). A key takes
	// about 83 bytes. One client takes one key for each rule and route that count it at the moment.
	MaxKeys int
}

const (
	defaultMaxKeys = 1 << 18
	minMaxKeys     = 1 << 10
	maxMaxKeys     = 1 << 28
	maxShards      = 64 // one bit of a word each, see lock
)

// Memory is the [Store] of one process. All its memory is allocated at construction; it starts no goroutine and
// reads the clock once a call.
//
// When it is full, keys that hold nothing any more make room first, and no key that holds something ever does:
// a limited client stays limited whatever a flood does. New keys that find no room then share one count for
// each rule, route and network (IPv4 by /16, IPv6 by /32), or, if there is no room for that either, for each
// rule: floods from many addresses are then limited together, with the newcomers of their networks.
type Memory struct {
	start  time.Time
	seed   maphash.Seed
	shards []shard // a power of two of them

	shared      sync.Mutex    // guards nets and rules; taken after the locks of shards
	nets        table         // newcomers without room, by network
	rules       table         // and without room there, by rule
	sharedUntil atomic.Uint32 // coarse time up to which nets or rules hold something

	Namespaces
}

type shard struct {
	mu sync.Mutex
	table
	_ [128 - 32]byte // apart from the neighbour's lock
}

// NewMemory allocates a [Memory].
func NewMemory(c MemoryConfig) (*Memory, error) {
	if c.MaxKeys == 0 {
		c.MaxKeys = defaultMaxKeys
	}
	if c.MaxKeys < minMaxKeys || c.MaxKeys > maxMaxKeys {
		return nil, fmt.Errorf("ratelimit: MaxKeys %d is out of range: give %d to %d", c.MaxKeys, minMaxKeys, maxMaxKeys)
	}
	shards := min(maxShards, 1<<(bits.Len(uint(c.MaxKeys/minMaxKeys))-1))
	m := &Memory{
		start:  time.Now(),
		seed:   maphash.MakeSeed(),
		shards: make([]shard, shards),
		nets:   newTable(min(max(c.MaxKeys/64, minMaxKeys/4), 1<<14)),
		rules:  newTable(minMaxKeys / 4),
	}
	all := newTable(c.MaxKeys)
	each := (len(all) + shards - 1) / shards
	for i := range m.shards {
		m.shards[i].table = all[min(i*each, len(all)-each):][:each:each]
	}
	return m, nil
}

var (
	_ Store   = (*Memory)(nil)
	_ Claimer = (*Memory)(nil)
)

// place is where a request of a call is counted.
type place struct {
	hash uint64
	spot spot // none in a peek that found none
	tier int64
}

// Take implements [Store]. It never fails but for invalid arguments.
func (m *Memory) Take(_ context.Context, reqs []Request, res []Result) error {
	if len(res) < len(reqs) {
		return ErrResults
	}
	if len(reqs) == 1 && m.takeOne(&reqs[0], &res[0]) {
		return nil
	}
	var few [4]place
	places := few[:0]
	if len(reqs) > len(few) {
		places = make([]place, 0, len(reqs))
	}
	var held uint64
	for i := range reqs {
		if !reqs[i].Limit.countable() {
			return ErrInvalidLimit
		}
		h := m.hash(&reqs[i].Key, reqs[i].Limit)
		held |= 1 << m.shardOf(h)
		places = append(places, place{hash: h})
	}

	now := int64(time.Since(m.start))
	m.lock(held)
	at := sharing{m: m, now: now}
	allowed, again := true, false
	for i := range places {
		r, p := &reqs[i], &places[i]
		p.spot = m.shards[m.shardOf(p.hash)].find(p.hash)
		var scratch cell
		if !p.spot.found() {
			if r.Peek && m.sharedUntil.Load() < coarse(now) {
				// Nothing is counted, neither for this key nor for newcomers together: the usual peek.
				res[i] = Result{Allowed: r.weight() <= int64(r.Limit.capacity()), Limit: r.Limit.Max, Remaining: r.Limit.capacity()}
				if !res[i].Allowed {
					res[i].RetryAfter = r.Limit.Window
					allowed = false
				}
				continue
			}
			p.spot, p.tier = at.locate(r, p.hash, &scratch)
		}
		c := &scratch
		if p.tier == tierNone {
			res[i] = Result{Limit: r.Limit.Max, RetryAfter: MinWindow, Reset: MinWindow}
			allowed = false
			continue
		} else if p.spot.found() {
			p.spot.keepUntil(now) // the next requests of the call must not get its place
			c = p.spot.cell()
		}
		c.expire(r.Limit, now)
		weight := r.weight()
		for j := range i {
			if o := &places[j]; !reqs[j].Peek && (o.hash == p.hash || o.spot.found() && o.spot == p.spot) {
				weight += reqs[j].weight()
				again = true
			}
		}
		c.check(r.Limit, weight, now, &res[i])
		allowed = allowed && res[i].Allowed
	}
	if allowed {
		for i := range places {
			if p := &places[i]; !reqs[i].Peek {
				until := p.spot.cell().add(reqs[i].Limit, reqs[i].weight(), now)
				p.spot.keepUntil(until)
				at.used(p.tier, until)
				res[i].counted(reqs[i].weight(), now, p.tier)
				again = again || res[i].Reset == 0
			}
		}
		for i := range places {
			if p := &places[i]; again && p.spot.found() {
				p.spot.cell().check(reqs[i].Limit, 0, now, &res[i])
			}
		}
	}
	at.done()
	m.unlock(held)
	return nil
}

// takeOne is Take for the one request of a call whose key has a place: the most frequent call, without the
// bookkeeping for several. It reports whether it did it. The limit is part of the hash, and one that does not validate
// never gets a place.
func (m *Memory) takeOne(r *Request, res *Result) bool {
	if r.Limit == nil {
		return false
	}
	now := int64(time.Since(m.start))
	h := m.hash(&r.Key, r.Limit)
	s := &m.shards[m.shardOf(h)]
	s.mu.Lock()
	p := s.find(h)
	if !p.found() {
		s.mu.Unlock()
		return false
	}
	c := p.cell()
	if r.Limit.inSlots() && !r.Peek {
		if until, done := c.takeSlots(r.Limit, r.weight(), now, res); done {
			p.keepUntil(until)
			s.mu.Unlock()
			return true
		}
	}
	c.expire(r.Limit, now)
	c.check(r.Limit, r.weight(), now, res)
	if res.Allowed && !r.Peek {
		p.keepUntil(c.add(r.Limit, r.weight(), now))
		res.counted(r.weight(), now, tierOwn)
		if res.Reset == 0 {
			c.check(r.Limit, 0, now, res)
		}
	}
	s.mu.Unlock()
	return true
}

// GiveBack implements [Store]. It never fails but for invalid arguments.
func (m *Memory) GiveBack(_ context.Context, reqs []Request, res []Result) error {
	if len(res) < len(reqs) {
		return ErrResults
	}
	now := int64(time.Since(m.start))
	for i := range reqs {
		if !reqs[i].Limit.countable() {
			return ErrInvalidLimit
		}
	}
	for i := range reqs {
		if !reqs[i].Peek {
			m.giveBack(&reqs[i], res[i].Stamp, now)
		}
	}
	return nil
}

func (m *Memory) giveBack(r *Request, stamp, now int64) {
	k, mu := r.Key, &m.shared
	var t table
	switch stamp & (1<<tierBits - 1) {
	case tierOwn:
		s := &m.shards[m.shardOf(m.hash(&k, r.Limit))]
		t, mu = s.table, &s.mu
	case tierNet:
		t, k = m.nets, r.Key.shared()
	default:
		t, k = m.rules, r.Key.rule()
	}
	mu.Lock()
	defer mu.Unlock()
	if s := t.find(m.hash(&k, r.Limit)); s.found() {
		c := s.cell()
		c.expire(r.Limit, now)
		c.remove(r.Limit, r.weight(), stamp>>tierBits)
	}
}

// counted notes in a result what was added after the check that made it.
func (r *Result) counted(weight, now, tier int64) {
	r.Remaining -= int(weight)
	r.Stamp = now<<tierBits | tier
}

func (m *Memory) hash(k *Key, l *Limit) uint64 {
	h := l.mix(maphash.Bytes(m.seed, k.b[:k.n]))
	if uint32(h) == 0 { // marks a free place
		h++
	}
	return h
}

func (m *Memory) shardOf(h uint64) int { return int(h) & (len(m.shards) - 1) }

// lock takes the locks of the shards in held, in ascending order, so that two calls never wait for each other.
func (m *Memory) lock(held uint64) {
	for ; held != 0; held &= held - 1 {
		m.shards[bits.TrailingZeros64(held)].mu.Lock()
	}
}

func (m *Memory) unlock(held uint64) {
	for ; held != 0; held &= held - 1 {
		m.shards[bits.TrailingZeros64(held)].mu.Unlock()
	}
}
