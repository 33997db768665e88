package ratelimit

import (
	"context"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
)

// TakeKey counts one use of an API key by the key's own limit, for handlers that
// are asked whether somebody else's request may go on. Nothing is told in the
// headers of this answer. While the limits are in shadow every use is allowed, and
// one that would not be is recorded. The error is a problem of the store: 503.
func (l *Limiter) TakeKey(ctx context.Context, keyID string, own identity.KeyLimit) (Result, error) {
	k := l.ownKey
	k.Add(KindAPIKey, keyID)
	limit := Limit{Max: own.Limit, Window: own.Window}
	reqs, res := []Request{{Key: k, Limit: &limit, Weight: 1}}, []Result{{}}
	if _, err := l.take(ctx, reqs, res); err != nil {
		if l.allow && ctx.Err() == nil {
			return Result{Allowed: true}, nil
		}
		return Result{}, unavailable(err)
	}
	if x := exchange.FromContext(ctx); !res[0].Allowed && x != nil && x.InShadow(stageName) {
		res[0].Allowed = !x.Refuse(stageName, l.exceeded(x, []string{keyName}, res[0].RetryAfter))
	}
	return res[0], nil
}
