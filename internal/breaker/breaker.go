// Package breaker keeps calls from a store that is away, until it is back.
package breaker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Config says when a store counts as away, and how it is tried. All but the functions that are told is required.
type Config struct {
	// Failures is how many calls in a row fail before the store counts as away. So does a store that fails more than
	// one call in eleven for long enough.
	Failures int
	// ProbeInterval is how often a store that is away is tried.
	ProbeInterval time.Duration
	// Probe tries it, within a deadline of its own.
	Probe func(context.Context) error
	// OnChange, if there is one, is told once when the store goes away, and once when it is back. It is called by one
	// goroutine at a time, in order.
	OnChange func(Outage)
	// OnProbeError, if there is one, is told of each attempt that fails, by the same goroutine.
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

// Counters count since the Breaker was made.
type Counters struct {
	// Calls were made, of which Failures failed. Probes are not among them.
	Calls, Failures uint64
	// Skipped calls were not made, because the store was away.
	Skipped uint64
	// Outages have begun.
	Outages uint64
}

// A Breaker is told how calls to a store went, and says whether to make the next one. While the store is away a
// goroutine of its own tries it until it answers again: calls are never used to try it.
type Breaker struct {
	cfg     Config
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
	suspect bool   // whether it has to be is being found out
}

// How doubt moves: a failure weighs as much as ten successes.
const failureDoubt, successDoubt = 10, 1

// A store that goes away again within the time of flapping has to answer more probes, up to mostProbes.
const (
	flapping   = 10 * time.Second
	mostProbes = 4
)

// New makes a Breaker for a store that is not away. It does not try it; see [Breaker.Check].
func New(cfg Config) *Breaker {
	b := &Breaker{cfg: cfg}
	b.stop, b.cancel = context.WithCancel(context.Background())
	return b
}

// Allow reports whether to make a call. It counts those that are not to be made.
func (b *Breaker) Allow() bool {
	if b.away.Load() {
		b.skipped.Add(1)
		return false
	}
	b.calls.Add(1)
	return true
}

// Succeeded is told of a call that the store answered.
func (b *Breaker) Succeeded() {
	if d := b.doubt.Load(); d > 0 {
		b.doubt.CompareAndSwap(d, d-successDoubt) // another one lowers it if this does not
	}
}

// Failed is told of a call that the store did not answer.
func (b *Breaker) Failed(err error) {
	b.failures.Add(1)
	if b.doubt.Add(failureDoubt) >= failureDoubt*int64(b.cfg.Failures) {
		b.giveUp(err)
	}
}

// Suspect is told of a call that had no answer in its time, for which there may be another reason than the store: it is
// tried now, by a goroutine, and given up if that fails.
func (b *Breaker) Suspect() {
	b.failures.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current || b.closed || b.suspect {
		return
	}
	b.suspect = true
	b.probing.Go(func() {
		_ = b.Check(b.stop) // which gives it up
		b.mu.Lock()
		defer b.mu.Unlock()
		b.suspect = false
	})
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
		err := b.cfg.Probe(b.stop)
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

// Check tries the store now, and gives it up if that fails.
func (b *Breaker) Check(ctx context.Context) error {
	err := b.cfg.Probe(ctx)
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
func (b *Breaker) Counters() Counters {
	return Counters{Calls: b.calls.Load(), Failures: b.failures.Load(), Skipped: b.skipped.Load(), Outages: b.outages.Load()}
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
