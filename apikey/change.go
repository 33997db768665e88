package apikey

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxNameLen   = 100
	maxScopes    = 100
	maxAddresses = 100
	maxScopeLen  = 64
	maxOwnLimit  = 1<<24 - 1 // what the limiter of this module counts to
	maxExpiry    = 3660 * 24 * time.Hour
)

// A NewKey is what is asked for when a key is created.
type NewKey struct {
	Owner            string
	Name             string         // 1 to 100 characters, none of them a control character
	Scopes           []string       // at most 100; duplicates are dropped
	MakerScopes      []string       // what the maker of the key holds: Scopes must be among them
	ExpiresAt        *time.Time     // in the future, within 3660 days. nil: DefaultExpiry from now
	AllowedAddresses []netip.Prefix // at most 100, none covering every address. Empty: every address
	RateLimit        *RateLimit     // nil: none of its own
}

// A Change is what is asked for when a key is changed. What is nil stays.
type Change struct {
	Name             *string
	Scopes           *[]string // replaces all; MakerScopes must hold each of them
	MakerScopes      []string
	Enabled          *bool
	ExpiresAt        *time.Time // in the future, within 3660 days; a replaced key can only expire sooner than it would
	AllowedAddresses *[]netip.Prefix
	RateLimit        *RateLimit
	ClearRateLimit   bool // no limit of its own any more
}

// A Rotation is what is asked for when a key is rotated.
type Rotation struct {
	ID    string
	Owner string
	// MakerScopes is what the one who rotates holds. It must hold every scope of the key: its new text would otherwise
	// be a way to scopes one lacks.
	MakerScopes []string
	// Overlap is how long the old key works on, 0 to 30 days. nil: 24 hours.
	Overlap *time.Duration
	// NextID is the ID of the new key, from [Manager.PreviewRotation]. Empty: one of its own.
	NextID string
}

// apply puts c into r, or returns all that is wrong with it.
func (m *Manager) apply(r *Record, c Change, now time.Time) error {
	var errs []error
	field := func(name string, index int, format string, args ...any) {
		errs = append(errs, &FieldError{name, index, fmt.Sprintf(format, args...)})
	}
	if c.Name != nil {
		if !isName(*c.Name) {
			field("name", -1, "must have 1 to %d characters, not only spaces and no control character", maxNameLen)
		}
		r.Name = *c.Name
	}
	if c.Scopes != nil {
		if len(*c.Scopes) > maxScopes {
			field("scopes", -1, "must have at most %d elements", maxScopes)
		} else {
			for i, s := range *c.Scopes {
				if _, known := m.scopes[s]; !known {
					errs = append(errs, &ScopeError{i, strings.Clone(s), ErrScopeUnknown})
				}
			}
			r.Scopes = slices.Compact(slices.Sorted(slices.Values(*c.Scopes)))
		}
	}
	if c.Enabled != nil {
		r.Enabled = *c.Enabled
	}
	if c.ExpiresAt != nil {
		end := c.ExpiresAt.UTC().Truncate(time.Microsecond)
		switch {
		case !end.After(now):
			field("expires_at", -1, "must be in the future")
		case end.Sub(now) > maxExpiry:
			field("expires_at", -1, "must be within %d days", maxExpiry/(24*time.Hour))
		}
		if r.ReplacedAt != nil && r.ExpiresAt != nil && end.After(*r.ExpiresAt) {
			field("expires_at", -1, "must not be later for a key that was rotated")
		}
		r.ExpiresAt = &end
	}
	if c.AllowedAddresses != nil {
		if len(*c.AllowedAddresses) > maxAddresses {
			field("allowed_addresses", -1, "must have at most %d elements", maxAddresses)
		} else {
			r.AllowedAddresses = nil
			for i, p := range *c.AllowedAddresses {
				p, ok := canonical(p)
				if !ok {
					field("allowed_addresses", i, "must be a valid prefix that does not cover every address")
				}
				r.AllowedAddresses = append(r.AllowedAddresses, p)
			}
		}
	}
	switch l := c.RateLimit; {
	case c.ClearRateLimit:
		r.RateLimit = nil
	case l != nil:
		if l.Limit < 1 || l.Limit > maxOwnLimit || l.Window < time.Second || l.Window > 31*24*time.Hour || l.Window%time.Second != 0 {
			field("rate_limit", -1, "must have a limit of 1 to 16777215 and a window of 1 to 2678400 seconds")
		}
		r.RateLimit = clonePtr(l)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if c.Scopes != nil {
		return heldScopes(*c.Scopes, c.MakerScopes)
	}
	return nil
}

func heldScopes(asked, held []string) error {
	var errs []error
	for i, s := range asked {
		if !slices.Contains(held, s) {
			errs = append(errs, &ScopeError{i, s, ErrScopeNotHeld})
		}
	}
	return errors.Join(errs...)
}

func isName(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxNameLen && strings.TrimSpace(s) != "" &&
		!strings.ContainsFunc(s, unicode.IsControl)
}

// isScopeToken follows scope-token of RFC 6749, section 3.3.
func isScopeToken(s string) bool {
	return s != "" && len(s) <= maxScopeLen && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '"' || r == '\\'
	})
}

// canonical returns p with its host bits cleared, a v4-mapped one as the IPv4 prefix it is.
func canonical(p netip.Prefix) (netip.Prefix, bool) {
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), p.IsValid() && p.Bits() > 0
}
