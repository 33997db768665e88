package ratelimit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/merlonhq/merlon/internal/breaker"
)

// BreakerConfig configures a [Breaker].
type BreakerConfig struct {
	// Store is what may fail: a store behind a network. Required.
	Store Store
	// Timeout bounds each call: 1 ms to 10 s; zero means 25 ms. It is time that a request waits while the store
	// begins to fail, and no longer once it is known to.
	Timeout time.Duration
	// Failures is how many calls in a row fail before the store counts as away: 1 to 1000; zero means 5. So does
	// a store that fails more than one call in eleven for long enough.
	Failures int
	// ProbeInterval is how often a store that is away is tried: 10 ms to 1 min; zero means 250 ms.
	ProbeInterval time.Duration
	// Connect, if there is one, comes first when the store is tried, to connect anew and to say what is wrong.
	// It has a second.
	Connect func(ctx context.Context) error
	// OnChange, if there is one, is told once when the store goes away, and once when it is back. It is called
	// by one goroutine at a time, in order.
	OnChange func(Outage)
	// OnProbeError, if there is one, is told of each attempt to reach a store that is away, by the same goroutine.
	OnProbeError func(error)
}

// An Outage is a time without the store.
type Outage struct {
	// Began is when the store was given up.
	Began time.Time
	// Ended is when it was back; zero while it is away.
	Ended time.Time
	// Cause is the error of the last call or probe that failed.
	Cause error
	// Skipped is how many calls were not made.
	Skipped uint64
}

// BreakerCounters count since the Breaker was made.
type BreakerCounters struct {
	// Calls were made, of which Failures failed. Probes are not among them.
	Calls, Failures uint64
	// Skipped calls were not made, because the store was away.
	Skipped uint64
	// Outages have begun.
	Outages uint64
}

// ErrStoreAway is what a [Breaker] answers to a call that it does not make.
var ErrStoreAway = errors.New("ratelimit: the store is away")

// Breaker is a [Store] that gives each call of another store a deadline, and makes none while that store is away:
// then a goroutine of its own tries the store until it answers again. Requests are never used to try it. A call that
// has begun is not cut off when its context ends, or whoever hangs up early would not be counted.
type Breaker struct {
	cfg BreakerConfig
	b   *breaker.Breaker
}

// connectTimeout is what BreakerConfig.Connect has.
const connectTimeout = time.Second

var _ Store = (*Breaker)(nil)

// NewBreaker makes a [Breaker]. It does not call the store; see [Breaker.Check].
func NewBreaker(c BreakerConfig) (*Breaker, error) {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("ratelimit: "+format, args...)) }
	if c.Store == nil {
		fail("Store is nil: give the store that may fail")
	}
	duration := func(name string, d *time.Duration, standard, low, high time.Duration) {
		if *d == 0 {
			*d = standard
		}
		if *d < low || *d > high {
			fail("%s %v is out of range: give %v to %v", name, *d, low, high)
		}
	}
	duration("Timeout", &c.Timeout, 25*time.Millisecond, time.Millisecond, 10*time.Second)
	duration("ProbeInterval", &c.ProbeInterval, 250*time.Millisecond, 10*time.Millisecond, time.Minute)
	c.Failures = orDefault(c.Failures, 5)
	if c.Failures < 1 || c.Failures > 1000 {
		fail("Failures %d is out of range: give 1 to 1000", c.Failures)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	b := &Breaker{cfg: c}
	cfg := breaker.Config{Failures: c.Failures, ProbeInterval: c.ProbeInterval, Probe: b.try, OnProbeError: c.OnProbeError}
	if c.OnChange != nil {
		cfg.OnChange = func(o breaker.Outage) { c.OnChange(Outage(o)) }
	}
	b.b = breaker.New(cfg)
	return b, nil
}

// Take implements [Store]: with [ErrStoreAway], at once, while the store is away.
func (b *Breaker) Take(ctx context.Context, reqs []Request, res []Result) error {
	return b.call(ctx, reqs, res, b.cfg.Store.Take)
}

// GiveBack implements [Store], as Take does.
func (b *Breaker) GiveBack(ctx context.Context, reqs []Request, res []Result) error {
	return b.call(ctx, reqs, res, b.cfg.Store.GiveBack)
}

func (b *Breaker) call(ctx context.Context, reqs []Request, res []Result, f func(context.Context, []Request, []Result) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !b.b.Allow() {
		return ErrStoreAway
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.cfg.Timeout)
	defer cancel()
	err := f(ctx, reqs, res)
	switch {
	case err == nil:
		b.b.Succeeded()
	case !errors.Is(err, ErrInvalidLimit) && !errors.Is(err, ErrResults):
		b.b.Failed(err)
	}
	return err
}

// probes is how many counts a probe takes from: where a store is made of several servers, it asks most of them.
const probes = 16

// try connects and counts something, as only that shows that the store can be written.
func (b *Breaker) try(ctx context.Context) error {
	if b.cfg.Connect != nil {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		if err := b.cfg.Connect(ctx); err != nil {
			return err
		}
	}
	limit := Limit{Max: MaxMax, Window: MinWindow}
	reqs, res := make([]Request, probes), make([]Result, probes)
	for i := range reqs {
		reqs[i] = Request{Key: NewKey(probeName), Limit: &limit}
		reqs[i].Key.Add(KindOther, rand.Text())
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	return b.cfg.Store.Take(ctx, reqs, res)
}

// Check tries the store now, and gives it up if that fails. Call it at start, or the first requests find out.
func (b *Breaker) Check(ctx context.Context) error { return b.b.Check(ctx) }

// Outage returns the outage that lasts, if one does.
func (b *Breaker) Outage() (Outage, bool) {
	o, away := b.b.Outage()
	return Outage(o), away
}

// Counters returns what has been counted.
func (b *Breaker) Counters() BreakerCounters { return BreakerCounters(b.b.Counters()) }

// Close ends the goroutine that tries a store that is away, if there is one, and returns when it has ended. The
// Breaker stays as it is then: an outage that lasts goes on.
func (b *Breaker) Close() { b.b.Close() }

// Claim implements [Claimer] for a store that does.
func (b *Breaker) Claim(namespace string) bool {
	c, ok := b.cfg.Store.(Claimer)
	return !ok || c.Claim(namespace)
}
