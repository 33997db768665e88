package accounts_test

import (
	"slices"
	"testing"
	"time"

	"github.com/merlonhq/merlon/revocation"
	"github.com/merlonhq/merlon/server/internal/accounts"
)

// What takes a right away from an account is in the log of revocations, whoever makes it; what does not is not.
func TestWhatTakesARightFromAnAccountIsInTheLog(t *testing.T) {
	f := setUp(t, 0)
	ctx, log := t.Context(), f.db.Revocations()
	id := f.create(t, "alice", "alice@example.com").ID
	for _, tt := range []struct {
		name   string
		do     func() error
		logged bool
	}{
		{"a profile", func() error { return f.UpdateProfile(ctx, id, accounts.Profile{Email: "a@example.com"}) }, false},
		{"a better hash", func() error { return f.Rehash(ctx, id, "$hash$1", "$hash$2") }, false},
		{"a password", func() error { return f.SetPassword(ctx, id, "$hash$2", "$hash$3", "") }, true},
		{"a role", func() error { return f.SetRole(ctx, id, "admin") }, true},
		{"an end", func() error { return f.SetDisabled(ctx, id, true) }, true},
		{"a row that somebody deletes", func() error { _, err := f.db.Exec(ctx, "DELETE FROM users WHERE id = $1", id); return err }, true},
	} {
		before, err := log.Latest(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := tt.do(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var want []revocation.Change
		if tt.logged {
			want = []revocation.Change{{Seq: before + 1, Kind: revocation.Account, Name: id}}
		}
		if got, err := log.Since(ctx, before); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: the log has %v, %v, want %v", tt.name, got, err, want)
		}
	}
}

// Another process changes a role: it counts here as soon as somebody tells, and without that when nothing is fresh.
func TestARoleIsRememberedOnlyWhileFresh(t *testing.T) {
	f := setUp(t, 0)
	fresh, told := true, 0
	s, err := accounts.New(accounts.Config{DB: f.db, Now: f.clock.now, Fresh: func() bool { return fresh }, OnChange: func() { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	id := f.create(t, "alice", "alice@example.com").ID
	is(t, s, id, "user")
	set := func(role string) {
		t.Helper()
		if err := f.SetRole(t.Context(), id, role); err != nil {
			t.Fatal(err)
		}
	}
	set("admin")
	f.advance(30*time.Second - time.Microsecond)
	is(t, s, id, "user")
	f.advance(time.Microsecond)
	is(t, s, id, "admin")
	set("user")
	is(t, s, id, "admin")
	fresh = false
	is(t, s, id, "user")
	fresh = true
	set("admin")
	s.Forget(id)
	is(t, s, id, "admin")
	set("user")
	s.ForgetAll()
	is(t, s, id, "user")
	if told != 0 {
		t.Errorf("told others of %d changes that others made", told)
	}
	if err := s.SetRole(t.Context(), id, "admin"); err != nil || told != 1 {
		t.Errorf("SetRole: %v, told of %d changes, want 1", err, told)
	}
}

// A look that ends while a role is being looked up forgets it: it must not be used because of that look.
func TestARoleThatALookForgetsMeanwhileIsNotUsed(t *testing.T) {
	f := setUp(t, 0)
	look := func() {}
	s, err := accounts.New(accounts.Config{DB: f.db, Now: f.clock.now, Fresh: func() bool { look(); return true }})
	if err != nil {
		t.Fatal(err)
	}
	id := f.create(t, "alice", "alice@example.com").ID
	is(t, s, id, "user")
	if err := f.SetRole(t.Context(), id, "admin"); err != nil {
		t.Fatal(err)
	}
	is(t, s, id, "user") // nobody has told
	look = func() { s.Forget(id) }
	is(t, s, id, "admin")
}

func TestTheLongestTimeOfARememberedRole(t *testing.T) {
	f := setUp(t, 0)
	fresh := func() bool { return true }
	for ttl, ok := range map[time.Duration]bool{5 * time.Minute: true, 5*time.Minute + 1: false} {
		if _, err := accounts.New(accounts.Config{DB: f.db, AccessTTL: ttl, Fresh: fresh}); (err == nil) != ok {
			t.Errorf("AccessTTL %v: %v, want it accepted: %v", ttl, err, ok)
		}
	}
}
