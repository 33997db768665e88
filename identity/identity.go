// Package identity holds the words for callers: who one is, and which kind of
// credential a request presents. Whether a credential is good is not found out
// here; see package authn.
package identity

import (
	"slices"
	"time"
)

// A Kind is the kind of credential that a request presents.
type Kind uint8

// The kinds of credential. The zero Kind is none.
const (
	None    Kind = iota
	Session      // the session cookie: sent by browsers without being asked
	Token        // an access token in Authorization
	APIKey       // an API key in X-API-Key or Authorization
)

// String returns the name of k as events and metrics write it.
func (k Kind) String() string {
	switch k {
	case Session:
		return "session"
	case Token:
		return "token"
	case APIKey:
		return "api_key"
	}
	return "none"
}

// A Principal is an authenticated caller. The zero Principal is nobody:
// an anonymous caller with no scope and no role.
//
// A Principal is not changed after it was made and may be shared.
type Principal struct {
	// Kind is the kind of credential that proved who the caller is.
	Kind Kind
	// Subject is the stable id of the account, such as "usr_...".
	Subject string
	// Role is the account's role, such as "user" or "admin".
	Role string
	// Scopes is what the caller may do. It is read-only.
	Scopes []string
	// SessionID is the id (not the secret) of the session, for Session and Token.
	SessionID string
	// KeyID is the id (not the secret) of the API key, for APIKey.
	KeyID string
	// AuthTime is when the caller last proved a factor; zero when unknown.
	AuthTime time.Time
	// KeyLimit is the API key's own rate limit; nil means it has none.
	KeyLimit *KeyLimit
	// FirstUse is set when the API key was never used before.
	FirstUse bool
}

// A KeyLimit is the rate limit that an API key carries.
type KeyLimit struct {
	Limit  int           // requests
	Window time.Duration // in any window of this length
}

// Known reports whether p is somebody.
func (p *Principal) Known() bool { return p.Subject != "" }

// Person reports whether p proved to be the account's owner in person (by
// session or token), rather than a program that holds one of its keys.
func (p *Principal) Person() bool {
	return p.Known() && (p.Kind == Session || p.Kind == Token)
}

// Has reports whether p holds the scope.
func (p *Principal) Has(scope string) bool { return slices.Contains(p.Scopes, scope) }

// Missing returns the first of the scopes that p does not hold, or "".
func (p *Principal) Missing(scopes []string) string {
	for _, s := range scopes {
		if !p.Has(s) {
			return s
		}
	}
	return ""
}
