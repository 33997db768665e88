package audit

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// run is the writer: the one goroutine that takes events out of the queue and calls
// the first required sink, whose order is that of the log; the others have feeds. Here events get their place in the order of the log.
func (p *Pipeline) run() {
	defer close(p.done)
	defer p.cancel()
	gather := time.NewTimer(time.Hour)
	retry := time.NewTimer(time.Hour)
	defer gather.Stop()
	defer retry.Stop()
	var tick <-chan time.Time
	if _, signs := p.first.sink.(Checkpointer); signs {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		tick = ticker.C
	}
	for closing := false; !closing; {
		select {
		case <-p.urgent:
		case <-retry.C:
		case <-tick:
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
		p.first.sign(false)
		if wait, any := p.first.nextRetry(); any {
			retry.Reset(wait)
		}
	}
	p.drain(false) // what the pipeline itself had to tell about the last writes
	p.first.sign(true)

	// The required ones first: they pass on what is committed.
	var errs []error
	for _, f := range slices.Concat(p.required, p.optional) {
		f.stop()
		errs = append(errs, f.closed)
	}
	p.first.giveUp()
	errs = append(errs, p.first.close())
	p.closeErr = errors.Join(errs...)
}

// drain writes what is in the queue. With last, sinks that are down are tried
// whether it is their time or not.
func (p *Pipeline) drain(last bool) {
	p.mu.Lock()
	items := p.queue
	p.queue = p.spare[:0]
	if p.room != nil {
		close(p.room)
		p.room = nil
	}
	p.mu.Unlock()
	if lost, span := p.untold.take(); lost > 0 { // after what was in the queue while it was full
		items = append(items, item{event: bounded(queueFull(p.now(), lost, span...))})
	}
	if len(items) == 0 {
		p.write(nil, last)
	}
	for batch := range slices.Chunk(items, maxBatch) {
		p.write(slices.Clone(batch), last)
		last = false // once is enough
	}
	clear(items)
	p.spare = items
}

// write writes one batch to the first sink, hands it on to the others, and answers its
// commits when nobody else has to.
func (p *Pipeline) write(batch []item, last bool) {
	batch = p.withoutWithdrawn(batch)
	p.encode(batch)
	mine := batch
	if p.first.filter != nil {
		mine = slices.DeleteFunc(slices.Clone(batch), func(it item) bool { return !p.first.takes(it) })
	}
	p.first.sent.Add(uint64(len(mine)))
	err := p.first.deliver(mine, last)
	recorded := withoutCommits(batch)
	for _, f := range p.required {
		f.put(recorded)
	}
	if err != nil {
		for _, f := range p.optional {
			f.put(recorded)
		}
		p.refuse(0, onlyCommits(batch), fmt.Errorf("%w: sink %q: %w", ErrNotRecorded, p.first.name, err))
		return
	}
	if len(p.required) == 0 { // in one piece, and in order
		p.answer(batch, nil)
		for _, f := range p.optional {
			f.put(batch)
		}
		return
	}
	for _, f := range p.optional {
		f.put(recorded)
	}
	p.pass(0, onlyCommits(batch))
}

// pass gives committed events that n required sinks beside the first have to the next one,
// and answers their callers when there is none.
func (p *Pipeline) pass(n int, committed []item) {
	if n < len(p.required) && len(committed) > 0 {
		p.required[n].put(committed)
		return
	}
	p.answer(committed, nil)
	for _, f := range p.optional {
		f.put(committed)
	}
}

// refuse tells the callers of committed events that they were not recorded: the n
// required sinks after the first, and no other, have them or were told of them.
func (p *Pipeline) refuse(n int, committed []item, err error) {
	for _, f := range slices.Concat(p.required[n:], p.optional) {
		f.sent.Add(uint64(len(committed)))
		f.failed.Add(uint64(len(committed)))
	}
	p.answer(committed, err)
}

func (p *Pipeline) answer(batch []item, err error) {
	for i := range batch {
		if c := batch[i].commit; c != nil {
			c.done <- err
		}
	}
}

// spread gives the checkpoints of one sink to the others.
func (p *Pipeline) spread(from *output, checkpoints []item) {
	for _, f := range slices.Concat(p.required, p.optional) {
		if f.output != from {
			f.put(checkpoints)
		}
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

// encode gives each event its id and its line. Their memory is one piece, which
// lives as long as a sink is behind.
func (p *Pipeline) encode(batch []item) {
	lines := make([]byte, 0, p.lineSize*len(batch))
	for i := range batch {
		it := &batch[i]
		it.event = p.who.Load().of(it.event) // here, where no request waits for the hashes
		if it.event.ID == "" {
			it.event.ID = p.newID(it.event.Time)
		}
		start := len(lines)
		lines = AppendJSON(lines, it.event)
		it.line = lines[start:len(lines):len(lines)] // stays what it is when lines moves
		p.lineSize = max(p.lineSize, min(len(it.line), maxGuess))
	}
}

// maxGuess bounds the room that is made for a line.
const maxGuess = 1024
