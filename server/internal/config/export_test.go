package config

import "strings"

// UnusedMeanings returns the names in meanings that no setting has.
func UnusedMeanings() []string {
	left := meanings()
	for _, f := range settings() {
		delete(left, f.name)
	}
	for _, f := range silenceFields() {
		delete(left, "silence "+f.name)
	}
	for _, f := range ruleFields() {
		delete(left, "rule "+f.name)
	}
	var out []string
	for name := range left {
		out = append(out, strings.TrimSpace(name))
	}
	return out
}
