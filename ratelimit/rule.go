package ratelimit

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Part is one thing that a rule counts by. What a request lacks (it has no principal, no session, no key, not
// the header) is replaced by its client address, so that leaving it out is no way around a rule.
type Part string

// The parts, named as the settings name them. A header is "header:" and its name, such as "header:X-Tenant".
const (
	// ByAddress is the client address: IPv4 by /32, IPv6 by /64, see [Config].
	ByAddress Part = "address"
	// ByAccount is the account that a credential is tried for. Only the handler knows it: rules with this part
	// count when it calls [Limiter.TakeAccount].
	ByAccount Part = "account"
	// ByPrincipal and ByPrincipalOrAddress are the caller's account.
	ByPrincipal          Part = "principal"
	ByPrincipalOrAddress Part = "principal_or_address"
	// BySession is the caller's session.
	BySession Part = "session"
	// ByKey is the caller's API key.
	ByKey Part = "key"
	// ByRoute is the pattern of the route: each route has a count of its own.
	ByRoute Part = "route"

	headerPart = "header:"
)

// Count is what a rule counts.
type Count string

const (
	// CountAll counts every request. It is what the empty Count means.
	CountAll Count = "all"
	// CountFailures counts requests whose answer is 401 or 403. Quota is reserved before the request goes on and
	// given back when another status is answered, so that requests at the same time do not all pass.
	CountFailures Count = "failures"
)

// Rule is what counts on some routes.
type Rule struct {
	// Name names the rule in answers, events and keys: 1 to 24 of a-z, 0-9, "_" and "-", unique. The names
	// default, address, bad_credentials, key, event and probe are taken.
	Name string
	// Match are the patterns of the routes that the rule counts on, as the route table has them, such as
	// "POST /api/v1/users". At least one; the rules of [Config] that count elsewhere have none.
	Match []string
	// Limits must all have room: one or more, with different windows.
	Limits []Limit
	// By is what the rule counts by: one part or more, all of them together. ByRoute alone is one count for all
	// callers of a route.
	By []Part
	// Count is CountAll (or empty) or CountFailures.
	Count Count
	// OnCall is a rule that no route has: it counts when a handler calls [Limiter.Take] with its name. Match and Count
	// are left empty, and By holds no account.
	OnCall bool
}

// quota is one limit of a rule, with what is said about it in answers.
type quota struct {
	limit    Limit
	name     string // of the policy: the rule's, and for its further limits the window too
	policy   string // item of RateLimit-Policy
	item     string // how the item of RateLimit begins
	max      string // value of X-RateLimit-Limit
	guard    bool   // appears only in its own 429
	failures bool
	share    *quota // what this node grants alone; nil if it never does
}

// of is the quota that one of n nodes grants alone.
func (q *quota) of(n int) quota {
	s := *q
	s.limit = q.limit.share(n)
	s.max = fmt.Sprint(s.limit.Max)
	s.policy = string(AppendPolicy(nil, q.name, &s.limit))
	return s
}

// rule is a compiled [Rule].
type rule struct {
	name     string
	key      string // the name in keys
	quotas   []quota
	by       []part
	identity bool // a part needs to know who calls
	account  bool // a part needs the handler
}

// part is a compiled [Part].
type part struct {
	kind   Kind
	is     Part
	header string
}

// compile checks what every rule must fulfil. The errors do not name the rule.
func (r *Rule) compile() (*rule, error) {
	var errs []error
	c := &rule{name: r.Name}
	if r.Count != "" && r.Count != CountAll && r.Count != CountFailures {
		errs = append(errs, fmt.Errorf("count %q is unknown: give %q or %q", r.Count, CountAll, CountFailures))
	}
	if len(r.Limits) == 0 {
		errs = append(errs, errors.New("it has no limit: give at least one"))
	}
	windows := map[time.Duration]bool{}
	for i := range r.Limits {
		l := &r.Limits[i]
		if err := l.Validate(); err != nil {
			errs = append(errs, err)
			continue
		}
		if windows[l.Window] {
			errs = append(errs, fmt.Errorf("two limits have the window %v: give one", l.Window))
		}
		windows[l.Window] = true
		q := quota{limit: *l, name: r.Name, max: fmt.Sprint(l.Max), failures: r.Count == CountFailures}
		if i > 0 {
			q.name = fmt.Sprintf("%s-%ds", r.Name, Seconds(l.Window))
		}
		q.policy = string(AppendPolicy(nil, q.name, l))
		q.item = itemHead(q.name)
		c.quotas = append(c.quotas, q)
	}
	if len(r.By) == 0 {
		errs = append(errs, errors.New("it does not say what it counts by: give at least one part, such as address"))
	}
	seen := map[part]bool{}
	for _, p := range r.By {
		cp, err := p.compile()
		if err == nil && seen[cp] {
			err = fmt.Errorf("part %q is there twice: give it once", p)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		seen[cp] = true
		c.by = append(c.by, cp)
		switch cp.is {
		case ByAccount:
			c.account = true
		case ByPrincipal, ByPrincipalOrAddress, BySession, ByKey:
			c.identity = true
		}
	}
	return c, errors.Join(errs...)
}

func (p Part) compile() (part, error) {
	if name, ok := strings.CutPrefix(string(p), headerPart); ok {
		return compileHeader(name)
	}
	kinds := map[Part]Kind{
		ByAddress: KindIPv4, ByAccount: KindAccount, ByPrincipal: KindPrincipal, ByPrincipalOrAddress: KindPrincipal,
		BySession: KindSession, ByKey: KindAPIKey, ByRoute: KindRoute,
	}
	kind, ok := kinds[p]
	if !ok {
		return part{}, fmt.Errorf("part %q is unknown: give address, account, principal, principal_or_address, session, key, route or header:<Name>", p)
	}
	return part{kind: kind, is: p}, nil
}

func compileHeader(name string) (part, error) {
	for i := range len(name) {
		// The characters of a token, RFC 9110 section 5.6.2.
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return part{}, fmt.Errorf("header %q is not a field name: give one such as header:X-Tenant", name)
		}
	}
	switch canonical := http.CanonicalHeaderKey(name); canonical {
	case "":
		return part{}, errors.New("part \"header:\" names no header: give one such as header:X-Tenant")
	case "Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key":
		return part{}, fmt.Errorf("header %q holds a secret: count by principal, session or key instead", name)
	case "Forwarded", "X-Forwarded-For", "X-Real-Ip":
		return part{}, fmt.Errorf("header %q is chosen by the client: count by address instead", name)
	default:
		return part{kind: KindHeader, header: canonical}, nil
	}
}
