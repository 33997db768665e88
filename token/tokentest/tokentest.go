// Package tokentest checks implementations of token.Store and token.KeyStore against the obligations written there.
package tokentest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/merlonhq/merlon/token"
)

// Run runs the suite of grants. newStore returns an empty store, with room for 200 grants, that lives until the end of t.
func Run(t *testing.T, newStore func(t *testing.T) token.Store) {
	for name, test := range map[string]func(t *testing.T, s token.Store){
		"what is created comes back as it was":                  roundTrip,
		"ids and families are exact and unique":                 identity,
		"lists are by user and newest first":                    list,
		"a user has no more than so many":                       bounded,
		"a token is good once, and its family dies at the next": rotate,
		"of fifty parallel uses one succeeds at most":           rotateRace,
		"a user deletes own grants only":                        remove,
		"all grants of a user but one are deleted":              removeUser,
		"only what is over is swept, in batches":                sweep,
		"a grant that is ended while it is used stays ended":    endRace,
		"a dead context changes nothing":                        deadContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, newStore(t)) })
	}
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func grant(user string, n int) token.Grant {
	return token.Grant{
		ID:          fmt.Sprintf("ses_0195512c-7a00-7000-8000-%012d", n),
		UserID:      user,
		Family:      hash(n),
		Hash:        hash(n + 1000),
		Scopes:      []string{"posts:read", "posts:write"},
		CreatedAt:   epoch,
		RefreshedAt: epoch.Add(time.Duration(n) * time.Minute),
		ExpiresAt:   epoch.Add(720 * time.Hour).Truncate(time.Second),
		Address:     netip.MustParseAddr("2001:db8::7"),
		UserAgent:   "App/1.0 (Größe; 'quoted')",
	}
}

// hash returns a hash that looks like text where it can: zero and quotes too.
func hash(n int) (h [sha256.Size]byte) {
	for i := range h {
		h[i] = byte(n + 9*i)
	}
	h[0], h[1] = byte(n>>8), byte(n)
	return h
}

func create(t *testing.T, s token.Store, grants ...token.Grant) {
	t.Helper()
	for _, g := range grants {
		if err := s.Create(t.Context(), g, 100); err != nil {
			t.Fatalf("Create(%s): %v", g.ID, err)
		}
	}
}

// stored wants a grant as it is in the store.
func stored(t *testing.T, s token.Store, want token.Grant) {
	t.Helper()
	byFamily, err1 := s.Lookup(t.Context(), want.Family)
	byID, err2 := s.Get(t.Context(), want.ID)
	if err := errors.Join(err1, err2); err != nil {
		t.Errorf("%s: %v", want.ID, err)
		return
	}
	for what, got := range map[string]token.Grant{"Lookup": byFamily, "Get": byID} {
		got.CreatedAt, got.RefreshedAt, got.ExpiresAt = got.CreatedAt.UTC(), got.RefreshedAt.UTC(), got.ExpiresAt.UTC()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the grant is %+v, want %+v", what, got, want)
		}
	}
}

func gone(t *testing.T, s token.Store, grants ...token.Grant) {
	t.Helper()
	for _, g := range grants {
		if _, err := s.Get(t.Context(), g.ID); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("Get(%s): %v, want ErrNotFound", g.ID, err)
		}
		if _, err := s.Lookup(t.Context(), g.Family); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("Lookup(%s): %v, want ErrNotFound", g.ID, err)
		}
	}
}

func roundTrip(t *testing.T, s token.Store) {
	full, v4, bare := grant("usr_a", 1), grant("usr_a", 2), grant("usr_a", 3)
	v4.Address = netip.MustParseAddr("192.0.2.7")
	bare.Address, bare.UserAgent, bare.Scopes = netip.Addr{}, "", nil
	create(t, s, full, v4, bare)
	stored(t, s, full)
	stored(t, s, v4)
	stored(t, s, bare)
}

func identity(t *testing.T, s token.Store) {
	g := grant("usr_a", 1)
	create(t, s, g)
	near := g
	near.ID += "0"
	near.Family[31] ^= 1
	gone(t, s, near, token.Grant{})
	sameID, sameFamily := grant("usr_b", 2), grant("usr_b", 3)
	sameID.ID, sameFamily.Family = g.ID, g.Family
	for what, taken := range map[string]token.Grant{"id": sameID, "family": sameFamily} {
		if err := s.Create(t.Context(), taken, 100); err == nil {
			t.Errorf("Create with a taken %s succeeded", what)
		}
	}
	stored(t, s, g)
	if _, err := s.Lookup(t.Context(), g.Hash); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("Lookup by the hash of a token: %v, want ErrNotFound", err)
	}
}

func ids(t *testing.T, s token.Store, user string, limit int) []string {
	t.Helper()
	list, err := s.List(t.Context(), user, limit)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, g := range list {
		ids = append(ids, g.ID[len(g.ID)-2:])
	}
	return ids
}

func list(t *testing.T, s token.Store) {
	for _, n := range []int{11, 14, 12, 13} {
		create(t, s, grant([]string{"usr_a", "usr_b"}[n%2], n))
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

func bounded(t *testing.T, s token.Store) {
	create(t, s, grant("usr_b", 20))
	for _, n := range []int{11, 12, 13} { // refreshed in this order
		create(t, s, grant("usr_a", n))
	}
	if err := s.Rotate(t.Context(), grant("", 11).ID, hash(1011), hash(2011), epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	late := grant("usr_a", 14)
	late.RefreshedAt = epoch.Add(2 * time.Hour)
	for _, tt := range []struct {
		g    token.Grant
		want []string
	}{{late, []string{"14", "13", "11"}}, {grant("usr_a", 15), []string{"15", "14", "11"}}} {
		if err := s.Create(t.Context(), tt.g, 3); err != nil {
			t.Fatal(err)
		}
		if got := ids(t, s, "usr_a", 10); !slices.Equal(got, tt.want) {
			t.Errorf("after one too many there are %v, want %v", got, tt.want)
		}
	}
	if got := ids(t, s, "usr_b", 10); len(got) != 1 {
		t.Errorf("another user has %v", got)
	}
}

func rotate(t *testing.T, s token.Store) {
	g, other := grant("usr_a", 1), grant("usr_a", 2)
	create(t, s, g, other)
	at := epoch.Add(time.Hour)
	first, second := g.Hash, hash(5000)
	if err := s.Rotate(t.Context(), g.ID, first, second, at); err != nil {
		t.Fatal(err)
	}
	next := g
	next.Hash, next.RefreshedAt = second, at
	stored(t, s, next)
	stored(t, s, other)
	if err := s.Rotate(t.Context(), g.ID, first, hash(5001), at); !errors.Is(err, token.ErrReused) {
		t.Errorf("the same again: %v, want ErrReused", err)
	}
	gone(t, s, next)
	if err := s.Rotate(t.Context(), g.ID, second, hash(5002), at); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("the good one of a dead family: %v, want ErrNotFound", err)
	}
	gone(t, s, next)
	stored(t, s, other)
}

func rotateRace(t *testing.T, s token.Store) {
	g := grant("usr_a", 1)
	create(t, s, g)
	var won, reused atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			switch err := s.Rotate(t.Context(), g.ID, g.Hash, hash(3000+i), epoch.Add(time.Hour)); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, token.ErrReused):
				reused.Add(1)
			case !errors.Is(err, token.ErrNotFound):
				t.Errorf("Rotate: %v, want ErrReused or ErrNotFound", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || reused.Load() != 1 {
		t.Errorf("%d uses succeeded and %d ended the family, want 1 and 1", won.Load(), reused.Load())
	}
	gone(t, s, g)
}

func remove(t *testing.T, s token.Store) {
	mine, other := grant("usr_a", 1), grant("usr_b", 2)
	create(t, s, mine, other)
	for _, tt := range []struct {
		id, user string
		want     error
	}{
		{other.ID, "usr_a", token.ErrNotFound},
		{mine.ID, "", token.ErrNotFound},
		{"", "usr_a", token.ErrNotFound},
		{mine.ID, "usr_a", nil},
		{mine.ID, "usr_a", token.ErrNotFound},
	} {
		if err := s.Delete(t.Context(), tt.id, tt.user); !errors.Is(err, tt.want) {
			t.Errorf("Delete(%q, %q): %v, want %v", tt.id, tt.user, err, tt.want)
		}
	}
	gone(t, s, mine)
	stored(t, s, other)
}

func removeUser(t *testing.T, s token.Store) {
	create(t, s, grant("usr_a", 1), grant("usr_a", 2), grant("usr_a", 3), grant("usr_b", 4))
	for _, tt := range []struct {
		except string
		want   int
	}{{grant("", 2).ID, 2}, {grant("", 2).ID, 0}, {grant("", 4).ID, 1}, {"", 0}} {
		if n, err := s.DeleteUser(t.Context(), "usr_a", tt.except); n != tt.want || err != nil {
			t.Errorf("DeleteUser but %q = %d, %v, want %d", tt.except, n, err, tt.want)
		}
	}
	gone(t, s, grant("usr_a", 1), grant("usr_a", 2), grant("usr_a", 3))
	stored(t, s, grant("usr_b", 4))
}

func sweep(t *testing.T, s token.Store) {
	var over, live []token.Grant
	for i, after := range []time.Duration{time.Microsecond, 0, -time.Microsecond, time.Hour, -time.Hour} {
		g := grant("usr_a", i)
		g.ExpiresAt = epoch.Add(after)
		create(t, s, g)
		if after <= 0 {
			over = append(over, g)
		} else {
			live = append(live, g)
		}
	}
	for i, want := range []int{2, 1, 0} {
		if n, err := s.Sweep(t.Context(), epoch, 2); n != want || err != nil {
			t.Errorf("Sweep %d = %d, %v, want %d", i, n, err, want)
		}
	}
	gone(t, s, over...)
	for _, g := range live {
		stored(t, s, g)
	}
}

func endRace(t *testing.T, s token.Store) {
	g := grant("usr_a", 1)
	create(t, s, g)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.DeleteUser(t.Context(), "usr_a", ""); err != nil {
			t.Errorf("DeleteUser: %v", err)
		}
	})
	wg.Go(func() {
		if err := s.Rotate(t.Context(), g.ID, g.Hash, hash(9), epoch); err != nil && !errors.Is(err, token.ErrNotFound) {
			t.Errorf("Rotate: %v", err)
		}
	})
	wg.Wait()
	gone(t, s, g)
}

func deadContext(t *testing.T, s token.Store) {
	g := grant("usr_a", 1)
	create(t, s, g)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, errLookup := s.Lookup(ctx, g.Family)
	_, errGet := s.Get(ctx, g.ID)
	_, errList := s.List(ctx, "usr_a", 10)
	_, errUser := s.DeleteUser(ctx, "usr_a", "")
	_, errSweep := s.Sweep(ctx, epoch.Add(1e6*time.Hour), 10)
	for what, err := range map[string]error{
		"Create": s.Create(ctx, grant("usr_a", 2), 1), "Lookup": errLookup, "Get": errGet, "List": errList,
		"Rotate": s.Rotate(ctx, g.ID, hash(8), hash(9), epoch), "Delete": s.Delete(ctx, g.ID, "usr_a"), "DeleteUser": errUser, "Sweep": errSweep,
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", what, err)
		}
	}
	stored(t, s, g)
	gone(t, s, grant("usr_a", 2))
}
