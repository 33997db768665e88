package config

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Severity says whether a problem stops the service.
type Severity string

const (
	// SeverityError stops the service.
	SeverityError Severity = "error"
	// SeverityFinding is printed; the service starts.
	SeverityFinding Severity = "finding"
)

// A Problem is one thing wrong with the settings.
type Problem struct {
	ID       string   // "merlon.E001" or "merlon.W001", see Docs
	Severity Severity // error for E, finding for W
	Where    string   // "merlon.yaml:12", "MERLON_HOSTS", a secret's file, or "settings" for what is missing
	Message  string   // what is wrong
	Fix      string   // what to do
}

// String returns the problem as one line.
func (p Problem) String() string {
	return p.ID + " " + oneLine(p.Where) + ": " + oneLine(p.Message) + "; " + oneLine(p.Fix)
}

// Fatal reports whether one of the problems stops the service.
func Fatal(problems []Problem) bool {
	for _, p := range problems {
		if p.Severity == SeverityError {
			return true
		}
	}
	return false
}

// Parsed reports whether the file could be read and is YAML, whatever its
// settings are worth.
func Parsed(problems []Problem) bool {
	for _, p := range problems {
		if p.ID == idFileUnreadable || p.ID == idNotYAML {
			return false
		}
	}
	return true
}

// NotTogether returns the problem of settings that a part of the service refuses
// though each of them is good.
func NotTogether(err error) Problem {
	return newProblem(notSet, fault{idNotTogether, err.Error(), "change one of the settings that it names"})
}

// fault is a problem that does not know yet where it is.
type fault struct {
	id, message, fix string
}

const maxShown = 80

const notShown = "the value (not shown)"

// show quotes a rejected value that is not a secret by its setting. It shows
// nothing that looks like one by mistake: a key pasted where a path belongs, or
// a password inside a URL.
func show(v string) string {
	if strings.ContainsAny(v, "@\n\r") || strings.Contains(v, "PRIVATE KEY") || looksSecret(v) {
		return notShown
	}
	if len(v) > maxShown {
		cut := maxShown
		for cut > 0 && !utf8.RuneStart(v[cut]) {
			cut--
		}
		return strconv.Quote(v[:cut]) + "…"
	}
	return strconv.Quote(v)
}

// ShowPath returns a path that a setting names, unless it looks like a secret that
// was written where its file belongs.
func ShowPath(path string) string {
	if strings.ContainsAny(path, "@\n\r") || looksSecret(path) && !isPath(path) {
		return "the file (its name is not shown)"
	}
	return path
}

// isPath reports whether path cannot be but a path: it begins at a directory, or ends
// in what files end in. Base64 may begin with a slash, and has other signs then.
func isPath(path string) bool {
	if strings.ContainsAny(path, "+=") || strings.HasPrefix(path, "eyJ") { // a JSON Web Token has dots
		return false
	}
	ext := strings.TrimPrefix(filepath.Ext(path), ".")
	return strings.HasPrefix(path, "/") || strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../") ||
		ext != "" && len(ext) <= 5 && strings.Trim(ext, "abcdefghijklmnopqrstuvwxyz") == ""
}

// looksSecret reports whether a part of v is long, and as mixed as what random
// bytes are written in: base64, base32, hex, an API key, a token.
func looksSecret(v string) bool {
	// Of base64 a slash may be a part, of a path or a URL it is not.
	if !isPath(v) && !strings.Contains(v, "://") && !strings.ContainsAny(v, " .") && len(v) >= minKeyBytes {
		v = strings.ReplaceAll(v, "/", "")
	}
	const long, varied = 16, 5
	if strings.Contains(v, "mrl_") {
		return true
	}
	parts := strings.FieldsFunc(v, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+=_-", r))
	})
	return slices.ContainsFunc(parts, func(part string) bool {
		mixed := strings.ContainsAny(part, "0123456789") && strings.IndexFunc(part, unicode.IsLetter) >= 0
		oneWord := len(part) >= 2*long && !strings.ContainsAny(part, "-_")
		return len(part) >= long && distinctBytes(part) >= varied && (mixed || oneWord || 5*caseChanges(part) > len(part))
	})
}

// caseChanges counts neighbouring letters of different case: few in names, however
// they are written, and half of all in random text.
func caseChanges(s string) int {
	upper := func(c byte) bool { return c >= 'A' && c <= 'Z' }
	lower := func(c byte) bool { return c >= 'a' && c <= 'z' }
	n := 0
	for i := 1; i < len(s); i++ {
		if upper(s[i-1]) && lower(s[i]) || lower(s[i-1]) && upper(s[i]) {
			n++
		}
	}
	return n
}

// oneLine keeps control characters of names and paths from the terminal.
func oneLine(s string) string {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if utf8.ValidString(s) && strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	return strings.Trim(strconv.Quote(s), `"`)
}
