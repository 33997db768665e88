package password

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// normalize returns the normal form that is counted, hashed and verified (RFC 8265, section 4.2): spaces other than
// U+0020 become U+0020, then Unicode Normalization Form C.
func normalize(password string) string {
	return norm.NFC.String(strings.Map(asciiSpace, password))
}

func asciiSpace(r rune) rune {
	if unicode.Is(unicode.Zs, r) {
		return ' '
	}
	return r
}

// fold returns the form in which block lists compare: compatibility characters replaced (form KC: full-width letters
// are letters) and case removed by Unicode's simple folding.
func fold(s string) string {
	return strings.Map(foldRune, norm.NFKC.String(s))
}

// foldRune returns one representative of all runes that differ from r in case only.
func foldRune(r rune) rune {
	if r < unicode.MaxASCII {
		return unicode.ToLower(r)
	}
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return unicode.ToLower(least)
}
