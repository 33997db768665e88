// Package coalesce collects what changes often and is written seldom, such as when something was last used: once a
// minute for all changes of it in between. Whoever notes a change waits for no write.
package coalesce

import (
	"context"
	"sync"
	"time"
)

const (
	interval = time.Minute
	batch    = 500
	// lastFlush is what the last flush may take.
	lastFlush = 5 * time.Second
)

// Writes are the values that are not written yet, by key. They are safe for concurrent use.
type Writes[K, V comparable] struct {
	max   int
	newer func(v, old V) bool
	write func(context.Context, []V) error

	mu      sync.Mutex
	pending map[K]V

	flushing sync.Mutex
	crowded  chan struct{} // has an element when there are more than half of max
}

// New returns Writes of at most max values. Of two for one key the one that is newer counts. Write is given at most
// 500 at a time, and does not keep them.
func New[K, V comparable](max int, newer func(v, old V) bool, write func(context.Context, []V) error) *Writes[K, V] {
	return &Writes[K, V]{max: max, newer: newer, write: write, pending: make(map[K]V), crowded: make(chan struct{}, 1)}
}

// Note collects a value and reports whether none was pending for k. Without room for another key v is dropped.
func (w *Writes[K, V]) Note(k K, v V) (first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old, pending := w.pending[k]
	if pending && w.newer(v, old) || !pending && len(w.pending) < w.max {
		w.pending[k] = v
	}
	if len(w.pending) > w.max/2 {
		select {
		case w.crowded <- struct{}{}:
		default:
		}
	}
	return !pending
}

// Get returns the value that is pending for k.
func (w *Writes[K, V]) Get(k K) (v V, pending bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, pending = w.pending[k]
	return v, pending
}

// Flush writes what is pending, and returns the first error of a write, with how many values are left. What is not
// written stays pending, and so does what was noted meanwhile: a value leaves only after it was written, so whoever does
// not find it here any more finds it there.
func (w *Writes[K, V]) Flush(ctx context.Context) (left int, err error) {
	w.flushing.Lock()
	defer w.flushing.Unlock()

	w.mu.Lock()
	keys, all := make([]K, 0, len(w.pending)), make([]V, 0, len(w.pending))
	for k, v := range w.pending {
		keys, all = append(keys, k), append(all, v)
	}
	w.mu.Unlock()

	for len(all) > 0 {
		n := min(batch, len(all))
		if err := w.write(ctx, all[:n:n]); err != nil {
			return len(all), err
		}
		w.mu.Lock()
		for i, k := range keys[:n] {
			if w.pending[k] == all[i] {
				delete(w.pending, k)
			}
		}
		w.mu.Unlock()
		keys, all = keys[n:], all[n:]
	}
	return 0, nil
}

// Run calls flush, which calls Flush, once a minute, and a last time when ctx ends; it returns the error of that one.
// Errors before go to failed, unless that is nil. When more than half of the room is taken it flushes sooner, at most
// once a second.
func (w *Writes[K, V]) Run(ctx context.Context, flush func(context.Context) error, failed func(error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-w.crowded:
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			return flush(last)
		}
		if err := flush(ctx); err != nil && ctx.Err() == nil && failed != nil {
			failed(err)
		}
	}
}
