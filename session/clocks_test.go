package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/merlonhq/merlon/session"
)

// Two nodes whose clocks are ten minutes apart share a store. Time-outs are off by that much at most, either way; the
// end of a session is not.
func TestClocksTenMinutesApart(t *testing.T) {
	const apart, idle = 10 * time.Minute, 30 * time.Minute
	store, err := session.NewMemory(100)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	node := func(ahead time.Duration) (*session.Manager, func(after time.Duration) time.Time) {
		now := func(after time.Duration) time.Time { return start.Add(ahead + after) }
		m, err := session.New(session.Config{Store: store, IdleTimeout: idle, AbsoluteTimeout: time.Hour, Now: func() time.Time { return now(0) }})
		if err != nil {
			t.Fatal(err)
		}
		return m, now
	}
	behind, behindNow := node(0)
	ahead, aheadNow := node(apart)
	begin := func(m *session.Manager) (string, session.Record) {
		token, r, err := m.Create(t.Context(), "usr_a", session.Meta{})
		if err != nil {
			t.Fatal(err)
		}
		return token, r
	}
	is := func(m *session.Manager, token string, now time.Time, want error) {
		t.Helper()
		if _, err := m.Verify(t.Context(), token, now); !errors.Is(err, want) {
			t.Errorf("Verify: %v, want %v", err, want)
		}
	}
	for _, tt := range []struct {
		made, used *session.Manager
		usedNow    func(time.Duration) time.Time
		ends       time.Duration
	}{
		{behind, ahead, aheadNow, idle - apart},  // too early
		{ahead, behind, behindNow, idle + apart}, // too late
	} {
		token, _ := begin(tt.made)
		is(tt.used, token, tt.usedNow(tt.ends), session.ErrExpired)
		is(tt.used, token, tt.usedNow(tt.ends-time.Microsecond), nil)
		token, r := begin(tt.made)
		is(tt.used, token, tt.usedNow(0), nil)
		if err := tt.made.Revoke(t.Context(), r.ID, "usr_a"); err != nil {
			t.Fatal(err)
		}
		is(tt.used, token, tt.usedNow(0), session.ErrInvalid)
		token, r = begin(tt.made)
		if err := tt.used.Revoke(t.Context(), r.ID, "usr_a"); err != nil {
			t.Fatal(err)
		}
		is(tt.made, token, start, session.ErrInvalid)
	}
}
