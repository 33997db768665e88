package revocation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Config says how a [Watch] looks. Log, Forget and ForgetAll are required.
type Config struct {
	_ [0]func()

	// Log is what it reads.
	Log Log
	// Forget drops what is cached of one change.
	Forget func(Change)
	// ForgetAll drops all that is cached.
	ForgetAll func()
	// Bound is how long what was revoked elsewhere may still count here: 100 ms to 10 s. Default 1 s.
	Bound time.Duration
	// Interval is the time between two looks: 10 ms to half of Bound. Default a quarter of Bound.
	Interval time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// pokes are no closer than this: whoever floods a broadcast does not flood the database.
const pokes = 20 * time.Millisecond

// A Watch follows a log. It is safe for concurrent use.
type Watch struct {
	cfg  Config
	poke chan struct{}
	good atomic.Pointer[time.Time] // when the last successful look began

	looking sync.Mutex // guards what follows
	known   bool       // whether seq is
	seq     int64      // all up to here is forgotten
}

// New compiles cfg, reporting everything that is wrong with it at once. It does not read the log: the caller runs
// [Watch.Run].
func New(cfg Config) (*Watch, error) {
	cfg.Bound = cmp.Or(cfg.Bound, time.Second)
	cfg.Interval = cmp.Or(cfg.Interval, cfg.Bound/4)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("revocation: "+format, args...)) }
	if cfg.Log == nil || cfg.Forget == nil || cfg.ForgetAll == nil {
		bad("Log, Forget and ForgetAll are required")
	}
	if cfg.Bound < 100*time.Millisecond || cfg.Bound > 10*time.Second {
		bad("Bound %v is out of range: use 100ms to 10s", cfg.Bound)
	}
	if cfg.Interval < 10*time.Millisecond || cfg.Interval > cfg.Bound/2 {
		bad("Interval %v is out of range: use 10ms to half of Bound, %v", cfg.Interval, cfg.Bound/2)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Watch{cfg: cfg, poke: make(chan struct{}, 1)}, nil
}

// Fresh reports whether a cached verdict may be used now: all that was revoked longer than Bound ago is forgotten.
func (w *Watch) Fresh() bool {
	good := w.good.Load()
	if good == nil {
		return false
	}
	now := w.cfg.Now()
	// The monotonic clock is not moved by anybody, but stands still while a machine is suspended; the other goes on.
	return now.Sub(*good) < w.cfg.Bound && now.Round(0).Sub(good.Round(0)) < w.cfg.Bound
}

// Poke makes Run look soon. It does not wait.
func (w *Watch) Poke() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// Look reads the log once and forgets what is new in it, or everything when nothing is fresh.
func (w *Watch) Look(ctx context.Context) error {
	w.looking.Lock()
	defer w.looking.Unlock()
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Bound/2)
	defer cancel()
	start := w.cfg.Now()
	// Without an answer for as long as the bound, the log may be another one since: a database that lost its last changes
	// as it failed over, or comes from a backup, numbers others as it did these.
	if !w.Fresh() {
		w.known = false
	}
	if err := w.follow(ctx); err != nil {
		return fmt.Errorf("revocation: %w", err)
	}
	w.good.Store(&start) // after what it found was forgotten
	return nil
}

func (w *Watch) follow(ctx context.Context) error {
	if w.known {
		changes, err := w.cfg.Log.Since(ctx, w.seq)
		switch {
		case err == nil:
			for _, c := range changes {
				if c.Kind == All {
					w.cfg.ForgetAll()
				} else {
					w.cfg.Forget(c)
				}
				w.seq = c.Seq
			}
			return nil
		case !errors.Is(err, ErrGap):
			return err
		}
	}
	latest, err := w.cfg.Log.Latest(ctx)
	if err != nil {
		return err
	}
	w.cfg.ForgetAll()
	w.known, w.seq = true, latest
	return nil
}

// Run looks until ctx ends: at once, then every Interval, and when it is poked.
func (w *Watch) Run(ctx context.Context) {
	tick := time.NewTicker(w.cfg.Interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		_ = w.Look(ctx) // then nothing is fresh, and the database is asked: whoever asks learns why it cannot answer
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-w.poke:
			select {
			case <-ctx.Done():
			case <-time.After(pokes):
			}
		}
	}
}
