package redisstore

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/merlonhq/merlon/ratelimit"
)

// Lengths of what names hold of digests, in bytes.
const (
	tagBytes  = 3 // more than there are slots
	hashBytes = 16
)

var encoding = base64.RawURLEncoding

// name returns the name of a count, and where in it the tag is. prefix ends in ":{".
func name(prefix string, k *ratelimit.Key, l *ratelimit.Limit) (name string, tag string) {
	var text [200]byte
	raw, _ := k.AppendBinary(text[:0]) // never fails
	rule, shared := parts(raw)
	sum := sha256.Sum256(shared)
	out := append(make([]byte, 0, 96), prefix...)
	from := len(out)
	out = encoding.AppendEncode(out, sum[:tagBytes])
	to := len(out)
	out = append(out, "}:"...)
	out = append(out, rule...)
	out = append(out, ':')
	// A count belongs to a key and a limit.
	raw = binary.LittleEndian.AppendUint64(raw, uint64(l.Window))
	raw = binary.LittleEndian.AppendUint32(raw, uint32(l.Max))
	raw = binary.LittleEndian.AppendUint32(raw, uint32(l.Burst))
	raw = append(raw, byte(l.Algorithm))
	sum = sha256.Sum256(raw)
	out = encoding.AppendEncode(out, sum[:hashBytes])
	name = string(out)
	return name, name[from:to]
}

// kindDigest marks a part that stands for a longer one in the encoding of keys.
const kindDigest = 0x80

// parts returns what of an encoded key its name shows, the rule, and what chooses its slot: who is counted, as the
// counts of one call have it in common, or else the rule and the route.
func parts(raw []byte) (rule, shared []byte) {
	rank := 0
	for b := raw; len(b) >= 2 && len(b) >= 2+int(b[1]); b = b[2+int(b[1]):] {
		part := b[:2+int(b[1])]
		kind := ratelimit.Kind(part[0] &^ kindDigest)
		if kind == ratelimit.KindRule && part[0] == byte(kind) && rule == nil && isPlain(part[2:]) {
			rule = part[2:]
		}
		if r := ranks[kind]; r > rank {
			rank, shared = r, part
		}
	}
	if rank == 0 {
		shared = raw
	}
	return rule, shared
}

// ranks of the parts that choose a slot.
var ranks = [256]int{
	ratelimit.KindAccount: 6, ratelimit.KindPrincipal: 5, ratelimit.KindSession: 4, ratelimit.KindAPIKey: 3,
	ratelimit.KindIPv4: 2, ratelimit.KindIPv6: 2, ratelimit.KindNoAddress: 2, ratelimit.KindHeader: 1,
}

// isPlain is whether a name may show a rule: text that needs no quotes anywhere.
func isPlain(rule []byte) bool {
	for _, c := range rule {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}
