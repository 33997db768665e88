// Package sessiontest checks implementations of session.Store against the obligations written there.
package sessiontest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/merlonhq/merlon/session"
)

// Run runs the suite. newStore returns an empty store, with room for 200 records, that lives until the end of t.
func Run(t *testing.T, newStore func(t *testing.T) session.Store) {
	for name, test := range map[string]func(t *testing.T, s session.Store){
		"what is created comes back as it was":              roundTrip,
		"ids and hashes are exact and unique":               identity,
		"lists are by user and newest first":                list,
		"replacing ends the old session and begins the new": replace,
		"of parallel replacements one succeeds":             replaceRace,
		"a user deletes own sessions only":                  remove,
		"all sessions of a user but one are deleted":        removeUser,
		"the instant a session was seen only moves forward": touch,
		"only what is over is swept, in batches":            sweep,
		"a session revoked while it is used stays revoked":  touchRace,
		"a dead context changes nothing":                    deadContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, newStore(t)) })
	}
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func record(user string, n int) session.Record {
	return session.Record{
		ID:         fmt.Sprintf("ses_0195512c-7a00-7000-8000-%012d", n),
		UserID:     user,
		Hash:       hash(n),
		CreatedAt:  epoch,
		LastSeenAt: epoch.Add(time.Minute),
		Address:    netip.MustParseAddr("2001:db8::7"),
		UserAgent:  "Browser/1.0 (Größe; 'quoted')",
	}
}

func hash(n int) (h [sha256.Size]byte) {
	for i := range h {
		h[i] = byte(n + 9*i) // zero and quotes too
	}
	return h
}

func create(t *testing.T, s session.Store, records ...session.Record) {
	t.Helper()
	for _, r := range records {
		if err := s.Create(t.Context(), r); err != nil {
			t.Fatalf("Create(%s): %v", r.ID, err)
		}
	}
}

// stored wants a record as it is in the store.
func stored(t *testing.T, s session.Store, want session.Record) {
	t.Helper()
	got, err := s.Lookup(t.Context(), want.Hash)
	if err != nil {
		t.Errorf("Lookup(%s): %v", want.ID, err)
		return
	}
	got.CreatedAt, got.LastSeenAt = got.CreatedAt.UTC(), got.LastSeenAt.UTC()
	if got != want {
		t.Errorf("the record is %+v, want %+v", got, want)
	}
}

func gone(t *testing.T, s session.Store, records ...session.Record) {
	t.Helper()
	for _, r := range records {
		if _, err := s.Lookup(t.Context(), r.Hash); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Lookup(%s): %v, want ErrNotFound", r.ID, err)
		}
	}
}

func roundTrip(t *testing.T, s session.Store) {
	full, v4, bare := record("usr_a", 1), record("usr_a", 2), record("usr_a", 3)
	v4.Address = netip.MustParseAddr("192.0.2.7")
	bare.Address, bare.UserAgent = netip.Addr{}, ""
	create(t, s, full, v4, bare)
	stored(t, s, full)
	stored(t, s, v4)
	stored(t, s, bare)
}

func identity(t *testing.T, s session.Store) {
	r := record("usr_a", 1)
	create(t, s, r)
	near := r
	near.Hash[31] ^= 1
	gone(t, s, near, session.Record{})
	sameID, sameHash := record("usr_b", 2), record("usr_b", 3)
	sameID.ID, sameHash.Hash = r.ID, r.Hash
	for what, taken := range map[string]session.Record{"id": sameID, "hash": sameHash} {
		if err := s.Create(t.Context(), taken); err == nil {
			t.Errorf("Create with a taken %s succeeded", what)
		}
	}
	stored(t, s, r)
	gone(t, s, sameID)
}

func ids(t *testing.T, s session.Store, user string, limit int) []string {
	t.Helper()
	list, err := s.List(t.Context(), user, limit)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range list {
		ids = append(ids, r.ID[len(r.ID)-2:])
	}
	return ids
}

func list(t *testing.T, s session.Store) {
	for _, n := range []int{11, 14, 12, 13} {
		create(t, s, record([]string{"usr_a", "usr_b"}[n%2], n))
	}
	for _, tt := range []struct {
		user  string
		limit int
		want  []string
	}{{"usr_a", 10, []string{"14", "12"}}, {"usr_b", 1, []string{"13"}}, {"usr_c", 10, nil}, {"", 10, nil}, {"USR_A", 10, nil}} {
		if got := ids(t, s, tt.user, tt.limit); !slices.Equal(got, tt.want) {
			t.Errorf("List(%q, %d) = %v, want %v", tt.user, tt.limit, got, tt.want)
		}
	}
}

func replace(t *testing.T, s session.Store) {
	old, next := record("usr_a", 1), record("usr_a", 2)
	create(t, s, old, record("usr_a", 3))
	if err := s.Replace(t.Context(), old.ID, next); err != nil {
		t.Fatal(err)
	}
	gone(t, s, old)
	stored(t, s, next)
	stored(t, s, record("usr_a", 3))
	if err := s.Replace(t.Context(), old.ID, record("usr_a", 4)); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Replace of what is gone: %v, want ErrNotFound", err)
	}
	gone(t, s, record("usr_a", 4))
	if err := s.Replace(t.Context(), next.ID, record("usr_a", 3)); err == nil {
		t.Error("Replace by a taken id succeeded")
	}
	stored(t, s, next)
}

func replaceRace(t *testing.T, s session.Store) {
	create(t, s, record("usr_a", 1))
	var done atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			switch err := s.Replace(t.Context(), record("usr_a", 1).ID, record("usr_a", 10+i)); {
			case err == nil:
				done.Add(1)
			case !errors.Is(err, session.ErrNotFound):
				t.Errorf("Replace: %v, want ErrNotFound", err)
			}
		})
	}
	wg.Wait()
	if n := len(ids(t, s, "usr_a", 100)); done.Load() != 1 || n != 1 {
		t.Errorf("%d replacements succeeded and %d sessions are left, want 1 and 1", done.Load(), n)
	}
}

func remove(t *testing.T, s session.Store) {
	mine, other := record("usr_a", 1), record("usr_b", 2)
	create(t, s, mine, other)
	for _, tt := range []struct {
		id, user string
		want     error
	}{
		{other.ID, "usr_a", session.ErrNotFound},
		{mine.ID, "", session.ErrNotFound},
		{"", "usr_a", session.ErrNotFound},
		{mine.ID, "usr_a", nil},
		{mine.ID, "usr_a", session.ErrNotFound},
	} {
		if err := s.Delete(t.Context(), tt.id, tt.user); !errors.Is(err, tt.want) {
			t.Errorf("Delete(%q, %q): %v, want %v", tt.id, tt.user, err, tt.want)
		}
	}
	gone(t, s, mine)
	stored(t, s, other)
}

func removeUser(t *testing.T, s session.Store) {
	create(t, s, record("usr_a", 1), record("usr_a", 2), record("usr_a", 3), record("usr_b", 4))
	for _, tt := range []struct {
		except string
		want   int
	}{{record("", 2).ID, 2}, {record("", 2).ID, 0}, {record("", 4).ID, 1}, {"", 0}} {
		if n, err := s.DeleteUser(t.Context(), "usr_a", tt.except); n != tt.want || err != nil {
			t.Errorf("DeleteUser but %q = %d, %v, want %d", tt.except, n, err, tt.want)
		}
	}
	gone(t, s, record("usr_a", 1), record("usr_a", 2), record("usr_a", 3))
	stored(t, s, record("usr_b", 4))
}

func touch(t *testing.T, s session.Store) {
	one, two := record("usr_a", 1), record("usr_a", 2)
	create(t, s, one, two)
	for _, d := range []time.Duration{time.Hour, time.Minute, 2 * time.Hour, 0} {
		seen := []session.Seen{{ID: one.ID, At: epoch.Add(d)}, {ID: "ses_x", At: epoch.Add(d)}}
		if err := s.Touch(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
		if at := epoch.Add(d); at.After(one.LastSeenAt) {
			one.LastSeenAt = at
		}
		stored(t, s, one)
		stored(t, s, two)
	}
	if err := s.Touch(t.Context(), nil); err != nil {
		t.Errorf("Touch of nothing: %v", err)
	}
	many := make([]session.Seen, 500)
	for i := range many {
		many[i] = session.Seen{ID: record("", 1000+i).ID, At: epoch}
	}
	two.LastSeenAt = epoch.Add(3 * time.Hour)
	many[499] = session.Seen{ID: two.ID, At: two.LastSeenAt}
	if err := s.Touch(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	stored(t, s, two)
}

func touchRace(t *testing.T, s session.Store) {
	r := record("usr_a", 1)
	create(t, s, r)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if i == 4 {
				if err := s.Delete(t.Context(), r.ID, "usr_a"); err != nil {
					t.Errorf("Delete: %v", err)
				}
			}
			if err := s.Touch(t.Context(), []session.Seen{{ID: r.ID, At: epoch.Add(time.Duration(i) * time.Hour)}}); err != nil {
				t.Errorf("Touch: %v", err)
			}
		})
	}
	wg.Wait()
	gone(t, s, r)
}

func sweep(t *testing.T, s session.Store) {
	seenBefore, createdBefore := epoch.Add(-time.Hour), epoch.Add(-10*time.Hour)
	var over, live []session.Record
	for i, tt := range []struct {
		created, seen time.Time
		over          bool
	}{
		{epoch, epoch, false},
		{epoch.Add(-2 * time.Hour), seenBefore, true},
		{epoch.Add(-2 * time.Hour), seenBefore.Add(time.Microsecond), false},
		{createdBefore, epoch, true},
		{createdBefore.Add(time.Microsecond), epoch, false},
		{createdBefore.Add(-time.Hour), seenBefore.Add(-time.Hour), true},
	} {
		r := record("usr_a", i)
		r.CreatedAt, r.LastSeenAt = tt.created, tt.seen
		create(t, s, r)
		if tt.over {
			over = append(over, r)
		} else {
			live = append(live, r)
		}
	}
	for i, want := range []int{2, 1, 0} {
		if n, err := s.Sweep(t.Context(), seenBefore, createdBefore, 2); n != want || err != nil {
			t.Errorf("Sweep %d = %d, %v, want %d", i, n, err, want)
		}
	}
	gone(t, s, over...)
	for _, r := range live {
		stored(t, s, r)
	}
}

func deadContext(t *testing.T, s session.Store) {
	r := record("usr_a", 1)
	create(t, s, r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, errLookup := s.Lookup(ctx, r.Hash)
	_, errList := s.List(ctx, "usr_a", 10)
	_, errUser := s.DeleteUser(ctx, "usr_a", "")
	_, errSweep := s.Sweep(ctx, epoch.Add(time.Hour), epoch.Add(time.Hour), 10)
	for what, err := range map[string]error{
		"Create": s.Create(ctx, record("usr_a", 2)), "Lookup": errLookup, "List": errList, "Replace": s.Replace(ctx, r.ID, record("usr_a", 3)),
		"Delete": s.Delete(ctx, r.ID, "usr_a"), "DeleteUser": errUser, "Touch": s.Touch(ctx, []session.Seen{{ID: r.ID, At: epoch.Add(time.Hour)}}),
		"Sweep": errSweep,
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", what, err)
		}
	}
	stored(t, s, r)
	gone(t, s, record("usr_a", 2), record("usr_a", 3))
}
