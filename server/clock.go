package server

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/token"
)

// noteClock is the id of a clock that is wrong; docs/operating.md explains it.
const noteClock = "merlon.N141"

const (
	clockInterval = time.Minute
	// clockTolerance is how far this clock may be from that of the database: two nodes
	// within it are within [token.Leeway] of each other.
	clockTolerance = token.Leeway / 2
)

// A clockWatch compares the clock of this node with that of the database.
type clockWatch struct {
	there  func(context.Context) (time.Time, error) // nil where both are one
	here   func() time.Time
	log    *slog.Logger
	record func(audit.Event)
	offset atomic.Int64 // nanoseconds that this clock is ahead
	off    bool         // and told
}

// watchClock makes the watch.
func (s *Server) watchClock() {
	s.clock = &clockWatch{here: time.Now, log: s.log, record: func(e audit.Event) { s.recorder.Record(e) }}
	if db, ok := s.database.(interface {
		Now(context.Context) (time.Time, error)
	}); ok {
		s.clock.there = db.Now
	}
}

// ahead returns how to ask for the offset, nil where both clocks are one.
func (c *clockWatch) ahead() func() time.Duration {
	if c.there == nil {
		return nil
	}
	return func() time.Duration { return time.Duration(c.offset.Load()) }
}

// run checks each minute until ctx ends.
func (c *clockWatch) run(ctx context.Context) {
	tick := time.NewTicker(clockInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.check(ctx)
		}
	}
}

// check compares the clocks, and tells when they begin or cease to differ. A database
// that does not answer is told of by others.
func (c *clockWatch) check(ctx context.Context) {
	if c.there == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	before := c.here()
	there, err := c.there(ctx)
	took := c.here().Sub(before)
	if err != nil {
		return
	}
	offset := before.Add(took / 2).Sub(there)
	c.offset.Store(int64(offset))
	// The answer was made at some instant between the two, half of took from the middle.
	off := offset.Abs()-took/2 > clockTolerance
	if off == c.off {
		return
	}
	c.off = off
	seconds := offset.Round(time.Second)
	if !off {
		c.log.Info("this clock and the database's agree again", "ahead_by", seconds)
		return
	}
	c.log.Warn("this clock and the database's differ: sessions, tokens and keys begin and end early or late here: set the clock of both by NTP",
		"id", noteClock, "ahead_by", seconds)
	e := audit.Misconfigured(noteClock, slog.Int64("ahead_seconds", int64(seconds/time.Second)))
	e.Severity, e.Description = audit.High, "The clock of this node and that of the database differ."
	c.record(e)
}
