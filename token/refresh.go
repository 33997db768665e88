package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// A refresh token is the prefix and 48 random bytes in base64url: 16 that are the same in all refresh tokens of a
// family, and 32 of its own. Both parts are stored as hashes. By the first a token that was used before is known as one
// of the family, however long ago that was, and without a list of used ones; it is in no other token, answer or event,
// so that nobody else can end a family with it.
const (
	// RefreshPrefix begins every refresh token.
	RefreshPrefix = "mrt_"

	familyBytes  = 16
	secretBytes  = 32
	refreshBytes = familyBytes + secretBytes
	refreshLen   = len(RefreshPrefix) + refreshBytes*4/3
)

type refreshToken [refreshBytes]byte

// newRefresh returns the first refresh token of a new family.
func newRefresh() (t refreshToken) {
	_, _ = rand.Read(t[:]) // never fails, see crypto/rand
	return t
}

// next returns another refresh token of the family.
func (t refreshToken) next() refreshToken {
	_, _ = rand.Read(t[familyBytes:])
	return t
}

func (t refreshToken) String() string {
	return RefreshPrefix + base64.RawURLEncoding.EncodeToString(t[:])
}

func (t refreshToken) family() [sha256.Size]byte { return sha256.Sum256(t[:familyBytes]) }

func (t refreshToken) hash() [sha256.Size]byte { return sha256.Sum256(t[:]) }

// parseRefresh reads a refresh token, in its one spelling.
func parseRefresh(text string) (t refreshToken, ok bool) {
	rest, ok := strings.CutPrefix(text, RefreshPrefix)
	if !ok || len(text) != refreshLen {
		return t, false
	}
	raw, ok := decode(rest)
	if !ok || len(raw) != refreshBytes {
		return t, false
	}
	return refreshToken(raw), true
}
