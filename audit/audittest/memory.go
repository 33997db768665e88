// Package audittest helps to test what records events, and what keeps them:
// [Memory] is a recorder to look into, [RunSink] is the conformance suite of
// [audit.Sink].
package audittest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/internal/uuid7"
)

const (
	maxEvents = 10_000
	patience  = 5 * time.Second
)

// A Memory is an [audit.Recorder] that keeps events for a test to look at. Its
// zero value is ready. It keeps the first 10,000; what comes after is counted.
type Memory struct {
	mu      sync.Mutex
	events  []audit.Event
	dropped int
	refusal error
	changed chan struct{} // closed when an event comes
}

var _ audit.Recorder = (*Memory)(nil)

// Record keeps e, complete, with an id and a time.
func (m *Memory) Record(e audit.Event) {
	if e.Type == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(e)
}

// Commit keeps e, unless [Memory.Refuse] says otherwise or ctx has ended.
func (m *Memory) Commit(ctx context.Context, e audit.Event) error {
	if e.Type == "" {
		return fmt.Errorf("%w: it has no type", audit.ErrNotRecorded)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refusal != nil {
		return fmt.Errorf("%w: %w", audit.ErrNotRecorded, m.refusal)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", audit.ErrNotRecorded, context.Cause(ctx))
	}
	m.keep(e)
	return nil
}

func (m *Memory) keep(e audit.Event) {
	if len(m.events) == maxEvents {
		m.dropped++
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.ID == "" {
		e.ID = "evt_" + uuid7.New(e.Time)
	}
	e.Detail = slices.Clone(e.Detail)
	m.events = append(m.events, e.Complete())
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// Refuse makes every Commit from now on fail with err, or succeed again when err is nil.
func (m *Memory) Refuse(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusal = err
}

// Events returns the events so far, oldest first; with types, only those of one of them.
func (m *Memory) Events(types ...audit.Type) []audit.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of(types)
}

func (m *Memory) of(types []audit.Type) []audit.Event {
	events := slices.Clone(m.events)
	if len(types) == 0 {
		return events
	}
	return slices.DeleteFunc(events, func(e audit.Event) bool { return !slices.Contains(types, e.Type) })
}

// Dropped returns how many events came after the first 10,000.
func (m *Memory) Dropped() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped
}

// Reset forgets the events.
func (m *Memory) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events, m.dropped = nil, 0
}

// Wait returns the events as soon as there are n of them; with types, of these
// types. It fails the test when they do not come within five seconds.
func (m *Memory) Wait(t testing.TB, n int, types ...audit.Type) []audit.Event {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		m.mu.Lock()
		events := m.of(types)
		if m.changed == nil {
			m.changed = make(chan struct{})
		}
		changed := m.changed
		m.mu.Unlock()
		if len(events) >= n {
			return events
		}
		select {
		case <-changed:
		case <-timeout.C:
			t.Fatalf("%d events of types %v after %v, want %d", len(events), types, patience, n)
		}
	}
}
