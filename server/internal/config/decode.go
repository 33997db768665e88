package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxItems bounds every list.
const maxItems = 256

// decoder turns nodes into values and collects what is wrong with them.
type decoder struct {
	problems []Problem
}

func (d *decoder) report(where string, f fault) {
	d.problems = append(d.problems, newProblem(where, f))
}

// decode writes the value of n to place, a pointer to a field, and reports
// whether it was acceptable. When it was not, the field keeps what it had.
func (d *decoder) decode(name string, place any, sp spec, n node) bool {
	if n.kind == kindInvalid {
		return false
	}
	before := len(d.problems)
	switch p := place.(type) {
	case *string:
		if v, ok := d.text(name, sp, n, false); ok {
			*p = v
		}
	case *Secret:
		if v, ok := d.text(name, sp, n, true); ok && v != "" {
			*p = NewSecret(v)
		}
	case *int:
		if v, ok := d.whole(name, sp, n); ok {
			*p = v
		}
	case *bool:
		switch {
		case n.kind == kindFlag || n.kind == kindEnviron && (n.text == "true" || n.text == "false"):
			*p = n.text == "true"
		default:
			d.wrongType(name, n, "true or false")
		}
	case *time.Duration:
		if v, ok := d.duration(name, sp, n); ok {
			*p = v
		}
	case *[]string:
		items, ok := d.list(name, n, sp.required)
		out := make([]string, 0, len(items))
		for _, item := range items {
			v, good := d.text(name, spec{required: true, oneOf: sp.oneOf, check: sp.check}, item, false)
			if !good {
				continue
			}
			if slices.Contains(out, v) {
				d.report(item.where, fault{idListedTwice, fmt.Sprintf("%s: %s is listed twice", name, show(v)), "keep one of them"})
			}
			out = append(out, v)
		}
		// What is good is kept beside what is not, so that the rules over the whole
		// find all that is wrong with it at once.
		if ok && (len(d.problems) == before || len(out) > 0) {
			*p = out
		}
	case *[]Secret:
		items, ok := d.list(name, n, false)
		out := make([]Secret, 0, len(items))
		for _, item := range items {
			if v, good := d.text(name, spec{required: true, check: sp.check}, item, true); good {
				out = append(out, NewSecret(v))
			}
		}
		if ok && len(d.problems) == before {
			*p = out
		}
	case *[]netip.Prefix:
		items, ok := d.list(name, n, false)
		out := make([]netip.Prefix, 0, len(items))
		for _, item := range items {
			v, good := d.text(name, spec{required: true}, item, false)
			if !good {
				continue
			}
			parse := sp.network
			if parse == nil {
				parse = parseProxy
			}
			prefix, f := parse(v)
			if f == nil && slices.Contains(out, prefix) {
				f = &fault{idListedTwice, show(v) + " is listed twice", "keep one of them"}
			}
			if f != nil {
				d.report(item.where, fault{f.id, name + ": " + f.message, f.fix})
				continue
			}
			out = append(out, prefix)
		}
		if ok && len(d.problems) == before {
			*p = out
		}
	case *[]Quota:
		if v, ok := d.quotas(name, n); ok {
			*p = v
		}
	case *[]Silence:
		if v, ok := d.silences(name, n); ok {
			*p = v
		}
	case *[]Rule:
		if v, ok := d.rules(name, n); ok {
			*p = v
		}
	}
	return len(d.problems) == before
}

func (d *decoder) wrongType(name string, n node, want string) {
	got := n.kind.String()
	if n.kind == kindNull || n.kind == kindEnviron && n.text == "" {
		d.report(n.where, fault{idEmpty, name + " is empty", "write " + want + ", or remove it to get the default"})
		return
	}
	if n.kind == kindEnviron {
		got = "text that is something else"
	}
	fix := "write " + want
	if n.kind == kindWhole && strings.HasPrefix(want, "text") {
		fix += " in quotes"
	}
	d.report(n.where, fault{idWrongType, fmt.Sprintf("%s must be %s and is %s", name, want, got), fix})
}

// text reads a scalar that is text. Nothing written is the empty text.
func (d *decoder) text(name string, sp spec, n node, secret bool) (string, bool) {
	switch n.kind {
	case kindNull, kindText, kindEnviron:
	default:
		d.wrongType(name, n, "text")
		return "", false
	}
	v := n.text
	switch {
	case v == "" && sp.required:
		d.report(n.where, fault{idEmpty, name + " is empty", "write a value, or remove it to get the default"})
	case v == "":
		return "", true
	case !utf8.ValidString(v) || strings.IndexFunc(v, unicode.IsControl) >= 0:
		f := fault{idWrongType, name + " holds a control character or is not UTF-8", "write one line of text"}
		if strings.Contains(v, "PRIVATE KEY") {
			f.fix = "write the path of the file, not what is in it"
		}
		d.report(n.where, f)
	case len(sp.oneOf) > 0 && !slices.Contains(sp.oneOf, v):
		d.report(n.where, fault{idNotAChoice, fmt.Sprintf("%s: %s is not one of its choices", name, show(v)), "write one of " + strings.Join(sp.oneOf, ", ")})
	default:
		if sp.check == nil {
			return v, true
		}
		f := sp.check(v)
		if f == nil {
			return v, true
		}
		// The checks of secrets never put the value into their message.
		message := f.message
		if !secret {
			message = show(v) + " " + message
		}
		d.report(n.where, fault{f.id, name + ": " + message, f.fix})
	}
	return "", false
}

func (d *decoder) whole(name string, sp spec, n node) (int, bool) {
	v, err := strconv.Atoi(n.text)
	if n.kind != kindWhole && n.kind != kindEnviron || !isDecimal(n.text) {
		d.wrongType(name, n, "a whole number in decimal digits")
		return 0, false
	}
	if err != nil || int64(v) < sp.min || int64(v) > sp.max {
		d.report(n.where, fault{idOutOfRange, fmt.Sprintf("%s: %s is out of range", name, show(n.text)),
			fmt.Sprintf("write a number from %d to %d", sp.min, sp.max)})
		return 0, false
	}
	return v, true
}

// isDecimal refuses what readers of YAML disagree about: 010, 0x10, 1_000.
func isDecimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && strings.Trim(s, "0123456789") == "" && (s == "0" || s[0] != '0')
}

func (d *decoder) duration(name string, sp spec, n node) (time.Duration, bool) {
	v, ok := parseDuration(n.text)
	if n.kind != kindText && n.kind != kindEnviron || !ok {
		d.wrongType(name, n, "a duration with a unit, such as 30m or 12h")
		return 0, false
	}
	unit, units := time.Second, "seconds"
	if sp.unit != 0 {
		unit, units = sp.unit, "milliseconds"
	}
	low, high := time.Duration(sp.min)*unit, time.Duration(sp.max)*unit
	if v < low || v > high || v%unit != 0 {
		d.report(n.where, fault{idOutOfRange, fmt.Sprintf("%s: %s is out of range", name, show(n.text)),
			fmt.Sprintf("write whole %s from %s to %s", units, formatDuration(low), formatDuration(high))})
		return 0, false
	}
	return v, true
}

// list reads the elements of a list, of a variable separated by commas.
func (d *decoder) list(name string, n node, required bool) ([]node, bool) {
	items := n.items
	switch {
	case n.kind == kindEnviron && n.text != "":
		for _, part := range strings.Split(n.text, ",") {
			items = append(items, node{kind: kindEnviron, where: n.where, text: strings.TrimSpace(part)})
		}
	case n.kind == kindEnviron, n.kind == kindList:
	default:
		d.wrongType(name, n, "a list such as [a, b]")
		return nil, false
	}
	switch {
	case required && len(items) == 0:
		d.report(n.where, fault{idEmpty, name + " is empty", "write at least one entry"})
		return nil, false
	case len(items) > maxItems:
		d.report(n.where, fault{idOutOfRange, fmt.Sprintf("%s has %d entries", name, len(items)), fmt.Sprintf("write at most %d", maxItems)})
		return nil, false
	}
	return items, true
}
