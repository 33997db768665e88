package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
)

// Env is the environment a key is for. A key of one is unknown in the other.
type Env string

// The environments.
const (
	Live Env = "live"
	Dev  Env = "dev"
)

const (
	lookupLen   = 16 // 95 bits
	secretLen   = 43 // 256.03 bits
	checksumLen = 6  // 62^6 > 2^32
	tailLen     = lookupLen + 1 + secretLen + checksumLen

	liveHead = "mrl_live_"
	devHead  = "mrl_dev_"

	alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// Parsed is a key that has the right form and the right checksum. It says nothing about whether the key exists. It
// prints as its hint.
type Parsed struct {
	// Env is the environment the key was made for.
	Env Env
	// Lookup is the id in the key under which its record is found: 16 characters, base62.
	Lookup string

	secret string
}

// Hash returns the SHA-256 of the secret, which is what a store holds.
func (p Parsed) Hash() [sha256.Size]byte {
	var b [secretLen]byte // on the stack: converting the string would allocate
	return sha256.Sum256(b[:copy(b[:], p.secret)])
}

// Hint returns a text by which the owner recognises the key, such as `mrl_live_…c0de`. It holds the last four
// characters of the look-up id and nothing of the secret.
func (p Parsed) Hint() string { return hint(p.Env, p.Lookup) }

// String returns the hint.
func (p Parsed) String() string { return p.Hint() }

// GoString returns the hint: %#v does not show the secret either.
func (p Parsed) GoString() string { return p.Hint() }

func hint(env Env, lookup string) string {
	return "mrl_" + string(env) + "_…" + lookup[max(0, len(lookup)-4):]
}

// Generate makes a key from 351 random bits. The text is for its owner, once; the store gets Lookup and Hash of the
// second value. The error tells of an unknown environment.
func Generate(env Env) (text string, p Parsed, err error) {
	head, err := headOf(env)
	if err != nil {
		return "", Parsed{}, err
	}
	b := make([]byte, 0, len(head)+tailLen)
	b = append(b, head...)
	b = appendRandom(b, lookupLen)
	b = append(b, '_')
	b = appendRandom(b, secretLen)
	sum := checksum(string(b))
	b = append(b, sum[:]...)
	text = string(b)
	p, err = Parse(text)
	return text, p, err
}

func headOf(env Env) (string, error) {
	switch env {
	case Live:
		return liveHead, nil
	case Dev:
		return devHead, nil
	}
	return "", fmt.Errorf("apikey: environment %q is not known: use %q or %q", env, Live, Dev)
}

// appendRandom appends n characters of the alphabet, each equally likely: of the 64 values of six random bits, the
// two that have no character are thrown away.
func appendRandom(b []byte, n int) []byte {
	var pool [64]byte
	for n > 0 {
		rand.Read(pool[:])
		for _, c := range pool {
			if c &= 63; int(c) < len(alphabet) && n > 0 {
				b = append(b, alphabet[c])
				n--
			}
		}
	}
	return b
}

// Parse reads a key. It accepts one spelling only: the characters, the lengths, the environment and the checksum must
// all be right, so that no key with one character changed passes. The error is ErrMalformed. It does not allocate:
// the parts are parts of s.
func Parse(s string) (Parsed, error) {
	p, sum, ok := split(s)
	if !ok || !isBase62(p.Lookup) || !isBase62(p.secret) {
		return Parsed{}, ErrMalformed
	}
	if want := checksum(s[:len(s)-checksumLen]); sum != string(want[:]) {
		return Parsed{}, ErrMalformed
	}
	return p, nil
}

// split cuts s into its parts by lengths alone.
func split(s string) (p Parsed, sum string, ok bool) {
	switch {
	case len(s) == len(liveHead)+tailLen && s[:len(liveHead)] == liveHead:
		p.Env, s = Live, s[len(liveHead):]
	case len(s) == len(devHead)+tailLen && s[:len(devHead)] == devHead:
		p.Env, s = Dev, s[len(devHead):]
	default:
		return Parsed{}, "", false
	}
	if s[lookupLen] != '_' {
		return Parsed{}, "", false
	}
	p.Lookup, p.secret, sum = s[:lookupLen], s[lookupLen+1:tailLen-checksumLen], s[tailLen-checksumLen:]
	return p, sum, true
}

func isBase62(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// checksum returns the CRC-32 (IEEE 802.3) of s as six digits of base 62, most significant first. It finds slips and
// cut-off copies; it protects nothing. It goes byte by byte over the standard table because crc32.ChecksumIEEE would
// make s escape.
func checksum(s string) (digits [checksumLen]byte) {
	crc := ^uint32(0)
	for i := range len(s) {
		crc = crc32.IEEETable[byte(crc)^s[i]] ^ crc>>8
	}
	crc = ^crc
	for i := checksumLen - 1; i >= 0; i-- {
		digits[i] = alphabet[crc%62]
		crc /= 62
	}
	return digits
}
