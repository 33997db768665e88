package session

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

const (
	maxPending = 1 << 17 // sessions, about 20 MiB
	touchBatch = 500
)

// lastSeen collects when sessions were seen until that is written, once for all requests of a session in between.
//
// It is keyed by the token's hash, so that a verification can read it before it asks the store. An entry is removed
// only after it was written: whoever does not find it here any more finds it there.
type lastSeen struct {
	mu      sync.Mutex
	pending map[[sha256.Size]byte]Seen

	flushing sync.Mutex
	crowded  chan struct{} // has an element when the collection is more than half full
}

func newLastSeen() *lastSeen {
	return &lastSeen{pending: make(map[[sha256.Size]byte]Seen), crowded: make(chan struct{}, 1)}
}

func (l *lastSeen) get(hash [sha256.Size]byte) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending[hash].At
}

// note records that a session was seen. A full collection drops what is new: such a session may end early.
func (l *lastSeen) note(hash [sha256.Size]byte, id string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, pending := l.pending[hash]
	switch {
	case pending && !at.After(old.At):
	case pending || len(l.pending) < maxPending:
		l.pending[hash] = Seen{ID: id, At: at}
	}
	if len(l.pending) > maxPending/2 {
		select {
		case l.crowded <- struct{}{}:
		default:
		}
	}
}

// flush writes what is pending. What could not be written stays pending.
func (l *lastSeen) flush(ctx context.Context, store Store) error {
	l.flushing.Lock()
	defer l.flushing.Unlock()

	l.mu.Lock()
	hashes := make([][sha256.Size]byte, 0, len(l.pending))
	all := make([]Seen, 0, len(l.pending))
	for hash, s := range l.pending {
		hashes = append(hashes, hash)
		all = append(all, s)
	}
	l.mu.Unlock()

	for len(all) > 0 {
		n := min(touchBatch, len(all))
		if err := store.Touch(ctx, all[:n]); err != nil {
			return fmt.Errorf("session: last sight of %d sessions: %w", len(all), err)
		}
		l.mu.Lock()
		for i, hash := range hashes[:n] {
			if l.pending[hash] == all[i] {
				delete(l.pending, hash)
			}
		}
		l.mu.Unlock()
		hashes, all = hashes[n:], all[n:]
	}
	return nil
}

// Flush writes when sessions were last seen to the store, in batches. What could not be written is kept for the next
// time.
func (m *Manager) Flush(ctx context.Context) error { return m.seen.flush(ctx, m.store) }

// Run flushes once a minute, so that a session is written at most once a minute however many requests it makes, and a
// last time when ctx ends. It returns then, with the error of that last flush. Errors before go to
// Config.OnFlushError. With more than 65,536 sessions active in a minute it flushes sooner, at most once a second.
func (m *Manager) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-m.seen.crowded:
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return m.Flush(last)
		}
		if err := m.Flush(ctx); err != nil && ctx.Err() == nil && m.onFlushError != nil {
			m.onFlushError(err)
		}
	}
}
