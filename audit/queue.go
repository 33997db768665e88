package audit

import "time"

// put takes a bounded copy of e into the queue.
func (p *Pipeline) put(e Event, c *commit) error {
	if e.Time.IsZero() {
		e.Time = p.now()
	}
	e = bounded(e)
	limit := p.limit
	if c != nil {
		limit *= 2
	}

	p.mu.Lock()
	if p.closed {
		p.dropped++
		p.mu.Unlock()
		return errClosed
	}
	if c == nil && cheap(e) {
		limit /= 2
	}
	if len(p.queue) >= limit && c == nil && p.wait[e.Category] > 0 {
		p.waitForRoom(limit, p.wait[e.Category])
	}
	if p.closed || len(p.queue) >= limit {
		p.dropped++
		if p.closed {
			p.mu.Unlock()
			return errClosed
		}
		p.mu.Unlock()
		p.untold.add(e.Time)
		return errQueueFull
	}
	p.recorded++
	p.queue = append(p.queue, item{event: e, commit: c})
	n := len(p.queue)
	p.mu.Unlock()

	switch {
	case c != nil || n == min(maxBatch, p.limit):
		signal(p.urgent)
	case n == 1:
		signal(p.wake)
	}
	return nil
}

const (
	maxWait    = 100 * time.Millisecond
	maxWaiters = 64
)

// waitForRoom waits until the queue is below limit, or the time is over. It is called with
// p.mu held, and returns with it held.
func (p *Pipeline) waitForRoom(limit int, d time.Duration) {
	if p.waiting >= maxWaiters {
		return
	}
	p.waiting++
	defer func() { p.waiting-- }()
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	for len(p.queue) >= limit && !p.closed {
		if p.room == nil {
			p.room = make(chan struct{})
		}
		room := p.room
		p.mu.Unlock()
		over := false
		select {
		case <-room:
		case <-timeout.C:
			over = true
		}
		p.mu.Lock()
		if over {
			return
		}
	}
}

// cheap reports whether strangers can cause events such as e at will, or everyday
// traffic does while a control is in shadow. These may fill half of the queue, so that
// a flood of them does not push out what it may be meant to hide.
func cheap(e Event) bool {
	return e.Category == SuspiciousActivity || e.Category == RateLimit || e.Outcome == WouldRefuse
}

// tell queues an event of the pipeline's own, which is few and not counted.
func (p *Pipeline) tell(e Event) {
	e.Time = p.now()
	e = bounded(e)
	p.mu.Lock()
	p.queue = append(p.queue, item{event: e})
	p.mu.Unlock()
	signal(p.wake)
}

// signal wakes whoever waits on ch, now or next.
func signal(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
