package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/session"
	"pgregory.net/rapid"
)

// Whatever happens in between (writes, failing writes, sweeps, rotations), a session is accepted exactly when a naive
// list of its accepted requests says so.
func TestTimeOutsAgreeWithANaiveOracle(t *testing.T) {
	const idle, absolute = 10 * time.Minute, 45 * time.Minute
	rapid.Check(t, func(t *rapid.T) {
		f := newFixture(t, func(c *session.Config) { c.IdleTimeout, c.AbsoluteTimeout = idle, absolute })
		ctx := context.Background()
		token, r, err := f.Create(ctx, "usr_a", session.Meta{})
		if err != nil {
			t.Fatal(err)
		}
		created, seen := f.now, f.now
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			f.now = f.now.Add(time.Duration(rapid.OneOf(
				rapid.Int64Range(0, int64(2*time.Minute)),
				rapid.SampledFrom([]int64{int64(idle), int64(idle) - 1000, int64(idle) + 1000, 0}),
			).Draw(t, "pause")).Truncate(time.Microsecond))
			alive := f.now.Sub(seen) < idle && f.now.Sub(created) < absolute
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				if err := f.Flush(ctx); err != nil {
					t.Fatal(err)
				}
			case 1:
				f.store.fail(errors.New("outage"))
				f.Flush(ctx)
				f.store.fail(nil)
			case 2:
				if _, err := f.Sweep(ctx, f.now); err != nil {
					t.Fatal(err)
				}
			case 3:
				list, err := f.List(ctx, "usr_a")
				if err != nil || (len(list) == 1) != alive {
					t.Fatalf("List has %d sessions, %v; alive: %v", len(list), err, alive)
				}
			default:
				got, err := f.Verify(ctx, token, f.now)
				switch {
				case alive && err == nil:
					if !got.LastSeenAt.Equal(f.now) || got.ID != r.ID {
						t.Fatalf("Verify = %+v at %v", got, f.now)
					}
					seen = f.now
					if rapid.Bool().Draw(t, "rotate") {
						old := token
						if token, r, err = f.Rotate(ctx, got, f.now); err != nil {
							t.Fatal(err)
						}
						if _, err := f.Verify(ctx, old, f.now); !errors.Is(err, session.ErrInvalid) {
							t.Fatalf("the old token: %v, want ErrInvalid", err)
						}
					}
				case !alive && (errors.Is(err, session.ErrExpired) || errors.Is(err, session.ErrInvalid)): // invalid: swept
				default:
					t.Fatalf("Verify at %v after the login and %v idle: %v, want it alive: %v", f.now.Sub(created), f.now.Sub(seen), err, alive)
				}
			}
		}
	})
}

func TestAWriteWhileASessionIsVerifiedLosesNothing(t *testing.T) {
	f := newFixture(t, nil)
	token, _ := f.create(t, "usr_a")
	f.now = f.now.Add(29 * time.Minute)
	f.verify(t, token, nil)
	f.now = f.now.Add(29 * time.Minute)
	f.store.paused = func() { // the record was read as it was before
		if err := f.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	f.verify(t, token, nil)
}

func TestASightWhileOthersAreWrittenIsNotLost(t *testing.T) {
	f := newFixture(t, nil)
	token, _ := f.create(t, "usr_a")
	f.now = f.now.Add(time.Minute)
	f.verify(t, token, nil)
	f.store.written = func() {
		f.store.written = nil
		f.now = f.now.Add(29 * time.Minute)
		f.verify(t, token, nil)
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(29 * time.Minute)
	f.verify(t, token, nil)
}

func TestASlowRequestDoesNotTakeBackWhatAQuickOneSaw(t *testing.T) {
	f := newFixture(t, nil)
	token, _ := f.create(t, "usr_a")
	slow := f.now.Add(time.Minute)
	f.now = f.now.Add(29 * time.Minute)
	f.store.paused = func() {
		f.store.paused = nil
		f.verify(t, token, nil)
	}
	if _, err := f.Verify(t.Context(), token, slow); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(29 * time.Minute)
	f.verify(t, token, nil)
}

func TestASessionIsWrittenOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		token, _ := f.create(t, "usr_a")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		start := f.now
		for i := range 150 { // two and a half minutes
			synctest.Wait()
			f.now = start.Add(time.Duration(i) * time.Second)
			f.verify(t, token, nil)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := f.store.touched.Load(); n != 2 {
			t.Errorf("%d writes in two and a half minutes, want 2", n)
		}
		f.store.fail(errors.New("outage"))
		time.Sleep(time.Minute)
		synctest.Wait()
		f.store.fail(nil)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		list, err := f.store.List(t.Context(), "usr_a", 10)
		if err != nil || len(list) != 1 || !list[0].LastSeenAt.Equal(f.now) {
			t.Errorf("after Run: %+v, %v, want it seen at %v", list, err, f.now)
		}
	})
}

func TestRunTellsOfWhatItCouldNotWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outage := errors.New("outage")
		told := make(chan error, 10)
		f := newFixture(t, func(c *session.Config) { c.OnFlushError = func(err error) { told <- err } })
		token, _ := f.create(t, "usr_a")
		f.now = f.now.Add(time.Second)
		f.verify(t, token, nil)
		f.store.fail(outage)
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		if err := f.Run(ctx); !errors.Is(err, outage) {
			t.Errorf("Run: %v, want the outage", err)
		}
		if len(told) != 1 || !errors.Is(<-told, outage) {
			t.Errorf("OnFlushError was not told of the outage once")
		}
	})
}
