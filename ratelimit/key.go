package ratelimit

import (
	"crypto/sha256"
	"net/netip"
)

// Kind is the type of one part of a [Key]. Parts of different kinds never stand for one another, whatever
// their values.
type Kind uint8

// The kinds of parts. Values are part of what shared stores hold: never renumber them.
const (
	KindRule      Kind = 1  // name of the rule
	KindRoute     Kind = 2  // pattern of the route
	KindIPv4      Kind = 3  // use [Key.AddAddress]
	KindIPv6      Kind = 4  // use [Key.AddAddress]
	KindNoAddress Kind = 5  // use [Key.AddAddress]
	KindAccount   Kind = 6  // account a credential is tried for
	KindPrincipal Kind = 7  // who is authenticated
	KindSession   Kind = 8  // id of a session
	KindAPIKey    Kind = 9  // id of an API key
	KindHeader    Kind = 10 // value of a request header
	KindOther     Kind = 11 // anything else, for rules of one's own

	kindDigest = 0x80 // flag: the part is the SHA-256 of the value
	kindFolded = 0xff // the whole key is the SHA-256 of its parts
)

const (
	keySize  = 95 // a rule of 24 bytes and two digests fit
	partHead = 2  // kind and length
)

// Key names one count. It is a canonical encoding of typed, length-prefixed parts, held inline: comparable,
// copied by assignment, built without allocation, and two different lists of parts never make the same Key
// (parts too long to fit are replaced by their SHA-256). The zero Key is the list without parts.
type Key struct {
	n uint8
	b [keySize]byte // bytes from n on are zero, so that == compares keys
}

// NewKey returns the key that begins with the name of a rule.
func NewKey(rule string) Key {
	var k Key
	k.Add(KindRule, rule)
	return k
}

// Add appends a part. Kinds are below 128.
func (k *Key) Add(kind Kind, value string) {
	kind &^= kindDigest
	if partHead+len(value) <= keySize-int(k.n) {
		k.b[k.n], k.b[k.n+1] = byte(kind), byte(len(value))
		k.n += uint8(partHead + copy(k.b[k.n+partHead:], value))
		return
	}
	k.addLong(kind, value)
}

func (k *Key) addLong(kind Kind, value string) {
	sum := digest(value)
	if partHead+len(sum) <= keySize-int(k.n) {
		k.b[k.n], k.b[k.n+1] = byte(kind)|kindDigest, byte(len(sum))
		k.n += uint8(partHead + copy(k.b[k.n+partHead:], sum[:]))
		return
	}
	// No room for a digest either: the key becomes the digest of what it held and of the new part.
	var all [keySize + partHead + sha256.Size]byte
	n := copy(all[:], k.b[:k.n])
	all[n], all[n+1] = byte(kind)|kindDigest, byte(len(sum))
	n += partHead
	n += copy(all[n:], sum[:])
	sum = sha256.Sum256(all[:n])
	*k = Key{n: partHead + sha256.Size}
	k.b[0], k.b[1] = kindFolded, byte(len(sum))
	copy(k.b[partHead:], sum[:])
}

// digest is SHA-256 without the copy to the heap for values of ordinary size.
func digest(s string) [sha256.Size]byte {
	var buf [512]byte
	if len(s) <= len(buf) {
		return sha256.Sum256(buf[:copy(buf[:], s)])
	}
	return sha256.Sum256([]byte(s))
}

// AddAddress appends a client address cut to its first bits4 (IPv4: 1 to 32) or bits6 (IPv6: 1 to 128) bits:
// addresses of one network share one count. IPv4 in IPv6 counts as IPv4; a zone is dropped. Every invalid
// address, and every number of bits out of range, makes the same part: one shared count, not a way around it.
func (k *Key) AddAddress(a netip.Addr, bits4, bits6 int) {
	a = a.Unmap()
	if a.Is4() && bits4 == 32 && int(k.n) <= keySize-partHead-5 {
		raw := a.As4()
		b := k.b[k.n:][:partHead+5]
		b[0], b[1], b[2] = byte(KindIPv4), 5, 32
		b[3], b[4], b[5], b[6] = raw[0], raw[1], raw[2], raw[3]
		k.n += partHead + 5
		return
	}
	var part [17]byte // number of bits, then the bytes they reach
	kind, n := KindNoAddress, 0
	switch {
	case a.Is4() && bits4 >= 1 && bits4 <= 32:
		raw := a.As4()
		kind, n = KindIPv4, maskTo(part[:], raw[:], bits4)
	case a.Is6() && bits6 >= 1 && bits6 <= 128:
		raw := a.As16()
		kind, n = KindIPv6, maskTo(part[:], raw[:], bits6)
	}
	if partHead+n > keySize-int(k.n) {
		k.addLong(kind, string(part[:n]))
		return
	}
	k.b[k.n], k.b[k.n+1] = byte(kind), byte(n)
	k.n += uint8(partHead + copy(k.b[k.n+partHead:], part[:n]))
}

// maskTo writes bits and the bytes of raw they reach, the rest of the last byte cleared, and returns how many.
func maskTo(dst, raw []byte, bits int) int {
	n := (bits + 7) / 8
	dst[0] = byte(bits)
	copy(dst[1:], raw[:n])
	if r := bits % 8; r != 0 {
		dst[n] &= byte(0xff << (8 - r))
	}
	return 1 + n
}

// Networks that newcomers share a count in while a store is full.
const (
	sharedBits4 = 16
	sharedBits6 = 32
)

// shared returns the key that k falls back to in a store without room: the rule, the route and the wider
// network of k's address; other parts are dropped, there may be any number of their values.
func (k *Key) shared() Key {
	var s Key
	for kind, value := range k.parts {
		switch kind {
		case byte(KindRule), byte(KindRule) | kindDigest, byte(KindRoute), byte(KindRoute) | kindDigest,
			byte(KindNoAddress):
			s.addRaw(kind, value)
		case byte(KindIPv4):
			s.addNetwork(kind, value, sharedBits4)
		case byte(KindIPv6):
			s.addNetwork(kind, value, sharedBits6)
		}
	}
	return s
}

// rule returns the key that is left when there is no room for shared either: the rule alone.
func (k *Key) rule() Key {
	var s Key
	for kind, value := range k.parts {
		if kind&^kindDigest == byte(KindRule) {
			s.addRaw(kind, value)
		}
	}
	return s
}

func (k *Key) addNetwork(kind byte, value []byte, bits int) {
	var part [17]byte
	k.addRaw(kind, part[:maskTo(part[:], value[1:], min(bits, int(value[0])))])
}

// addRaw appends a part that came from another key, hence fits.
func (k *Key) addRaw(kind byte, value []byte) {
	k.b[k.n], k.b[k.n+1] = kind, byte(len(value))
	k.n += uint8(partHead + copy(k.b[k.n+partHead:], value))
}

// parts yields the parts in order. It is an iterator: range over k.parts.
func (k *Key) parts(yield func(kind byte, value []byte) bool) {
	for b := k.b[:k.n]; len(b) >= partHead; {
		end := partHead + int(b[1])
		if end > len(b) || !yield(b[0], b[partHead:end]) {
			return
		}
		b = b[end:]
	}
}

// AppendBinary appends the canonical encoding, for stores that keep keys as bytes; it implements
// [encoding.BinaryAppender] and never fails. The encoding is stable between releases and machines. It may
// hold an address or an account name: do not log it.
func (k Key) AppendBinary(dst []byte) ([]byte, error) { return append(dst, k.b[:k.n]...), nil }

// mix folds a limit into a hash of a key, because a count belongs to both.
func (l *Limit) mix(h uint64) uint64 {
	h ^= uint64(l.Window) * 0x9e3779b97f4a7c15
	h ^= (uint64(l.Max) | uint64(l.Burst)<<24 | uint64(l.Algorithm)<<48) * 0xd6e8feb86659fd93
	return h
}
