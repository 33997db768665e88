package pattern

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// A hasher names what is remembered, by HMAC-SHA-256 under a random key that dies with
// the process.
type hasher struct{ key [32]byte }

func newHasher() hasher {
	var h hasher
	_, _ = rand.Read(h.key[:]) // never fails, see crypto/rand
	return h
}

func (h hasher) of(text string) uint64 {
	mac := hmac.New(sha256.New, h.key[:])
	mac.Write([]byte(text))
	var sum [sha256.Size]byte
	return binary.BigEndian.Uint64(mac.Sum(sum[:0]))
}

// truncated returns 24 bits of the hash: hundreds of the passwords of any list share it.
func (h hasher) truncated(password string) uint64 { return h.of("password\n"+password) >> 40 }
