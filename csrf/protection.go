package csrf

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/origin"
)

// What carries a token in a request.
const (
	// Header is the request header.
	Header = "X-CSRF-Token"
	// Field is the form field, and the member of a JSON object.
	Field = "csrf_token"
)

const (
	minKey     = 32 // bytes: as many as the hash has
	defaultTTL = 12 * time.Hour
	minTTL     = time.Minute
	maxTTL     = 24 * time.Hour
)

// Config says what tokens are made of and which origins are trusted. The zero
// Config is an error: there is no key.
type Config struct {
	// Key is the secret from which the key of the tokens is derived: at least
	// 32 bytes, the same on all nodes. Required.
	Key []byte
	// PreviousKeys are secrets whose tokens are still accepted while Key
	// replaces them: at least 32 bytes each. Default: none.
	PreviousKeys [][]byte
	// TTL is how long a token is good: whole seconds, 1 min to 24 h.
	// 0 means 12 h.
	TTL time.Duration

	// Origins are the origins whose pages may send unsafe requests, in the form
	// that package cors takes, whose list this is. The site's own origin need
	// not be listed. Default: none.
	Origins []string
	// OriginSet is such a list compiled by [origin.Compile], to share it with package
	// cors, with what routes change of it. Give it or Origins, not both. Default: nil.
	OriginSet *origin.Set
	// Development also accepts http:// origins of loopback hosts in Origins.
	// Default: false, https:// only.
	Development bool
}

// A Protection makes and checks tokens and holds the two taps that refuse,
// [Protection.Origin] and [Protection.Token]. It does not change after [New].
type Protection struct {
	trusted *origin.Set
	keys    [][]byte // derived; the first one signs
	ttl     time.Duration
}

// New compiles cfg. All errors are reported at once; none holds a key.
func New(cfg Config) (*Protection, error) {
	var errs []error
	report := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	p := &Protection{trusted: cfg.OriginSet, ttl: cfg.TTL}
	if p.ttl == 0 {
		p.ttl = defaultTTL
	}
	if p.ttl < minTTL || p.ttl > maxTTL || p.ttl%time.Second != 0 {
		report("csrf: TTL %s: want whole seconds from %s to %s", p.ttl, minTTL, maxTTL)
	}
	switch {
	case cfg.OriginSet == nil:
		set, err := origin.Compile(cfg.Origins, origin.Options{Development: cfg.Development})
		if err != nil {
			errs = append(errs, err)
		}
		p.trusted = set
	case len(cfg.Origins) > 0:
		report("csrf: both Origins and OriginSet; give one of them")
	}
	for i, secret := range append([][]byte{cfg.Key}, cfg.PreviousKeys...) {
		name := "Key"
		if i > 0 {
			name = fmt.Sprintf("PreviousKeys[%d]", i-1)
		}
		if len(secret) < minKey {
			report("csrf: %s has %d bytes: want %d or more random ones", name, len(secret), minKey)
			continue
		}
		key, err := deriveKey(secret)
		if err != nil {
			report("csrf: %s: %w", name, err)
		}
		p.keys = append(p.keys, key)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// Handler returns a handler that enforces the tap [Protection.Origin] and then calls
// next: the protection as plain middleware. It asks for no token, since it does not
// know the caller's session; that takes a chain with authentication and
// [Protection.Token].
func (p *Protection) Handler(next http.Handler) http.Handler {
	return exchange.Handler(p.Origin(), next)
}

// safe reports whether a method must not change anything (RFC 9110 section
// 9.2.1). TRACE, which is safe too, no browser sends and no route serves.
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
