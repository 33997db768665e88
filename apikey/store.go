package apikey

import (
	"context"
	"time"
)

// A Store keeps records. apikeytest.Run checks an implementation against what stands here.
//
// Methods may be called concurrently. They must return when ctx is done, must not keep or hand out memory that the
// caller can change, must keep instants to the microsecond or better, and must wrap the errors named here so that
// errors.Is finds them. Every other error is taken for an outage. What a method acknowledged must survive a crash,
// but for Touch.
type Store interface {
	// Create adds r. When the owner already has max or more current keys (see Count) it returns ErrTooMany and adds
	// nothing; counting and adding are one step, so that parallel calls never exceed max. A taken ID or Lookup is
	// ErrConflict.
	Create(ctx context.Context, r Record, max int) error

	// Lookup returns the record whose Lookup is lookup, revoked ones too, or ErrNotFound.
	Lookup(ctx context.Context, lookup string) (Record, error)

	// Get returns the record whose ID is id, revoked ones too, or ErrNotFound.
	Get(ctx context.Context, id string) (Record, error)

	// List returns the records of an owner that are not revoked, in descending order of ID (compared as bytes), at
	// most limit of them, those whose ID is less than before. An empty owner lists all owners' keys; an empty before
	// begins at the top.
	List(ctx context.Context, owner, before string, limit int) ([]Record, error)

	// Count returns how many current keys the owner has: not revoked and not replaced. Expired and disabled ones count.
	Count(ctx context.Context, owner string) (int, error)

	// Update replaces Name, Scopes, Enabled, ExpiresAt, AllowedAddresses and RateLimit of the record r.ID by those of
	// r and adds one to Version, provided that its Version is r.Version: otherwise it returns ErrConflict. Everything
	// else stays as it is. A record that does not exist or is revoked is ErrNotFound.
	Update(ctx context.Context, r Record) error

	// Rotate adds next and, in the same step, sets RotatedTo, ReplacedAt and ExpiresAt of the record old.ID to those
	// of old and adds one to its Version, provided that its Version is old.Version and that it is not replaced:
	// otherwise it returns ErrConflict. A record that does not exist or is revoked is ErrNotFound. No limit applies.
	// After an error nothing has changed.
	Rotate(ctx context.Context, old, next Record) error

	// Revoke sets RevokedAt of the record id to at, whatever its Version. A record that does not exist or is already
	// revoked is ErrNotFound.
	Revoke(ctx context.Context, id string, at time.Time) error

	// RevokeOwner revokes all records of owner that are not yet revoked and returns how many these were.
	RevokeOwner(ctx context.Context, owner string, at time.Time) (int, error)

	// Touch sets LastUsedAt of each record to the instant given, unless it is already later. Records that do not
	// exist are ignored. There are at most 500 uses in a call.
	Touch(ctx context.Context, uses []Use) error

	// Sweep deletes up to limit records that were revoked, or had expired, before the instant given, and returns how
	// many it deleted.
	Sweep(ctx context.Context, before time.Time, limit int) (int, error)
}

// A Use says when a key was last used.
type Use struct {
	ID string
	At time.Time
}
