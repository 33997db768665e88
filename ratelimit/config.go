package ratelimit

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/route"
)

// OnStoreError is what happens to a request while the store fails.
type OnStoreError string

const (
	// Deny answers 503 with Retry-After. It is what the empty OnStoreError means.
	Deny OnStoreError = "deny"
	// Allow lets requests pass uncounted.
	Allow OnStoreError = "allow"
	// Local counts in the memory of this node, by its share of each limit: Max / ExpectedNodes, at least 1. Answers
	// tell of the share. When the store goes away, and when it is back, a client may find one share more than the
	// limit in a window, however often that happens.
	Local OnStoreError = "local"
)

// Config configures a [Limiter]. The zero Config has the three rules below and a [Memory] of the default size.
type Config struct {
	// Routes are the routes of the service. With them [New] finds rules for routes that do not exist, and
	// [Limiter.Handler] finds the route of a request; nil leaves both undone.
	Routes *route.Table
	// Rules count on the routes that they match, instead of Default, and in addition to Address and
	// BadCredentials. Several rules may match one route: all of them count.
	Rules []Rule
	// Default counts on all other routes. Its name is "default" and it matches nothing. Zero means 100 per
	// minute by principal_or_address and route. Requests without a route count as one route.
	Default Rule
	// Address is the coarse guard that counts every request by client address before authentication. Its name is
	// "address"; By, Match and Count are left empty. Zero means 1,000 per minute.
	Address Rule
	// BadCredentials counts refused keys, tokens and cookies by client address; while an address has no quota
	// left, nothing it presents is looked at. Its name is "bad_credentials"; By, Match and Count are left empty.
	// Zero means 30 per minute.
	BadCredentials Rule
	// IPv4Bits and IPv6Bits are the lengths of the prefixes that count as one client address: 8 to 32, zero
	// means 32; 16 to 128, zero means 64, the least that one customer of a network has.
	IPv4Bits, IPv6Bits int
	// Store keeps the counts; nil means a [Memory] of the default size. What is behind a network belongs in a
	// [Breaker], or requests wait for it while it hangs.
	Store Store
	// OnStoreError is Deny (or empty), Allow or Local.
	OnStoreError OnStoreError
	// ExpectedNodes is how many nodes share Store, for Local: 1 to 10,000; zero means 1. With more nodes than
	// that, they grant more than the limits together while the store fails.
	ExpectedNodes int
	// Namespace is part of every key: limiters that share a store count apart if their namespaces differ. Up to 24 of
	// a-z, 0-9, "_" and "-". Limiters on several nodes that are to count together have the same one.
	Namespace string
	// Replaces is the limiter whose place this one takes, when a configuration is compiled again: it goes on with that
	// one's Store, where Store is nil, and with its memory for Local. Counts go on where a rule has the same name and
	// limits. Requests that the former one admitted end there.
	Replaces *Limiter
	// OnMisuse is told of what probably is a mistake; x is nil while the limiter is made. Nil writes it to
	// [slog.Default].
	OnMisuse func(x *exchange.Exchange, m Misuse)
	// InsecureExempt takes clients out of all rules, bad credentials included.
	InsecureExempt InsecureExempt
}

// InsecureExempt names clients that are not limited.
type InsecureExempt struct {
	// Addresses are the exempt networks.
	Addresses []netip.Prefix
	// Reason says why; required with Addresses.
	Reason string
}

// Names of the rules that Config has fields for, and of API keys' own limits.
const (
	defaultName        = "default"
	addressName        = "address"
	badCredentialsName = "bad_credentials"
	keyName            = "key"
	eventName          = "event" // counts the events of refusals
	probeName          = "probe" // counts nothing: a Breaker tries its store
)

// New compiles a Config. All errors are reported at once, each with the name of its rule.
func New(c Config) (*Limiter, error) {
	l := &Limiter{
		routes: c.Routes,
		store:  c.Store,
		allow:  c.OnStoreError == Allow,
		bits4:  orDefault(c.IPv4Bits, 32),
		bits6:  orDefault(c.IPv6Bits, 64),
		nodes:  orDefault(c.ExpectedNodes, 1),
		exempt: slices.Clone(c.InsecureExempt.Addresses),
		plans:  map[string]*plan{},
		onCall: map[string]*rule{},

		namespace: c.Namespace,
	}
	if l.misuses.tell = c.OnMisuse; l.misuses.tell == nil {
		l.misuses.tell = toLog
	}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("ratelimit: "+format, args...)) }

	switch c.OnStoreError {
	case "", Deny, Allow, Local:
	default:
		fail("OnStoreError %q is unknown: give %q, %q or %q", c.OnStoreError, Deny, Allow, Local)
	}
	if l.nodes < 1 || l.nodes > 10_000 {
		fail("ExpectedNodes %d is out of range: give 1 to 10000", c.ExpectedNodes)
	}
	if l.bits4 < 8 || l.bits4 > 32 {
		fail("IPv4Bits %d is out of range: give 8 to 32", c.IPv4Bits)
	}
	if l.bits6 < 16 || l.bits6 > 128 {
		fail("IPv6Bits %d is out of range: give 16 to 128", c.IPv6Bits)
	}
	if c.Namespace != "" && !validName(c.Namespace) {
		fail("Namespace %q does not fit: give 1 to 24 of a-z, 0-9, _ and -", c.Namespace)
	}
	for _, p := range l.exempt {
		if !p.IsValid() || p.Bits() == 0 {
			fail("InsecureExempt: %v is no network to exempt: give a prefix longer than /0", p)
		}
	}
	if len(l.exempt) > 0 && strings.TrimSpace(c.InsecureExempt.Reason) == "" {
		fail("InsecureExempt has no Reason: say why these addresses are not limited")
	}

	standard, err := builtIn(c.Default, defaultName, 100, ByPrincipalOrAddress, ByRoute)
	errs = append(errs, err)
	l.address, err = guard(c.Address, addressName, 1000)
	errs = append(errs, err)
	l.badCredentials, err = guard(c.BadCredentials, badCredentialsName, 30)
	errs = append(errs, err)
	l.standard = newPlan(standard)

	patterns := map[string]*route.Route{}
	if c.Routes != nil {
		for _, r := range c.Routes.Routes() {
			patterns[r.Pattern] = r
		}
	}
	names := map[string]bool{defaultName: true, addressName: true, badCredentialsName: true, keyName: true, eventName: true, probeName: true}
	rules := map[string][]*rule{}
	all := make([]*rule, 0, len(c.Rules))
	for i := range c.Rules {
		r := &c.Rules[i]
		compiled, err := r.compile()
		switch {
		case !validName(r.Name):
			fail("rule %q: the name does not fit: give 1 to 24 of a-z, 0-9, _ and -", r.Name)
		case names[r.Name]:
			fail("rule %q: the name is taken: give another", r.Name)
		}
		names[r.Name] = true
		for _, err := range each(err) {
			fail("rule %q: %w", r.Name, err)
		}
		if r.OnCall {
			l.onCall[r.Name] = compiled
			for _, err := range r.checkOnCall() {
				fail("rule %q: %w", r.Name, err)
			}
			all = append(all, compiled)
			continue
		}
		all = append(all, compiled)
		if len(r.Match) == 0 {
			fail("rule %q: it matches no route: give patterns such as \"POST /api/v1/users\"", r.Name)
		}
		for j, p := range r.Match {
			if c.Routes != nil && patterns[p] == nil {
				fail("rule %q: no route has the pattern %q: give one as it is in the routes", r.Name, p)
			}
			if slices.Contains(r.Match[:j], p) {
				fail("rule %q: pattern %q is there twice: give it once", r.Name, p)
			}
			rules[p] = append(rules[p], compiled)
		}
	}
	for pattern, matching := range rules {
		l.plans[pattern] = newPlan(matching...)
	}
	for _, r := range patterns {
		for _, rule := range l.plan(r).all() {
			for i := range rule.quotas {
				limit := rule.quotas[i].limit
				if most := limit.capacity(); int64(r.Weight) > int64(most) {
					fail("rule %q: the route %q weighs %d, more than the %d that the rule ever admits: lower the weight or raise the limit",
						rule.name, r.Pattern, r.Weight, most)
				} else if share := limit.share(max(1, l.nodes)); c.OnStoreError == Local && int64(r.Weight) > int64(share.capacity()) {
					fail("rule %q: the route %q weighs %d, more than the %d that each of %d nodes admits while the store fails: lower the weight or raise the limit",
						rule.name, r.Pattern, r.Weight, share.capacity(), l.nodes)
				}
			}
		}
	}
	if l.store == nil && c.Replaces != nil {
		l.store = c.Replaces.store
	}
	if l.store == nil && errors.Join(errs...) == nil {
		l.store, err = NewMemory(MemoryConfig{})
		errs = append(errs, err)
	}
	if _, isMemory := l.store.(*Memory); c.OnStoreError == Local && !isMemory && errors.Join(errs...) == nil {
		errs = append(errs, l.shareLimits(c.Replaces))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	l.batches.New = func() any { return &batch{} }
	for _, r := range append(slices.Clone(all), l.address, l.badCredentials, standard) {
		r.key = l.within(r.name)
	}
	l.ownKey, l.eventKey = NewKey(l.within(keyName)), NewKey(l.within(eventName))
	l.atStart(all, c.Replaces)
	return l, nil
}

func orDefault(n, d int) int {
	if n == 0 {
		return d
	}
	return n
}

// builtIn completes and compiles a rule that Config has a field for.
func builtIn(r Rule, name string, max int, by ...Part) (*rule, error) {
	var errs []error
	if r.Name != "" && r.Name != name {
		errs = append(errs, fmt.Errorf("its name is fixed, not %q: leave Name empty", r.Name))
	}
	if len(r.Match) > 0 {
		errs = append(errs, fmt.Errorf("it counts on all routes, not on %q only: leave Match empty", r.Match))
	}
	r.Name = name
	if len(r.Limits) == 0 {
		r.Limits = []Limit{{Max: max, Window: time.Minute}}
	}
	if len(r.By) == 0 {
		r.By = by
	}
	if slices.Contains(r.By, ByAccount) {
		errs = append(errs, errors.New("part \"account\" is known to handlers only: give it to a rule with Match"))
	}
	c, err := r.compile()
	errs = append(errs, each(err)...)
	for i, err := range errs {
		errs[i] = fmt.Errorf("ratelimit: rule %q: %w", name, err)
	}
	return c, errors.Join(errs...)
}

// each returns the errors that were joined into err, so that each gets a name.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

// guard is builtIn for the rules that always count by address and appear in their own 429 only.
func guard(r Rule, name string, max int) (*rule, error) {
	var errs []error
	if len(r.By) > 0 && !slices.Equal(r.By, []Part{ByAddress}) {
		errs = append(errs, fmt.Errorf("ratelimit: rule %q: it counts by address, not by %q: leave By empty", name, r.By))
	}
	if r.Count != "" && r.Count != CountAll {
		errs = append(errs, fmt.Errorf("ratelimit: rule %q: count %q does not fit: leave Count empty", name, r.Count))
	}
	r.By, r.Count = nil, ""
	c, err := builtIn(r, name, max, ByAddress)
	for i := range c.quotas {
		c.quotas[i].guard = true
	}
	return c, errors.Join(append(errs, err)...)
}

func validName(s string) bool {
	if len(s) < 1 || len(s) > 24 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}
