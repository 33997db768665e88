package password

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxContextWords = 16
	maxContextBytes = 256
	// minCore is the least number of letters that make a word worth finding inside a decorated password: with fewer,
	// random passwords would be refused.
	minCore = 3
	// maxDecoration is how many other characters beside a word still count as trivial. A year, a date or an
	// exclamation mark is; twenty random digits are a password of their own.
	maxDecoration = 10
)

// A contextWord is one word of the context in the forms it is compared in.
type contextWord struct {
	whole string // folded
	core  string // letters and digits, without the digits at the ends; empty when too short
}

func clip(words []string) []string {
	clipped := make([]string, 0, maxContextWords)
	for _, w := range words[:min(len(words), maxContextWords)] {
		if w = w[:min(len(w), maxContextBytes)]; w != "" {
			clipped = append(clipped, w)
		}
	}
	return clipped
}

// appendContext appends the forms of words, and of the local part of those that are e-mail addresses.
func appendContext(to []contextWord, words []string) []contextWord {
	for _, w := range words {
		to = append(to, newContextWord(w))
		if at := strings.LastIndexByte(w, '@'); at > 0 {
			to = append(to, newContextWord(w[:at]))
		}
	}
	return to
}

func newContextWord(w string) contextWord {
	folded := fold(normalize(w))
	word := contextWord{whole: folded, core: core(folded)}
	if utf8.RuneCountInString(word.core) < minCore {
		word.core = ""
	}
	return word
}

// isContext reports whether a folded password is one of words: as it is, or reversed, repeated, with separators,
// with up to maxDecoration other characters, or with the usual digits for letters.
func isContext(folded string, words []contextWord) bool {
	if len(words) == 0 {
		return false
	}
	plain := core(folded)
	unleeted := core(leet.Replace(strings.TrimRightFunc(folded, notLetter)))
	length := utf8.RuneCountInString(folded)
	for _, w := range words {
		if folded == w.whole {
			return true
		}
		if w.core == "" {
			continue
		}
		for _, candidate := range []string{plain, unleeted} {
			trivial := length-utf8.RuneCountInString(candidate) <= maxDecoration
			if trivial && (isRepeated(candidate, w.core) || isRepeated(candidate, reverse(w.core))) {
				return true
			}
		}
	}
	return false
}

// core drops everything but letters and digits, then the digits at the ends.
func core(folded string) string {
	kept := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			return r
		}
		return -1
	}, folded)
	return strings.TrimFunc(kept, notLetter)
}

func notLetter(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }

// isRepeated reports whether s is word, once or several times.
func isRepeated(s, word string) bool {
	return s != "" && strings.Trim(strings.ReplaceAll(s, word, "\x00"), "\x00") == ""
}

func reverse(s string) string {
	runes := []rune(s)
	slices.Reverse(runes)
	return string(runes)
}

// The usual digits and signs for letters.
var leet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")
