// Package uuid7 makes the identifiers that Merlon puts behind its prefixes (`usr_`, `key_`, `ses_`, ...):
// UUIDs of version 7 (RFC 9562, section 5.7), which sort by the millisecond they were made in.
//
// Two identifiers of one millisecond are in no particular order. An identifier is a name, not a secret: it shows
// when it was made, and nothing may be granted to whoever knows it.
package uuid7

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// New returns a UUID of version 7 for the instant now: 36 characters, lower case, with hyphens. 48 bits are the
// milliseconds since the Unix epoch and 74 bits are random. An instant before 1970 counts as 1970.
func New(now time.Time) string {
	var u [16]byte
	rand.Read(u[6:]) // never fails: crypto/rand ends the program when the system has no randomness
	ms := uint64(max(now.UnixMilli(), 0))
	u[0], u[1], u[2] = byte(ms>>40), byte(ms>>32), byte(ms>>24)
	u[3], u[4], u[5] = byte(ms>>16), byte(ms>>8), byte(ms)
	u[6] = u[6]&0x0f | 0x70 // version 7
	u[8] = u[8]&0x3f | 0x80 // variant 10

	var s [36]byte
	hex.Encode(s[0:8], u[0:4])
	hex.Encode(s[9:13], u[4:6])
	hex.Encode(s[14:18], u[6:8])
	hex.Encode(s[19:23], u[8:10])
	hex.Encode(s[24:36], u[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
