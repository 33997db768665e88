package apikey

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	maxPendingUses = 1 << 16
	touchBatch     = 500
)

// uses collects when keys were last used until that is written, once for all uses of a key in between.
type uses struct {
	mu      sync.Mutex
	pending map[string]time.Time // by ID, at most maxPendingUses

	flushing sync.Mutex
}

// note records a use and reports whether none of this key was pending. A full collection drops the use: the next one
// is recorded when there is room.
func (u *uses) note(id string, at time.Time) (first bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	old, pending := u.pending[id]
	switch {
	case !pending && len(u.pending) >= maxPendingUses:
	case !pending || at.After(old):
		u.pending[id] = at
	}
	return !pending
}

// last returns the later of stored and the pending use of id.
func (u *uses) last(id string, stored *time.Time) *time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at, pending := u.pending[id]; pending {
		return later(stored, &at)
	}
	return stored
}

// flush writes what is pending. What could not be written stays pending.
func (u *uses) flush(ctx context.Context, store Store) error {
	u.flushing.Lock()
	defer u.flushing.Unlock()

	u.mu.Lock()
	all := make([]Use, 0, len(u.pending))
	for id, at := range u.pending {
		all = append(all, Use{ID: id, At: at})
	}
	u.mu.Unlock()

	for len(all) > 0 {
		batch := all[:min(touchBatch, len(all))]
		all = all[len(batch):]
		if err := store.Touch(ctx, batch); err != nil {
			return fmt.Errorf("apikey: last use of %d keys: %w", len(batch)+len(all), err)
		}
		u.mu.Lock()
		for _, use := range batch {
			if u.pending[use.ID].Equal(use.At) {
				delete(u.pending, use.ID)
			}
		}
		u.mu.Unlock()
	}
	return nil
}

// Flush writes the last use of keys to the store, in batches. What could not be written is kept for the next time.
func (m *Manager) Flush(ctx context.Context) error { return m.uses.flush(ctx, m.store) }

// Run flushes once a minute, so that a key is written at most once a minute however often it is used, and a last time
// when ctx ends. It returns then, with the error of that last flush. Errors before go to Config.OnFlushError.
func (m *Manager) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := m.Flush(ctx); err != nil && ctx.Err() == nil && m.onFlushError != nil {
				m.onFlushError(err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return m.Flush(last)
		}
	}
}
