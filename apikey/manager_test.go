package apikey_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/merlonhq/merlon/apikey"
)

// A fixture is a Manager over a store that can be watched, with a clock that stands.
type fixture struct {
	*apikey.Manager
	store *watched
	now   time.Time
}

// watched counts calls, fails on demand and can be stopped in the middle of a look-up.
type watched struct {
	apikey.Store
	err     atomic.Pointer[error]
	lookups atomic.Int64
	touches atomic.Int64
	paused  func() // called after the record was read
	written func() // called after uses were written
}

func (w *watched) fail(err error) { w.err.Store(&err) }

func (w *watched) failure() error {
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (w *watched) Lookup(ctx context.Context, lookup string) (apikey.Record, error) {
	w.lookups.Add(1)
	if err := w.failure(); err != nil {
		return apikey.Record{}, err
	}
	r, err := w.Store.Lookup(ctx, lookup)
	if w.paused != nil {
		w.paused()
	}
	return r, err
}

func (w *watched) Touch(ctx context.Context, uses []apikey.Use) error {
	w.touches.Add(1)
	if err := w.failure(); err != nil {
		return err
	}
	err := w.Store.Touch(ctx, uses)
	if w.written != nil {
		w.written()
	}
	return err
}

var allScopes = []string{"posts:read", "posts:write", "keys:manage"}

func newFixture(t testing.TB, change func(*apikey.Config)) *fixture {
	t.Helper()
	f := &fixture{store: &watched{Store: newMemory(t, 5000)}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	cfg := apikey.Config{Store: f.store, Scopes: allScopes, Now: func() time.Time { return f.now }}
	if change != nil {
		change(&cfg)
	}
	var err error
	if f.Manager, err = apikey.New(cfg); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) create(t testing.TB, change func(*apikey.NewKey)) (string, apikey.Record) {
	t.Helper()
	k := apikey.NewKey{Owner: "usr_a", Name: "backup", Scopes: []string{"posts:read"}, MakerScopes: allScopes}
	if change != nil {
		change(&k)
	}
	text, r, err := f.Create(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	return text, r
}

var here = netip.MustParseAddr("192.0.2.7")

// verify wants the verdict on a key; nil: it is accepted.
func (f *fixture) verify(t testing.TB, text string, want error) apikey.Record {
	t.Helper()
	r, err := f.Verify(t.Context(), text, here, f.now)
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("Verify: %v, want %v", err, want)
	}
	return *r
}

func ptr[T any](v T) *T { return &v }

func TestConfiguration(t *testing.T) {
	store := newMemory(t, 1)
	for name, tt := range map[string]struct {
		cfg  apikey.Config
		want string
	}{
		"the zero value":               {apikey.Config{}, "Store is missing"},
		"a store alone":                {apikey.Config{Store: store}, ""},
		"an unknown environment":       {apikey.Config{Store: store, Env: "prod"}, `"prod"`},
		"development":                  {apikey.Config{Store: store, Env: "dev"}, ""},
		"a scope with a space":         {apikey.Config{Store: store, Scopes: []string{"posts read"}}, `"posts read"`},
		"an empty scope":               {apikey.Config{Store: store, Scopes: []string{""}}, `""`},
		"a scope of 65 characters":     {apikey.Config{Store: store, Scopes: []string{strings.Repeat("x", 65)}}, "xxx"},
		"a verdict for over a second":  {apikey.Config{Store: store, CacheTTL: time.Second + 1}, "1.000000001s"},
		"a verdict for a second":       {apikey.Config{Store: store, CacheTTL: time.Second}, ""},
		"no cache":                     {apikey.Config{Store: store, CacheTTL: -1}, ""},
		"a cache of 63":                {apikey.Config{Store: store, CacheSize: 63}, "63"},
		"an expiry of seconds":         {apikey.Config{Store: store, DefaultExpiry: time.Second}, "1s"},
		"a million and one keys":       {apikey.Config{Store: store, MaxPerOwner: 1000001}, "1000001"},
		"records kept for a minute":    {apikey.Config{Store: store, Retention: time.Minute}, "1m0s"},
		"several errors, the last too": {apikey.Config{Env: "x", MaxPerOwner: -1}, "-1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := apikey.New(tt.cfg)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v, want an error that says %q", err, tt.want)
			}
		})
	}
}

func TestAKeyLivesNinetyDaysUnlessItsMakerChooses(t *testing.T) {
	f := newFixture(t, nil)
	text, r := f.create(t, nil)
	if want := f.now.Add(90 * 24 * time.Hour); !r.ExpiresAt.Equal(want) {
		t.Errorf("ExpiresAt = %v, want %v", r.ExpiresAt, want)
	}
	if !strings.HasPrefix(r.ID, "key_") || len(r.ID) != 40 || strings.Contains(text, r.ID[4:]) || !strings.Contains(text, r.Lookup) {
		t.Errorf("ID = %q, Lookup = %q", r.ID, r.Lookup)
	}
	f.now = r.ExpiresAt.Add(-time.Microsecond)
	f.verify(t, text, nil)
	f.now = *r.ExpiresAt
	f.verify(t, text, apikey.ErrExpired)

	chosen := f.now.Add(time.Hour)
	if _, r := f.create(t, func(k *apikey.NewKey) { k.ExpiresAt = &chosen }); !r.ExpiresAt.Equal(chosen) {
		t.Errorf("ExpiresAt = %v, want %v", r.ExpiresAt, chosen)
	}
}

func TestWhatIsAskedForIsChecked(t *testing.T) {
	f := newFixture(t, nil)
	prefixes := func(s ...string) (list []netip.Prefix) {
		for _, p := range s {
			list = append(list, netip.MustParsePrefix(p))
		}
		return list
	}
	for name, tt := range map[string]struct {
		change func(k *apikey.NewKey)
		want   string // a field; empty: accepted
	}{
		"all in order":                        {func(k *apikey.NewKey) {}, ""},
		"a name of 100 characters":            {func(k *apikey.NewKey) { k.Name = strings.Repeat("é", 100) }, ""},
		"a name of 101 characters":            {func(k *apikey.NewKey) { k.Name = strings.Repeat("é", 101) }, "name"},
		"no name":                             {func(k *apikey.NewKey) { k.Name = "" }, "name"},
		"a name of spaces":                    {func(k *apikey.NewKey) { k.Name = " \u2003" }, "name"},
		"a name with a line feed":             {func(k *apikey.NewKey) { k.Name = "a\nb" }, "name"},
		"a name that is not UTF-8":            {func(k *apikey.NewKey) { k.Name = "a\xff" }, "name"},
		"no scope":                            {func(k *apikey.NewKey) { k.Scopes = nil }, ""},
		"a hundred and one scopes":            {func(k *apikey.NewKey) { k.Scopes = slices.Repeat([]string{"posts:read"}, 101) }, "scopes"},
		"a hundred times one scope":           {func(k *apikey.NewKey) { k.Scopes = slices.Repeat([]string{"posts:read"}, 100) }, ""},
		"an expiry now":                       {func(k *apikey.NewKey) { k.ExpiresAt = ptr(f.now) }, "expires_at"},
		"an expiry in a moment":               {func(k *apikey.NewKey) { k.ExpiresAt = ptr(f.now.Add(time.Millisecond)) }, ""},
		"an expiry in the year 10000":         {func(k *apikey.NewKey) { k.ExpiresAt = ptr(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)) }, "expires_at"},
		"addresses":                           {func(k *apikey.NewKey) { k.AllowedAddresses = prefixes("192.0.2.1/32", "2001:db8::/48") }, ""},
		"every IPv4 address":                  {func(k *apikey.NewKey) { k.AllowedAddresses = prefixes("192.0.2.1/32", "10.0.0.0/0") }, "allowed_addresses"},
		"every IPv6 address":                  {func(k *apikey.NewKey) { k.AllowedAddresses = prefixes("::/0") }, "allowed_addresses"},
		"every IPv4 address, mapped":          {func(k *apikey.NewKey) { k.AllowedAddresses = prefixes("::ffff:0.0.0.0/96") }, "allowed_addresses"},
		"a mapped prefix cut in two":          {func(k *apikey.NewKey) { k.AllowedAddresses = prefixes("::ffff:0.0.0.0/90") }, "allowed_addresses"},
		"an invalid prefix":                   {func(k *apikey.NewKey) { k.AllowedAddresses = make([]netip.Prefix, 1) }, "allowed_addresses"},
		"a hundred and one addresses":         {func(k *apikey.NewKey) { k.AllowedAddresses = slices.Repeat(prefixes("192.0.2.1/32"), 101) }, "allowed_addresses"},
		"a limit":                             {func(k *apikey.NewKey) { k.RateLimit = &apikey.RateLimit{Limit: 1, Window: time.Second} }, ""},
		"a limit of none":                     {func(k *apikey.NewKey) { k.RateLimit = &apikey.RateLimit{Limit: 0, Window: time.Second} }, "rate_limit"},
		"a limit over part of a second":       {func(k *apikey.NewKey) { k.RateLimit = &apikey.RateLimit{Limit: 1, Window: 1500 * time.Millisecond} }, "rate_limit"},
		"a limit over more than 31 days":      {func(k *apikey.NewKey) { k.RateLimit = &apikey.RateLimit{Limit: 1, Window: 745 * time.Hour} }, "rate_limit"},
		"a limit of more than can be counted": {func(k *apikey.NewKey) { k.RateLimit = &apikey.RateLimit{Limit: 1 << 24, Window: time.Hour} }, "rate_limit"},
	} {
		t.Run(name, func(t *testing.T) {
			k := apikey.NewKey{Owner: "usr_a", Name: "backup", Scopes: []string{"posts:read"}, MakerScopes: allScopes}
			tt.change(&k)
			text, _, err := f.Create(t.Context(), k)
			var field *apikey.FieldError
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Create: %v", err)
			case tt.want != "" && (!errors.As(err, &field) || field.Field != tt.want || text != ""):
				t.Errorf("Create: %v, want a FieldError of %s", err, tt.want)
			}
		})
	}
	for _, owner := range []string{"", "*"} {
		if _, _, err := f.Create(t.Context(), apikey.NewKey{Owner: owner, Name: "backup"}); err == nil {
			t.Errorf("a key for the owner %q was made", owner)
		}
	}
}

func TestAKeyHasNoScopeThatItsMakerLacks(t *testing.T) {
	f := newFixture(t, nil)
	k := apikey.NewKey{Owner: "usr_a", Name: "backup", Scopes: []string{"posts:write", "posts:read"}, MakerScopes: []string{"posts:read", "keys:manage"}}
	_, _, err := f.Create(t.Context(), k)
	var scope *apikey.ScopeError
	if !errors.Is(err, apikey.ErrScopeNotHeld) || !errors.As(err, &scope) || scope.Scope != "posts:write" || scope.Index != 0 {
		t.Errorf("Create: %v, want ErrScopeNotHeld of posts:write", err)
	}
	k.Scopes = []string{"posts:read", "posts:delete <b>", "posts:write"}
	_, _, err = f.Create(t.Context(), k)
	if !errors.Is(err, apikey.ErrScopeUnknown) || errors.Is(err, apikey.ErrScopeNotHeld) || !errors.As(err, &scope) || scope.Index != 1 || strings.Contains(err.Error(), "<b>") {
		t.Errorf("Create: %v, want ErrScopeUnknown of the second, unnamed", err)
	}
	k.Scopes = []string{"posts:read", "keys:manage", "posts:read"}
	_, r, err := f.Create(t.Context(), k)
	if err != nil || !slices.Equal(r.Scopes, []string{"keys:manage", "posts:read"}) {
		t.Errorf("Create = %v, %v, want the two scopes in order", r.Scopes, err)
	}
	// The same holds for changes.
	_, err = f.Update(t.Context(), r.ID, "usr_a", apikey.Change{Scopes: &[]string{"posts:write"}, MakerScopes: k.MakerScopes})
	if !errors.Is(err, apikey.ErrScopeNotHeld) {
		t.Errorf("Update: %v, want ErrScopeNotHeld", err)
	}
	// And for rotation, which would hand out a text with scopes that one lacks.
	_, _, err = f.Rotate(t.Context(), apikey.Rotation{ID: r.ID, Owner: "usr_a", MakerScopes: []string{"posts:read"}})
	if !errors.Is(err, apikey.ErrScopeNotHeld) {
		t.Errorf("Rotate: %v, want ErrScopeNotHeld", err)
	}
}

func TestAnOwnerHasABoundedNumberOfKeys(t *testing.T) {
	f := newFixture(t, func(c *apikey.Config) { c.MaxPerOwner = 2 })
	_, first := f.create(t, nil)
	f.create(t, nil)
	k := apikey.NewKey{Owner: "usr_a", Name: "third"}
	if _, _, err := f.Create(t.Context(), k); !errors.Is(err, apikey.ErrTooMany) {
		t.Errorf("Create: %v, want ErrTooMany", err)
	}
	if _, _, err := f.Rotate(t.Context(), apikey.Rotation{ID: first.ID, Owner: "usr_a", MakerScopes: allScopes}); err != nil {
		t.Errorf("Rotate at the limit: %v", err)
	}
	if n, err := f.Count(t.Context(), "usr_a"); n != 2 || err != nil {
		t.Errorf("Count = %d, %v, want 2", n, err)
	}
}

func TestKeysOfOthersDoNotExist(t *testing.T) {
	f := newFixture(t, nil)
	_, r := f.create(t, nil)
	for owner, want := range map[string]error{"usr_a": nil, apikey.AnyOwner: nil, "usr_b": apikey.ErrNotFound, "": apikey.ErrNotFound} {
		_, err := f.Get(t.Context(), r.ID, owner)
		if !errors.Is(err, want) {
			t.Errorf("Get for %q: %v, want %v", owner, err, want)
		}
		if _, err := f.Update(t.Context(), r.ID, owner, apikey.Change{Name: ptr("x")}); !errors.Is(err, want) {
			t.Errorf("Update for %q: %v, want %v", owner, err, want)
		}
		list, _, err := f.List(t.Context(), owner, "", 10)
		if (len(list) == 1) != (want == nil) || err != nil {
			t.Errorf("List for %q has %d keys, %v", owner, len(list), err)
		}
	}
	for _, owner := range []string{"usr_b", ""} {
		if err := f.Revoke(t.Context(), r.ID, owner); !errors.Is(err, apikey.ErrNotFound) {
			t.Errorf("Revoke for %q: %v, want ErrNotFound", owner, err)
		}
		if _, _, err := f.Rotate(t.Context(), apikey.Rotation{ID: r.ID, Owner: owner, MakerScopes: allScopes}); !errors.Is(err, apikey.ErrNotFound) {
			t.Errorf("Rotate for %q: %v, want ErrNotFound", owner, err)
		}
	}
}

func TestListsComeInPages(t *testing.T) {
	f := newFixture(t, nil)
	var made []string
	for range 7 {
		f.now = f.now.Add(time.Second)
		_, r := f.create(t, nil)
		made = append(made, r.ID)
	}
	slices.Reverse(made)
	var seen []string
	var sizes []int
	for cursor := ""; ; {
		page, next, err := f.List(t.Context(), "usr_a", cursor, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			seen = append(seen, r.ID)
		}
		sizes = append(sizes, len(page))
		if cursor = next; cursor == "" {
			break
		}
	}
	if !slices.Equal(seen, made) || !slices.Equal(sizes, []int{3, 3, 1}) {
		t.Errorf("pages of %v: %v, want 3, 3, 1 newest first", sizes, seen)
	}
	for limit, want := range map[int]int{-1: 1, 0: 1, 7: 7, 1e6: 7} {
		if page, _, err := f.List(t.Context(), "usr_a", "", limit); len(page) != want || err != nil {
			t.Errorf("List with limit %d has %d keys, %v, want %d", limit, len(page), err, want)
		}
	}
}

func TestARotatedKeyWorksUntilTheOverlapEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		overlap *time.Duration
		expires time.Duration // of the old key, from its making
		ends    time.Duration // of the old key, from the rotation
	}{
		"a day, unless said otherwise":    {nil, 90 * 24 * time.Hour, 24 * time.Hour},
		"at once":                         {ptr(time.Duration(0)), 90 * 24 * time.Hour, 0},
		"an hour":                         {ptr(time.Hour), 90 * 24 * time.Hour, time.Hour},
		"never longer than it would have": {nil, 2 * time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			oldText, old := f.create(t, func(k *apikey.NewKey) {
				k.ExpiresAt = ptr(f.now.Add(tt.expires))
				k.RateLimit = &apikey.RateLimit{Limit: 5, Window: time.Minute}
				k.AllowedAddresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
			})
			f.now = f.now.Add(time.Hour)
			f.verify(t, oldText, nil)
			start := f.now
			text, next, err := f.Rotate(t.Context(), apikey.Rotation{ID: old.ID, Owner: "usr_a", MakerScopes: allScopes, Overlap: tt.overlap})
			if err != nil {
				t.Fatal(err)
			}
			if next.Name != old.Name || !slices.Equal(next.Scopes, old.Scopes) || next.Owner != old.Owner || *next.RateLimit != *old.RateLimit ||
				!slices.Equal(next.AllowedAddresses, old.AllowedAddresses) || !next.Enabled || next.LastUsedAt != nil {
				t.Errorf("the settings %+v are not those of %+v", next, old)
			}
			if next.ID == old.ID || next.Lookup == old.Lookup || next.Hash == old.Hash || !next.ExpiresAt.Equal(start.Add(tt.expires)) {
				t.Errorf("the new key %+v is not a new one with the same length of life", next)
			}
			f.verify(t, text, nil)
			if tt.ends > 0 {
				f.now = start.Add(tt.ends - time.Microsecond)
				if r := f.verify(t, oldText, nil); r.RotatedTo != next.ID {
					t.Errorf("RotatedTo = %q, want %q", r.RotatedTo, next.ID)
				}
			}
			f.now = start.Add(tt.ends)
			f.verify(t, oldText, apikey.ErrExpired)

			if _, _, err := f.Rotate(t.Context(), apikey.Rotation{ID: old.ID, Owner: "usr_a", MakerScopes: allScopes}); !errors.Is(err, apikey.ErrConflict) {
				t.Errorf("a second rotation: %v, want ErrConflict", err)
			}
		})
	}
}

func TestAKeyLivesAtMost3660Days(t *testing.T) {
	f := newFixture(t, nil)
	_, r := f.create(t, nil)
	longest := f.now.Add(3660 * 24 * time.Hour)
	if _, err := f.Update(t.Context(), r.ID, "usr_a", apikey.Change{ExpiresAt: &longest}); err != nil {
		t.Errorf("3660 days: %v", err)
	}
	var field *apikey.FieldError
	_, err := f.Update(t.Context(), r.ID, "usr_a", apikey.Change{ExpiresAt: ptr(longest.Add(time.Second))})
	if !errors.As(err, &field) || field.Field != "expires_at" {
		t.Errorf("a second more: %v, want a FieldError of expires_at", err)
	}
}

func TestARotatedKeyCannotBeProlonged(t *testing.T) {
	f := newFixture(t, nil)
	_, old := f.create(t, nil)
	if _, _, err := f.Rotate(t.Context(), apikey.Rotation{ID: old.ID, Owner: "usr_a", MakerScopes: allScopes, Overlap: ptr(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	var field *apikey.FieldError
	_, err := f.Update(t.Context(), old.ID, "usr_a", apikey.Change{ExpiresAt: ptr(f.now.Add(61 * time.Minute))})
	if !errors.As(err, &field) || field.Field != "expires_at" {
		t.Errorf("Update: %v, want a FieldError of expires_at", err)
	}
	if _, err := f.Update(t.Context(), old.ID, "usr_a", apikey.Change{ExpiresAt: ptr(f.now.Add(59 * time.Minute))}); err != nil {
		t.Errorf("Update to an earlier end: %v", err)
	}
	for _, overlap := range []time.Duration{-1, 30*24*time.Hour + 1} {
		_, _, err := f.Rotate(t.Context(), apikey.Rotation{ID: old.ID, Owner: "usr_a", Overlap: &overlap})
		if !errors.As(err, &field) || field.Field != "overlap_seconds" {
			t.Errorf("Rotate with an overlap of %v: %v, want a FieldError", overlap, err)
		}
	}
}

func TestUpdateChangesWhatIsAskedForOnly(t *testing.T) {
	f := newFixture(t, nil)
	_, before := f.create(t, func(k *apikey.NewKey) { k.RateLimit = &apikey.RateLimit{Limit: 5, Window: time.Minute} })
	after, err := f.Update(t.Context(), before.ID, "usr_a", apikey.Change{Name: ptr("other")})
	if err != nil || after.Name != "other" || after.RateLimit == nil || !after.ExpiresAt.Equal(*before.ExpiresAt) || !slices.Equal(after.Scopes, before.Scopes) || !after.Enabled {
		t.Errorf("Update = %+v, %v", after, err)
	}
	after, err = f.Update(t.Context(), before.ID, "usr_a", apikey.Change{ClearRateLimit: true, AllowedAddresses: &[]netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.9/120")}})
	if err != nil || after.Name != "other" || after.RateLimit != nil || after.AllowedAddresses[0] != netip.MustParsePrefix("192.0.2.0/24") {
		t.Errorf("Update = %+v, %v", after, err)
	}
	stored, err := f.Get(t.Context(), before.ID, "usr_a")
	if err != nil || stored.Version != 3 || after.Version != 3 {
		t.Errorf("Version = %d and %d, %v, want 3", stored.Version, after.Version, err)
	}
}

func TestPreviewTellsWhatUpdateWouldDoAndDoesNothing(t *testing.T) {
	f := newFixture(t, nil)
	_, before := f.create(t, nil)
	seen, err := f.Preview(t.Context(), before.ID, "usr_a", apikey.Change{Name: ptr("other")})
	if err != nil || seen.Name != "other" {
		t.Errorf("Preview = %+v, %v", seen, err)
	}
	if stored, err := f.Get(t.Context(), before.ID, "usr_a"); err != nil || stored.Name != before.Name || stored.Version != before.Version {
		t.Errorf("after it the key is %+v, %v", stored, err)
	}
	field := (*apikey.FieldError)(nil)
	if _, err := f.Preview(t.Context(), before.ID, "usr_a", apikey.Change{Name: ptr("")}); !errors.As(err, &field) {
		t.Errorf("a bad change: %v", err)
	}
	if _, err := f.Preview(t.Context(), before.ID, "usr_b", apikey.Change{}); !errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("the key of another: %v", err)
	}
}

func TestPreviewRotationTellsWhatRotateWouldDoAndDoesNothing(t *testing.T) {
	f := newFixture(t, nil)
	text, before := f.create(t, nil)
	o := apikey.Rotation{ID: before.ID, Owner: "usr_a", MakerScopes: allScopes}
	seen, err := f.PreviewRotation(t.Context(), o)
	if err != nil || seen.ID == before.ID || seen.Name != before.Name || !slices.Equal(seen.Scopes, before.Scopes) {
		t.Errorf("PreviewRotation = %+v, %v", seen, err)
	}
	if stored, err := f.Get(t.Context(), before.ID, "usr_a"); err != nil || stored.ReplacedAt != nil || !stored.ExpiresAt.Equal(*before.ExpiresAt) {
		t.Errorf("after it the key is %+v, %v", stored, err)
	}
	f.verify(t, text, nil)
	if _, err := f.Get(t.Context(), seen.ID, "usr_a"); !errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("the new key exists: %v", err)
	}

	o.NextID = seen.ID
	_, next, err := f.Rotate(t.Context(), o)
	if err != nil || next.ID != seen.ID {
		t.Errorf("Rotate = %+v, %v, want the id %s", next, err, seen.ID)
	}
	if stored, err := f.Get(t.Context(), before.ID, "usr_a"); err != nil || stored.RotatedTo != seen.ID {
		t.Errorf("the old key is %+v, %v", stored, err)
	}

	field, long := (*apikey.FieldError)(nil), 31*24*time.Hour
	if _, err := f.PreviewRotation(t.Context(), apikey.Rotation{ID: next.ID, Owner: "usr_a", MakerScopes: allScopes, Overlap: &long}); !errors.As(err, &field) {
		t.Errorf("a bad overlap: %v", err)
	}
	for name, tt := range map[string]struct {
		o    apikey.Rotation
		want error
	}{
		"a key that was rotated":    {apikey.Rotation{ID: before.ID, Owner: "usr_a", MakerScopes: allScopes}, apikey.ErrConflict},
		"the key of another":        {apikey.Rotation{ID: next.ID, Owner: "usr_b", MakerScopes: allScopes}, apikey.ErrNotFound},
		"scopes that one lacks":     {apikey.Rotation{ID: next.ID, Owner: "usr_a"}, apikey.ErrScopeNotHeld},
		"what may well be replaced": {apikey.Rotation{ID: next.ID, Owner: "usr_a", MakerScopes: allScopes}, nil},
	} {
		if _, err := f.PreviewRotation(t.Context(), tt.o); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func TestSweepLeavesWhatTheRetentionKeeps(t *testing.T) {
	f := newFixture(t, func(c *apikey.Config) { c.Retention = 24 * time.Hour; c.DefaultExpiry = time.Hour })
	_, first := f.create(t, nil)
	f.now = f.now.Add(time.Hour)
	f.create(t, nil)
	f.now = f.now.Add(24*time.Hour + 1)
	if n, err := f.Sweep(t.Context(), f.now); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v, want 1", n, err)
	}
	if _, err := f.Get(t.Context(), first.ID, "usr_a"); !errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
}
