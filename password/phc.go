package password

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

type argonParams struct {
	memoryKiB uint32
	time      uint32
	threads   uint8
}

// A storedHash is what a hash read from a store asks for.
type storedHash struct {
	algorithm  Algorithm
	argon      argonParams
	salt, key  []byte
	bcryptCost int
}

// The PHC string format: standard base64 without padding. Strict, so that one hash has one spelling.
var phcBase64 = base64.RawStdEncoding.Strict()

func formatArgon(p argonParams, salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memoryKiB, p.time, p.threads,
		phcBase64.EncodeToString(salt), phcBase64.EncodeToString(key))
}

// parseHash reads a PHC string of argon2id or a modular crypt string of bcrypt. It bounds what the string may cost
// before anything is allocated for it: a store that was tampered with must not take the process down.
func parseHash(s string, maxMemory uint32) (storedHash, error) {
	var (
		parsed storedHash
		ok     bool
	)
	if rest, found := strings.CutPrefix(s, "$argon2id$v=19$"); found {
		parsed, ok = parseArgon(rest, maxMemory)
	} else {
		parsed, ok = parseBcrypt(s)
	}
	if !ok {
		return storedHash{}, ErrMalformedHash
	}
	return parsed, nil
}

// parseArgon reads `m=19456,t=2,p=1$<salt>$<key>`.
func parseArgon(s string, maxMemory uint32) (storedHash, bool) {
	params, rest, ok1 := strings.Cut(s, "$")
	salt64, key64, ok2 := strings.Cut(rest, "$")
	m, params, ok3 := strings.Cut(params, ",")
	t, p, ok4 := strings.Cut(params, ",")
	if !ok1 || !ok2 || !ok3 || !ok4 || len(salt64) > 86 || len(key64) > 86 { // 86 characters are 64 bytes
		return storedHash{}, false
	}
	memory, ok1 := parseParam(m, "m=", maxMemory)
	time, ok2 := parseParam(t, "t=", maxTime)
	threads, ok3 := parseParam(p, "p=", maxThreads)
	if !ok1 || !ok2 || !ok3 || memory < 8*threads { // RFC 9106, section 3.1
		return storedHash{}, false
	}
	salt, err1 := phcBase64.DecodeString(salt64)
	key, err2 := phcBase64.DecodeString(key64)
	if err1 != nil || err2 != nil || len(salt) < 8 || len(key) < 16 || strings.ContainsAny(salt64+key64, "\r\n") {
		return storedHash{}, false
	}
	return storedHash{
		algorithm: Argon2id,
		argon:     argonParams{memoryKiB: memory, time: time, threads: uint8(threads)},
		salt:      salt,
		key:       key,
	}, true
}

// parseParam reads a decimal from 1 to limit without sign or leading zero, behind its name.
func parseParam(s, name string, limit uint32) (uint32, bool) {
	digits, ok := strings.CutPrefix(s, name)
	if !ok || digits == "" || digits[0] < '1' || digits[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), err == nil && n <= uint64(limit)
}

// parseBcrypt reads `$2b$12$` and 53 characters: 22 of salt, 31 of digest. The prefixes 2a, 2b and 2y name the same
// function; 2x marks hashes of a faulty one and is refused.
func parseBcrypt(s string) (storedHash, bool) {
	if len(s) != 60 || s[0] != '$' || s[1] != '2' || (s[2] != 'a' && s[2] != 'b' && s[2] != 'y') || s[3] != '$' || s[6] != '$' {
		return storedHash{}, false
	}
	tens, ones := s[4]-'0', s[5]-'0'
	if tens > 9 || ones > 9 {
		return storedHash{}, false
	}
	cost := int(tens)*10 + int(ones)
	if cost < minBcryptCost || cost > maxBcryptCost {
		return storedHash{}, false
	}
	for _, c := range []byte(s[7:]) {
		if c != '.' && c != '/' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return storedHash{}, false
		}
	}
	return storedHash{algorithm: Bcrypt, bcryptCost: cost}, true
}

// formatBcrypt writes a hash whose digest is given, in bcrypt's own base64 alphabet: 16 bytes of salt, 23 of digest.
func formatBcrypt(cost int, salt, digest []byte) string {
	enc := base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)
	return fmt.Sprintf("$2b$%02d$%s%s", cost, enc.EncodeToString(salt[:16]), enc.EncodeToString(digest[:23]))
}
