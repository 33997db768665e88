package apikey

import (
	"context"
	"fmt"
	"time"

	"github.com/merlonhq/merlon/internal/coalesce"
)

const maxPendingUses = 1 << 16

// uses collects when keys were last used until that is written. Without room a use is dropped: the next one is recorded
// when there is.
type uses struct {
	*coalesce.Writes[string, Use] // by ID
}

func newUses(store Store) uses {
	later := func(u, old Use) bool { return u.At.After(old.At) }
	return uses{coalesce.New[string](maxPendingUses, later, store.Touch)}
}

// note records a use and reports whether none of this key was pending.
func (u uses) note(id string, at time.Time) (first bool) { return u.Note(id, Use{ID: id, At: at}) }

// last returns the later of stored and the pending use of id.
func (u uses) last(id string, stored *time.Time) *time.Time {
	if use, pending := u.Get(id); pending {
		return later(stored, &use.At)
	}
	return stored
}

// Flush writes the last use of keys to the store, in batches. What could not be written is kept for the next time.
func (m *Manager) Flush(ctx context.Context) error {
	left, err := m.uses.Flush(ctx)
	if err != nil {
		return fmt.Errorf("apikey: last use of %d keys: %w", left, err)
	}
	return nil
}

// Run flushes once a minute, so that a key is written at most once a minute however often it is used, and a last time
// when ctx ends. It returns then, with the error of that last flush. Errors before go to Config.OnFlushError. With more
// than 32,768 keys used in a minute it flushes sooner, at most once a second.
func (m *Manager) Run(ctx context.Context) error { return m.uses.Run(ctx, m.Flush, m.onFlushError) }
