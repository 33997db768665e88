package ratelimit

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
)

// reservation is what a request's calls have counted so far: later calls tell of it, a later refusal gives it
// back, and what counts failures is settled with the answer. It becomes the exchange's own context, so that later
// calls find it.
type reservation struct {
	context.Context
	l       *Limiter
	quotas  []*quota // of reqs
	reqs    []Request
	res     []Result
	refused []shown // of a call that was refused, and the request goes on: the control is in shadow
	settled bool    // failures are decided
	account bool    // rules by account wait for TakeAccount
}

type reservationKey struct{ l *Limiter }

func (r *reservation) Value(key any) any {
	if key == (reservationKey{r.l}) {
		return r
	}
	return r.Context.Value(key)
}

// reservation returns that of the request, or nil.
func (l *Limiter) reservation(x *exchange.Exchange) *reservation {
	r, _ := x.Value(reservationKey{l}).(*reservation)
	return r
}

// reserve makes the call keep what it counts, if somebody will ask for it.
func (c *call) reserve(p *plan) {
	if !p.settles && (len(p.open) == 0 || c.x.Credential == identity.None) {
		return
	}
	if c.kept == nil {
		c.kept = &reservation{Context: c.x.Context, l: c.l, account: len(p.account) > 0}
		c.x.Context = c.kept
	}
	if p.settles {
		c.x.Settle(c.kept)
	}
}

// keep adds what an allowed call counted, but for the guards. A nil reservation keeps nothing.
func (r *reservation) keep(c *call) {
	if r == nil {
		return
	}
	for i, q := range c.quotas {
		if q.guard {
			continue
		}
		req := c.reqs[i]
		if req.Limit == &c.own.limit {
			own, limit := *q, c.own.limit // the batch is reused
			q, req.Limit = &own, &limit
		}
		r.quotas = append(r.quotas, q)
		r.reqs = append(r.reqs, req)
		r.res = append(r.res, c.res[i])
	}
}

// tell makes later calls tell of what a refused call found, but for the guards.
func (r *reservation) tell(c *call) {
	if r == nil {
		return
	}
	for i, q := range c.quotas {
		if !q.guard && c.reqs[i].Limit != &c.own.limit {
			r.refused = append(r.refused, shown{q, c.res[i]})
		}
	}
}

// giveBack returns all that is kept: a refused request consumes nothing. What counts failures waits for the
// answer as ever.
func (r *reservation) giveBack(x *exchange.Exchange) {
	if r != nil {
		r.give(x, false)
	}
}

// Settle gives back what counts failures, unless the handler's answer is one. What
// a stage refused was no attempt: else another site could use up a visitor's
// attempts with requests that are refused as forged.
func (r *reservation) Settle(x *exchange.Exchange, status int) {
	if r.account && !x.Ended && (status < 300 || status == http.StatusUnauthorized) {
		r.l.misuses.once(toldAccount, x, accountNotTaken)
	}
	r.settle(x, !x.Ended && (status == http.StatusUnauthorized || status == http.StatusForbidden))
}

func (r *reservation) settle(x *exchange.Exchange, failed bool) {
	if !r.settled && !failed {
		r.give(x, true)
	}
	r.settled = true
}

// give returns the kept units of rules that do or do not count failures. An error of the store is not ours to
// answer: then the units stay counted until their window ends, which errs on the strict side.
func (r *reservation) give(x *exchange.Exchange, failures bool) {
	var reqs []Request
	var res []Result
	n := 0
	for i, q := range r.quotas {
		if q.failures == failures {
			reqs, res = append(reqs, r.reqs[i]), append(res, r.res[i])
			continue
		}
		r.quotas[n], r.reqs[n], r.res[n] = q, r.reqs[i], r.res[i]
		n++
	}
	r.quotas, r.reqs, r.res = r.quotas[:n], r.reqs[:n], r.res[:n]
	if len(reqs) > 0 {
		// The client may be gone, and its context with it; the units are to come back all the same.
		_ = r.l.giveBack(context.WithoutCancel(x), reqs, res)
	}
}

// Decision is what [Limiter.Take] or [Limiter.TakeAccount] decided.
type Decision struct {
	// Allowed is whether the request may go on.
	Allowed bool
	// Limit, Remaining and Reset are those of the tightest limit that was counted by; zero if there is none.
	Limit, Remaining int
	Reset            time.Duration
	// RetryAfter is how long to wait for lack of quota.
	RetryAfter time.Duration
	// Problem is the answer to give when not Allowed.
	Problem *problem.Problem
}

// TakeAccount counts the request of ctx by the rules of its route that have the part "account": an attempt to
// prove who one is, whoever it comes from. Handlers call it before they test a password or a code, with the
// account in its canonical form, and do so for accounts that do not exist too. Rules that count failures are
// settled with the answer's status, or by [Limiter.Settle].
//
// When it is refused, the headers and the event of the request are set already; the handler answers Problem. While
// the limits are in shadow it is allowed, with RetryAfter telling how long it would have had to wait.
// The calls of one request must not be concurrent.
func (l *Limiter) TakeAccount(ctx context.Context, account string) Decision {
	x := exchange.FromContext(ctx)
	if x == nil {
		return Decision{Problem: problem.Internal(errors.New("ratelimit: TakeAccount outside of an exchange"))}
	}
	p := l.plan(x.Match.Route)
	if len(p.account) == 0 || l.isFree(x) {
		return Decision{Allowed: true}
	}
	c := l.begin(x, p)
	defer c.end()
	if c.kept == nil {
		return Decision{Problem: problem.Internal(errors.New("ratelimit: TakeAccount without the stage Before"))}
	}
	c.kept.account = false
	for _, r := range p.account {
		c.add(r, weight(x), account)
	}
	earlier := len(c.kept.refused) + len(c.kept.reqs)
	return c.decision(c.decide(), earlier)
}

// NoAccount says that the request of ctx is no attempt to prove who one is by something that can be guessed, so that
// rules with the part "account" have nothing to count: a route that takes passwords and other things calls it for the
// latter, in place of TakeAccount.
func (l *Limiter) NoAccount(ctx context.Context) {
	if x := exchange.FromContext(ctx); x != nil {
		if r := l.reservation(x); r != nil {
			r.account = false
		}
	}
}

// Settle decides now about what the request of ctx reserved under rules that count failures, instead of by the
// answer's status: failed keeps it counted, otherwise it is given back. Later answers change nothing.
func (l *Limiter) Settle(ctx context.Context, failed bool) {
	if x := exchange.FromContext(ctx); x != nil {
		if r := l.reservation(x); r != nil {
			r.settle(x, failed)
		}
	}
}
