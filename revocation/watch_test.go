package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/revocation"
)

// log is a log that fails when it is told to.
type log struct {
	*revocation.Memory
	away, hangs atomic.Bool
	looks       atomic.Int64
}

var errAway = errors.New("away")

func (l *log) fail(ctx context.Context) error {
	l.looks.Add(1)
	if l.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if l.away.Load() {
		return errAway
	}
	return nil
}

func (l *log) Latest(ctx context.Context) (int64, error) {
	if err := l.fail(ctx); err != nil {
		return 0, err
	}
	return l.Memory.Latest(ctx)
}

func (l *log) Since(ctx context.Context, seq int64) ([]revocation.Change, error) {
	if err := l.fail(ctx); err != nil {
		return nil, err
	}
	return l.Memory.Since(ctx, seq)
}

// cache is what a watch tells to forget.
type cache struct {
	*revocation.Watch
	log       *log
	mu        sync.Mutex
	forgotten []string // "all" for all
}

func newCache(t *testing.T, change func(*revocation.Config)) *cache {
	t.Helper()
	c := &cache{log: &log{Memory: newMemory(t, 8)}}
	forget := func(what string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.forgotten = append(c.forgotten, what)
	}
	cfg := revocation.Config{Log: c.log, Forget: func(c revocation.Change) { forget(string(c.Kind) + " " + c.Name) }, ForgetAll: func() { forget("all") }}
	if change != nil {
		change(&cfg)
	}
	var err error
	if c.Watch, err = revocation.New(cfg); err != nil {
		t.Fatal(err)
	}
	return c
}

// told returns what was forgotten since the last call.
func (c *cache) told() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	told := c.forgotten
	c.forgotten = nil
	return told
}

func (c *cache) look(t *testing.T, want ...string) {
	t.Helper()
	if err := c.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.told(); !slices.Equal(got, want) {
		t.Errorf("forgotten: %q, want %q", got, want)
	}
}

func TestEveryErrorOfTheConfigurationIsReported(t *testing.T) {
	m := newMemory(t, 1)
	forget, all := func(revocation.Change) {}, func() {}
	for _, tt := range []struct {
		cfg  revocation.Config
		want []string // nil: none
	}{
		{revocation.Config{Bound: time.Minute, Interval: time.Millisecond}, []string{"Log, Forget and ForgetAll", "Bound 1m0s", "Interval 1ms"}},
		{revocation.Config{Log: m, Forget: forget, ForgetAll: all, Interval: 501 * time.Millisecond}, []string{"Interval 501ms"}},
		{revocation.Config{Log: m, Forget: forget, ForgetAll: all, Interval: 500 * time.Millisecond}, nil},
		{revocation.Config{Log: m, Forget: forget, ForgetAll: all}, nil},
	} {
		_, err := revocation.New(tt.cfg)
		if (err == nil) != (tt.want == nil) {
			t.Errorf("New(%+v): %v, want %q", tt.cfg, err, tt.want)
		}
		for _, want := range tt.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
	}
}

func TestJustWhatWasRevokedIsForgotten(t *testing.T) {
	c := newCache(t, nil)
	c.log.Add(revocation.Key, "before")
	c.look(t, "all") // nothing is known of what was read before the first look
	c.look(t)
	c.log.Add(revocation.Key, "k")
	c.log.Add(revocation.Account, "a")
	c.look(t, "key k", "account a")
	c.look(t)
	c.log.away.Store(true)
	c.log.Add(revocation.Key, "later")
	if err := c.Look(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("Look: %v, want the outage", err)
	}
	if got := c.told(); got != nil {
		t.Errorf("forgotten while the log is away: %q", got)
	}
	c.log.away.Store(false)
	c.look(t, "key later")
	// As many as the log holds, and one more.
	for n := range 8 {
		c.log.Add(revocation.Key, fmt.Sprint(n))
	}
	c.look(t, "key 0", "key 1", "key 2", "key 3", "key 4", "key 5", "key 6", "key 7")
	for n := range 9 {
		c.log.Add(revocation.Key, fmt.Sprint(n))
	}
	c.look(t, "all")
	c.look(t)
	c.log.Add(revocation.Session, "s")
	c.look(t, "session s")
	c.log.Add(revocation.Key, "k")
	c.log.Add(revocation.All, "")
	c.look(t, "key k", "all")
	c.look(t)
	c.log.Memory = newMemory(t, 8) // restored from a backup
	c.look(t, "all")
}

// A database that fails over may lose its last changes, and give their numbers to others before it is read again.
func TestAfterAnOutageNothingIsRemembered(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := newCache(t, func(cfg *revocation.Config) { cfg.Now = func() time.Time { return now } })
	c.log.Add(revocation.Key, "lost")
	c.look(t, "all")
	c.log.Memory = newMemory(t, 8)
	c.log.Add(revocation.Key, "revoked by the other")
	c.log.away.Store(true)
	now = now.Add(time.Second)
	if err := c.Look(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("Look: %v, want the outage", err)
	}
	c.log.away.Store(false)
	c.look(t, "all")
	// A short one is none.
	now = now.Add(time.Second - 1)
	c.log.Add(revocation.Key, "k")
	c.look(t, "key k")
}

// The bound counts from the start of the last look that succeeded, and not from its end.
func TestNothingIsFreshAfterTheBound(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := start
	slow := time.Duration(0)
	var c *cache
	c = newCache(t, func(cfg *revocation.Config) {
		cfg.Now = func() time.Time { return now }
		cfg.ForgetAll = func() { now = now.Add(slow) }
		cfg.Forget = func(revocation.Change) {
			now = now.Add(slow)
			if slow > 0 && c.Fresh() {
				t.Error("fresh by a look that has not yet forgotten what it found")
			}
		}
	})
	if c.Fresh() {
		t.Error("fresh before the first look")
	}
	fresh := func(at time.Duration, want bool) {
		t.Helper()
		now = start.Add(at)
		if c.Fresh() != want {
			t.Errorf("fresh %v after the start of the last look: %v, want %v", at, !want, want)
		}
	}
	look := func() {
		t.Helper()
		if err := c.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	fresh(0, true)
	fresh(time.Second-1, true)
	fresh(time.Second, false)
	// One that takes its time is as old as its start.
	slow = 700 * time.Millisecond
	c.log.Add(revocation.Key, "k")
	now = start.Add(time.Second - 1)
	look()
	start = start.Add(time.Second - 1)
	fresh(time.Second-1, true)
	fresh(time.Second, false)
	// One that fails changes nothing.
	slow = 0
	now = start.Add(500 * time.Millisecond)
	c.log.away.Store(true)
	if err := c.Look(t.Context()); err == nil {
		t.Error("a look without its log succeeded")
	}
	fresh(time.Second-1, true)
	fresh(time.Second, false)
	fresh(time.Hour, false)
	c.log.away.Store(false)
	look()
	start = now
	fresh(0, true)
}

// A machine that was suspended has a monotonic clock that stood still.
func TestAClockThatWasSetForwardIsNotTrusted(t *testing.T) {
	real := time.Now()
	now := real
	c := newCache(t, func(cfg *revocation.Config) { cfg.Now = func() time.Time { return now } })
	c.look(t, "all")
	if !c.Fresh() {
		t.Error("not fresh at once")
	}
	now = real.Round(0).Add(10 * time.Minute) // without a monotonic part
	if c.Fresh() {
		t.Error("fresh ten minutes later by the wall clock")
	}
}

// Each measures the bound by itself: that their clocks are ten minutes apart changes nothing.
func TestClocksTenMinutesApart(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	behind := newCache(t, func(cfg *revocation.Config) { cfg.Now = func() time.Time { return now } })
	ahead := newCache(t, func(cfg *revocation.Config) {
		cfg.Log, cfg.Now = behind.log, func() time.Time { return now.Add(10 * time.Minute) }
	})
	behind.look(t, "all")
	ahead.look(t, "all")
	behind.log.Add(revocation.Key, "k")
	now = now.Add(time.Second - 1)
	for name, c := range map[string]*cache{"behind": behind, "ahead": ahead} {
		if !c.Fresh() {
			t.Errorf("%s: not fresh within the bound", name)
		}
	}
	now = now.Add(1)
	for name, c := range map[string]*cache{"behind": behind, "ahead": ahead} {
		if c.Fresh() {
			t.Errorf("%s: fresh after the bound", name)
		}
		c.look(t, "all")
		if !c.Fresh() {
			t.Errorf("%s: not fresh after a look", name)
		}
	}
}

func TestRunLooksFourTimesASecondAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()
		for range 100 { // ten seconds
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if !c.Fresh() {
				t.Fatal("not fresh while the log answers")
			}
		}
		if n := c.log.looks.Load(); n < 20 || n > 50 {
			t.Errorf("%d looks in ten seconds, want at least two a second and not many more", n)
		}
		// It hangs: nothing is fresh within the bound, and again soon after.
		c.log.hangs.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		if c.Fresh() {
			t.Error("fresh after a second without an answer")
		}
		c.log.Add(revocation.Key, "k")
		c.log.hangs.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		if !c.Fresh() || !slices.Contains(c.told(), "all") {
			t.Error("a second after it is back it is not fresh, or what was revoked meanwhile is not forgotten")
		}
		cancel()
		<-done
	})
}

func TestAPokeIsSeenAtOnceAndAFloodOfThemIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()
		synctest.Wait()
		c.told()
		c.log.Add(revocation.Key, "k")
		c.Poke()
		time.Sleep(50 * time.Millisecond) // a fifth of the interval
		synctest.Wait()
		if got := c.told(); !slices.Equal(got, []string{"key k"}) {
			t.Errorf("50 ms after a poke %q is forgotten, want the key", got)
		}
		before := c.log.looks.Load()
		for range 1000 { // a second
			c.Poke()
			time.Sleep(time.Millisecond)
		}
		if n := c.log.looks.Load() - before; n > 100 {
			t.Errorf("a thousand pokes in a second made %d looks, want at most a hundred", n)
		}
		cancel()
		<-done
	})
}
