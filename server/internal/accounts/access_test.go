package accounts_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server/internal/accounts"
)

// is wants what Access says about id: "admin", "user disabled", or "none".
func is(t *testing.T, s *accounts.Store, id, want string) {
	t.Helper()
	role, disabled, err := s.Access(t.Context(), id)
	got := role
	if disabled {
		got += " disabled"
	}
	if errors.Is(err, accounts.ErrNotFound) {
		got, err = "none", nil
	}
	if err != nil || got != want {
		t.Errorf("Access = %q, %v, want %q", got, err, want)
	}
}

func TestAccessSeesWhatThisProcessChangedAtOnce(t *testing.T) {
	f := setUp(t, 0)
	is(t, f.Store, "usr_x", "none")
	id := f.create(t, "alice", "alice@example.com").ID
	is(t, f.Store, id, "user")
	for _, step := range []struct {
		change func() error
		want   string
	}{
		{func() error { return f.SetRole(t.Context(), id, "admin") }, "admin"},
		{func() error { return f.SetDisabled(t.Context(), id, true) }, "admin disabled"},
		{func() error { return f.SetRole(t.Context(), id, "user") }, "user disabled"},
		{func() error { return f.SetDisabled(t.Context(), id, false) }, "user"},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		is(t, f.Store, id, step.want)
	}
	for what, err := range map[string]error{"SetRole": f.SetRole(t.Context(), "usr_x", "admin"), "SetDisabled": f.SetDisabled(t.Context(), "usr_x", true)} {
		if !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("%s of nobody: %v, want ErrNotFound", what, err)
		}
	}
}

func TestAccessSeesWhatAnotherProcessChangedWithinASecond(t *testing.T) {
	f := setUp(t, 0)
	id := f.create(t, "alice", "alice@example.com").ID
	other := newStore(t, f.db, f.clock, 0)
	is(t, f.Store, id, "user")
	if err := other.SetDisabled(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	f.advance(time.Second - time.Microsecond)
	is(t, f.Store, id, "user") // kept: that is what the cache is for
	f.advance(time.Microsecond)
	is(t, f.Store, id, "user disabled")
	if err := other.SetDisabled(t.Context(), id, false); err != nil {
		t.Fatal(err)
	}
	f.advance(-time.Hour) // a clock that was set back must not make an answer live longer
	is(t, f.Store, id, "user")
}

func TestAccessOutlivesAnOutageForNoLongerThanItsBound(t *testing.T) {
	f := setUp(t, 0)
	id := f.create(t, "alice", "alice@example.com").ID
	is(t, f.Store, id, "user")
	f.file.Close()
	f.advance(999 * time.Millisecond)
	is(t, f.Store, id, "user")
	f.advance(time.Millisecond)
	if role, _, err := f.Access(t.Context(), id); err == nil || role != "" {
		t.Errorf("Access = %q, %v, want an error", role, err)
	}
}

func TestTheCacheOfAccessIsBounded(t *testing.T) {
	f := setUp(t, 3)
	var ids []string
	for i := range 6 {
		ids = append(ids, f.create(t, fmt.Sprintf("user%d", i), fmt.Sprintf("user%d@example.com", i)).ID)
	}
	for range 3 {
		for _, id := range ids {
			is(t, f.Store, id, "user")
			if n := f.Entries(); n > 3 {
				t.Fatalf("%d answers are kept, want at most 3", n)
			}
		}
	}
	if n := f.Entries(); n != 3 {
		t.Errorf("%d answers are kept, want 3", n)
	}
	is(t, f.Store, "usr_x", "none")
	if n := f.Entries(); n != 3 {
		t.Errorf("after an account that is not there %d answers are kept, want 3", n)
	}
}

// A read that began before a change must not leave its answer behind after it.
func TestAReadThatAChangeOvertookIsNotKept(t *testing.T) {
	f := setUp(t, 0)
	id := f.create(t, "alice", "alice@example.com").ID
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				f.Access(t.Context(), id)
			}
		})
	}
	for i := range 20 {
		role := []string{"admin", "user"}[i%2]
		if err := f.SetRole(t.Context(), id, role); err != nil {
			t.Fatal(err)
		}
		is(t, f.Store, id, role)
	}
	wg.Wait()
	is(t, f.Store, id, "user")
	f.PutOvertaken(id, "admin")
	is(t, f.Store, id, "user")
}

func BenchmarkAccess(b *testing.B) {
	f := setUp(b, 0)
	id := f.create(b, "alice", "alice@example.com").ID
	for name, step := range map[string]time.Duration{"cached": 0, "read": time.Second} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.advance(step)
				if _, _, err := f.Access(b.Context(), id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkByUsername(b *testing.B) {
	f := setUp(b, 0)
	f.create(b, "alice", "alice@example.com")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.ByUsername(b.Context(), "alice"); err != nil {
			b.Fatal(err)
		}
	}
}
