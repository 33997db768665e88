package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"time"
)

// A Record is what is known about a session. It holds nothing that would open it.
type Record struct {
	ID         string            // `ses_` and a UUID of version 7: the name of the session in the API and in events
	UserID     string            // whose session it is
	Hash       [sha256.Size]byte // SHA-256 of the token, unique
	CreatedAt  time.Time         // of the login: rotation keeps it, and the absolute time-out counts from it
	LastSeenAt time.Time         // behind by up to a minute in the store
	Address    netip.Addr        // where it was created from; the zero Addr when that is not known
	UserAgent  string            // what it was created with: at most 256 bytes of printable UTF-8
}

// ErrNotFound: no such session, or not one of that user's.
var ErrNotFound = errors.New("session: no such session")

// ErrFull: a bounded store has no room.
var ErrFull = errors.New("session: the store is full")

// A Store keeps records. sessiontest.Run checks an implementation against what stands here.
//
// Methods may be called concurrently. They must return when ctx is done, must keep instants to the microsecond or
// better, and must wrap the errors named here so that errors.Is finds them. Every other error is taken for an outage.
// What a method acknowledged must survive a crash, but for Touch.
type Store interface {
	// Create adds r. A taken ID or Hash is an error.
	Create(ctx context.Context, r Record) error

	// Lookup returns the record whose Hash is hash, or ErrNotFound.
	Lookup(ctx context.Context, hash [sha256.Size]byte) (Record, error)

	// List returns the records of a user, in descending order of ID (compared as bytes), at most limit of them.
	List(ctx context.Context, userID string, limit int) ([]Record, error)

	// Replace deletes the record oldID and adds next, in one step. A record that does not exist is ErrNotFound: a
	// session that was revoked in between does not come back. After an error nothing has changed.
	Replace(ctx context.Context, oldID string, next Record) error

	// Delete deletes the record id of a user. One that does not exist, or is another user's, is ErrNotFound.
	Delete(ctx context.Context, id, userID string) error

	// DeleteUser deletes all records of a user but the one whose ID is except, and returns how many it deleted.
	DeleteUser(ctx context.Context, userID, except string) (int, error)

	// Touch sets LastSeenAt of each record to the instant given, unless it is already later. Records that do not
	// exist are ignored. There are at most 500 in a call.
	Touch(ctx context.Context, seen []Seen) error

	// Sweep deletes up to limit records that were last seen, or created, at or before the instants given, and returns
	// how many it deleted.
	Sweep(ctx context.Context, seenBefore, createdBefore time.Time, limit int) (int, error)
}

// Seen says when a session was last seen.
type Seen struct {
	ID string
	At time.Time
}
