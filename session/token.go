package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

const (
	tokenBytes = 32 // 256 bits
	tokenLen   = 43 // in base64url without padding
)

func newToken() string {
	var b [tokenBytes]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// hashToken returns what a store knows of a token: the SHA-256 of its text. Text that no token has is not hashed.
func hashToken(token string) (hash [sha256.Size]byte, ok bool) {
	if len(token) != tokenLen {
		return hash, false
	}
	for i := range tokenLen {
		c := token[i]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return hash, false
		}
	}
	// 43 characters hold 258 bits. With the last two set, the text is no encoding of 32 bytes: its last character
	// must be one of the sixteen whose value is a multiple of four.
	switch token[tokenLen-1] {
	case 'A', 'E', 'I', 'M', 'Q', 'U', 'Y', 'c', 'g', 'k', 'o', 's', 'w', '0', '4', '8':
	default:
		return hash, false
	}
	var b [tokenLen]byte // on the stack: converting the string would allocate
	copy(b[:], token)
	return sha256.Sum256(b[:]), true
}
