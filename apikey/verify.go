package apikey

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Verify checks a presented key at the instant now, used from addr, and returns its record.
//
// A refusal is one of ErrMalformed, ErrNotFound, ErrRevoked, ErrDisabled, ErrExpired and ErrAddressNotAllowed
// (errors.As finds the *Refusal). Nothing but the first two is said unless the secret was right, and then the Record
// is returned beside the refusal, for the log. Every other error is the store's: the answer is not known.
//
// A key that is malformed or of the other environment costs no store call. A positive verdict is used again for at
// most CacheTTL, while Fresh; the store is not asked then. LastUsedAt is nil at the first use of a key, as far as this
// process knows, and at no other. The last use is written later, by Flush; its precision is a second.
func (m *Manager) Verify(ctx context.Context, presented string, addr netip.Addr, now time.Time) (*Record, error) {
	// The hot path leaves the alphabet and the checksum unread: with the id, the secret and the text of the checksum
	// equal to those of a key that was read in full, they are right.
	p, sum, ok := split(presented)
	if !ok {
		return &Record{}, ErrMalformed
	}
	if p.Env != m.env {
		return m.foreign(presented)
	}
	hash := p.Hash()
	v, epoch := m.cache.get(p.Lookup, now)
	if v != nil && subtle.ConstantTimeCompare(hash[:], v.rec.Hash[:]) == 1 && sum == string(v.sum[:]) {
		if err := v.rec.Usable(now); err != nil {
			return &v.rec, err
		}
		if !v.rec.Allows(addr) {
			return &v.rec, ErrAddressNotAllowed
		}
		m.noteAgain(v, now)
		return &v.rec, nil
	}
	if _, err := Parse(presented); err != nil {
		return &Record{}, err
	}
	if v != nil {
		return &Record{}, ErrNotFound // the secret of an id never changes: the store would say the same
	}
	return m.ask(ctx, p, sum, hash, addr, now, epoch)
}

// noteAgain notes a use of a key whose verdict is used again, once a second.
func (m *Manager) noteAgain(v *verdict, now time.Time) {
	at, last := now.UnixMicro(), v.noted.Load()
	if at-last >= time.Second.Microseconds() && v.noted.CompareAndSwap(last, at) {
		m.uses.note(v.rec.ID, time.UnixMicro(at).UTC())
	}
}

// foreign refuses a key of the other environment, which cannot exist here.
func (m *Manager) foreign(presented string) (*Record, error) {
	if _, err := Parse(presented); err != nil {
		return &Record{}, err
	}
	return &Record{}, ErrNotFound
}

// ask takes the record from the store.
func (m *Manager) ask(ctx context.Context, p Parsed, sum string, hash [sha256.Size]byte, addr netip.Addr, now time.Time, epoch uint64) (*Record, error) {
	r, err := m.store.Lookup(ctx, p.Lookup)
	found := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return &Record{}, fmt.Errorf("apikey: verify: %w", err)
	}
	// Compared in any case, so that an unknown id and a wrong secret cost the same.
	right := subtle.ConstantTimeCompare(hash[:], r.Hash[:]) == 1
	if !found || !right || r.Lookup != p.Lookup || r.Env != p.Env {
		return &Record{}, ErrNotFound
	}
	if err := r.Usable(now); err != nil {
		return &r, err
	}
	if !r.Allows(addr) {
		return &r, ErrAddressNotAllowed
	}
	at := now.UTC().Truncate(time.Microsecond)
	first := m.uses.note(r.ID, at) && r.LastUsedAt == nil
	v := &verdict{rec: r, read: now}
	v.noted.Store(at.UnixMicro())
	v.rec.LastUsedAt = later(r.LastUsedAt, &at)
	copy(v.sum[:], sum)
	m.cache.put(v, epoch)
	if first {
		return &r, nil
	}
	return &v.rec, nil
}
