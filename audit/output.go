package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

// The pauses between attempts to write to a sink that fails.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = time.Second
)

// tellPause is the time between two events about what one sink lost while it worked.
const tellPause = time.Second

// An output is a sink with what the goroutine that writes to it knows of it. Only
// that one uses it, but for the counters.
type output struct {
	name      string
	sink      Sink
	filter    func(Event) bool
	spool     *spool                              // nil: what memory has no room for is lost
	spoolOnly []Category                          // nil: all
	spread    func(o *output, checkpoints []item) // to the other sinks
	limit     int                                 // of pending
	ctx       context.Context
	timeout   time.Duration
	log       *slog.Logger
	tell      func(Event)

	pending []item // what it missed, oldest first
	lastErr error
	pause   time.Duration
	retryAt time.Time
	toldAt  time.Time // when it was told last that a sink that works lost some

	sent, written, failed atomic.Uint64
	down                  atomic.Bool
	lost                  loss // since that was told last

	events []Event
	lines  [][]byte
}

// deliver writes what the sink missed and then batch. While the sink fails it
// is left alone until the next attempt is due or force is set, and what can be
// written later is kept.
func (o *output) deliver(batch []item, force bool) error {
	if o.down.Load() && !force && time.Now().Before(o.retryAt) {
		o.keep(batch)
		return o.lastErr
	}
	if len(o.pending) == 0 && len(batch) == 0 && o.spool.empty() {
		o.tellLoss()
		return nil
	}
	for len(o.pending) > 0 {
		n := min(len(o.pending), maxBatch)
		if err := o.write(o.pending[:n]); err != nil {
			o.fail(err)
			o.keep(batch)
			return err
		}
		o.pending = slices.Delete(o.pending, 0, n)
	}
	if err := o.unspool(); err != nil {
		o.fail(err)
		o.keep(batch)
		return err
	}
	if err := o.write(batch); err != nil {
		o.fail(err)
		o.keep(batch)
		return err
	}
	if o.down.Load() {
		o.recovered()
	}
	o.tellLoss()
	return nil
}

func (o *output) write(batch []item) error {
	if len(batch) == 0 {
		return nil
	}
	for i := range batch {
		o.events = append(o.events, batch[i].event)
		o.lines = append(o.lines, batch[i].line)
	}
	ctx, cancel := context.WithTimeout(o.ctx, o.timeout)
	defer cancel()
	err := o.sink.Write(ctx, o.events, o.lines)
	clear(o.events)
	clear(o.lines)
	o.events, o.lines = o.events[:0], o.lines[:0]
	if err == nil {
		o.written.Add(uint64(len(batch)))
	}
	return err
}

// keep keeps the recorded events of batch for later as far as the limit goes.
// Committed ones are not: their callers are told that they were not recorded.
func (o *output) keep(batch []item) {
	for _, it := range batch {
		if it.commit != nil {
			o.failed.Add(1)
		} else {
			o.pending = append(o.pending, it)
		}
	}
	if over := len(o.pending) - o.limit; over > 0 {
		o.overflow(o.pending[o.limit:])
		clear(o.pending[o.limit:])
		o.pending = o.pending[:o.limit]
	}
}

// overflow keeps items, which memory has no room for, on disk, or counts them as lost. The
// goroutine of the sink calls it, and who fills its queue.
func (o *output) overflow(items []item) {
	kept := make([]item, 0, len(items))
	for _, it := range items {
		if o.spoolOnly == nil || slices.Contains(o.spoolOnly, it.event.Category) {
			kept = append(kept, it)
		} else {
			o.lose(it)
		}
	}
	for _, it := range kept[o.spool.add(kept):] {
		o.lose(it)
	}
}

func (o *output) lose(it item) {
	o.failed.Add(1)
	o.lost.add(it.event.Time)
}

// tellLoss tells of what a sink lost that works, but was too slow: once a second at most,
// for it costs an event. What one that fails lost is told when it works again.
func (o *output) tellLoss() {
	if o.down.Load() || !o.lost.any() || time.Since(o.toldAt) < tellPause {
		return
	}
	o.toldAt = time.Now()
	lost, span := o.lost.take()
	o.log.Error("security events were lost: a sink is too slow", "sink", o.name, "lost", lost)
	o.tell(sinkBehind(o.name, lost, span...))
}

// unspool writes the next batch of what is on disk. One batch at a time: the queue is
// not to fill meanwhile.
func (o *output) unspool() error {
	if o.spool.empty() {
		return nil
	}
	items, lines, end, err := o.spool.next(maxBatch)
	for range o.spool.takeCut() {
		o.failed.Add(1)
		o.lost.add(time.Now()) // of when they were is in what is gone
	}
	if err == nil {
		err = o.write(items)
	}
	if err != nil {
		return err
	}
	o.failed.Add(uint64(lines - len(items))) // no events: somebody else wrote them
	return o.spool.done(lines, end)
}

func (o *output) fail(err error) {
	o.lastErr = err
	o.pause = min(max(2*o.pause, firstRetry), lastRetry)
	o.retryAt = time.Now().Add(o.pause)
	if o.down.Swap(true) {
		return
	}
	o.log.Error("security events cannot be written", "sink", o.name, "error", err)
	o.tell(sinkLost(o.name))
}

func (o *output) recovered() {
	lost, span := o.lost.take()
	o.lastErr, o.pause = nil, 0
	o.down.Store(false)
	o.log.Info("security events are written again", "sink", o.name, "lost", lost)
	o.tell(sinkBack(o.name, lost, span...))
}

// giveUp counts what the sink will not get any more.
func (o *output) giveUp() {
	o.overflow(o.pending)
	o.pending = nil
	if lost, _ := o.lost.take(); lost > 0 {
		o.log.Error("security events were lost at shutdown", "sink", o.name, "lost", lost)
	}
}

// takes reports whether the sink is to get a recorded event. A committed one it gets
// whatever its filter says.
func (o *output) takes(it item) bool {
	return it.commit != nil || o.filter == nil || o.filter(it.event)
}

// nextRetry returns how long it is until a sink that failed and has something
// to catch up on is to be tried again.
func (o *output) nextRetry() (wait time.Duration, any bool) {
	switch {
	case !o.down.Load() && !o.spool.empty():
		return 0, true
	case !o.down.Load():
		return max(time.Until(o.toldAt.Add(tellPause)), 0), o.lost.any()
	case len(o.pending) == 0 && o.spool.empty():
		return 0, false
	}
	return max(time.Until(o.retryAt), 0), true
}

// sign lets a sink that is a [Checkpointer] sign what it holds, and gives what it
// signed to the other sinks. One that is down is left alone.
func (o *output) sign(final bool) {
	c, ok := o.sink.(Checkpointer)
	if !ok || o.down.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(o.ctx, o.timeout)
	defer cancel()
	made, err := c.Checkpoint(ctx, final)
	if err != nil { // the next write tells whether the sink works
		o.log.Error("a checkpoint of the event log cannot be written", "sink", o.name, "error", err)
	}
	if len(made) == 0 {
		return
	}
	items := make([]item, len(made))
	for i, e := range made {
		items[i] = item{event: e, line: AppendJSON(nil, e)}
	}
	o.spread(o, items)
}

func (o *output) close() error {
	if err := errors.Join(o.sink.Close(), o.spool.close()); err != nil {
		return fmt.Errorf("audit: sink %q: %w", o.name, err)
	}
	return nil
}
