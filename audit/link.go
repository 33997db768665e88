package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
)

// A link is what ties a line of a chained log to the one before it. It stands at
// the end of the line, in this spelling alone:
//
//	,"seq":7,"prev":"<hash of line 6>","hash":"<hash of this line>"}
//
// hash is SHA-256, in base64url, over the bytes of the line before `,"hash":"`: all
// members of the event, and prev. The first line of a chain has seq 1 and a prev of
// zeros.
type link struct {
	seq        uint64
	prev, hash digest
}

type digest [sha256.Size]byte

const (
	seqName  = `,"seq":`
	prevName = `,"prev":"`
	hashName = `,"hash":"`
	linkEnd  = `"}`
)

var digestLen = base64.RawURLEncoding.EncodedLen(sha256.Size)

func (d digest) String() string { return base64.RawURLEncoding.EncodeToString(d[:]) }

func parseDigest(text []byte) (d digest, ok bool) {
	if len(text) != digestLen {
		return d, false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(d[:], text)
	return d, err == nil && n == len(d)
}

// appendLinked appends line, an object without a link, as the successor of last.
func appendLinked(dst, line []byte, last link) ([]byte, link) {
	start := len(dst)
	next := link{seq: last.seq + 1, prev: last.hash}
	dst = append(dst, line[:len(line)-1]...)
	dst = strconv.AppendUint(append(dst, seqName...), next.seq, 10)
	dst = base64.RawURLEncoding.AppendEncode(append(dst, prevName...), next.prev[:])
	dst = append(dst, '"')
	next.hash = sha256.Sum256(dst[start:])
	dst = base64.RawURLEncoding.AppendEncode(append(dst, hashName...), next.hash[:])
	return append(dst, linkEnd...), next
}

// parseLink returns the link at the end of line. ok is false when there is none, whole
// when the hash is that of the line.
func parseLink(line []byte) (l link, whole, ok bool) {
	rest, ok := bytes.CutSuffix(line, []byte(linkEnd))
	if !ok {
		return l, false, false
	}
	if rest, l.hash, ok = cutDigest(rest, hashName); !ok {
		return l, false, false
	}
	whole = sha256.Sum256(rest) == l.hash
	if rest, ok = bytes.CutSuffix(rest, []byte{'"'}); !ok {
		return l, false, false
	}
	if rest, l.prev, ok = cutDigest(rest, prevName); !ok {
		return l, false, false
	}
	i := bytes.LastIndex(rest, []byte(seqName))
	if i < 0 {
		return l, false, false
	}
	digits := string(rest[i+len(seqName):])
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n == 0 || digits[0] == '0' || digits[0] == '+' {
		return l, false, false
	}
	l.seq = n
	return l, whole, true
}

// cutDigest cuts name and the hash after it off the end of text.
func cutDigest(text []byte, name string) (rest []byte, d digest, ok bool) {
	i := len(text) - digestLen
	if i < 0 {
		return nil, d, false
	}
	if d, ok = parseDigest(text[i:]); !ok {
		return nil, d, false
	}
	rest, ok = bytes.CutSuffix(text[:i], []byte(name))
	return rest, d, ok
}
