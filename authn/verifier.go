package authn

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/identity"
)

// A Verifier verifies credentials of one kind.
type Verifier interface {
	// Verify returns the principal that secret proves. It returns a *[Rejection]
	// when secret proves nobody, and any other error when that could not be found
	// out. It must not keep or log secret, must compare it in constant time, and
	// must bound every call to a store with a deadline of its own.
	Verify(ctx context.Context, secret string, client netip.Addr, now time.Time) (identity.Principal, error)
}

// checked is a [Verifier] that knows whether it is of use. Functions that make one
// return no error, so that they can stand in a [Config]; [New] asks instead.
type checked interface {
	valid() error
}

// A Rejection is the error of a [Verifier] for a credential that proves nobody.
type Rejection struct {
	// Reason is the stable, short name of what is wrong, such as "expired". It
	// goes into the event, not to the caller, who is told no more than "no".
	Reason string
	// Type is the type of the event.
	Type audit.Type
	// Severity is that of the event; empty means the one of its type.
	Severity audit.Severity
	// Detail adds to the event, such as the id (not the secret) of the key.
	Detail []slog.Attr
}

// Error returns the reason.
func (r *Rejection) Error() string { return "credential rejected: " + r.Reason }
