package audit

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
)

// A Form is how something that says who somebody is stands in an event.
type Form string

// The forms. The zero Form is Whole.
const (
	Whole Form = "whole"
	// Truncated keeps the network of an address: /24 of IPv4, /48 of IPv6.
	Truncated Form = "truncated"
	// Hashed is HMAC-SHA-256 under a key: equal values stay equal, and nobody
	// without the key finds out which they were by trying them all.
	Hashed Form = "hashed"
)

// PrivacyConfig says how clients and accounts stand in events.
type PrivacyConfig struct {
	// Addresses is the form of addresses of clients.
	Addresses Form
	// Names is the form of account ids: Whole or Hashed.
	Names Form
	// Secret is at least 32 random bytes, for Hashed. With another secret, events of
	// before and after are not of one client any more.
	Secret []byte
}

// Privacy changes what says who somebody is. It does not change after [NewPrivacy].
// What clients write elsewhere, such as a user agent, it does not know.
type Privacy struct {
	addresses, names Form
	key              []byte
}

const privacyLabel = "merlon event log privacy v1"

// hashedPrefix begins what was hashed, so that it is not hashed again.
const hashedPrefix = "hmac_"

// NewPrivacy returns all that is wrong with cfg at once.
func NewPrivacy(cfg PrivacyConfig) (*Privacy, error) {
	var errs []error
	if !slices.Contains([]Form{"", Whole, Truncated, Hashed}, cfg.Addresses) {
		errs = append(errs, fmt.Errorf("audit: Addresses is %q: want %s, %s or %s", cfg.Addresses, Whole, Truncated, Hashed))
	}
	if !slices.Contains([]Form{"", Whole, Hashed}, cfg.Names) {
		errs = append(errs, fmt.Errorf("audit: Names is %q: want %s or %s", cfg.Names, Whole, Hashed))
	}
	p := &Privacy{addresses: cfg.Addresses, names: cfg.Names}
	if cfg.Addresses == Hashed || cfg.Names == Hashed {
		if len(cfg.Secret) < minSecret {
			errs = append(errs, fmt.Errorf("audit: the Secret of the hashes has %d bytes: give it %d or more", len(cfg.Secret), minSecret))
		} else {
			var err error
			p.key, err = hkdf.Key(sha256.New, cfg.Secret, nil, privacyLabel, sha256.Size)
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// Address returns the address as it stands in events. What is no address, where one was
// to be, is hashed or left out.
func (p *Privacy) Address(s string) string {
	if p == nil || s == "" {
		return s
	}
	switch p.addresses {
	case Hashed:
		return p.hash(s)
	case Truncated:
		return truncated(s)
	}
	return s
}

// Name returns the account id as it stands in events.
func (p *Privacy) Name(s string) string {
	if p == nil || s == "" || p.names != Hashed {
		return s
	}
	return p.hash(s)
}

func (p *Privacy) hash(s string) string {
	if len(s) == len(hashedPrefix)+22 && s[:len(hashedPrefix)] == hashedPrefix {
		return s
	}
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(s))
	return hashedPrefix + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

func truncated(s string) string {
	if prefix, err := netip.ParsePrefix(s); err == nil { // it is already
		return prefix.Masked().String()
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return ""
	}
	bits := 48
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(a, bits).Masked().String()
}

// The details that hold what the fields Address and Principal do.
var (
	addressDetails = []string{"address", "peer", "prefix"}
	nameDetails    = []string{"account", "owner", "subject"}
)

// of returns e in these forms. It changes no memory of e.
func (p *Privacy) of(e Event) Event {
	if p == nil {
		return e
	}
	e.Address, e.Principal = p.Address(e.Address), p.Name(e.Principal)
	for i, a := range e.Detail {
		var changed string
		switch {
		case a.Value.Kind() != slog.KindString:
			continue
		case slices.Contains(addressDetails, a.Key):
			changed = p.Address(a.Value.String())
		case slices.Contains(nameDetails, a.Key):
			changed = p.Name(a.Value.String())
		default:
			continue
		}
		if changed != a.Value.String() {
			e.Detail = slices.Clone(e.Detail)
			e.Detail[i].Value = slog.StringValue(changed)
		}
	}
	return e
}
