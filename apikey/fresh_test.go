package apikey_test

import (
	"errors"
	"testing"
	"time"

	"github.com/merlonhq/merlon/apikey"
)

// A verdict is used for as long as what others changed is known, and no longer.
func TestAVerdictIsUsedOnlyWhileFresh(t *testing.T) {
	fresh := true
	f := newFixture(t, func(c *apikey.Config) { c.Fresh = func() bool { return fresh } })
	text, r := f.create(t, nil)
	lookups := func(want int64) {
		t.Helper()
		if n := f.store.lookups.Load(); n != want {
			t.Errorf("%d look-ups, want %d", n, want)
		}
	}
	f.verify(t, text, nil)
	f.now = f.now.Add(30*time.Second - 1)
	f.verify(t, text, nil)
	lookups(1)
	f.now = f.now.Add(1)
	f.verify(t, text, nil)
	lookups(2)
	// Another process revokes it; nobody has told.
	if err := f.store.Revoke(t.Context(), r.ID, f.now); err != nil {
		t.Fatal(err)
	}
	f.verify(t, text, nil)
	fresh = false
	f.verify(t, text, apikey.ErrRevoked)
	lookups(3)
	// It cannot be known any more: no verdict, and no refusal either.
	outage := errors.New("outage")
	f.store.fail(outage)
	_, err := f.Verify(t.Context(), text, here, f.now)
	if refusal := (*apikey.Refusal)(nil); !errors.Is(err, outage) || errors.As(err, &refusal) {
		t.Errorf("Verify: %v, want the outage", err)
	}
	f.store.fail(nil)
	// Told, it forgets just that key.
	fresh = true
	other, _ := f.create(t, nil)
	f.verify(t, other, nil)
	f.Forget(r.Lookup)
	f.verify(t, text, apikey.ErrRevoked)
	before := f.store.lookups.Load()
	f.verify(t, other, nil)
	lookups(before)
}

// A look that ends while a verdict is being looked up forgets it: it must not be used because of that look.
func TestAVerdictThatALookForgetsMeanwhileIsNotUsed(t *testing.T) {
	look := func() {}
	f := newFixture(t, func(c *apikey.Config) { c.Fresh = func() bool { look(); return true } })
	text, r := f.create(t, nil)
	f.verify(t, text, nil)
	f.verify(t, text, nil)
	if n := f.store.lookups.Load(); n != 1 {
		t.Fatalf("%d look-ups, want 1: the verdict is not remembered", n)
	}
	if err := f.store.Revoke(t.Context(), r.ID, f.now); err != nil {
		t.Fatal(err)
	}
	look = func() { f.Forget(r.Lookup) }
	f.verify(t, text, apikey.ErrRevoked)
}

// What is remembered for half a minute is noted as used to the second.
func TestTheLastUseIsPreciseWhileTheVerdictIsOld(t *testing.T) {
	f := newFixture(t, func(c *apikey.Config) { c.Fresh = func() bool { return true } })
	text, r := f.create(t, nil)
	for range 20 {
		f.verify(t, text, nil)
		got, err := f.Get(t.Context(), r.ID, "usr_a")
		if err != nil || got.LastUsedAt == nil || !got.LastUsedAt.Equal(f.now) {
			t.Fatalf("at %v: LastUsedAt = %v, %v", f.now, got.LastUsedAt, err)
		}
		f.now = f.now.Add(time.Second)
	}
	if n := f.store.lookups.Load(); n != 1 {
		t.Errorf("%d look-ups, want 1", n)
	}
}

func TestEveryChangeThatMayTakeARightIsToldToOthers(t *testing.T) {
	told := 0
	f := newFixture(t, func(c *apikey.Config) { c.OnChange = func() { told++ } })
	text, r := f.create(t, nil)
	_, second := f.create(t, nil)
	f.verify(t, text, nil)
	if told != 0 {
		t.Errorf("told of %d changes after a creation and a use, want none", told)
	}
	for i, change := range []func() error{
		func() error {
			_, err := f.Update(t.Context(), r.ID, "usr_a", apikey.Change{Enabled: ptr(false)})
			return err
		},
		func() error {
			_, _, err := f.Rotate(t.Context(), apikey.Rotation{ID: second.ID, Owner: "usr_a", MakerScopes: allScopes})
			return err
		},
		func() error { return f.Revoke(t.Context(), r.ID, "usr_a") },
		func() error { _, err := f.RevokeOwner(t.Context(), "usr_a"); return err },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if told != i+1 {
			t.Errorf("told of %d changes after %d", told, i+1)
		}
	}
}
