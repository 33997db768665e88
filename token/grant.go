package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"time"
)

// A Grant is the family of the tokens that come from one login. It holds nothing that would open it.
type Grant struct {
	ID     string            // `ses_` and a UUID of version 7: the sid of its access tokens, and its name in the API and in events
	UserID string            // whose it is
	Family [sha256.Size]byte // SHA-256 of what its refresh tokens have in common, unique
	Hash   [sha256.Size]byte // SHA-256 of the one refresh token that is good
	Scopes []string          // what its access tokens may do at most

	CreatedAt   time.Time // of the login
	RefreshedAt time.Time // when the good refresh token was made
	// ExpiresAt is the end of the family: it counts from the login, and refreshing does not move it. Whole seconds.
	ExpiresAt time.Time

	Address   netip.Addr // where the login came from; the zero Addr when that is not known
	UserAgent string     // at most 256 bytes of printable UTF-8
}

// Errors of stores. Every other error of one is taken for an outage.
var (
	// ErrNotFound: no such grant or key, or not one of that user's.
	ErrNotFound = errors.New("token: not found")
	// ErrReused: the refresh token is not, or no longer, the good one of its family. The grant has been deleted.
	ErrReused = errors.New("token: refresh token used before")
	// ErrConflict: another process has changed the keys in between.
	ErrConflict = errors.New("token: changed in between")
	// ErrOtherSecret: the newest signing key was encrypted under a secret that is neither the present nor a former one.
	ErrOtherSecret = errors.New("the newest signing key is of another secret")
	// ErrFull: a bounded store has no room.
	ErrFull = errors.New("token: the store is full")
)

// A Store keeps grants. tokentest.Run checks an implementation against what stands here.
//
// Methods may be called concurrently. They must return when ctx is done, must keep instants to the microsecond or
// better, and must wrap the errors named here so that errors.Is finds them. What a method acknowledged must survive a
// crash.
type Store interface {
	// Create adds g, and in the same step deletes the grants of its user that were not refreshed for longest, so that
	// there are at most max. A taken ID or Family is an error.
	Create(ctx context.Context, g Grant, max int) error
	// Lookup returns the grant with that Family, or ErrNotFound.
	Lookup(ctx context.Context, family [sha256.Size]byte) (Grant, error)
	// Get returns the grant id, or ErrNotFound.
	Get(ctx context.Context, id string) (Grant, error)
	// List returns the grants of a user, in descending order of ID (compared as bytes), at most limit of them.
	List(ctx context.Context, userID string, limit int) ([]Grant, error)
	// Rotate sets Hash and RefreshedAt of the grant id, provided that its Hash is old. Otherwise it deletes the grant
	// and returns ErrReused. All of it is one step: of several calls with one old at most one succeeds, and after two
	// of them the grant is gone. A grant that does not exist is ErrNotFound.
	Rotate(ctx context.Context, id string, old, next [sha256.Size]byte, at time.Time) error
	// Delete deletes the grant id of a user. One that does not exist, or is another user's, is ErrNotFound.
	Delete(ctx context.Context, id, userID string) error
	// DeleteUser deletes all grants of a user but the one whose ID is except, and returns how many it deleted.
	DeleteUser(ctx context.Context, userID, except string) (int, error)
	// Sweep deletes up to limit grants whose ExpiresAt is not after the instant given, and returns how many it deleted.
	Sweep(ctx context.Context, expiredBy time.Time, limit int) (int, error)
}

// A KeyRecord is a signing key as it is stored: encrypted. The numbers of the keys of an algorithm follow each other,
// so that of several processes that add one at the same time one does.
type KeyRecord struct {
	ID        string    // the kid
	Algorithm Algorithm // what it signs with
	Number    int64     // 1 for the first key of its algorithm
	SignsFrom time.Time // until the next one does
	SecretID  string    // names the secret that Sealed was encrypted under; tells nothing of it
	Sealed    []byte
}

// A KeyStore keeps signing keys. tokentest.RunKeys checks an implementation against what stands here. What is said of
// [Store] holds for it too.
type KeyStore interface {
	// Keys returns the keys of an algorithm in ascending order of Number.
	Keys(ctx context.Context, algorithm Algorithm) ([]KeyRecord, error)
	// AddKey adds r. A taken ID, or a taken Number of the algorithm, is ErrConflict.
	AddKey(ctx context.Context, r KeyRecord) error
	// ResealKey replaces SecretID and Sealed of the key id, provided that SecretID is from; otherwise it is ErrConflict.
	ResealKey(ctx context.Context, id, from, secretID string, sealed []byte) error
	// DeleteKey deletes the key id, if there is one.
	DeleteKey(ctx context.Context, id string) error
}
