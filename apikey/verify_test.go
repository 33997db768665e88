package apikey_test

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon/apikey"
)

func TestEveryRefusalHasItsOwnErrorAndTheCodeOfTheContract(t *testing.T) {
	f := newFixture(t, func(c *apikey.Config) { c.CacheTTL = -1 })
	change := func(c apikey.Change) string {
		text, r := f.create(t, nil)
		if _, err := f.Update(t.Context(), r.ID, "usr_a", c); err != nil {
			t.Fatal(err)
		}
		return text
	}
	good, _ := f.create(t, nil)
	other, _ := f.create(t, nil)
	revoked, r := f.create(t, nil)
	if err := f.Revoke(t.Context(), r.ID, "usr_a"); err != nil {
		t.Fatal(err)
	}
	wrongSecret := withChecksum(good[:26] + other[26:len(other)-6])
	from := func(p string) string {
		return change(apikey.Change{AllowedAddresses: &[]netip.Prefix{netip.MustParsePrefix(p)}})
	}
	for name, tt := range map[string]struct {
		text  string
		want  error
		code  string
		known bool // the record is told
	}{
		"a good key":                   {good, nil, "", true},
		"a key with a letter changed":  {good[:len(good)-1] + "!", apikey.ErrMalformed, "malformed", false},
		"something else":               {"hunter2", apikey.ErrMalformed, "malformed", false},
		"a key that was never made":    {testKey("live"), apikey.ErrNotFound, "not_found", false},
		"a good key for development":   {testKey("dev"), apikey.ErrNotFound, "not_found", false},
		"a bad key for development":    {testKey("dev")[:73] + "!", apikey.ErrMalformed, "malformed", false},
		"the secret of another key":    {wrongSecret, apikey.ErrNotFound, "not_found", false},
		"a revoked key":                {revoked, apikey.ErrRevoked, "not_found", true},
		"a disabled key":               {change(apikey.Change{Enabled: ptr(false)}), apikey.ErrDisabled, "disabled", true},
		"a key from its address":       {from("192.0.2.7/32"), nil, "", true},
		"a key from its network":       {from("192.0.2.0/29"), nil, "", true},
		"a key from the network aside": {from("192.0.2.8/29"), apikey.ErrAddressNotAllowed, "address_not_allowed", true},
		"a key from the other family":  {from("2001:db8::/32"), apikey.ErrAddressNotAllowed, "address_not_allowed", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := f.verify(t, tt.text, tt.want)
			if (r.ID != "") != tt.known {
				t.Errorf("the record %q is told, want it told: %v", r.ID, tt.known)
			}
			_, err := f.Verify(t.Context(), tt.text, here, f.now)
			var refusal *apikey.Refusal
			if errors.As(err, &refusal) != (tt.want != nil) || refusal != nil && refusal.Code() != tt.code {
				t.Errorf("the code of %v is not %q", err, tt.code)
			}
			if err != nil && strings.Contains(err.Error(), tt.text) {
				t.Errorf("the error %q shows the key", err)
			}
		})
	}
}

func TestAddressesAreComparedWithoutZoneAndMapping(t *testing.T) {
	f := newFixture(t, nil)
	text, _ := f.create(t, func(k *apikey.NewKey) {
		k.AllowedAddresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("fe80::/10")}
	})
	for addr, want := range map[netip.Addr]error{
		netip.MustParseAddr("192.0.2.200"):        nil,
		netip.MustParseAddr("::ffff:192.0.2.200"): nil,
		netip.MustParseAddr("fe80::1%eth0"):       nil,
		netip.MustParseAddr("192.0.3.1"):          apikey.ErrAddressNotAllowed,
		netip.MustParseAddr("::ffff:192.0.3.1"):   apikey.ErrAddressNotAllowed,
		{}:                                        apikey.ErrAddressNotAllowed,
	} {
		for range 2 { // from the store, from the cache
			if _, err := f.Verify(t.Context(), text, addr, f.now); !errors.Is(err, want) {
				t.Errorf("from %v: %v, want %v", addr, err, want)
			}
		}
	}
}

func TestAnOutageOfTheStoreIsNotARefusal(t *testing.T) {
	f := newFixture(t, nil)
	text, _ := f.create(t, nil)
	outage := errors.New("outage")
	f.store.fail(outage)
	_, err := f.Verify(t.Context(), text, here, f.now)
	var refusal *apikey.Refusal
	if !errors.Is(err, outage) || errors.As(err, &refusal) {
		t.Errorf("Verify: %v, want the outage and no refusal", err)
	}
	f.verify(t, text[:20], apikey.ErrMalformed) // needs no store
	if n := f.store.lookups.Load(); n != 1 {
		t.Errorf("%d look-ups, want 1", n)
	}
}

func TestTheStoreIsAskedOnceInASecond(t *testing.T) {
	f := newFixture(t, nil)
	text, r := f.create(t, nil)
	wrongSecret := withChecksum(text[:26] + strings.Repeat("x", 43))
	wrongSum := text[:len(text)-6] + "000000"
	for _, step := range []struct {
		after   time.Duration
		text    string
		want    error
		lookups int64
	}{
		{0, text, nil, 1},
		{0, text, nil, 1},
		{time.Second - 1, text, nil, 1},
		{0, wrongSecret, apikey.ErrNotFound, 1},
		{0, wrongSum, apikey.ErrMalformed, 1},
		{1, text, nil, 2},
		{-time.Minute, text, nil, 3}, // the clock was set back
		{time.Hour, wrongSecret, apikey.ErrNotFound, 4},
		{0, wrongSecret, apikey.ErrNotFound, 5}, // a refusal is not kept
		{0, text, nil, 6},
	} {
		f.now = f.now.Add(step.after)
		f.verify(t, step.text, step.want)
		if n := f.store.lookups.Load(); n != step.lookups {
			t.Errorf("after %v: %d look-ups, want %d", step.after, n, step.lookups)
		}
	}
	// What another process does is seen when the second is over.
	if err := f.store.Revoke(t.Context(), r.ID, f.now); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(time.Second - 1)
	f.verify(t, text, nil)
	f.now = f.now.Add(1)
	f.verify(t, text, apikey.ErrRevoked)
}

func TestExpiryIsExactWithinTheSecondOfAVerdict(t *testing.T) {
	f := newFixture(t, nil)
	end := f.now.Add(500 * time.Millisecond)
	text, _ := f.create(t, func(k *apikey.NewKey) { k.ExpiresAt = &end })
	f.verify(t, text, nil)
	f.now = end
	f.verify(t, text, apikey.ErrExpired)
}

func TestWhatThisProcessChangesHoldsAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(f *fixture, t *testing.T, id string) error
		want   error
	}{
		"revoked": {func(f *fixture, t *testing.T, id string) error { return f.Revoke(t.Context(), id, "usr_a") }, apikey.ErrRevoked},
		"revoked with all others": {func(f *fixture, t *testing.T, id string) error {
			_, err := f.RevokeOwner(t.Context(), "usr_a")
			return err
		}, apikey.ErrRevoked},
		"disabled": {func(f *fixture, t *testing.T, id string) error {
			_, err := f.Update(t.Context(), id, "usr_a", apikey.Change{Enabled: ptr(false)})
			return err
		}, apikey.ErrDisabled},
		"rotated without an overlap": {func(f *fixture, t *testing.T, id string) error {
			_, _, err := f.Rotate(t.Context(), apikey.Rotation{ID: id, Owner: "usr_a", MakerScopes: allScopes, Overlap: new(time.Duration)})
			return err
		}, apikey.ErrExpired},
		"moved to another address": {func(f *fixture, t *testing.T, id string) error {
			_, err := f.Update(t.Context(), id, "usr_a", apikey.Change{AllowedAddresses: &[]netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
			return err
		}, apikey.ErrAddressNotAllowed},
		"elsewhere, and this process is told": {func(f *fixture, t *testing.T, id string) error {
			r, err := f.store.Get(t.Context(), id)
			f.Forget("") // nothing
			defer f.Forget(r.Lookup)
			return errors.Join(err, f.store.Revoke(t.Context(), id, f.now))
		}, apikey.ErrRevoked},
		"elsewhere, and this process is told of something": {func(f *fixture, t *testing.T, id string) error {
			defer f.ForgetAll()
			return f.store.Revoke(t.Context(), id, f.now)
		}, apikey.ErrRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			text, r := f.create(t, nil)
			f.verify(t, text, nil)
			if err := tt.change(f, t, r.ID); err != nil {
				t.Fatal(err)
			}
			f.verify(t, text, tt.want)
		})
		t.Run(name+", while it was being verified", func(t *testing.T) {
			f := newFixture(t, nil)
			text, r := f.create(t, nil)
			f.store.paused = func() { // the record was read as it was before
				f.store.paused = nil
				if err := tt.change(f, t, r.ID); err != nil {
					t.Error(err)
				}
			}
			f.verify(t, text, nil) // it was right when it was asked
			f.verify(t, text, tt.want)
		})
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	f := newFixture(t, func(c *apikey.Config) { c.CacheSize = 64 }) // one verdict a shard
	var texts []string
	for range 1000 {
		text, _ := f.create(t, nil)
		texts = append(texts, text)
	}
	for range 2 {
		for _, text := range texts {
			f.verify(t, text, nil)
		}
	}
	if n := f.store.lookups.Load(); n < 1900 {
		t.Errorf("%d look-ups for two rounds of 1000 keys, want nearly all: there is room for 64", n)
	}
}

func TestVerifyIsSafeForConcurrentUse(t *testing.T) {
	f := newFixture(t, nil)
	var texts []string
	for range 50 {
		text, _ := f.create(t, nil)
		texts = append(texts, text)
	}
	gone, r := f.create(t, nil)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 200 {
				f.verify(t, texts[(i*7+w)%50], nil)
				if i == 100 && w == 0 {
					if err := f.Revoke(t.Context(), r.ID, "usr_a"); err != nil {
						t.Error(err)
					}
				}
				if _, err := f.Verify(t.Context(), gone, here, f.now); err != nil && !errors.Is(err, apikey.ErrRevoked) {
					t.Error(err)
				}
				if i%50 == 0 {
					if err := f.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	f.verify(t, gone, apikey.ErrRevoked)
}

func TestAHotVerifyDoesNotAllocate(t *testing.T) {
	f := newFixture(t, nil)
	text, _ := f.create(t, nil)
	f.verify(t, text, nil)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { f.Verify(ctx, text, here, f.now) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// BenchmarkVerify stands beside its floor: SHA-256 of the secret, a map, a constant-time comparison.
func BenchmarkVerify(b *testing.B) {
	for _, keys := range []int{100, 4000} {
		f := newFixture(b, nil)
		var texts []string
		floor := make(map[string]*[32]byte)
		for range keys {
			text, r := f.create(b, nil)
			texts = append(texts, text)
			hash := r.Hash
			floor[r.Lookup] = &hash
			f.verify(b, text, nil)
		}
		b.Run(fmt.Sprintf("floor/%d", keys), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				text := texts[i%keys]
				i++
				var secret [43]byte
				copy(secret[:], text[26:69])
				hash := sha256.Sum256(secret[:])
				if want := floor[text[9:25]]; subtle.ConstantTimeCompare(hash[:], want[:]) != 1 {
					b.Fatal("wrong")
				}
			}
		})
		b.Run(fmt.Sprintf("hot/%d", keys), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := f.Verify(b.Context(), texts[i%keys], here, f.now); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
		b.Run(fmt.Sprintf("unknown/%d", keys), func(b *testing.B) {
			b.ReportAllocs()
			unknown := testKey("live")
			for b.Loop() {
				f.Verify(b.Context(), unknown, here, f.now)
			}
		})
	}
}
