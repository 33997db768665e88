package password

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheGateAdmitsAFixedNumberAndQueuesAFixedNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, 3, time.Minute)
		var inside, most, overloaded atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				switch err := g.enter(t.Context()); {
				case errors.Is(err, ErrOverloaded):
					overloaded.Add(1)
					return
				case err != nil:
					t.Error(err)
					return
				}
				defer g.leave()
				most.Store(max(most.Load(), inside.Add(1)))
				time.Sleep(time.Second)
				inside.Add(-1)
			})
		}
		wg.Wait()
		if most.Load() > 2 || overloaded.Load() != 45 {
			t.Errorf("at most %d at once and %d refused, want 2 and 45", most.Load(), overloaded.Load())
		}
		if g.waiting.Load() != 0 || len(g.slots) != 0 {
			t.Errorf("%d still wait and %d are still inside, want none", g.waiting.Load(), len(g.slots))
		}
	})
}

func TestWaitingEndsWithTheTimeOutAndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 1, 2*time.Second)
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := g.enter(t.Context()); !errors.Is(err, ErrOverloaded) || time.Since(start) != 2*time.Second {
			t.Errorf("enter: %v after %v, want ErrOverloaded after 2s", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("enter: %v, want context.DeadlineExceeded", err)
		}
		g.leave()
		if err := g.enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("enter of a dead context with a free place: %v, want context.DeadlineExceeded", err)
		}
		if err := g.enter(t.Context()); err != nil {
			t.Errorf("enter of a free gate: %v", err)
		}
	})
}
