package ratelimit

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
)

// batch is what a call needs besides the request, reused from call to call.
type batch struct {
	quotas []*quota // of reqs
	reqs   []Request
	res    []Result
	shown  []shown
	text   []byte
	own    quota // an API key's own limit
	share  quota // and this node's share of it
}

// shown is a quota that the answer tells of.
type shown struct {
	quota *quota
	res   Result
}

// call is one question to the store about one request.
type call struct {
	*batch
	l    *Limiter
	x    *exchange.Exchange
	kept *reservation // what earlier calls of the request counted; nil if that is not kept
}

// begin starts a call; p is the plan of the route, nil if the call has nothing to do with earlier ones.
func (l *Limiter) begin(x *exchange.Exchange, p *plan) call {
	c := call{batch: l.batches.Get().(*batch), l: l, x: x}
	if p != nil && (p.settles || len(p.open) > 0) {
		c.kept = l.reservation(x)
	}
	return c
}

// end returns the batch. What is left in it are keys and limits, to be overwritten.
func (c *call) end() {
	b := c.batch
	b.quotas, b.reqs, b.res, b.shown, b.text = b.quotas[:0], b.reqs[:0], b.res[:0], b.shown[:0], b.text[:0]
	c.l.batches.Put(b)
}

// add asks for the quotas of a rule.
func (c *call) add(r *rule, weight uint32, account string) {
	first := len(c.reqs)
	for i := range r.quotas {
		c.quotas = append(c.quotas, &r.quotas[i])
		c.reqs = slices.Grow(c.reqs, 1)[:first+i+1]
		q := &c.reqs[first+i]
		q.Key, q.Limit, q.Weight, q.Peek = Key{}, &r.quotas[i].limit, weight, c.x.Asked
		if i == 0 {
			c.l.key(&c.reqs[first].Key, r, c.x, account)
		} else {
			c.reqs[first+i].Key = c.reqs[first].Key
		}
	}
}

// peek asks whether the quotas of a rule have room.
func (c *call) peek(r *rule) {
	first := len(c.reqs)
	c.add(r, 1, "")
	for i := first; i < len(c.reqs); i++ {
		c.reqs[i].Peek = true
	}
}

// addIdentity asks for what needs to know who calls: the rules of the plan, and the limit of the caller's API key.
func (c *call) addIdentity(p *plan) {
	c.x.Counted = true
	weight := weight(c.x)
	for _, r := range p.identity {
		c.add(r, weight, "")
	}
	if own := c.x.Principal.KeyLimit; own != nil {
		c.addOwn(own, weight)
	}
}

// addOwn asks for the quota that an API key carries itself.
func (c *call) addOwn(own *identity.KeyLimit, weight uint32) {
	b := c.batch
	if b.own.limit.Max != own.Limit || b.own.limit.Window != own.Window {
		b.own = quota{limit: Limit{Max: own.Limit, Window: own.Window}, name: keyName, max: fmt.Sprint(own.Limit)}
		b.own.policy = string(AppendPolicy(nil, keyName, &b.own.limit))
		b.own.item = itemHead(keyName)
		if c.l.local != nil {
			b.share = b.own.of(c.l.nodes)
			b.own.share = &b.share
		}
	}
	k := c.l.ownKey
	k.Add(KindAPIKey, c.x.Principal.KeyID)
	b.quotas = append(b.quotas, &b.own)
	b.reqs = append(b.reqs, Request{Key: k, Limit: &b.own.limit, Weight: weight, Peek: c.x.Asked})
}

// decide asks the store, tells the client what is left, and refuses if it must.
func (c *call) decide() exchange.Outcome {
	if len(c.reqs) == 0 {
		return exchange.Continue()
	}
	c.res = slices.Grow(c.res, len(c.reqs))[:len(c.reqs)] // the store fills it
	local, err := c.l.take(c.x, c.reqs, c.res)
	if err != nil {
		if c.l.allow && c.x.Err() == nil { // else hanging up early would be a way around the limits
			c.reqs = c.reqs[:0] // nothing to give back
			return exchange.Continue()
		}
		c.kept.giveBack(c.x)
		return exchange.Refuse(unavailable(err), "")
	}
	if local {
		for i, q := range c.quotas {
			c.quotas[i] = q.share
		}
	}
	var violated []string
	var retry time.Duration
	for i := range c.res {
		if !c.res[i].Allowed {
			violated = append(violated, c.quotas[i].name)
			retry = max(retry, c.res[i].RetryAfter)
		}
	}
	c.tell(retry)
	if violated == nil {
		c.kept.keep(c)
		return exchange.Continue()
	}
	c.kept.giveBack(c.x)
	c.kept.tell(c)
	return c.l.exceeded(c.x, violated, retry)
}

// unavailable is the problem of a store that fails. That it is away is told of once, by its [Breaker].
func unavailable(err error) *problem.Problem {
	p := problem.Unavailable(fmt.Errorf("rate limit store: %w", err))
	if errors.Is(err, ErrStoreAway) {
		p = p.Told()
	}
	return p
}

// exceeded is the refusal of a request for which the named quotas have no room.
func (l *Limiter) exceeded(x *exchange.Exchange, violated []string, retry time.Duration) exchange.Outcome {
	p := problem.New(problem.QuotaExceeded, "Too many requests. Wait before trying again.")
	p.ViolatedPolicies = violated
	p.RetryAfter = retry
	if !x.Asked && !l.tells(x, violated[0]) {
		return exchange.Refuse(p, "")
	}
	return exchange.Refuse(p, audit.ExcessRateLimitExceeded, slog.String("rule", strings.Join(violated, ",")))
}

// tells reports whether this refusal by the rule is told as an event: ten in a minute are, by address. A flood that is
// turned away shall not fill the event log either, nor push out of it what it may be meant to hide.
func (l *Limiter) tells(x *exchange.Exchange, rule string) bool {
	k := l.eventKey
	k.Add(KindRule, rule)
	k.AddAddress(x.Client, l.bits4, l.bits6)
	limit := Limit{Max: 10, Window: time.Minute}
	res := []Result{{}}
	_, err := l.take(x, []Request{{Key: k, Limit: &limit, Weight: 1}}, res)
	return err != nil || res[0].Allowed
}

// tell sets the headers that tell of the quotas which count the request, those of earlier calls too. A guard is
// told of in its own refusal only. retry is zero if the request is not refused.
func (c *call) tell(retry time.Duration) {
	if c.kept != nil {
		c.shown = append(c.shown, c.kept.refused...)
		for i := range c.kept.reqs {
			c.shown = append(c.shown, shown{c.kept.quotas[i], c.kept.res[i]})
		}
	}
	for i, q := range c.quotas {
		if !q.guard || !c.res[i].Allowed {
			c.shown = append(c.shown, shown{q, c.res[i]})
		}
	}
	if len(c.shown) == 0 {
		return
	}
	tightest := tightest(c.shown)
	var left, leftEnd int // where the tightest's remaining units stand in the text
	for i := range c.shown {
		s := &c.shown[i]
		if i > 0 {
			c.text = append(c.text, ", "...)
		}
		if s.res.Allowed && retry > 0 && s.res.Reset > retry {
			s.res.Reset = 0 // Retry-After must not be before any t, and this quota is not what to wait for
		}
		c.text = append(c.text, s.quota.item...)
		from := len(c.text)
		c.text = AppendRemaining(c.text, &s.res)
		if i == tightest {
			left, leftEnd = from, len(c.text)
		}
		if s.res.Reset > 0 {
			c.text = append(c.text, ";t="...)
			c.text = strconv.AppendInt(c.text, Seconds(s.res.Reset), 10)
		}
	}
	items := len(c.text)
	c.text = AppendReset(c.text, c.x.Now, &c.shown[tightest].res)
	text := string(c.text)

	c.x.SetHeader("Ratelimit-Policy", c.policy())
	c.x.SetHeader("Ratelimit", text[:items])
	c.x.SetHeader("X-Ratelimit-Limit", c.shown[tightest].quota.max)
	c.x.SetHeader("X-Ratelimit-Remaining", text[left:leftEnd])
	c.x.SetHeader("X-Ratelimit-Reset", text[items:])
}

// tightest is the most restrictive of a list: what refuses for the longest time, or else has least left.
func tightest(list []shown) int {
	t := 0
	for i := 1; i < len(list); i++ {
		switch a, b := &list[i].res, &list[t].res; {
		case a.RetryAfter != b.RetryAfter:
			if a.RetryAfter > b.RetryAfter {
				t = i
			}
		case a.told() < b.told() || a.told() == b.told() && a.Reset > b.Reset:
			t = i
		}
	}
	return t
}

func (c *call) policy() string {
	if len(c.shown) == 1 {
		return c.shown[0].quota.policy
	}
	c.text = c.text[:0]
	for i := range c.shown {
		if i > 0 {
			c.text = append(c.text, ", "...)
		}
		c.text = append(c.text, c.shown[i].quota.policy...)
	}
	return string(c.text)
}

// itemHead is how the RateLimit item of a policy begins.
func itemHead(name string) string { return string(appendString(nil, name)) + ";r=" }
