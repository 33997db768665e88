package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/merlonhq/merlon/session"
)

// A fixture is a Manager over a store that can be watched, with a clock that stands.
type fixture struct {
	*session.Manager
	store *watched
	now   time.Time
}

// watched counts calls and fails on demand.
type watched struct {
	session.Store
	err     atomic.Pointer[error]
	lookups atomic.Int64
	touched atomic.Int64
	paused  func() // called after a record was read
	written func() // called after sessions were written
}

func (w *watched) fail(err error) { w.err.Store(&err) }

func (w *watched) failure() error {
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (w *watched) Lookup(ctx context.Context, hash [sha256.Size]byte) (session.Record, error) {
	w.lookups.Add(1)
	if err := w.failure(); err != nil {
		return session.Record{}, err
	}
	r, err := w.Store.Lookup(ctx, hash)
	if w.paused != nil {
		w.paused()
	}
	return r, err
}

func (w *watched) Touch(ctx context.Context, seen []session.Seen) error {
	w.touched.Add(int64(len(seen)))
	if err := w.failure(); err != nil {
		return err
	}
	err := w.Store.Touch(ctx, seen)
	if w.written != nil {
		w.written()
	}
	return err
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func newFixture(t fataler, change func(*session.Config)) *fixture {
	t.Helper()
	store, err := session.NewMemory(5000)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{store: &watched{Store: store}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	cfg := session.Config{Store: f.store, Now: func() time.Time { return f.now }}
	if change != nil {
		change(&cfg)
	}
	if f.Manager, err = session.New(cfg); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) create(t testing.TB, user string) (string, session.Record) {
	t.Helper()
	token, r, err := f.Create(t.Context(), user, session.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	return token, r
}

// verify wants the verdict on a token; nil: it is accepted.
func (f *fixture) verify(t testing.TB, token string, want error) session.Record {
	t.Helper()
	r, err := f.Verify(t.Context(), token, f.now)
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("at %v: Verify: %v, want %v", f.now, err, want)
	}
	return r
}

func TestConfiguration(t *testing.T) {
	store := newMemory(t, 1)
	for name, tt := range map[string]struct {
		cfg  session.Config
		want string
	}{
		"the zero value":              {session.Config{}, "Store is missing"},
		"a store alone":               {session.Config{Store: store}, ""},
		"idle for seconds":            {session.Config{Store: store, IdleTimeout: 59 * time.Second}, "59s"},
		"idle for a minute":           {session.Config{Store: store, IdleTimeout: time.Minute}, ""},
		"idle for longer than all":    {session.Config{Store: store, IdleTimeout: time.Hour, AbsoluteTimeout: 59 * time.Minute}, "59m0s"},
		"idle for as long as all":     {session.Config{Store: store, IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour}, ""},
		"idle for over a day":         {session.Config{Store: store, IdleTimeout: 25 * time.Hour, AbsoluteTimeout: 48 * time.Hour}, "25h"},
		"thirty days":                 {session.Config{Store: store, AbsoluteTimeout: 720 * time.Hour}, ""},
		"more than thirty days":       {session.Config{Store: store, AbsoluteTimeout: 721 * time.Hour}, "721h"},
		"a negative time-out":         {session.Config{Store: store, AbsoluteTimeout: -1}, "-1ns"},
		"a thousand and one sessions": {session.Config{Store: store, MaxPerUser: 1001}, "1001"},
		"several errors, the last":    {session.Config{MaxPerUser: -5}, "-5"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := session.New(tt.cfg)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v, want an error that says %q", err, tt.want)
			}
		})
	}
}

func TestASessionIsStoredUnderTheHashOfA256BitToken(t *testing.T) {
	f := newFixture(t, nil)
	seen := make(map[string]bool)
	for range 200 {
		token, r, err := f.Create(t.Context(), fmt.Sprint("usr_", len(seen)), session.Meta{
			Address:   netip.MustParseAddr("::ffff:192.0.2.7"),
			UserAgent: "Browser/1.0\r\nX: \x00y\xff " + strings.Repeat("é", 200),
		})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
		if err != nil || len(raw) != 32 || len(token) != 43 || seen[token] {
			t.Fatalf("a token of %d bytes (%v) or one that came before", len(raw), err)
		}
		seen[token] = true
		if r.Hash != sha256.Sum256([]byte(token)) {
			t.Fatal("the stored hash is not that of the token")
		}
		if !strings.HasPrefix(r.ID, "ses_") || len(r.ID) != 40 || r.Address != netip.MustParseAddr("192.0.2.7") ||
			!strings.HasPrefix(r.UserAgent, "Browser/1.0X: y ééé") || len(r.UserAgent) > 256 {
			t.Fatalf("the record is %+v", r)
		}
		if got := f.verify(t, token, nil); got != r {
			t.Fatalf("Verify = %+v, want %+v", got, r)
		}
	}
	if _, _, err := f.Create(t.Context(), "", session.Meta{}); err == nil {
		t.Error("a session without a user was created")
	}
}

func TestATokenThatNoSessionHasCostsNoStoreCall(t *testing.T) {
	f := newFixture(t, nil)
	good, _ := f.create(t, "usr_a")
	for name, token := range map[string]string{
		"nothing":                 "",
		"a character short":       good[:42],
		"a character long":        good + "A",
		"a space":                 good[:20] + " " + good[21:],
		"standard base64":         good[:20] + "+" + good[21:],
		"a NUL":                   "\x00" + good[1:],
		"beyond ASCII":            "é" + good[2:],
		"padding":                 good[:42] + "=",
		"no encoding of 32 bytes": good[:42] + "B",
		"a megabyte":              strings.Repeat("A", 1<<20),
	} {
		if _, err := f.Verify(t.Context(), token, f.now); !errors.Is(err, session.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if n := f.store.lookups.Load(); n != 0 {
		t.Errorf("%d look-ups, want none", n)
	}
	f.verify(t, strings.Repeat("A", 43), session.ErrInvalid) // well formed and unknown
	f.verify(t, good, nil)
	if n := f.store.lookups.Load(); n != 2 {
		t.Errorf("%d look-ups, want 2", n)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(strings.Repeat("A", 43))
	f.Add(strings.Repeat("A", 42) + "B")
	f.Add(strings.Repeat("A", 42) + "=")
	f.Add("")
	fix := newFixture(f, nil)
	f.Fuzz(func(t *testing.T, token string) {
		before := fix.store.lookups.Load()
		if _, err := fix.Verify(t.Context(), token, fix.now); !errors.Is(err, session.ErrInvalid) {
			t.Errorf("Verify(%q): %v, want ErrInvalid", token, err)
		}
		raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
		wellFormed := err == nil && len(raw) == 32 && !strings.ContainsAny(token, "\r\n")
		if asked := fix.store.lookups.Load() > before; asked != wellFormed {
			t.Errorf("Verify(%q) asked the store: %v, want %v", token, asked, wellFormed)
		}
	})
}

func TestASessionEndsAtItsTimeOutNotAfterIt(t *testing.T) {
	f := newFixture(t, nil)
	idle, r := f.create(t, "usr_a")
	start := f.now
	f.now = start.Add(30*time.Minute - time.Microsecond)
	f.verify(t, idle, nil)
	f.now = f.now.Add(30*time.Minute - time.Microsecond)
	f.verify(t, idle, nil)
	f.now = f.now.Add(30 * time.Minute)
	if got := f.verify(t, idle, session.ErrExpired); got.ID != r.ID {
		t.Errorf("the record of the expired session is %+v", got)
	}
	f.now = start // even if the clock goes back, then: it was seen later than that
	f.verify(t, idle, nil)

	busy, r := f.create(t, "usr_a")
	for f.now.Before(start.Add(12*time.Hour - time.Minute)) {
		f.now = f.now.Add(time.Minute)
		f.verify(t, busy, nil)
	}
	f.now = start.Add(12*time.Hour - time.Microsecond)
	last := f.verify(t, busy, nil)
	if end := f.ExpiresAt(last); !end.Equal(start.Add(12 * time.Hour)) {
		t.Errorf("ExpiresAt = %v, want %v", end, start.Add(12*time.Hour))
	}
	if end := f.ExpiresAt(r); !end.Equal(start.Add(30 * time.Minute)) {
		t.Errorf("ExpiresAt of the new session = %v, want %v", end, start.Add(30*time.Minute))
	}
	f.now = start.Add(12 * time.Hour)
	f.verify(t, busy, session.ErrExpired)
}

func TestRotationEndsTheOldTokenAndKeepsTheTimeOfTheLogin(t *testing.T) {
	f := newFixture(t, nil)
	old, r := f.create(t, "usr_a")
	f.now = f.now.Add(10 * time.Minute)
	token, next, err := f.Rotate(t.Context(), f.verify(t, old, nil), f.now)
	if err != nil {
		t.Fatal(err)
	}
	if token == old || next.ID == r.ID || next.Hash == r.Hash || next.UserID != "usr_a" || !next.CreatedAt.Equal(r.CreatedAt) || !next.LastSeenAt.Equal(f.now) {
		t.Errorf("Rotate = %+v of %+v", next, r)
	}
	f.verify(t, old, session.ErrInvalid)
	f.verify(t, token, nil)
	if _, _, err := f.Rotate(t.Context(), r, f.now); !errors.Is(err, session.ErrInvalid) {
		t.Errorf("Rotate of a dead session: %v, want ErrInvalid", err)
	}
}

func TestARevokedSessionIsDeadAtOnce(t *testing.T) {
	f := newFixture(t, nil)
	one, r1 := f.create(t, "usr_a")
	two, r2 := f.create(t, "usr_a")
	three, _ := f.create(t, "usr_a")
	other, r4 := f.create(t, "usr_b")
	for _, token := range []string{one, two, three, other} {
		f.verify(t, token, nil)
	}
	if err := f.Revoke(t.Context(), r4.ID, "usr_a"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Revoke of another's session: %v, want ErrNotFound", err)
	}
	if err := f.Revoke(t.Context(), r1.ID, "usr_a"); err != nil {
		t.Error(err)
	}
	f.verify(t, one, session.ErrInvalid)
	if n, err := f.RevokeAll(t.Context(), "usr_a", r2.ID); n != 1 || err != nil {
		t.Errorf("RevokeAll = %d, %v, want 1", n, err)
	}
	f.verify(t, two, nil)
	f.verify(t, three, session.ErrInvalid)
	f.verify(t, other, nil)
	if err := f.Flush(t.Context()); err != nil { // brings nothing back
		t.Error(err)
	}
	f.verify(t, one, session.ErrInvalid)
}

func TestAnOutageOfTheStoreIsNotARefusal(t *testing.T) {
	f := newFixture(t, nil)
	token, _ := f.create(t, "usr_a")
	outage := errors.New("outage")
	f.store.fail(outage)
	_, err := f.Verify(t.Context(), token, f.now)
	if !errors.Is(err, outage) || errors.Is(err, session.ErrInvalid) || errors.Is(err, session.ErrExpired) {
		t.Errorf("Verify: %v, want the outage and no refusal", err)
	}
	if strings.Contains(err.Error(), token) {
		t.Error("the error shows the token")
	}
}

func TestALoginTooManyEndsTheSessionNotSeenForLongest(t *testing.T) {
	f := newFixture(t, func(c *session.Config) { c.MaxPerUser = 3 })
	var tokens []string
	for range 3 {
		token, _ := f.create(t, "usr_a")
		tokens = append(tokens, token)
	}
	f.now = f.now.Add(time.Minute)
	f.verify(t, tokens[0], nil)
	f.verify(t, tokens[2], nil)
	token, _ := f.create(t, "usr_a")
	f.verify(t, tokens[1], session.ErrInvalid)
	for _, token := range []string{tokens[0], tokens[2], token} {
		f.verify(t, token, nil)
	}
}

func TestListShowsLiveSessionsAndWhenTheyWereSeen(t *testing.T) {
	f := newFixture(t, nil)
	f.create(t, "usr_a")
	f.now = f.now.Add(20 * time.Minute)
	token, r := f.create(t, "usr_a")
	f.now = f.now.Add(10 * time.Minute) // the first is over
	f.verify(t, token, nil)
	list, err := f.List(t.Context(), "usr_a")
	if err != nil || len(list) != 1 || list[0].ID != r.ID || !list[0].LastSeenAt.Equal(f.now) {
		t.Errorf("List = %+v, %v", list, err)
	}
}

func TestSweepDeletesWhatIsOver(t *testing.T) {
	f := newFixture(t, nil)
	f.create(t, "usr_a")
	used, _ := f.create(t, "usr_a")
	f.now = f.now.Add(20 * time.Minute)
	f.verify(t, used, nil) // not written yet
	f.now = f.now.Add(16 * time.Minute)
	if n, err := f.Sweep(t.Context(), f.now); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v, want 1", n, err)
	}
	f.verify(t, used, nil)

	f.store.fail(errors.New("outage"))
	f.now = f.now.Add(time.Hour)
	if n, err := f.Sweep(t.Context(), f.now); n != 0 || err == nil {
		t.Errorf("Sweep with unwritten sessions = %d, %v, want 0 and an error", n, err)
	}
}

func TestASessionIsSafeForConcurrentUse(t *testing.T) {
	f := newFixture(t, nil)
	var tokens []string
	for i := range 20 {
		token, _ := f.create(t, fmt.Sprint("usr_", i%4))
		tokens = append(tokens, token)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 200 {
				if _, err := f.Verify(t.Context(), tokens[(i+w)%20], f.now.Add(time.Duration(i)*time.Second)); err != nil {
					t.Error(err)
				}
				if i%40 == 0 {
					if err := f.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestVerifyDoesNotAllocate(t *testing.T) {
	f := newFixture(t, nil)
	token, _ := f.create(t, "usr_a")
	ctx := t.Context()
	f.verify(t, token, nil)
	if n := testing.AllocsPerRun(100, func() {
		f.now = f.now.Add(time.Millisecond)
		f.Verify(ctx, token, f.now)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	f := newFixture(b, nil)
	token, _ := f.create(b, "usr_a")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Verify(b.Context(), token, f.now); err != nil {
			b.Fatal(err)
		}
	}
}

func TestOtherTimeOutsAreOfTheSameSessions(t *testing.T) {
	f := newFixture(t, nil)
	token, _, err := f.Create(t.Context(), "usr_a", session.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	next, err := f.WithTimeouts(10*time.Minute, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	// Seen by the one, which has not written it, and so by the other.
	if _, err := f.Verify(t.Context(), token, f.now.Add(9*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := next.Verify(t.Context(), token, f.now.Add(18*time.Minute)); err != nil {
		t.Errorf("seen nine minutes ago: %v", err)
	}
	if _, err := next.Verify(t.Context(), token, f.now.Add(28*time.Minute)); !errors.Is(err, session.ErrExpired) {
		t.Errorf("seen ten minutes ago: %v, want ErrExpired", err)
	}
	if _, err := f.Verify(t.Context(), token, f.now.Add(28*time.Minute)); err != nil {
		t.Errorf("by the former time-outs: %v", err)
	}
	if _, err := f.WithTimeouts(time.Hour, time.Minute); err == nil {
		t.Error("an idle time-out above the absolute one is accepted")
	}
}
