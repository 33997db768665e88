package apikey_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/apikey"
)

func TestLastUseIsWrittenOnceAMinuteAndShownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		text, r := f.create(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		start := f.now
		for i := range 150 { // two and a half minutes
			synctest.Wait()
			f.now = start.Add(time.Duration(i) * time.Second)
			for range 3 {
				f.verify(t, text, nil)
			}
			got, err := f.Get(ctx, r.ID, "usr_a")
			if err != nil || got.LastUsedAt == nil || !got.LastUsedAt.Equal(f.now) {
				t.Fatalf("at %v: LastUsedAt = %v, %v", f.now, got.LastUsedAt, err)
			}
			time.Sleep(time.Second)
		}
		if n := f.store.touches.Load(); n != 2 {
			t.Errorf("%d writes in two and a half minutes, want 2", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		stored, err := f.store.Get(t.Context(), r.ID)
		if err != nil || stored.LastUsedAt == nil || !stored.LastUsedAt.Equal(f.now) {
			t.Errorf("after Run: LastUsedAt = %v, %v, want %v", stored.LastUsedAt, err, f.now)
		}
	})
}

func TestLastUseSurvivesAnOutageOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outage := errors.New("outage")
		var told []error
		f := newFixture(t, func(c *apikey.Config) { c.OnFlushError = func(err error) { told = append(told, err) } })
		text, r := f.create(t, nil)
		f.verify(t, text, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		f.store.fail(outage)
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if len(told) != 1 || !errors.Is(told[0], outage) {
			t.Errorf("OnFlushError was told %v, want the outage once", told)
		}
		f.store.fail(nil)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if stored, err := f.store.Get(t.Context(), r.ID); err != nil || stored.LastUsedAt == nil {
			t.Errorf("LastUsedAt = %v, %v, want it written", stored.LastUsedAt, err)
		}
	})
}

func TestTheFirstUseOfAKeyIsTold(t *testing.T) {
	f := newFixture(t, nil)
	text, _ := f.create(t, nil)
	for i, first := range []bool{true, false, false, false} {
		f.now = f.now.Add(time.Duration(i) * 700 * time.Millisecond) // with and without the cache
		if i == 3 {
			if err := f.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.ForgetAll()
		}
		if r := f.verify(t, text, nil); (r.LastUsedAt == nil) != first {
			t.Errorf("use %d: LastUsedAt = %v, want none: %v", i, r.LastUsedAt, first)
		}
	}
}

func TestAUseWhileOthersAreWrittenIsNotLost(t *testing.T) {
	f := newFixture(t, func(c *apikey.Config) { c.CacheTTL = -1 })
	text, r := f.create(t, nil)
	f.verify(t, text, nil)
	f.store.written = func() {
		f.store.written = nil
		f.now = f.now.Add(time.Second)
		f.verify(t, text, nil)
	}
	for range 2 {
		if err := f.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := f.store.Get(t.Context(), r.ID)
	if err != nil || !stored.LastUsedAt.Equal(f.now) {
		t.Errorf("LastUsedAt = %v, %v, want %v", stored.LastUsedAt, err, f.now)
	}
}
