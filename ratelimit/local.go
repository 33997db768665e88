package ratelimit

import (
	"context"
	"errors"
)

// While a store fails under the policy [Local], a node counts in its own memory by its share of each limit. What it
// has counted there it keeps: a store that comes and goes does not give a client a new share each time.

// share is the part of a limit that one of n nodes grants.
func (l *Limit) share(n int) Limit {
	s := *l
	s.Max = max(1, l.Max/n)
	if l.Algorithm == TokenBucket {
		s.Burst = max(1, l.Burst/n)
		s.Burst = min(s.Burst, int(int64(MaxWindow)/s.interval())) // rounding may have made it too slow to count
	}
	return s
}

// The lowest bit of a stamp says who counted.
const (
	byStore = 0
	byNode  = 1
)

// take asks the store, or memory in its place, and reports which of them answered.
func (l *Limiter) take(ctx context.Context, reqs []Request, res []Result) (local bool, err error) {
	err = l.store.Take(ctx, reqs, res)
	switch {
	case l.local == nil || err != nil && ctx.Err() != nil: // who has hung up is not counted twice
		return false, err
	case err == nil:
		stampBy(res[:len(reqs)], byStore)
		return false, nil
	}
	if err := l.local.Take(ctx, l.shares(reqs), res); err != nil {
		return false, err
	}
	stampBy(res[:len(reqs)], byNode)
	return true, nil
}

func stampBy(res []Result, by int64) {
	for i := range res {
		res[i].Stamp = res[i].Stamp<<1 | by
	}
}

// shares returns requests for the node's share of what reqs ask for.
func (l *Limiter) shares(reqs []Request) []Request {
	shares, limits := make([]Request, len(reqs)), make([]Limit, len(reqs))
	for i := range reqs {
		limits[i] = reqs[i].Limit.share(l.nodes)
		shares[i] = reqs[i]
		shares[i].Limit = &limits[i]
	}
	return shares
}

// giveBack returns units to whoever counted them. What the store counted cannot be returned while it fails: then the
// units stay counted until their window ends, which errs on the strict side.
func (l *Limiter) giveBack(ctx context.Context, reqs []Request, res []Result) error {
	if l.local == nil {
		return l.store.GiveBack(ctx, reqs, res)
	}
	var sorted [2]struct {
		reqs []Request
		res  []Result
	}
	for i := range reqs {
		s := &sorted[res[i].Stamp&1]
		s.reqs, s.res = append(s.reqs, reqs[i]), append(s.res, res[i])
		s.res[len(s.res)-1].Stamp >>= 1
	}
	var errs []error
	if s := &sorted[byStore]; len(s.reqs) > 0 {
		errs = append(errs, l.store.GiveBack(ctx, s.reqs, s.res))
	}
	if s := &sorted[byNode]; len(s.reqs) > 0 {
		errs = append(errs, l.local.GiveBack(ctx, l.shares(s.reqs), s.res))
	}
	return errors.Join(errs...)
}

// shareLimits makes what Local needs: memory, and the shares that answers tell of.
func (l *Limiter) shareLimits(former *Limiter) (err error) {
	if former != nil && former.local != nil {
		l.local = former.local
	} else {
		l.local, err = NewMemory(MemoryConfig{})
	}
	rules := append(l.standard.all(), l.address, l.badCredentials)
	for _, p := range l.plans {
		rules = append(rules, p.all()...)
	}
	for _, r := range l.onCall {
		rules = append(rules, r)
	}
	for _, r := range rules {
		for i := range r.quotas {
			if q := &r.quotas[i]; q.share == nil {
				share := q.of(l.nodes)
				q.share = &share
			}
		}
	}
	return err
}
