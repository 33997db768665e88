package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// A Setting describes one setting to people.
type Setting struct {
	Name     string // as in the file, nested names joined by dots
	Variable string // its environment variable, "" for what only the file can hold
	Accepts  string // its type and range
	Default  string // in production, as it is written in the file
	Meaning  string // one sentence
	Secret   bool   // its value may also be in a file of its own, and is never shown
	Restart  bool   // a change takes a restart; others take a reload
}

// Reference describes every setting, in the order of the table.
func Reference() []Setting {
	s := defaults(Production)
	mean := meanings()
	var out []Setting
	for _, f := range settings() {
		place := f.place(&s)
		one := Setting{Name: f.name, Variable: variableOf(f.name), Accepts: accepts(place, f.spec), Default: yamlValue(place), Meaning: mean[f.name], Restart: NeedsRestart(f.name) != ""}
		switch p := place.(type) {
		case *Secret:
			one.Secret, one.Default = true, yamlText(p.Reveal()) // what is built in is no secret
		case *[]Secret:
			one.Secret = true
		case *[]Rule:
			one.Variable, one.Default = "", "the built-in ones, see below"
		case *[]Silence:
			one.Variable = ""
		}
		out = append(out, one)
	}
	return out
}

// RuleReference describes the members of a rule.
func RuleReference() []Setting {
	r := Rule{Count: CountRequests}
	mean := meanings()
	var out []Setting
	for _, f := range ruleFields() {
		one := Setting{Name: f.name, Accepts: accepts(f.place(&r), f.spec), Meaning: mean["rule "+f.name]}
		if f.name == "count" {
			one.Default = r.Count
		}
		out = append(out, one)
	}
	return out
}

// SilenceReference describes the members of an entry of check.silence.
func SilenceReference() []Setting {
	var s Silence
	mean := meanings()
	var out []Setting
	for _, f := range silenceFields() {
		out = append(out, Setting{Name: f.name, Accepts: accepts(f.place(&s), f.spec), Meaning: mean["silence "+f.name]})
	}
	return out
}

// accepts tells the values that a setting takes.
func accepts(place any, sp spec) string {
	choices := strings.Join(sp.oneOf, ", ")
	switch place.(type) {
	case *string:
		if choices != "" {
			return "one of " + choices
		}
		return "text"
	case *Secret:
		return "secret text"
	case *int:
		return fmt.Sprintf("%d to %d", sp.min, sp.max)
	case *bool:
		return "true or false"
	case *time.Duration:
		unit := cmp.Or(sp.unit, time.Second)
		return formatDuration(time.Duration(sp.min)*unit) + " to " + formatDuration(time.Duration(sp.max)*unit)
	case *[]string:
		if choices != "" {
			return "list of " + choices
		}
		return "list of texts"
	case *[]Secret:
		return "list of secret texts"
	case *[]Quota:
		return "list of limits such as 100/1m"
	case *[]netip.Prefix:
		return "list of addresses and networks"
	}
	if _, ok := place.(*[]Silence); ok {
		return "list of silences"
	}
	return "list of rules"
}
