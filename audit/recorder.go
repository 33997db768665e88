package audit

import "context"

// A Recorder keeps events.
type Recorder interface {
	// Record takes e and returns at once. It must not block on a disk or a
	// network. What it cannot take it counts.
	Record(e Event)
	// Commit takes e and returns when e would survive a crash of the process,
	// or with the reason why it would not. Privileged actions commit their event
	// before they act: no record, no action.
	Commit(ctx context.Context, e Event) error
}

// Discard is a [Recorder] that keeps nothing.
type Discard struct{}

// Record forgets e.
func (Discard) Record(Event) {}

// Commit forgets e.
func (Discard) Commit(context.Context, Event) error { return nil }
