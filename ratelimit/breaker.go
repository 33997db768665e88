package ratelimit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
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
	cfg     BreakerConfig
	away    atomic.Bool
	doubt   atomic.Int64 // rises with failures, falls with successes
	probing sync.WaitGroup
	stop    context.Context
	cancel  context.CancelFunc

	calls, failures, skipped, outages atomic.Uint64

	mu      sync.Mutex // guards what follows
	closed  bool
	outage  Outage // the last one
	before  uint64 // skipped before it
	need    int    // successful probes that end it
	current bool   // it lasts
}

// How doubt moves: a failure weighs as much as ten successes.
const failureDoubt, successDoubt = 10, 1

// connectTimeout is what BreakerConfig.Connect has.
const connectTimeout = time.Second

// A store that goes away again within the time of flapping has to answer more probes, up to mostProbes.
const (
	flapping   = 10 * time.Second
	mostProbes = 4
)

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
	b.stop, b.cancel = context.WithCancel(context.Background())
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
	if b.away.Load() {
		b.skipped.Add(1)
		return ErrStoreAway
	}
	b.calls.Add(1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.cfg.Timeout)
	defer cancel()
	err := f(ctx, reqs, res)
	switch {
	case err == nil:
		if d := b.doubt.Load(); d > 0 {
			b.doubt.CompareAndSwap(d, d-successDoubt) // another one lowers it if this does not
		}
	case !errors.Is(err, ErrInvalidLimit) && !errors.Is(err, ErrResults):
		b.failures.Add(1)
		if b.doubt.Add(failureDoubt) >= failureDoubt*int64(b.cfg.Failures) {
			b.giveUp(err)
		}
	}
	return err
}

// giveUp begins an outage, unless one lasts.
func (b *Breaker) giveUp(cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current || b.closed {
		return
	}
	now := time.Now()
	if !b.outage.Ended.IsZero() && now.Sub(b.outage.Ended) < flapping {
		b.need = min(2*b.need, mostProbes)
	} else {
		b.need = 1
	}
	b.current, b.outage, b.before = true, Outage{Began: now, Cause: cause}, b.skipped.Load()
	b.outages.Add(1)
	b.away.Store(true)
	need := b.need
	b.probing.Go(func() { b.probe(need) })
}

// probe tries the store until it answers, or the Breaker is closed.
func (b *Breaker) probe(need int) {
	o, _ := b.Outage()
	b.tell(o)
	tick := time.NewTicker(b.cfg.ProbeInterval)
	defer tick.Stop()
	for good := 0; good < need; {
		select {
		case <-b.stop.Done():
			return
		case <-tick.C:
		}
		err := b.try(b.stop)
		if good++; err != nil {
			good = 0
			b.mu.Lock()
			b.outage.Cause = err
			b.mu.Unlock()
			if b.cfg.OnProbeError != nil && b.stop.Err() == nil {
				b.cfg.OnProbeError(err)
			}
		}
	}
	o, _ = b.Outage()
	o.Ended = time.Now()
	b.tell(o) // before the next outage can be told of
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current, b.outage = false, o
	b.doubt.Store(0)
	b.away.Store(false)
}

func (b *Breaker) tell(o Outage) {
	if b.cfg.OnChange != nil {
		b.cfg.OnChange(o)
	}
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
func (b *Breaker) Check(ctx context.Context) error {
	err := b.try(ctx)
	if err != nil {
		b.giveUp(err)
	}
	return err
}

// Outage returns the outage that lasts, if one does.
func (b *Breaker) Outage() (Outage, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.current {
		return Outage{}, false
	}
	o := b.outage
	o.Skipped = b.skipped.Load() - b.before
	return o, true
}

// Counters returns what has been counted.
func (b *Breaker) Counters() BreakerCounters {
	return BreakerCounters{Calls: b.calls.Load(), Failures: b.failures.Load(), Skipped: b.skipped.Load(), Outages: b.outages.Load()}
}

// Close ends the goroutine that tries a store that is away, if there is one, and returns when it has ended. The
// Breaker stays as it is then: an outage that lasts goes on.
func (b *Breaker) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.probing.Wait()
}

// Claim implements [Claimer] for a store that does.
func (b *Breaker) Claim(namespace string) bool {
	c, ok := b.cfg.Store.(Claimer)
	return !ok || c.Claim(namespace)
}
