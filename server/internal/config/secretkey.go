package config

import (
	"crypto/rand"
	"strings"
)

const (
	minKeyBytes    = 32
	maxKeyBytes    = 4096
	minKeyDistinct = 8 // a random key in hex has more, whatever its luck
)

// GenerateKey returns a new secret key: 52 characters of base32, 260 random bits.
func GenerateKey() Secret {
	for {
		// Chance may write a word that looks like a placeholder.
		if key := rand.Text() + rand.Text(); checkSecretKey(key) == nil {
			return NewSecret(key)
		}
	}
}

// checkSecretKey judges what can be judged by looking: length, variety,
// repetition, runs, and the placeholders that people leave in place.
func checkSecretKey(v string) *fault {
	const fix = "write at least 32 random bytes as text, such as the output of merlon secrets generate"
	switch {
	case len(v) < minKeyBytes:
		return &fault{idKeyWeak, "is shorter than 32 bytes", fix}
	case len(v) > maxKeyBytes:
		return &fault{idKeyWeak, "is longer than 4096 bytes", fix}
	case strings.TrimSpace(v) != v:
		return &fault{idKeyWeak, "begins or ends with white space", fix}
	case isPlaceholder(v):
		return &fault{idKeyWeak, "is a known placeholder", fix}
	case distinctBytes(v) < minKeyDistinct:
		return &fault{idKeyWeak, "has few different characters", fix}
	case repeats(v):
		return &fault{idKeyWeak, "repeats itself", fix}
	case runs(v):
		return &fault{idKeyWeak, "is mostly a run of neighbouring characters", fix}
	}
	return nil
}

// isPlaceholder looks for words of eight letters and more: shorter ones turn up
// in random text.
func isPlaceholder(v string) bool {
	v = strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(v))
	for _, word := range []string{"changeme", "changethis", "replaceme", "replacethis", "insecure", "secretkey",
		"yoursecret", "mysecret", "supersecret", "topsecret", "password", "placeholder", "development", "examplekey",
		"correcthorse"} {
		if strings.Contains(v, word) {
			return true
		}
	}
	return false
}

func distinctBytes(v string) int {
	var seen [256]bool
	n := 0
	for i := range len(v) {
		if !seen[v[i]] {
			seen[v[i]] = true
			n++
		}
	}
	return n
}

// repeats reports whether v is one part of at most half its length, over and over.
func repeats(v string) bool {
	for period := 1; period <= len(v)/2; period++ {
		if v[period:] == v[:len(v)-period] {
			return true
		}
	}
	return false
}

// runs reports whether more than half of the neighbours in v are the same
// character or adjacent ones, as in "abcdefgh" and "11112222".
func runs(v string) bool {
	n := 0
	for i := 1; i < len(v); i++ {
		if d := int(v[i]) - int(v[i-1]); d >= -1 && d <= 1 {
			n++
		}
	}
	return 2*n > len(v)
}

// minPasswordBytes is what a password of a store has at least: nobody types it.
const minPasswordBytes = 16

// GuessablePassword says why a password of a store can be guessed, as in "is short"; it
// returns "" when nothing of that is seen.
func GuessablePassword(password Secret, user string) string {
	v := password.Reveal()
	switch {
	case user != "" && strings.EqualFold(v, user):
		return "is the name of the user"
	case len(v) < minPasswordBytes:
		return "is shorter than 16 bytes"
	case isPlaceholder(v):
		return "is a known placeholder"
	case distinctBytes(v) < minKeyDistinct || repeats(v) || runs(v):
		return "repeats a few characters, or runs along the alphabet"
	}
	return ""
}
