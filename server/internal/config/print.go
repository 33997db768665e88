package config

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// YAML returns the settings as a file that [Load] reads, in the order of the
// documentation, with each secret that is set as "[redacted]".
func (s Settings) YAML() []byte {
	var b strings.Builder
	var open []string
	for _, f := range settings() {
		path := strings.Split(f.name, ".")
		leaf := len(path) - 1
		for depth := range leaf {
			if depth >= len(open) || open[depth] != path[depth] {
				b.WriteString(strings.Repeat("  ", depth) + path[depth] + ":\n")
				open = append(slices.Clone(open[:depth]), path[depth])
			}
		}
		open = open[:leaf]
		if f.hides(f.place(&s)) {
			continue
		}
		indent := strings.Repeat("  ", leaf)
		b.WriteString(indent + path[leaf] + ":")
		if rules, ok := f.place(&s).(*[]Rule); ok && len(*rules) > 0 {
			b.WriteByte('\n')
			for _, r := range *rules {
				writeRule(&b, indent+"  ", r)
			}
			continue
		}
		if silences, ok := f.place(&s).(*[]Silence); ok && len(*silences) > 0 {
			b.WriteByte('\n')
			for _, one := range *silences {
				writeObject(&b, indent+"  ", silenceFields(), one)
			}
			continue
		}
		b.WriteString(" " + yamlValue(f.place(&s)) + "\n")
	}
	return []byte(b.String())
}

func writeRule(b *strings.Builder, indent string, r Rule) { writeObject(b, indent, ruleFields(), r) }

// writeObject writes an entry of a list of objects.
func writeObject[T any](b *strings.Builder, indent string, fields []field[T], one T) {
	lead := "- "
	for _, f := range fields {
		if f.hides(f.place(&one)) {
			continue
		}
		b.WriteString(indent + lead + f.name + ": " + yamlValue(f.place(&one)) + "\n")
		lead = "  "
	}
}

func yamlValue(place any) string {
	switch p := place.(type) {
	case *string:
		return yamlText(*p)
	case *int:
		return strconv.Itoa(*p)
	case *bool:
		return strconv.FormatBool(*p)
	case *time.Duration:
		return formatDuration(*p)
	case *Secret:
		if p.IsSet() {
			return `"` + redacted + `"`
		}
		return `""`
	case *[]string:
		return yamlList(*p, yamlText)
	case *[]Secret:
		return yamlList(*p, func(Secret) string { return `"` + redacted + `"` })
	case *[]Quota:
		return yamlList(*p, func(q Quota) string { return yamlText(q.String()) })
	case *[]netip.Prefix:
		return yamlList(*p, func(p netip.Prefix) string { return yamlText(p.String()) })
	}
	return "[]" // *[]Rule and *[]Silence without entries
}

func yamlList[T any](items []T, text func(T) string) string {
	parts := make([]string, 0, len(items))
	for _, i := range items {
		parts = append(parts, text(i))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// yamlText writes s plain when no reader of YAML could take it for anything but
// this text, and otherwise in double quotes, whose escapes Go and YAML share.
func yamlText(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./"
	letter := s != "" && (s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z')
	if letter && strings.Trim(s, plain) == "" {
		switch strings.ToLower(s) {
		case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		default:
			return s
		}
	}
	return strconv.Quote(s)
}

// JSON returns the settings as a JSON object of the shape of the file, with each
// secret that is set as "[redacted]".
func (s Settings) JSON() ([]byte, error) {
	root := map[string]any{}
	for _, f := range settings() {
		if f.hides(f.place(&s)) {
			continue
		}
		path := strings.Split(f.name, ".")
		at := root
		for _, section := range path[:len(path)-1] {
			below, ok := at[section].(map[string]any)
			if !ok {
				below = map[string]any{}
				at[section] = below
			}
			at = below
		}
		at[path[len(path)-1]] = jsonValue(f.place(&s))
	}
	return json.MarshalIndent(root, "", "  ")
}

func jsonValue(place any) any {
	switch p := place.(type) {
	case *Secret:
		if !p.IsSet() {
			return ""
		}
		return redacted
	case *time.Duration:
		return formatDuration(*p)
	case *[]string:
		return append([]string{}, *p...)
	case *[]Secret:
		return append([]Secret{}, *p...)
	case *[]netip.Prefix:
		return append([]netip.Prefix{}, *p...)
	case *[]Quota:
		limits := make([]string, 0, len(*p))
		for _, q := range *p {
			limits = append(limits, q.String())
		}
		return limits
	case *[]Rule:
		return jsonObjects(ruleFields(), *p)
	case *[]Silence:
		return jsonObjects(silenceFields(), *p)
	}
	return place // pointers to text, whole numbers and flags
}

func jsonObjects[T any](fields []field[T], list []T) []map[string]any {
	out := make([]map[string]any, 0, len(list))
	for _, item := range list {
		one := map[string]any{}
		for _, f := range fields {
			if f.hides(f.place(&item)) {
				continue
			}
			one[f.name] = jsonValue(f.place(&item))
		}
		out = append(out, one)
	}
	return out
}
