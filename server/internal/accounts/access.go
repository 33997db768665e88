package accounts

import (
	"context"
	"sync"
	"time"
)

// Access returns the role of the account id and whether it is disabled, as they are or were at most AccessTTL ago, or
// ErrNotFound. What others changed is known within the bound of Fresh. When the database does not answer and nothing
// fresh is known the error is sqlstore.ErrUnavailable: the
// caller must not go on.
func (s *Store) Access(ctx context.Context, id string) (role string, disabled bool, err error) {
	now := s.now() // before the read: what is read is at least as new
	if e, ok := s.cache.get(id, now); ok {
		return e.role, e.disabled, nil
	}
	return s.readAccess(ctx, id, now)
}

// readAccess is apart from Access because its results escape to the heap.
func (s *Store) readAccess(ctx context.Context, id string, now time.Time) (role string, disabled bool, err error) {
	round := s.cache.begin()
	found, err := s.db.Get(ctx, access, []any{id}, &role, &disabled)
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return "", false, err
	}
	s.cache.put(id, entry{role, disabled, now}, round)
	return role, disabled, nil
}

// A cache keeps answers of Access. The zero time to live, and entries of a time to come, are never fresh.
type cache struct {
	ttl  time.Duration
	live func() bool // whether what others changed is known; nil: always
	max  int

	mu      sync.RWMutex
	entries map[string]entry
	round   uint64 // counts the changes that were made
}

type entry struct {
	role     string
	disabled bool
	at       time.Time
}

func (c *cache) fresh(e entry, now time.Time) bool {
	age := now.Sub(e.at)
	return age >= 0 && age < c.ttl
}

func (c *cache) get(id string, now time.Time) (entry, bool) {
	// Asked before the answer is taken: a look that ends in between forgets it, but makes what was taken no newer.
	live := c.live == nil || c.live()
	c.mu.RLock()
	e, ok := c.entries[id]
	c.mu.RUnlock()
	return e, ok && live && c.fresh(e, now)
}

// begin returns the round in which a read begins.
func (c *cache) begin() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.round
}

// put keeps e, unless something was changed since the read began: then e may be from before.
func (c *cache) put(id string, e entry, round uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.round != round {
		return
	}
	if _, ok := c.entries[id]; !ok && len(c.entries) >= c.max {
		c.makeRoom(e.at)
	}
	c.entries[id] = e
}

// makeRoom drops what is stale among a few entries, and one of them in any case.
func (c *cache) makeRoom(now time.Time) {
	looked := 0
	for id, e := range c.entries { // in an order that nobody can choose
		if looked == 0 || !c.fresh(e, now) {
			delete(c.entries, id)
		}
		if looked++; looked == 8 {
			return
		}
	}
}

func (c *cache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round++
	delete(c.entries, id)
}

// Forget drops what is known of the account id, when another process changed it.
func (s *Store) Forget(id string) { s.cache.forget(id) }

// ForgetAll drops what is known of all, when other processes changed it is not known which.
func (s *Store) ForgetAll() { s.cache.forgetAll() }

func (c *cache) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round++
	clear(c.entries)
}
