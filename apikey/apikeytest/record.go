package apikeytest

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/merlonhq/merlon/apikey"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func at(d time.Duration) *time.Time {
	t := epoch.Add(d)
	return &t
}

// record returns the n-th record of owner, with every field set that a new key can have.
func record(owner string, n int) apikey.Record {
	r := apikey.Record{
		ID:      fmt.Sprintf("key_0195512c-7a00-7000-8000-%012d", n),
		Lookup:  fmt.Sprintf("Lookup%010d", n),
		Env:     apikey.Live,
		Owner:   owner,
		Name:    "bäckup; 'nightly' 🗝",
		Scopes:  []string{"posts:read", "posts:write"},
		Enabled: true,
		AllowedAddresses: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"),
		},
		RateLimit: &apikey.RateLimit{Limit: 100, Window: time.Minute},
		CreatedAt: epoch,
		ExpiresAt: at(90 * 24 * time.Hour),
		Version:   1,
	}
	for i := range r.Hash {
		r.Hash[i] = byte(n + 7*i) // every byte value, zero and quotes too
	}
	return r
}

func create(t *testing.T, s apikey.Store, records ...apikey.Record) {
	t.Helper()
	for _, r := range records {
		if err := s.Create(t.Context(), r, 1000); err != nil {
			t.Fatalf("Create(%s): %v", r.ID, err)
		}
	}
}

func get(t *testing.T, s apikey.Store, id string) apikey.Record {
	t.Helper()
	r, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("Get(%s): %v", id, err)
	}
	return r
}

// same compares records; an instant is the same in every time zone, and no element is the same as no list.
func same(t *testing.T, got, want apikey.Record) {
	t.Helper()
	if got, want = plain(got), plain(want); !reflect.DeepEqual(got, want) {
		g, w := reflect.ValueOf(got), reflect.ValueOf(want)
		for i := range g.NumField() {
			if g, w := reflect.Indirect(g.Field(i)), reflect.Indirect(w.Field(i)); g.IsValid() != w.IsValid() || g.IsValid() && !reflect.DeepEqual(g.Interface(), w.Interface()) {
				t.Errorf("%s of the record is %v, want %v", reflect.TypeOf(got).Field(i).Name, g, w)
			}
		}
	}
}

func plain(r apikey.Record) apikey.Record {
	r = r.Clone()
	if len(r.Scopes) == 0 {
		r.Scopes = nil
	}
	if len(r.AllowedAddresses) == 0 {
		r.AllowedAddresses = nil
	}
	r.CreatedAt = r.CreatedAt.UTC()
	for _, at := range []*time.Time{r.ExpiresAt, r.LastUsedAt, r.ReplacedAt, r.RevokedAt} {
		if at != nil {
			*at = at.UTC()
		}
	}
	return r
}

func sameInstant(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
