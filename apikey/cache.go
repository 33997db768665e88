package apikey

import (
	"sync"
	"sync/atomic"
	"time"
)

const cacheShards = 64

// A cache keeps positive verdicts for a short time, and uses them while what others revoked is known. It has no goroutine: stale entries are passed over when found and
// make room when room is needed.
type cache struct {
	ttl      time.Duration
	fresh    func() bool // nil: always
	perShard int
	shards   [cacheShards]cacheShard
}

type cacheShard struct {
	mu sync.Mutex
	m  map[string]*verdict // by look-up id
	// epoch counts what was forgotten. A verdict is kept only if nothing was forgotten since before its record was
	// read: else a read that overlaps a revocation would bring the revoked key back.
	epoch uint64
	_     [64]byte // neighbours do not share a cache line
}

// A verdict is a record whose key was presented, right and usable. It does not change, but for noted.
type verdict struct {
	rec   Record
	sum   [checksumLen]byte // of the key's text
	read  time.Time         // an instant before the record was read
	noted atomic.Int64      // when a use of it was last noted, in microseconds
}

func newCache(ttl time.Duration, size int, fresh func() bool) *cache {
	c := &cache{ttl: ttl, fresh: fresh, perShard: max(1, size/cacheShards)}
	for i := range c.shards {
		c.shards[i].m = make(map[string]*verdict)
	}
	return c
}

// shard spreads the look-up ids, which are random; who presents others gains nothing, as only keys that exist are kept.
func (c *cache) shard(lookup string) *cacheShard {
	return &c.shards[(lookup[lookupLen-1]^lookup[lookupLen-2]<<3)%cacheShards]
}

// get returns the verdict on lookup if it is young enough at now and may be used, and the epoch to put a new one with.
func (c *cache) get(lookup string, now time.Time) (*verdict, uint64) {
	// Asked before the verdict is taken: what a look finds meanwhile is forgotten, but makes what was taken before no newer.
	fresh := c.fresh == nil || c.fresh()
	s := c.shard(lookup)
	s.mu.Lock()
	v, epoch := s.m[lookup], s.epoch
	s.mu.Unlock()
	if v != nil && fresh {
		// An age under zero means that the clock went back: then nothing is known about it.
		if age := now.Sub(v.read); age >= 0 && age < c.ttl {
			return v, epoch
		}
	}
	return nil, epoch
}

func (c *cache) put(v *verdict, epoch uint64) {
	if c.ttl <= 0 {
		return
	}
	s := c.shard(v.rec.Lookup)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return
	}
	if _, replaces := s.m[v.rec.Lookup]; !replaces && len(s.m) >= c.perShard {
		s.makeRoom(v.read, c.ttl)
	}
	s.m[v.rec.Lookup] = v
}

// makeRoom removes the stale entries among a few that the map offers, and one in any case.
func (s *cacheShard) makeRoom(now time.Time, ttl time.Duration) {
	looked := 0
	for lookup, v := range s.m {
		if looked == 0 || now.Sub(v.read) >= ttl {
			delete(s.m, lookup)
		}
		if looked++; looked == 8 {
			return
		}
	}
}

func (c *cache) forget(lookup string) {
	if len(lookup) != lookupLen {
		return
	}
	s := c.shard(lookup)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	delete(s.m, lookup)
}

func (c *cache) forgetAll() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.epoch++
		clear(s.m)
		s.mu.Unlock()
	}
}
