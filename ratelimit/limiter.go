package ratelimit

import (
	"net/http"
	"net/netip"
	"sync"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/route"
)

// Limiter decides whether requests have quota left. Make one with [New]; it does not change after that. Its two
// taps, [Limiter.Before] and [Limiter.After], stand before and behind authentication.
type Limiter struct {
	routes         *route.Table
	store          Store
	allow          bool    // what the store's failure means
	local          *Memory // counts in its place; nil if nothing does
	nodes          int     // that share the limits then
	bits4, bits6   int
	exempt         []netip.Prefix
	address        *rule
	badCredentials *rule
	standard       *plan            // of routes without rules, and of no route
	plans          map[string]*plan // by pattern
	onCall         map[string]*rule // by name
	namespace      string
	ownKey         Key // how keys of API keys' own limits begin
	eventKey       Key // and those of events
	misuses        misuses
	batches        sync.Pool
}

// plan is what counts on a route.
type plan struct {
	open     []*rule // needs nothing of authentication
	identity []*rule // needs to know who calls
	account  []*rule // needs the handler
	settles  bool    // something is reserved until the answer, or taken by the handler
}

func newPlan(rules ...*rule) *plan {
	p := &plan{}
	for _, r := range rules {
		switch {
		case r.account:
			p.account = append(p.account, r)
		case r.identity:
			p.identity = append(p.identity, r)
		default:
			p.open = append(p.open, r)
		}
		for i := range r.quotas {
			p.settles = p.settles || r.quotas[i].failures
		}
	}
	p.settles = p.settles || len(p.account) > 0
	return p
}

func (p *plan) all() []*rule {
	return append(append(append([]*rule(nil), p.open...), p.identity...), p.account...)
}

func (l *Limiter) plan(r *route.Route) *plan {
	if r != nil && len(l.plans) > 0 {
		if p := l.plans[r.Pattern]; p != nil {
			return p
		}
	}
	return l.standard
}

// Handler returns a handler that enforces both taps and then calls next: the limiter as plain middleware. The
// client address is the peer's, and nobody is authenticated, unless an enclosing chain has found out more.
func (l *Limiter) Handler(next http.Handler) http.Handler {
	return exchange.New(exchange.Config{
		Stages: []exchange.Stage{l.Guard(), before{l: l, alone: true}, l.After()},
		Routes: l.routes,
	}).Handler(next)
}

const stageName = "ratelimit"

// Guard returns the stage that stands in front of every stage that refuses. It lets all pass, and counts by address
// what is refused before Before could count it: else requests that are malformed, say, would be free, and so would be
// filling the event log with them.
func (l *Limiter) Guard() exchange.Stage { return guardian{l} }

// Before returns the stage that stands before authentication. It counts every request by address, looks whether
// the address may still present credentials, and counts what needs nothing of authentication: all rules of a
// request that presents no credential or has no route, and rules by address, route and header of the others.
// When a later stage refuses a credential, it counts that too.
func (l *Limiter) Before() exchange.Stage { return before{l: l} }

// After returns the stage that stands behind authentication. It counts requests that present a credential by
// the rules that need to know who calls, and by their API key's own limit. It is of use behind Before only, which
// counts all others: alone it limits nobody who leaves the credential out.
func (l *Limiter) After() exchange.Stage { return after{l} }

type guardian struct{ l *Limiter }

func (guardian) Name() string { return stageName }

var _ exchange.Objector = guardian{}

func (guardian) Decide(*exchange.Exchange) exchange.Outcome { return exchange.Continue() }

func (g guardian) Object(x *exchange.Exchange, _ exchange.Stage, o exchange.Outcome) exchange.Outcome {
	l := g.l
	if o.Lifted || x.Guarded != nil || l.isFree(x) {
		return o
	}
	x.Guarded = l
	c := l.begin(x, nil)
	defer c.end()
	c.add(l.address, 1, "")
	if limited := c.decide(); limited.Refusal != nil {
		return limited
	}
	return o
}

type before struct {
	l     *Limiter
	alone bool // with Guard and After only: there is no chain of the user's
}

func (before) Name() string { return stageName }

var _ exchange.Objector = before{}

func (b before) Decide(x *exchange.Exchange) exchange.Outcome {
	l := b.l
	if l.isFree(x) {
		return exchange.Continue()
	}
	if x.Guarded == l {
		l.misuses.once(toldTwice, x, countedTwice)
		return exchange.Continue()
	}
	if b.alone && l.routes == nil && x.Match.Route == nil && len(l.plans) > 0 {
		l.misuses.once(toldNowhere, x, countsNowhere)
	}
	p, weight := l.plan(x.Match.Route), weight(x)
	c := l.begin(x, p)
	defer c.end()
	x.Guarded, x.Counted = l, false
	c.add(l.address, 1, "")
	if x.Credential != identity.None {
		c.peek(l.badCredentials)
	}
	for _, r := range p.open {
		c.add(r, weight, "")
	}
	if x.Credential == identity.None || x.Match.Route == nil {
		for _, r := range p.identity {
			c.add(r, weight, "")
		}
	}
	c.reserve(p)
	return c.decide()
}

// Object counts what After would have counted, since a refused request is a request too, and tells what is left. A
// request whose refusal is lifted reaches After itself.
// It counts the refusal of a credential, lifted or not, and hides it once there have been too many: then the answer
// would tell whether the next guess is right.
func (b before) Object(x *exchange.Exchange, _ exchange.Stage, o exchange.Outcome) exchange.Outcome {
	l := b.l
	if x.Credential == identity.None || l.isFree(x) {
		return o
	}
	p := l.plan(x.Match.Route)
	c := l.begin(x, p)
	defer c.end()
	if !x.Principal.Known() && o.Problem.Status() == http.StatusUnauthorized && !x.Blamed {
		x.Blamed = true
		c.add(l.badCredentials, 1, "")
	}
	if !o.Lifted && !x.Counted && x.Match.Route != nil {
		c.addIdentity(p)
	}
	if limited := c.decide(); limited.Refusal != nil {
		return limited
	}
	return o
}

type after struct{ l *Limiter }

func (after) Name() string { return stageName }

func (a after) Decide(x *exchange.Exchange) exchange.Outcome {
	l := a.l
	if x.Credential == identity.None || x.Match.Route == nil || l.isFree(x) {
		return exchange.Continue() // Before has counted it
	}
	if x.Counted && x.Guarded == l {
		return exchange.Continue() // it passes a second time
	}
	p := l.plan(x.Match.Route)
	c := l.begin(x, p)
	defer c.end()
	c.addIdentity(p)
	return c.decide()
}

// isFree is whether nothing counts the request: health probes and exempt clients.
func (l *Limiter) isFree(x *exchange.Exchange) bool {
	if x.Match.Route != nil && x.Match.Route.Probe {
		return true
	}
	for _, p := range l.exempt {
		if p.Contains(x.Client.Unmap()) {
			return true
		}
	}
	return false
}

func weight(x *exchange.Exchange) uint32 {
	if x.Match.Route == nil {
		return 1
	}
	return max(x.Match.Route.Weight, 1)
}

// within is the name of a rule in keys.
func (l *Limiter) within(name string) string {
	if l.namespace == "" {
		return name
	}
	return l.namespace + "/" + name
}

// unmatched is the one route that requests without a route count as.
const unmatched = "unmatched"

// key builds the key of a rule for a request in k, which is empty: the rule's name, then one part for each that
// it counts by, in their order.
func (l *Limiter) key(k *Key, r *rule, x *exchange.Exchange, account string) {
	k.Add(KindRule, r.key)
	for i := range r.by {
		p := &r.by[i]
		value := ""
		switch p.kind {
		case KindAccount:
			value = account
		case KindPrincipal:
			value = x.Principal.Subject
		case KindSession:
			value = x.Principal.SessionID
		case KindAPIKey:
			value = x.Principal.KeyID
		case KindHeader:
			if v := x.Request.Header[p.header]; len(v) > 0 {
				value = v[0]
			}
		case KindRoute:
			if value = x.Pattern(); value == "" {
				value = unmatched
			}
		}
		if value == "" {
			k.AddAddress(x.Client, l.bits4, l.bits6)
		} else {
			k.Add(p.kind, value)
		}
	}
}
