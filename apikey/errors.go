package apikey

import (
	"errors"
	"fmt"
)

// A Refusal is why a presented key does not open anything. Every other error of Verify means that the answer is not
// known, because the store failed: that is an outage (503), never a refusal (401).
type Refusal struct {
	code, text string
}

func (r *Refusal) Error() string { return r.text }

// Code returns the code of the verify call: malformed, not_found, disabled, expired or address_not_allowed.
func (r *Refusal) Code() string { return r.code }

// The refusals. ErrNotFound is also what management calls return for a key that does not exist, is revoked, or
// belongs to someone else.
var (
	ErrMalformed         = &Refusal{"malformed", "apikey: malformed key"}
	ErrNotFound          = &Refusal{"not_found", "apikey: no such key"}
	ErrRevoked           = &Refusal{"not_found", "apikey: key is revoked"} // to its holder it is as if it had never been
	ErrDisabled          = &Refusal{"disabled", "apikey: key is disabled"}
	ErrExpired           = &Refusal{"expired", "apikey: key has expired"}
	ErrAddressNotAllowed = &Refusal{"address_not_allowed", "apikey: key may not be used from this address"}
)

// Errors of management calls.
var (
	// ErrConflict: the key was changed by somebody else in between, or was already rotated.
	ErrConflict = errors.New("apikey: the key was changed or rotated in between")
	// ErrTooMany: the owner has as many keys as allowed.
	ErrTooMany = errors.New("apikey: the owner has the greatest number of keys")
	// ErrFull: a bounded store has no room.
	ErrFull = errors.New("apikey: the store is full")

	// ErrScopeUnknown: no such scope exists (in a *ScopeError).
	ErrScopeUnknown = errors.New("apikey: scope does not exist")
	// ErrScopeNotHeld: the maker does not hold the scope (in a *ScopeError).
	ErrScopeNotHeld = errors.New("apikey: scope is not held by the maker of the key")
)

// A ScopeError says which scope a key may not have. Err is ErrScopeUnknown or ErrScopeNotHeld.
type ScopeError struct {
	Index int    // the place in the list that was asked for
	Scope string // as it was asked for: do not echo it when it is unknown
	Err   error
}

func (e *ScopeError) Error() string {
	if errors.Is(e.Err, ErrScopeNotHeld) { // then it is one of ours
		return fmt.Sprintf("%v: %s", e.Err, e.Scope)
	}
	return fmt.Sprintf("%v: scopes[%d]", e.Err, e.Index)
}

// Unwrap returns Err.
func (e *ScopeError) Unwrap() error { return e.Err }

// A FieldError says what is wrong with one field of what was asked for. It never holds the value.
type FieldError struct {
	Field  string // name, scopes, expires_at, allowed_addresses, rate_limit or overlap_seconds
	Index  int    // the place in a list, or -1
	Detail string // a sentence without a subject: "must have 1 to 100 characters"
}

func (e *FieldError) Error() string {
	if e.Index >= 0 {
		return fmt.Sprintf("apikey: %s[%d] %s", e.Field, e.Index, e.Detail)
	}
	return fmt.Sprintf("apikey: %s %s", e.Field, e.Detail)
}
