package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Check is the section check.
type Check struct {
	Silence []Silence // findings that are known and borne for a time; default none
}

// Silence is one entry of check.silence.
type Silence struct {
	ID     string // of a finding, such as "merlon.W022"
	Reason string // why it is borne
	Until  string // the last day, in UTC, on which it is silenced: "2027-01-31"
}

// SilenceFor is how many days ahead a silence may end, at most: a leap year.
const SilenceFor = 366

// Ends returns when the silence ends: the end of its last day.
func (s Silence) Ends() time.Time {
	day, err := time.Parse(time.DateOnly, s.Until)
	if err != nil {
		return time.Time{} // Load has refused it
	}
	return day.AddDate(0, 0, 1)
}

// silenceFields are the members of a silence.
func silenceFields() []field[Silence] {
	return []field[Silence]{
		{"id", func(s *Silence) any { return &s.ID }, spec{required: true, check: checkSilenced}},
		{"reason", func(s *Silence) any { return &s.Reason }, spec{required: true, check: checkReason}},
		{"until", func(s *Silence) any { return &s.Until }, spec{required: true, check: checkDay}},
	}
}

var findingID = regexp.MustCompile(`^merlon\.W[0-9]{3}$`)

// checkSilenced is the form of the id; package findings knows which there are.
func checkSilenced(v string) *fault {
	if findingID.MatchString(v) {
		return nil
	}
	if strings.HasPrefix(v, "merlon.E") {
		return &fault{idSilenceID, "is an error, which cannot be silenced", "correct what it tells of"}
	}
	return &fault{idSilenceID, "is not the id of a finding", "write an id that merlon check has told, such as merlon.W022"}
}

func checkDay(v string) *fault {
	if _, err := time.Parse(time.DateOnly, v); err != nil {
		return &fault{idSilenceUntil, "is not a day", "write the last day of the silence, such as 2027-01-31"}
	}
	return nil
}

// silences reads check.silence.
func (d *decoder) silences(name string, n node) ([]Silence, bool) {
	if n.kind != kindList {
		d.wrongType(name, n, "a list of {id: , reason: , until: }, [] for none")
		return nil, false
	}
	if len(n.items) > maxItems {
		d.report(n.where, fault{idOutOfRange, fmt.Sprintf("%s has %d entries", name, len(n.items)), fmt.Sprintf("write at most %d", maxItems)})
		return nil, false
	}
	before := len(d.problems)
	out := make([]Silence, 0, len(n.items))
	for i, item := range n.items {
		s := d.silence(fmt.Sprintf("%s[%d]", name, i), item)
		if s.ID != "" && slices.ContainsFunc(out, func(o Silence) bool { return o.ID == s.ID }) {
			d.report(item.where, fault{idListedTwice, fmt.Sprintf("%s: %s is silenced twice", name, show(s.ID)), "keep one of them"})
		}
		out = append(out, s)
	}
	return out, len(d.problems) == before
}

func (d *decoder) silence(name string, n node) Silence {
	var s Silence
	if n.kind == kindInvalid {
		return s
	}
	if n.kind != kindMapping {
		d.wrongType(name, n, "a silence such as {id: , reason: , until: }")
		return s
	}
	var names []string
	for _, f := range silenceFields() {
		names = append(names, f.name)
		if i := slices.IndexFunc(n.pairs, func(p pair) bool { return p.key == f.name }); i >= 0 {
			d.decode(name+"."+f.name, f.place(&s), f.spec, n.pairs[i].value)
		} else {
			d.report(n.where, fault{idEmpty, name + " has no " + f.name, "write its " + f.name})
		}
	}
	for _, p := range n.pairs {
		if !slices.Contains(names, p.key) {
			d.report(p.where, fault{idUnknownKey, fmt.Sprintf("%s has no setting %s", name, show(p.key)), didYouMean(p.key, names, "write only "+strings.Join(names, ", "))})
		}
	}
	return s
}

// SilenceRefused returns the problem of an entry of check.silence that is well written
// and cannot be: package findings knows which findings there are, and what day it is.
func SilenceRefused(where, message, fix string) Problem {
	return newProblem(where, fault{idSilenceID, "check.silence: " + message, fix})
}

// SilenceTooLong returns the problem of an entry of check.silence that ends too late.
func SilenceTooLong(where, message, fix string) Problem {
	return newProblem(where, fault{idSilenceUntil, "check.silence: " + message, fix})
}
