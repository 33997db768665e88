package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/audit"
	refusal "github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/store/sqlstore"
)

func TestADatabaseThatIsLostIsGivenUpAndComesBackByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var events []audit.Event
		checks, back := 0, false
		b := newDatabaseBreaker(func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("the probe has no deadline")
			}
			if checks++; !back {
				return io.ErrUnexpectedEOF
			}
			return nil
		}, slog.New(slog.DiscardHandler), func(e audit.Event) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, e)
		})
		defer b.Close()
		lost := fmt.Errorf("%w: %w", sqlstore.ErrUnavailable, context.DeadlineExceeded)
		fail := func(times int, err error) {
			for range times {
				if b.Away() == nil {
					b.Done(err)
				}
			}
		}
		fail(10, lost) // start-up has a patience of its own
		if err := b.Away(); err != nil {
			t.Fatalf("before it serves: %v", err)
		}
		b.armed.Store(true)
		fail(100, errors.New("a constraint"))
		fail(100, context.Canceled)
		fail(2, lost)
		if err := b.Away(); err != nil {
			t.Fatalf("after two failures: %v", err)
		}
		b.Done(lost)
		err := b.Away()
		if err == nil {
			t.Fatal("after three failures a call is made")
		}
		p := refusal.Unavailable(fmt.Errorf("%w: %w", sqlstore.ErrUnavailable, err))
		if p.Status() != 503 || p.RetryAfter <= 0 || !p.IsTold() {
			t.Errorf("the answer is %d, Retry-After %v, told %v", p.Status(), p.RetryAfter, p.IsTold())
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if checks < 30 || b.Away() == nil {
			t.Errorf("%d probes in ten seconds, away %v", checks, b.Away())
		}
		back = true
		time.Sleep(time.Second)
		synctest.Wait()
		if err := b.Away(); err != nil {
			t.Errorf("a second after it is back: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(events) != 2 || events[0].Type != audit.SysDegraded || events[1].Type != audit.SysRecovered {
			t.Errorf("events %+v, want one of each", events)
		}
	})
}
