package apikey

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"time"
)

// A Record is what is known about a key. It holds nothing that would open anything. Slices and pointers of a Record
// from Verify are shared: read them only.
type Record struct {
	ID     string            // `key_` and a UUID of version 7: the name of the key in the API and in events
	Lookup string            // the id inside the key, under which it is looked up: 16 characters, unique
	Hash   [sha256.Size]byte // SHA-256 of the secret
	Env    Env

	Owner  string   // the account that the key belongs to and acts for
	Name   string   // 1 to 100 characters, chosen by the owner
	Scopes []string // sorted, without duplicates

	Enabled          bool
	AllowedAddresses []netip.Prefix // empty: every address
	RateLimit        *RateLimit     // nil: the rules of the routes alone

	CreatedAt  time.Time
	ExpiresAt  *time.Time // nil: never
	LastUsedAt *time.Time // nil: not yet. Behind by up to a minute in the store
	ReplacedAt *time.Time // set when the key was rotated
	RotatedTo  string     // the ID of the key that takes its place, when it was rotated
	RevokedAt  *time.Time // set when it was revoked; then it is kept for the log and shown to nobody

	// Version counts the changes of the record, from 1. A store compares it to refuse changes made in ignorance of
	// each other. Revocation and last use do not count.
	Version int64
}

// A RateLimit is a limit of the key's own, for the caller to enforce.
type RateLimit struct {
	Limit  int           // requests, 1 to 16,777,215
	Window time.Duration // 1 s to 31 days, whole seconds
}

// Hint returns a text by which the owner recognises the key, such as `mrl_live_…c0de`.
func (r *Record) Hint() string { return hint(r.Env, r.Lookup) }

// Usable returns nil, or why the key opens nothing at now: ErrRevoked, ErrDisabled or ErrExpired. A key expires at
// ExpiresAt, not after it.
func (r *Record) Usable(now time.Time) error {
	switch {
	case r.RevokedAt != nil:
		return ErrRevoked
	case !r.Enabled:
		return ErrDisabled
	case r.ExpiresAt != nil && !now.Before(*r.ExpiresAt):
		return ErrExpired
	}
	return nil
}

// Allows reports whether the key may be used from addr. A v4-mapped address counts as the IPv4 address it is and a
// zone is ignored. No address at all is allowed only where every address is.
func (r *Record) Allows(addr netip.Addr) bool {
	if len(r.AllowedAddresses) == 0 {
		return true
	}
	addr = addr.Unmap().WithZone("")
	for _, p := range r.AllowedAddresses {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Clone returns a copy that shares nothing with r.
func (r Record) Clone() Record {
	r.Scopes = slices.Clone(r.Scopes)
	r.AllowedAddresses = slices.Clone(r.AllowedAddresses)
	r.RateLimit = clonePtr(r.RateLimit)
	r.ExpiresAt = clonePtr(r.ExpiresAt)
	r.LastUsedAt = clonePtr(r.LastUsedAt)
	r.ReplacedAt = clonePtr(r.ReplacedAt)
	r.RevokedAt = clonePtr(r.RevokedAt)
	return r
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

func later(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.After(*a) {
		return b
	}
	return a
}
