package password

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// A gate lets a fixed number of callers in at once and a fixed number wait.
type gate struct {
	slots    chan struct{}
	waiting  atomic.Int64
	maxQueue int64
	timeout  time.Duration
}

func newGate(concurrent, queue int, timeout time.Duration) *gate {
	return &gate{slots: make(chan struct{}, concurrent), maxQueue: int64(queue), timeout: timeout}
}

// enter waits for a place. After nil the caller must call leave.
func (g *gate) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("password: %w", err)
	}
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > g.maxQueue {
		return ErrOverloaded
	}
	timer := time.NewTimer(g.timeout)
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return ErrOverloaded
	case <-ctx.Done():
		return fmt.Errorf("password: waiting for a turn: %w", ctx.Err())
	}
}

func (g *gate) leave() { <-g.slots }
