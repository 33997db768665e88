package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
)

// checkOnCall returns what does not fit a rule that counts on call.
func (r *Rule) checkOnCall() []error {
	var errs []error
	if len(r.Match) > 0 {
		errs = append(errs, fmt.Errorf("it counts when a handler calls, not on %q: leave Match empty", r.Match))
	}
	if r.Count != "" && r.Count != CountAll {
		errs = append(errs, fmt.Errorf("count %q does not fit a rule on call: leave Count empty", r.Count))
	}
	if slices.Contains(r.By, ByAccount) {
		errs = append(errs, errors.New("part \"account\" does not fit a rule on call: give it to a rule with Match and call TakeAccount"))
	}
	return errs
}

// Take counts the request of ctx by a rule with OnCall, for handlers that know only inside what a request costs, such
// as an export of so many rows. A weight of zero counts as one.
//
// The headers of the answer tell of the rule beside those that count the route. When Allowed is false, nothing is
// counted by the rule and the handler answers Problem: 429, or 503 when the store is away; the event of the request is
// set already. While the limits are in shadow it is allowed, with RetryAfter telling how long it would have had to
// wait. A rule that does not exist is an internal error. The calls of one request must not be concurrent.
func (l *Limiter) Take(ctx context.Context, rule string, weight uint32) Decision {
	x, r := exchange.FromContext(ctx), l.onCall[rule]
	switch {
	case x == nil:
		return Decision{Problem: problem.Internal(errors.New("ratelimit: Take outside of an exchange"))}
	case r == nil:
		return Decision{Problem: problem.Internal(fmt.Errorf("ratelimit: Take: there is no rule %q with OnCall", rule))}
	case l.isFree(x):
		return Decision{Allowed: true}
	}
	c := l.begin(x, nil)
	defer c.end()
	c.add(r, weight, "")
	before := told(x.Header())
	o := c.decide()
	d := c.decision(o, 0)
	if d.Allowed {
		before.beside(x)
	}
	return d
}

// decision is what a handler is told of a call: the outcome, and the tightest of what was shown from first on.
func (c *call) decision(o exchange.Outcome, first int) Decision {
	var d Decision
	if d.Allowed = o.Refusal == nil || !c.x.Refuse(stageName, o); !d.Allowed {
		d.Problem = o.Problem
	}
	if len(c.shown) > first {
		t := &c.shown[first:][tightest(c.shown[first:])]
		d.Limit, d.Remaining, d.Reset, d.RetryAfter = t.res.Limit, t.res.Remaining, t.res.Reset, t.res.RetryAfter
	}
	return d
}

// fields are the headers that tell of quotas, as they stand in an answer.
type fields struct{ policy, items, limit, remaining, reset string }

func told(h http.Header) fields {
	return fields{h.Get("Ratelimit-Policy"), h.Get("Ratelimit"), h.Get("X-Ratelimit-Limit"), h.Get("X-Ratelimit-Remaining"), h.Get("X-Ratelimit-Reset")}
}

// beside puts what was told earlier beside what was told just now; the legacy headers have room for the most
// restrictive only.
func (f fields) beside(x *exchange.Exchange) {
	now := told(x.Header())
	if f.policy == "" || now == f {
		return
	}
	x.SetHeader("Ratelimit-Policy", merge(f.policy, now.policy))
	x.SetHeader("Ratelimit", merge(f.items, now.items))
	if f.left() < now.left() {
		x.SetHeader("X-Ratelimit-Limit", f.limit)
		x.SetHeader("X-Ratelimit-Remaining", f.remaining)
		x.SetHeader("X-Ratelimit-Reset", f.reset)
	}
}

// left is what X-RateLimit-Remaining says, which this package has written.
func (f fields) left() int {
	n, _ := strconv.Atoi(f.remaining)
	return n
}

// merge joins two lists of items. Of two items of one name the later counts: a rule may be taken from twice. Names hold
// neither commas nor semicolons.
func merge(earlier, later string) string {
	items := strings.Split(later, ", ")
	name := func(item string) string { head, _, _ := strings.Cut(item, ";"); return head }
	kept := slices.DeleteFunc(strings.Split(earlier, ", "), func(item string) bool {
		return slices.ContainsFunc(items, func(i string) bool { return name(i) == name(item) })
	})
	return strings.Join(append(kept, items...), ", ")
}
