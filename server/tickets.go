package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"sync"
	"time"
)

const (
	// ticketKeyLife is how long one key makes session tickets. They are opened for as
	// long again, so no ticket is good for more than two days.
	ticketKeyLife = 24 * time.Hour
	// ticketKeyLook is how often its age is looked at.
	ticketKeyLook = time.Hour
)

// tickets are the keys of TLS session tickets (RFC 8446 section 4.6.1, RFC 5077). They
// are random, in the memory of this process only, and another one each day: what was
// sent under a key that is gone cannot be resumed, nor read with it.
type tickets struct {
	mu     sync.Mutex
	config *tls.Config
	keys   [][32]byte // the first one makes tickets, the other opens those of the day before
	made   time.Time  // when the first one was
}

// begin makes the first key of config.
func (t *tickets) begin(config *tls.Config, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.config = config
	t.next(now, 0)
}

// turn makes another key when the present one is a day old. The former one is kept,
// unless it has made no tickets for a day, as after a sleep of the machine.
func (t *tickets) turn(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch age := now.Sub(t.made); {
	case t.config == nil || age < ticketKeyLife:
	case age < 2*ticketKeyLife:
		t.next(now, 1)
	default:
		t.next(now, 0)
	}
}

// forget makes all tickets that were issued worthless, as those of a certificate that is
// no longer served are: a session that is resumed shows none.
func (t *tickets) forget(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.config != nil {
		t.next(now, 0)
	}
}

// next makes a key, and keeps so many of those before.
func (t *tickets) next(now time.Time, keep int) {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails, see crypto/rand
	t.keys = append([][32]byte{key}, t.keys[:min(keep, len(t.keys))]...)
	t.made = now
	t.config.SetSessionTicketKeys(t.keys)
}

// run turns the keys until ctx ends.
func (t *tickets) run(ctx context.Context) {
	tick := time.NewTicker(ticketKeyLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			t.turn(now.Round(0)) // by the wall clock, which goes on while the machine sleeps
		}
	}
}
