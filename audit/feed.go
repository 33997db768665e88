package audit

import (
	"fmt"
	"sync"
	"time"
)

// A feed is an output with a queue and a goroutine of its own: every sink but the first
// required one. What its sink does, however slowly, touches no other.
type feed struct {
	*output
	optional bool                                // nobody waits: what was committed is kept like all else
	passed   func(committed []item)              // of a batch that was written
	refused  func(committed []item, error error) // of one that was not

	wake    chan struct{}
	closing chan struct{}
	done    chan struct{}
	closed  error // of the sink; set when done

	mu    sync.Mutex
	queue []item
	ended bool
}

func newFeed(o *output) *feed {
	return &feed{output: o, wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{})}
}

// put takes what is for this sink. Committed events have twice the room of others.
func (f *feed) put(items []item) {
	if len(items) == 0 {
		return
	}
	f.mu.Lock()
	var refused, over []item
	for _, it := range items {
		limit := f.limit
		if it.commit != nil {
			limit *= 2
		} else if !f.takes(it) {
			continue
		}
		if f.optional {
			it.commit = nil
		}
		f.sent.Add(1)
		switch {
		case !f.ended && len(f.queue) < limit:
			f.queue = append(f.queue, it)
		case it.commit != nil:
			f.failed.Add(1)
			refused = append(refused, it)
		default:
			over = append(over, it)
		}
	}
	f.mu.Unlock()
	if len(over) > 0 {
		f.overflow(over)
	}
	signal(f.wake)
	if len(refused) > 0 {
		f.refused(refused, fmt.Errorf("%w: sink %q: %w", ErrNotRecorded, f.name, errQueueFull))
	}
}

// run writes until the pipeline stops the feed.
func (f *feed) run() {
	defer close(f.done)
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for closing := false; !closing; {
		select {
		case <-f.wake:
		case <-retry.C:
		case <-f.closing:
			closing = true
		}
		f.drain(closing)
		if wait, any := f.nextRetry(); any {
			retry.Reset(wait)
		}
	}
	f.giveUp()
	f.closed = f.close()
}

func (f *feed) drain(last bool) {
	f.mu.Lock()
	items := f.queue
	f.queue = nil
	f.ended = last
	f.mu.Unlock()
	for first := true; first || len(items) > 0; first = false {
		batch := items[:min(len(items), maxBatch)]
		items = items[len(batch):]
		given := len(batch)
		batch = withoutAbandoned(batch)
		f.failed.Add(uint64(given - len(batch)))
		err := f.deliver(batch, last && first)
		committed := onlyCommits(batch)
		switch {
		case len(committed) == 0:
		case err != nil:
			f.refused(committed, fmt.Errorf("%w: sink %q: %w", ErrNotRecorded, f.name, err))
		default:
			f.passed(committed)
		}
	}
}

// stop writes what is in the queue, and closes the sink.
func (f *feed) stop() {
	close(f.closing)
	<-f.done
}

func onlyCommits(batch []item) []item {
	var list []item
	for _, it := range batch {
		if it.commit != nil {
			list = append(list, it)
		}
	}
	return list
}

// withoutAbandoned takes out what the callers of Commit gave up on, and what another
// sink refused: what such an event tells of was not done.
func withoutAbandoned(batch []item) []item {
	kept := batch[:0:0]
	for _, it := range batch {
		if it.commit == nil || !it.commit.withdrawn.Load() {
			kept = append(kept, it)
		}
	}
	return kept
}
