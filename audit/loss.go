package audit

import (
	"log/slog"
	"sync"
	"time"
)

// A loss is the events that a sink, or the queue, lost since that was told last.
type loss struct {
	mu       sync.Mutex
	n        uint64
	from, to time.Time // of the first and the last of them
}

// add counts one more, which happened at t.
func (l *loss) add(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 || t.Before(l.from) {
		l.from = t
	}
	if l.n == 0 || t.After(l.to) {
		l.to = t
	}
	l.n++
}

// any reports whether something was lost.
func (l *loss) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n > 0
}

// take returns how many were lost, and what an event tells of when, and begins anew.
func (l *loss) take() (n uint64, span []slog.Attr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n > 0 {
		span = []slog.Attr{slog.Time("from", l.from), slog.Time("to", l.to)}
	}
	n, l.n = l.n, 0
	return n, span
}
