package session

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/merlonhq/merlon/internal/coalesce"
)

const maxPending = 1 << 17 // sessions, about 20 MiB

// lastSeen collects when sessions were seen until that is written. Without room a new one is dropped: such a session may
// end early.
//
// It is keyed by the token's hash, so that a verification can read it before it asks the store.
type lastSeen struct {
	*coalesce.Writes[[sha256.Size]byte, Seen]
}

func newLastSeen(store Store) lastSeen {
	later := func(s, old Seen) bool { return s.At.After(old.At) }
	return lastSeen{coalesce.New[[sha256.Size]byte](maxPending, later, store.Touch)}
}

func (l lastSeen) get(hash [sha256.Size]byte) time.Time {
	s, _ := l.Get(hash)
	return s.At
}

// note records that a session was seen.
func (l lastSeen) note(hash [sha256.Size]byte, id string, at time.Time) {
	l.Note(hash, Seen{ID: id, At: at})
}

// Flush writes when sessions were last seen to the store, in batches. What could not be written is kept for the next
// time.
func (m *Manager) Flush(ctx context.Context) error {
	left, err := m.seen.Flush(ctx)
	if err != nil {
		return fmt.Errorf("session: last sight of %d sessions: %w", left, err)
	}
	return nil
}

// Run flushes once a minute, so that a session is written at most once a minute however many requests it makes, and a
// last time when ctx ends. It returns then, with the error of that last flush. Errors before go to
// Config.OnFlushError. With more than 65,536 sessions active in a minute it flushes sooner, at most once a second.
func (m *Manager) Run(ctx context.Context) error { return m.seen.Run(ctx, m.Flush, m.onFlushError) }
