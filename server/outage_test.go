package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/merlonhq/merlon/audit"
	refusal "github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/server/internal/postgres"
	"github.com/merlonhq/merlon/store/sqlstore"
)

func TestADatabaseThatIsLostIsGivenUpAndComesBackByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var events []audit.Event
		var checks atomic.Int64
		var back atomic.Bool
		b := newDatabaseBreaker(func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("the probe has no deadline")
			}
			if checks.Add(1); !back.Load() {
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
		broken := fmt.Errorf("%w: %w", sqlstore.ErrUnavailable, io.ErrUnexpectedEOF)
		fail := func(times int, err error) {
			for range times {
				if b.Away() == nil {
					b.Done(err)
				}
			}
		}
		fail(10, lost)
		fail(10, broken) // start-up has a patience of its own
		if err := b.Away(); err != nil {
			t.Fatalf("before it serves: %v", err)
		}
		b.armed.Store(true)
		fail(100, errors.New("a constraint"))
		fail(100, context.Canceled)
		back.Store(true)
		fail(100, lost) // somebody asks for what takes long, of a database that answers
		synctest.Wait()
		if err := b.Away(); err != nil || checks.Load() == 0 {
			t.Fatalf("slow calls to a database that answers: %v after %d probes", err, checks.Load())
		}
		back.Store(false)
		fail(2, broken)
		if err := b.Away(); err != nil {
			t.Fatalf("after two failures: %v", err)
		}
		b.Done(broken)
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
		if checks.Load() < 30 || b.Away() == nil {
			t.Errorf("%d probes in ten seconds, away %v", checks.Load(), b.Away())
		}
		back.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		if err := b.Away(); err != nil {
			t.Errorf("a second after it is back: %v", err)
		}
		mu.Lock()
		told := slices.Clone(events)
		mu.Unlock()
		if len(told) != 2 || told[0].Type != audit.SysDegraded || told[1].Type != audit.SysRecovered {
			t.Errorf("events %+v, want one of each", told)
		}
		// One call without an answer is enough when the probe has none either.
		time.Sleep(time.Minute)
		back.Store(false)
		b.Done(lost)
		synctest.Wait()
		if b.Away() == nil {
			t.Error("calls are made of a database that hangs")
		}
	})
}

// What can be read is not away, although it takes no writes: unless it is a standby, which may not know what was revoked.
func TestADatabaseThatTakesNoWritesIsNotAwayButAStandbyIs(t *testing.T) {
	refused := fmt.Errorf("%w: %w", sqlstore.ErrUnavailable, &pgconn.PgError{Code: "25006"})
	slow := fmt.Errorf("%w: %w", sqlstore.ErrUnavailable, context.DeadlineExceeded)
	for _, tt := range []struct {
		name        string
		check, call error
		away        bool
	}{
		{"a slow call, read-only", postgres.ErrReadOnly, slow, false},
		{"a slow call, without rights", postgres.ErrDenied, slow, false},
		{"a slow call, without access", fmt.Errorf("%w: %w", postgres.ErrDenied, &pgconn.PgError{Code: "28P01"}), slow, true},
		{"a write, read-only", postgres.ErrReadOnly, refused, false},
		{"a write, all is well again", nil, refused, false},
		{"a write, a standby", fmt.Errorf("%w: %w", postgres.ErrReadOnly, postgres.ErrStandby), refused, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newDatabaseBreaker(func(context.Context) error { return tt.check }, slog.New(slog.DiscardHandler), func(audit.Event) {})
				defer b.Close()
				b.armed.Store(true)
				b.Done(tt.call)
				synctest.Wait()
				if err := b.Away(); (err != nil) != tt.away {
					t.Errorf("away: %v, want %v", err, tt.away)
				}
			})
		})
	}
}
