package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/server/internal/redis"
)

// sharedLimits are the rate limits that nodes share in Redis.
type sharedLimits struct {
	*ratelimit.Breaker
	client *redis.Client
	policy func() ratelimit.OnStoreError
	log    *slog.Logger
	record func(audit.Event)
	reason string // that was logged last
}

// shareLimits makes the store that redis_url names, if it names one. It does not connect.
func (s *Server) shareLimits() (err error) {
	if !s.settings.RedisURL.IsSet() {
		return nil
	}
	set := s.settings.RateLimits
	l := &sharedLimits{client: redis.New(s.settings.Redis()), policy: s.onStoreError, log: s.log,
		record: func(e audit.Event) { s.recorder.Record(e) }}
	l.Breaker, err = ratelimit.NewBreaker(ratelimit.BreakerConfig{
		Store: l.client, Timeout: set.StoreTimeout, Connect: l.client.Connect, OnChange: l.changed, OnProbeError: l.stillAway,
	})
	s.limits = l
	return err
}

// start connects. A server that is not there is told of, and is no reason not to start: its absence means what the
// settings say it means.
func (l *sharedLimits) start(ctx context.Context) {
	if l.Check(ctx) == nil {
		version, cluster := l.client.Describe()
		l.log.Info("rate limits are shared in Redis", "version", version, "cluster", cluster)
	}
}

// meanwhile says what happens while Redis is away.
func (l *sharedLimits) meanwhile() string {
	switch l.policy() {
	case ratelimit.Allow:
		return "nothing is limited"
	case ratelimit.Local:
		return "each node limits by its share"
	}
	return "limited routes answer 503"
}

func (l *sharedLimits) changed(o ratelimit.Outage) {
	if o.Ended.IsZero() {
		r := redis.ReasonOf(o.Cause)
		l.reason = r.Code
		l.log.Error("Redis is away: "+l.meanwhile(), "reason", r.Code, "fix", r.Fix, "error", o.Cause)
		l.record(audit.StoreLost("redis", r.Code, string(l.policy())))
		return
	}
	away := o.Ended.Sub(o.Began).Round(time.Millisecond)
	l.log.Info("Redis is back: rate limits are shared again", "away", away, "calls_skipped", o.Skipped)
	l.record(audit.StoreBack("redis", away, o.Skipped))
}

// stillAway tells when there is another reason than before.
func (l *sharedLimits) stillAway(err error) {
	if r := redis.ReasonOf(err); r.Code != l.reason {
		l.reason = r.Code
		l.log.Warn("Redis is still away", "reason", r.Code, "fix", r.Fix, "error", err)
	}
}

// state is what readiness says of the limits. In memory they are always ready.
func (l *sharedLimits) state() string {
	if l == nil {
		return "ok"
	}
	_, away := l.Outage()
	switch {
	case !away:
		return "ok"
	case l.policy() == ratelimit.Deny:
		return "unavailable"
	}
	return "degraded"
}

func (l *sharedLimits) close() {
	if l.Breaker != nil {
		l.Breaker.Close()
	}
	l.client.Close()
}
