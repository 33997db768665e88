// Package apikeytest checks implementations of apikey.Store against the obligations written there.
package apikeytest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/merlonhq/merlon/apikey"
)

// Run runs the suite. newStore returns an empty store, with room for 200 records, that lives until the end of t.
func Run(t *testing.T, newStore func(t *testing.T) apikey.Store) {
	for name, test := range map[string]func(t *testing.T, s apikey.Store){
		"what is created comes back as it was":               roundTrip,
		"a record shares no memory with its store":           isolation,
		"ids are exact and unique":                           identity,
		"the limit of an owner holds under parallel calls":   limit,
		"lists are by owner, newest first and in pages":      list,
		"only current keys count":                            count,
		"an update changes the settings and nothing else":    update,
		"an update made in ignorance of another is refused":  updateConflict,
		"a rotation adds one key and ends the other, or not": rotate,
		"of parallel rotations one succeeds":                 rotateRace,
		"a revoked key stays revoked":                        revoke,
		"all keys of an owner are revoked together":          revokeOwner,
		"last use only moves forward":                        touch,
		"only what is long dead is swept, in batches":        sweep,
		"a dead context changes nothing":                     deadContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, newStore(t)) })
	}
}

func roundTrip(t *testing.T, s apikey.Store) {
	full, bare := record("usr_a", 1), record("usr_a", 2)
	bare.Scopes, bare.AllowedAddresses, bare.RateLimit, bare.ExpiresAt, bare.Enabled = nil, nil, nil, nil, false
	bare.Env = apikey.Dev
	create(t, s, full, bare)
	for _, want := range []apikey.Record{full, bare} {
		same(t, get(t, s, want.ID), want)
		got, err := s.Lookup(t.Context(), want.Lookup)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, want)
	}
}

func isolation(t *testing.T, s apikey.Store) {
	want, mine := record("usr_a", 1), record("usr_a", 1)
	create(t, s, mine)
	spoil := func(r apikey.Record) {
		r.Scopes[0] = "users:admin"
		r.AllowedAddresses[0] = netip.MustParsePrefix("0.0.0.0/0")
		r.RateLimit.Limit = 1e9
		*r.ExpiresAt = time.Time{}
	}
	spoil(mine)
	same(t, get(t, s, want.ID), want)
	spoil(get(t, s, want.ID))
	same(t, get(t, s, want.ID), want)
	listed, err := s.List(t.Context(), "usr_a", "", 10)
	if err != nil || len(listed) != 1 {
		t.Fatalf("List = %v, %v", listed, err)
	}
	spoil(listed[0])
	same(t, get(t, s, want.ID), want)
}

func identity(t *testing.T, s apikey.Store) {
	r := record("usr_a", 1)
	r.Lookup = "aBcDeFgHiJkLmNoP"
	create(t, s, r)
	for _, lookup := range []string{"ABCDEFGHIJKLMNOP", "abcdefghijklmnop", "aBcDeFgHiJkLmNo", "aBcDeFgHiJkLmNoP ", "aBcDeFgHiJkLmNo_", "%", ""} {
		_, err := s.Lookup(t.Context(), lookup)
		wantErr(t, fmt.Sprintf("Lookup(%q)", lookup), err, apikey.ErrNotFound)
	}
	_, err := s.Get(t.Context(), r.Lookup)
	wantErr(t, "Get of a look-up id", err, apikey.ErrNotFound)

	sameID, sameLookup, otherCase := record("usr_a", 2), record("usr_a", 3), record("usr_a", 4)
	sameID.ID, sameLookup.Lookup, otherCase.Lookup = r.ID, r.Lookup, "AbCdEfGhIjKlMnOp"
	wantErr(t, "Create with a taken ID", s.Create(t.Context(), sameID, 1000), apikey.ErrConflict)
	wantErr(t, "Create with a taken look-up id", s.Create(t.Context(), sameLookup, 1000), apikey.ErrConflict)
	create(t, s, otherCase)
	same(t, get(t, s, r.ID), r)
}

func limit(t *testing.T, s apikey.Store) {
	var created atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			switch err := s.Create(t.Context(), record("usr_a", i), 7); {
			case err == nil:
				created.Add(1)
			case !errors.Is(err, apikey.ErrTooMany):
				t.Errorf("Create: %v, want ErrTooMany", err)
			}
		})
	}
	wg.Wait()
	if n, err := s.Count(t.Context(), "usr_a"); created.Load() != 7 || n != 7 || err != nil {
		t.Errorf("%d of 20 were created and Count = %d, %v; want 7 and 7", created.Load(), n, err)
	}
	if err := s.Create(t.Context(), record("usr_b", 100), 7); err != nil {
		t.Errorf("Create for another owner: %v", err)
	}
}

func list(t *testing.T, s apikey.Store) {
	for i := range 12 {
		create(t, s, record([]string{"usr_a", "usr_b"}[i%2], i))
	}
	if err := s.Revoke(t.Context(), record("", 4).ID, epoch); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		owner, before string
		limit         int
		want          []int
	}{
		{"usr_a", "", 100, []int{10, 8, 6, 2, 0}},
		{"usr_a", "", 2, []int{10, 8}},
		{"usr_a", record("", 8).ID, 2, []int{6, 2}},
		{"usr_a", record("", 2).ID, 2, []int{0}},
		{"usr_a", record("", 0).ID, 2, nil},
		{"usr_c", "", 2, nil},
		{"", "", 4, []int{11, 10, 9, 8}},
		{"USR_A", "", 4, nil},
	} {
		got, err := s.List(t.Context(), tt.owner, tt.before, tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		var want, ids []string
		for _, n := range tt.want {
			want = append(want, record("", n).ID)
		}
		for _, r := range got {
			ids = append(ids, r.ID)
		}
		if !slices.Equal(ids, want) {
			t.Errorf("List(%q, %q, %d) = %v, want %v", tt.owner, tt.before, tt.limit, ids, want)
		}
	}
}

func count(t *testing.T, s apikey.Store) {
	for i := range 5 {
		r := record("usr_a", i)
		r.Enabled = i != 0
		r.ExpiresAt = at(-time.Hour) // expired ones count
		create(t, s, r)
	}
	if err := s.Revoke(t.Context(), record("", 1).ID, epoch); err != nil {
		t.Fatal(err)
	}
	old := record("usr_a", 2)
	old.RotatedTo, old.ReplacedAt, old.ExpiresAt = record("", 9).ID, at(0), at(time.Hour)
	if err := s.Rotate(t.Context(), old, record("usr_a", 9)); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Count(t.Context(), "usr_a"); n != 4 || err != nil {
		t.Errorf("Count = %d, %v, want 4", n, err)
	}
	if n, err := s.Count(t.Context(), "usr_b"); n != 0 || err != nil {
		t.Errorf("Count of an owner without keys = %d, %v, want 0", n, err)
	}
}

func update(t *testing.T, s apikey.Store) {
	before := record("usr_a", 1)
	create(t, s, before, record("usr_a", 2))
	if err := s.Touch(t.Context(), []apikey.Use{{ID: before.ID, At: epoch}}); err != nil {
		t.Fatal(err)
	}
	asked := record("usr_b", 77) // everything differs
	asked.ID, asked.Version = before.ID, 1
	asked.Name, asked.Enabled, asked.Scopes, asked.ExpiresAt = "other", false, []string{"keys:verify"}, at(time.Hour)
	asked.AllowedAddresses, asked.RateLimit = nil, nil
	asked.RevokedAt, asked.ReplacedAt, asked.RotatedTo, asked.CreatedAt = at(0), at(0), "key_x", epoch.Add(time.Hour)
	if err := s.Update(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	want := before
	want.Name, want.Enabled, want.Scopes, want.ExpiresAt = asked.Name, false, asked.Scopes, asked.ExpiresAt
	want.AllowedAddresses, want.RateLimit = nil, nil
	want.LastUsedAt, want.Version = at(0), 2
	same(t, get(t, s, before.ID), want)
	same(t, get(t, s, record("", 2).ID), record("usr_a", 2))
	wantErr(t, "Update of a key that does not exist", s.Update(t.Context(), record("usr_a", 3)), apikey.ErrNotFound)
}

func updateConflict(t *testing.T, s apikey.Store) {
	r := record("usr_a", 1)
	create(t, s, r)
	var changed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			switch err := s.Update(t.Context(), r); {
			case err == nil:
				changed.Add(1)
			case !errors.Is(err, apikey.ErrConflict):
				t.Errorf("Update: %v, want ErrConflict", err)
			}
		})
	}
	wg.Wait()
	if changed.Load() != 1 {
		t.Errorf("%d of 8 changes of one version were made, want 1", changed.Load())
	}
	if v := get(t, s, r.ID).Version; v != 2 {
		t.Errorf("Version = %d, want 2", v)
	}
}

func rotate(t *testing.T, s apikey.Store) {
	first, second := record("usr_a", 1), record("usr_a", 2)
	create(t, s, first)
	old := first.Clone()
	old.RotatedTo, old.ReplacedAt, old.ExpiresAt = second.ID, at(time.Minute), at(time.Hour)
	old.Name, old.Scopes, old.Enabled = "not taken over", nil, false
	if err := s.Rotate(t.Context(), old, second); err != nil {
		t.Fatal(err)
	}
	want := first
	want.RotatedTo, want.ReplacedAt, want.ExpiresAt, want.Version = second.ID, at(time.Minute), at(time.Hour), 2
	same(t, get(t, s, first.ID), want)
	same(t, get(t, s, second.ID), second)

	old.Version = 2
	wantErr(t, "a second rotation", s.Rotate(t.Context(), old, record("usr_a", 3)), apikey.ErrConflict)
	stale := record("usr_a", 2)
	stale.Version = 9
	wantErr(t, "a rotation of another version", s.Rotate(t.Context(), stale, record("usr_a", 3)), apikey.ErrConflict)
	wantErr(t, "a rotation to a taken id", s.Rotate(t.Context(), second, first), apikey.ErrConflict)
	same(t, get(t, s, second.ID), record("usr_a", 2))
	wantErr(t, "a rotation of nothing", s.Rotate(t.Context(), record("usr_a", 4), record("usr_a", 3)), apikey.ErrNotFound)
	_, err := s.Get(t.Context(), record("", 3).ID)
	wantErr(t, "Get of a key whose rotation failed", err, apikey.ErrNotFound)
}

func rotateRace(t *testing.T, s apikey.Store) {
	first := record("usr_a", 1)
	create(t, s, first)
	var done atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			next, old := record("usr_a", 10+i), first.Clone()
			old.RotatedTo, old.ReplacedAt = next.ID, at(0)
			switch err := s.Rotate(t.Context(), old, next); {
			case err == nil:
				done.Add(1)
			case !errors.Is(err, apikey.ErrConflict):
				t.Errorf("Rotate: %v, want ErrConflict", err)
			}
		})
	}
	wg.Wait()
	keys, err := s.List(t.Context(), "usr_a", "", 100)
	if done.Load() != 1 || len(keys) != 2 || err != nil {
		t.Errorf("%d rotations succeeded and there are %d keys (%v), want 1 and 2", done.Load(), len(keys), err)
	}
}

func revoke(t *testing.T, s apikey.Store) {
	r := record("usr_a", 1)
	create(t, s, r, record("usr_a", 2))
	changed := r.Clone()
	if err := s.Update(t.Context(), changed); err != nil { // revocation asks for no version
		t.Fatal(err)
	}
	if err := s.Revoke(t.Context(), r.ID, epoch); err != nil {
		t.Fatal(err)
	}
	want := r
	want.RevokedAt, want.Version = at(0), 2
	same(t, get(t, s, r.ID), want)
	got, err := s.Lookup(t.Context(), r.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, want)
	changed.Version = 2
	wantErr(t, "a second revocation", s.Revoke(t.Context(), r.ID, epoch.Add(time.Hour)), apikey.ErrNotFound)
	wantErr(t, "an update", s.Update(t.Context(), changed), apikey.ErrNotFound)
	wantErr(t, "a rotation", s.Rotate(t.Context(), changed, record("usr_a", 3)), apikey.ErrNotFound)
	wantErr(t, "a revocation of nothing", s.Revoke(t.Context(), "key_x", epoch), apikey.ErrNotFound)
	same(t, get(t, s, r.ID), want)
	same(t, get(t, s, record("", 2).ID), record("usr_a", 2))
}

func revokeOwner(t *testing.T, s apikey.Store) {
	create(t, s, record("usr_a", 1), record("usr_a", 2), record("usr_a", 3), record("usr_b", 4))
	if err := s.Revoke(t.Context(), record("", 1).ID, epoch); err != nil {
		t.Fatal(err)
	}
	if n, err := s.RevokeOwner(t.Context(), "usr_a", epoch.Add(time.Hour)); n != 2 || err != nil {
		t.Errorf("RevokeOwner = %d, %v, want 2", n, err)
	}
	for n, want := range map[int]*time.Time{1: at(0), 2: at(time.Hour), 3: at(time.Hour), 4: nil} {
		if got := get(t, s, record("", n).ID).RevokedAt; !sameInstant(got, want) {
			t.Errorf("key %d: RevokedAt = %v, want %v", n, got, want)
		}
	}
	if n, err := s.RevokeOwner(t.Context(), "usr_a", epoch); n != 0 || err != nil {
		t.Errorf("a second RevokeOwner = %d, %v, want 0", n, err)
	}
}

func touch(t *testing.T, s apikey.Store) {
	create(t, s, record("usr_a", 1), record("usr_a", 2))
	one, two := record("", 1).ID, record("", 2).ID
	for _, step := range []struct {
		uses []apikey.Use
		want map[string]*time.Time
	}{
		{nil, map[string]*time.Time{one: nil, two: nil}},
		{[]apikey.Use{{ID: one, At: *at(time.Hour)}, {ID: "key_x", At: *at(0)}}, map[string]*time.Time{one: at(time.Hour), two: nil}},
		{[]apikey.Use{{ID: one, At: *at(time.Minute)}, {ID: two, At: *at(time.Minute)}}, map[string]*time.Time{one: at(time.Hour), two: at(time.Minute)}},
		{[]apikey.Use{{ID: one, At: *at(2 * time.Hour)}}, map[string]*time.Time{one: at(2 * time.Hour), two: at(time.Minute)}},
	} {
		if err := s.Touch(t.Context(), step.uses); err != nil {
			t.Fatal(err)
		}
		for id, want := range step.want {
			if got := get(t, s, id); !sameInstant(got.LastUsedAt, want) || got.Version != 1 {
				t.Errorf("after %v: LastUsedAt of %s = %v, Version %d, want %v, 1", step.uses, id, got.LastUsedAt, got.Version, want)
			}
		}
	}
	many := make([]apikey.Use, 500)
	for i := range many {
		many[i] = apikey.Use{ID: record("", 1000+i).ID, At: epoch}
	}
	many[499].ID = two
	many[499].At = *at(3 * time.Hour)
	if err := s.Touch(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, two).LastUsedAt; !sameInstant(got, at(3*time.Hour)) {
		t.Errorf("the last of 500 uses: LastUsedAt = %v, want %v", got, at(3*time.Hour))
	}
}

func sweep(t *testing.T, s apikey.Store) {
	for i, expires := range []*time.Time{at(-2 * time.Hour), at(-time.Hour - 1000), at(-time.Hour), at(time.Hour), nil} {
		r := record("usr_a", i)
		r.ExpiresAt = expires
		create(t, s, r)
	}
	for i := 5; i < 8; i++ {
		create(t, s, record("usr_a", i))
	}
	for i, when := range map[int]*time.Time{5: at(-2 * time.Hour), 6: at(-time.Hour), 7: at(0)} {
		if err := s.Revoke(t.Context(), record("", i).ID, *when); err != nil {
			t.Fatal(err)
		}
	}
	before := *at(-time.Hour)
	for i, want := range []int{2, 1, 0} {
		if n, err := s.Sweep(t.Context(), before, 2); n != want || err != nil {
			t.Errorf("Sweep %d = %d, %v, want %d", i, n, err, want)
		}
	}
	for i := range 8 {
		_, err := s.Get(t.Context(), record("", i).ID)
		if swept := i == 0 || i == 1 || i == 5; swept != errors.Is(err, apikey.ErrNotFound) {
			t.Errorf("key %d: %v, want swept: %v", i, err, swept)
		}
	}
}

func deadContext(t *testing.T, s apikey.Store) {
	r := record("usr_a", 1)
	create(t, s, r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, errLookup := s.Lookup(ctx, r.Lookup)
	_, errGet := s.Get(ctx, r.ID)
	_, errList := s.List(ctx, "usr_a", "", 10)
	_, errCount := s.Count(ctx, "usr_a")
	_, errOwner := s.RevokeOwner(ctx, "usr_a", epoch)
	_, errSweep := s.Sweep(ctx, epoch.Add(1e6*time.Hour), 10)
	for what, err := range map[string]error{
		"Create": s.Create(ctx, record("usr_a", 2), 10), "Update": s.Update(ctx, r), "Rotate": s.Rotate(ctx, r, record("usr_a", 3)),
		"Revoke": s.Revoke(ctx, r.ID, epoch), "Touch": s.Touch(ctx, []apikey.Use{{ID: r.ID, At: epoch}}),
		"Lookup": errLookup, "Get": errGet, "List": errList, "Count": errCount, "RevokeOwner": errOwner, "Sweep": errSweep,
	} {
		wantErr(t, what, err, context.Canceled)
	}
	same(t, get(t, s, r.ID), r)
	if n, err := s.Count(t.Context(), "usr_a"); n != 1 || err != nil {
		t.Errorf("Count = %d, %v, want 1", n, err)
	}
}
