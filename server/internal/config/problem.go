package config

import (
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

// fault is a problem that does not know yet where it is.
type fault struct {
	id, message, fix string
}

const maxShown = 80

// show quotes a rejected value that is not a secret by its setting. It shows
// nothing that looks like one by mistake: a key pasted where a path belongs, or
// a password inside a URL.
func show(v string) string {
	if strings.ContainsAny(v, "@\n\r") || strings.Contains(v, "PRIVATE KEY") {
		return "the value (not shown)"
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

// oneLine keeps control characters of names and paths from the terminal.
func oneLine(s string) string {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if utf8.ValidString(s) && strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	return strings.Trim(strconv.Quote(s), `"`)
}
