package config

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/merlonhq/merlon/route"
)

// The routes where passwords are checked, and the one where accounts are made.
var passwordRoutes = [...]string{"POST /api/v1/auth/login", "POST /api/v1/auth/token", "POST /api/v1/users/me/password"}

const registerRoute = "POST /api/v1/users"

// reportsRoute takes what browsers report, from anybody.
const reportsRoute = "POST /reports"

// rules reads rate_limits.rules.
func (d *decoder) rules(name string, n node) ([]Rule, bool) {
	if n.kind != kindList {
		d.wrongType(name, n, "a list of rules, [] for none")
		return nil, false
	}
	if len(n.items) > maxItems {
		d.report(n.where, fault{idOutOfRange, fmt.Sprintf("%s has %d entries", name, len(n.items)), fmt.Sprintf("write at most %d", maxItems)})
		return nil, false
	}
	before := len(d.problems)
	rules := make([]Rule, 0, len(n.items))
	first := map[string]string{}
	for i, item := range n.items {
		r := d.rule(fmt.Sprintf("%s[%d]", name, i), item)
		if where, dup := first[r.Name]; dup && r.Name != "" {
			d.report(item.where, fault{idRuleName, fmt.Sprintf("%s[%d]: the name %s is taken by the rule at %s", name, i, show(r.Name), where), "give each rule its own name"})
		} else {
			first[r.Name] = item.where
		}
		rules = append(rules, r)
	}
	return rules, len(d.problems) == before
}

func (d *decoder) rule(name string, n node) Rule {
	r := Rule{Count: CountRequests, Algorithm: SlidingWindow}
	if n.kind == kindInvalid {
		return r
	}
	if n.kind != kindMapping {
		d.wrongType(name, n, "a rule such as {name: , match: [], limit: , window: , by: []}")
		return r
	}
	fields, before := ruleFields(), len(d.problems)
	names := make([]string, 0, len(fields))
	given := map[string]bool{}
	for _, p := range n.pairs {
		given[p.key] = p.value.kind != kindList || len(p.value.items) > 0
	}
	for _, f := range fields {
		names = append(names, f.name)
		i := slices.IndexFunc(n.pairs, func(p pair) bool { return p.key == f.name })
		optional := f.spec.hide != "" || f.name == "count"
		if i >= 0 {
			d.decode(name+"."+f.name, f.place(&r), f.spec, n.pairs[i].value)
		} else if !optional || (f.name == "limit" || f.name == "window") && !given["limits"] {
			d.report(n.where, fault{idEmpty, name + " has no " + f.name, "write its " + f.name})
		}
	}
	if len(d.problems) == before {
		d.limits(name, n.where, given["limit"] || given["window"], Limit{Limit: r.Limit, Window: r.Window, Limits: r.Limits, Algorithm: r.Algorithm, Burst: r.Burst})
	}
	for _, p := range n.pairs {
		if !slices.Contains(names, p.key) {
			d.report(p.where, fault{idUnknownKey, fmt.Sprintf("%s has no setting %s", name, show(p.key)),
				didYouMean(p.key, names, "write only "+strings.Join(names, ", "))})
		}
	}
	return r
}

func checkRuleName(v string) *fault {
	const fix = "write up to 24 of a-z 0-9 - _, beginning with a letter, and not default, address, bad_credentials, key, event or probe"
	if len(v) > 24 || v[0] < 'a' || v[0] > 'z' || strings.Trim(v, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return &fault{idRuleName, "is not a rule name", fix}
	}
	switch v {
	case "default", "address", "bad_credentials", "key", "event", "probe":
		return &fault{idRuleName, "is a name that is taken", fix}
	}
	return nil
}

// checkMatch asks the package that matches.
func checkMatch(v string) *fault {
	const fix = `write a method and a path such as "POST /api/v1/auth/login"`
	if strings.ContainsAny(v, "?#%\\") || strings.Contains(v, "//") {
		return &fault{idRuleMatch, "is not a pattern of paths", fix}
	}
	if _, err := route.New([]route.Route{{Pattern: v, Public: true}}); err != nil {
		return &fault{idRuleMatch, "is not a route pattern", fix}
	}
	method, _, _ := strings.Cut(v, " ")
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return nil
	}
	return &fault{idRuleMatch, "has a method that is never served", fix}
}

func checkBy(v string) *fault {
	switch v {
	case "address", "account", "principal", "principal_or_address", "session", "key", "route":
		return nil
	}
	const fix = "write one of address, account, principal, principal_or_address, session, key, header:<Name>, route"
	name, isHeader := strings.CutPrefix(v, "header:")
	if !isHeader {
		return &fault{idRuleBy, "is nothing that can be counted by", fix}
	}
	if !isToken(name) {
		return &fault{idRuleBy, "does not name a header", fix}
	}
	switch http.CanonicalHeaderKey(name) {
	case "Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Csrf-Token":
		return &fault{idRuleBy, "names a header that carries a credential", "count by principal, session or key instead"}
	case "Forwarded", "X-Forwarded-For", "X-Real-Ip":
		return &fault{idRuleBy, "names a header that clients make up", "count by address instead, and declare the proxy in trusted_proxies"}
	}
	return nil
}

// checkDefaultBy refuses what is known to the handlers of some routes only.
func checkDefaultBy(v string) *fault {
	if v == "account" {
		return &fault{idRuleBy, "is known on the routes that check passwords only", "count by principal_or_address, or by account in a rule"}
	}
	return checkBy(v)
}

// checkHeadersTwice finds a header that is listed twice in different letters.
func (l *loader) checkHeadersTwice(name string, by []string) {
	seen := map[string]bool{}
	for _, part := range by {
		if !strings.HasPrefix(part, "header:") {
			continue
		}
		if key := strings.ToLower(part); seen[key] {
			l.report(l.where(name), fault{idListedTwice, name + ": " + show(part) + " is listed twice", "keep one of them"})
		} else {
			seen[key] = true
		}
	}
}

// unguarded returns the credential routes that no rule limits by something the
// caller cannot choose anew for each guess.
func unguarded(rules []Rule) []string {
	var out []string
	for _, r := range append(passwordRoutes[:], registerRoute) {
		if !slices.ContainsFunc(rules, func(rule Rule) bool { return guards(rule, r) }) {
			out = append(out, r)
		}
	}
	return out
}

func guards(r Rule, credentialRoute string) bool {
	steady := slices.ContainsFunc(r.By, func(by string) bool {
		return by == "address" || by == "account" || by == "principal_or_address"
	})
	// A key with a part that the caller makes up is a new key each time.
	varies := slices.ContainsFunc(r.By, func(by string) bool { return strings.HasPrefix(by, "header:") })
	return steady && !varies && r.Covers(credentialRoute)
}

// Unguarded returns the credential routes that no rule limits by address or account.
func Unguarded(rules []Rule) []string { return unguarded(rules) }

// PasswordRoutes returns the routes where passwords are checked.
func PasswordRoutes() []string { return slices.Clone(passwordRoutes[:]) }

// RegisterRoute is the route where accounts are made.
const RegisterRoute = registerRoute

// ReportsRoute is the route that takes what browsers report, from anybody.
const ReportsRoute = reportsRoute

// Covers reports whether one of the rule's patterns matches a route such as
// "POST /api/v1/auth/login".
func (r Rule) Covers(credentialRoute string) bool {
	method, path, _ := strings.Cut(credentialRoute, " ")
	return slices.ContainsFunc(r.Match, func(pattern string) bool {
		t, err := route.New([]route.Route{{Pattern: pattern, Public: true}})
		return err == nil && t.Match(method, path).Route != nil
	})
}
