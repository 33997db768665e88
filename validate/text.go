package validate

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/merlonhq/merlon/sanitize"
)

// policy is what happens to a string before its value is taken: the tag text.
type policy uint8

const (
	policyNone policy = iota // strings with an enum: nothing but the listed values passes
	policyIdentifier
	policyLine
	policyProse
	policyRich
	policySecret
	policyToken
)

func policyOf(name string) (policy, bool) {
	switch name {
	case "identifier":
		return policyIdentifier, true
	case "line":
		return policyLine, true
	case "prose":
		return policyProse, true
	case "rich":
		return policyRich, true
	case "secret":
		return policySecret, true
	case "token":
		return policyToken, true
	}
	return policyNone, false
}

const codeSuspicious = "suspicious-content"

// text applies the rule to s as sent and returns the value to take. Problems
// and findings go into rep under ptr.
func (r *rule) text(s string, rep *Report, ptr string) string {
	if len(r.enum) > 0 {
		if !slices.Contains(r.enum, s) {
			rep.Add(ptr, "enum", "Must be one of: "+strings.Join(r.enum, ", ")+".")
		}
		return s
	}
	if !r.length(s, rep, ptr) {
		return s
	}
	switch r.policy {
	case policySecret:
		// As sent. Nothing looks into it, so nothing can tell of it.
	case policyToken:
		for i := range len(s) {
			if s[i] <= ' ' || s[i] >= 0x7f {
				rep.Add(ptr, "pattern", "Must be printable ASCII without blanks.")
				return s
			}
		}
	default:
		out, ok := r.clean(s, rep, ptr)
		if !ok || out != s && !r.length(out, rep, ptr) {
			return out
		}
		s = out
	}
	switch {
	case r.pattern != nil && !r.pattern.MatchString(s):
		rep.Add(ptr, "pattern", "Must match "+r.patternSource+".")
	case r.format.ok != nil && !r.format.ok(s):
		rep.Add(ptr, "format", r.format.detail)
	}
	return s
}

// clean normalises and sanitises human text. Its result is checked again, since
// it may be shorter than what was sent, or longer: & is &amp; in rich text.
func (r *rule) clean(s string, rep *Report, ptr string) (out string, ok bool) {
	switch r.policy {
	case policyIdentifier:
		out = strings.Map(lower, strings.TrimSpace(s))
	case policyLine:
		out = strings.TrimSpace(s)
	default:
		out = s
	}
	multiline := r.policy == policyProse || r.policy == policyRich
	if sanitize.HasControl(out, multiline) {
		rep.Add(ptr, "control-character", "Holds a control character or another character that does not show.")
		return out, false
	}
	sent := out
	var removed bool
	if r.policy == policyRich {
		out, removed = sanitize.Rich(sent)
	} else {
		out, removed = sanitize.Plain(sent)
	}
	switch {
	case removed:
		threats := sanitize.Threats(sent)
		kind := KindMarkup
		if threats != 0 {
			kind = KindScript
		}
		rep.find(ptr, kind, threats.String())
	case r.policy != policyRich && ScriptInjection(sent):
		rep.find(ptr, KindScript, "attribute-breakout")
	}
	if removed && r.policy == policyIdentifier {
		// A name that changes silently is somebody else's name.
		rep.Add(ptr, codeSuspicious, "Holds markup.")
		return out, false
	}
	if r.policy == policyLine {
		out = strings.TrimSpace(out)
	}
	fingerprint, found := SQLInjection(sent)
	if !found && removed && r.policy != policyRich {
		fingerprint, found = SQLInjection(out) // what markup hid
	}
	if found {
		rep.find(ptr, KindSQL, fingerprint)
		if !multiline && !rep.injected(ptr, "Reads as an attempt at SQL injection.") {
			return out, false
		}
	}
	return out, true
}

// lower is unicode.ToLower but for letters outside ASCII whose lower case is in
// it (U+0130, U+212A): two names must not become one.
func lower(r rune) rune {
	l := unicode.ToLower(r)
	if r >= utf8.RuneSelf && l < utf8.RuneSelf {
		return r
	}
	return l
}

// length checks the number of code points.
func (r *rule) length(s string, rep *Report, ptr string) bool {
	n := utf8.RuneCountInString(s)
	switch {
	case n < r.minLength:
		rep.Add(ptr, "too-short", fmt.Sprintf("Must be at least %d %s long.", r.minLength, plural(r.minLength, "character")))
		return false
	case r.maxLength >= 0 && n > r.maxLength:
		rep.Add(ptr, "too-long", fmt.Sprintf("Must be at most %d %s long.", r.maxLength, plural(r.maxLength, "character")))
		return false
	}
	return true
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
