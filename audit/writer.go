package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// run is the writer: the one goroutine that takes events out of the queue and calls
// sinks. Here events get their place in the order of the log.
func (p *Pipeline) run() {
	defer close(p.done)
	defer p.cancel()
	gather := time.NewTimer(time.Hour)
	retry := time.NewTimer(time.Hour)
	defer gather.Stop()
	defer retry.Stop()
	for closing := false; !closing; {
		select {
		case <-p.urgent:
		case <-retry.C:
		case <-p.closing:
			closing = true
		case <-p.wake:
			gather.Reset(p.flush)
			select {
			case <-gather.C:
			case <-p.urgent:
			case <-p.closing:
			}
		}
		p.drain(closing)
		if wait, any := p.nextRetry(); any {
			retry.Reset(wait)
		}
	}
	p.drain(false) // what the pipeline itself had to tell about the last writes

	var errs []error
	for _, o := range p.outputs {
		o.giveUp()
		if err := o.sink.Close(); err != nil {
			errs = append(errs, fmt.Errorf("audit: sink %q: %w", o.name, err))
		}
	}
	p.closeErr = errors.Join(errs...)
}

// drain writes what is in the queue. With last, sinks that are down are tried
// whether it is their time or not.
func (p *Pipeline) drain(last bool) {
	p.mu.Lock()
	items := p.queue
	p.queue = p.spare[:0]
	lost := p.untold
	p.untold = 0
	p.mu.Unlock()
	if lost > 0 { // after what was in the queue while it was full
		items = append(items, item{event: bounded(Event{
			Type: SysDegraded, Time: p.now(), Outcome: Failure,
			Description: "Security events were lost because the queue was full.",
			Detail:      []slog.Attr{slog.Uint64("dropped", lost)},
		})})
	}
	if len(items) == 0 {
		p.write(nil, last)
	}
	for batch := range slices.Chunk(items, maxBatch) {
		p.write(batch, last)
		last = false // once is enough
	}
	clear(items)
	p.spare = items
}

// write writes one batch to the sinks, and answers its commits.
func (p *Pipeline) write(batch []item, last bool) {
	batch = p.withoutWithdrawn(batch)
	p.encode(batch)
	var failed error
	kept, refused := batch, 0
	for _, o := range p.required {
		o.failed.Add(uint64(refused))
		if err := o.deliver(kept, last); err != nil && failed == nil {
			// The callers of Commit will be told no: the other sinks do not get their events.
			failed = fmt.Errorf("%w: sink %q: %w", ErrNotRecorded, o.name, err)
			kept = withoutCommits(batch)
			refused = len(batch) - len(kept)
		}
	}
	for i := range batch {
		if c := batch[i].commit; c != nil {
			c.done <- failed
		}
	}
	for _, o := range p.optional {
		o.failed.Add(uint64(refused))
		_ = o.deliver(kept, last) // kept for later, counted and told of
	}
}

// withoutWithdrawn takes out of batch what nobody waits for any more: what such
// an event tells of was not done.
func (p *Pipeline) withoutWithdrawn(batch []item) []item {
	kept := slices.DeleteFunc(batch, func(it item) bool { return it.commit != nil && it.commit.withdrawn.Load() })
	if n := uint64(len(batch) - len(kept)); n > 0 {
		p.mu.Lock()
		p.recorded -= n
		p.dropped += n
		p.mu.Unlock()
	}
	return kept
}

func withoutCommits(batch []item) []item {
	return slices.DeleteFunc(slices.Clone(batch), func(it item) bool { return it.commit != nil })
}

// encode gives each event its id and its line. The lines live until the next batch.
func (p *Pipeline) encode(batch []item) {
	p.lines = p.lines[:0]
	for i := range batch {
		it := &batch[i]
		if it.event.ID == "" {
			it.event.ID = p.newID(it.event.Time)
		}
		start := len(p.lines)
		p.lines = AppendJSON(p.lines, it.event)
		it.line = p.lines[start:len(p.lines):len(p.lines)] // stays what it is when p.lines moves
	}
}

// nextRetry returns how long it is until a sink that failed and has something
// to catch up on is to be tried again.
func (p *Pipeline) nextRetry() (wait time.Duration, any bool) {
	for _, o := range p.outputs {
		if o.down.Load() && len(o.pending) > 0 {
			if d := time.Until(o.retryAt); !any || d < wait {
				wait, any = d, true
			}
		}
	}
	return max(wait, 0), any
}
