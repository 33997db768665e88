package csrf

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// Why [Protection.Verify] does not accept a token. A client is not told expired
// from invalid; the event is.
var (
	ErrMissing = errors.New("csrf: no token")
	ErrInvalid = errors.New("csrf: the token was not made for this binding, or was changed")
	ErrExpired = errors.New("csrf: the token has expired")
)

// A Binding is what a token is good for: one session, or one browser that has
// none yet. Tokens of one kind never pass for the other. The zero Binding is
// good for nothing: no token passes for it.
type Binding struct {
	kind byte
	id   string
}

const (
	kindSession    = 's'
	kindPreSession = 'p'
)

// Session is the binding to a session. The id need not be secret, but must never
// be that of another session.
func Session(id string) Binding { return Binding{kindSession, id} }

// PreSession is the binding to a browser without a session. The value is that of
// the cookie [PreSessionCookie].
func PreSession(value string) Binding { return Binding{kindPreSession, value} }

// A token is a pad of random bytes and, XORed with it, a body of the same length:
//
//	nonce [16]byte   random
//	expiry [8]byte   Unix seconds, big endian
//	mac [32]byte     HMAC-SHA256
//
// in base64url without padding (RFC 4648 section 5). Through the pad no two
// answers hold a byte string in common that compression could find (BREACH).
const (
	nonceLen = 16
	timeLen  = 8
	macLen   = sha256.Size
	bodyLen  = nonceLen + timeLen + macLen
	wireLen  = 2 * bodyLen
	tokenLen = (wireLen*8 + 5) / 6 // in characters
)

// encoding is strict, so that each token has one spelling.
var encoding = base64.RawURLEncoding.Strict()

// deriveKey keeps the secret's other uses apart from this one (RFC 5869 section 3.2).
func deriveKey(secret []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, "merlon csrf token hmac-sha256 v1", sha256.Size)
}

// Issue returns a new token for b and when it expires. No two calls return the
// same token.
func (p *Protection) Issue(b Binding, now time.Time) (token string, expires time.Time) {
	expires = now.Add(p.ttl).Truncate(time.Second).UTC()

	var wire [wireLen]byte
	pad, body := wire[:bodyLen], wire[bodyLen:]
	nonce, expiry, mac := split(body)
	_, _ = rand.Read(pad) // never fails, see crypto/rand
	_, _ = rand.Read(nonce)
	binary.BigEndian.PutUint64(expiry, uint64(expires.Unix()))
	copy(mac, sum(p.keys[0], b, nonce, expiry))
	subtle.XORBytes(body, body, pad)
	return encoding.EncodeToString(wire[:]), expires
}

// Verify returns nil if the token was made for b and is not expired, and
// [ErrMissing], [ErrInvalid] or [ErrExpired] otherwise.
func (p *Protection) Verify(token string, b Binding, now time.Time) error {
	if token == "" {
		return ErrMissing
	}
	if len(token) != tokenLen || b.id == "" {
		return ErrInvalid
	}
	// The decoder skips line breaks; then the result is too short.
	var wire [wireLen]byte
	if n, err := encoding.Decode(wire[:], []byte(token)); err != nil || n != wireLen {
		return ErrInvalid
	}
	pad, body := wire[:bodyLen], wire[bodyLen:]
	subtle.XORBytes(body, body, pad)
	nonce, expiry, mac := split(body)
	good := false
	for _, key := range p.keys {
		if hmac.Equal(mac, sum(key, b, nonce, expiry)) {
			good = true
		}
	}
	if !good {
		return ErrInvalid
	}
	// Only now, so that nobody learns from a forged expiry how its token fared.
	if now.Unix() >= int64(binary.BigEndian.Uint64(expiry)) {
		return ErrExpired
	}
	return nil
}

func split(body []byte) (nonce, expiry, mac []byte) {
	return body[:nonceLen], body[nonceLen : nonceLen+timeLen], body[nonceLen+timeLen:]
}

// sum is the MAC over the parts, each with its length before it, so that no two
// lists of parts make the same message (OWASP CSRF Prevention Cheat Sheet,
// "signed double-submit cookie").
func sum(key []byte, b Binding, nonce, expiry []byte) []byte {
	mac := hmac.New(sha256.New, key)
	var length [8]byte
	for _, part := range [...][]byte{{b.kind}, []byte(b.id), nonce, expiry} {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write(part)
	}
	return mac.Sum(nil)
}
