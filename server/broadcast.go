package server

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/merlonhq/merlon/server/internal/redis"
)

// channel is where nodes tell each other that something was revoked: not what, which is in the database.
const channel = "merlon:revocations"

const (
	publishTimeout   = 500 * time.Millisecond
	firstPause       = time.Second
	longestPause     = 30 * time.Second
	subscriptionGood = 10 * time.Second // one that lasted as long was good
)

// A broadcast makes other nodes look at once when something is revoked on this one. Nothing depends on it: nodes look
// four times a second in any case, and whoever floods the channel makes them look no more than fifty times.
type broadcast struct {
	client *redis.Client
	heard  func()
	log    *slog.Logger
	told   chan struct{}
}

func newBroadcast(client *redis.Client, heard func(), log *slog.Logger) *broadcast {
	return &broadcast{client: client, heard: heard, log: log, told: make(chan struct{}, 1)}
}

// tell lets the others know, soon. It does not wait, and is good for nil.
func (b *broadcast) tell() {
	if b == nil {
		return
	}
	select {
	case b.told <- struct{}{}:
	default:
	}
}

// run publishes and listens until ctx ends.
func (b *broadcast) run(ctx context.Context) error {
	var both errgroup.Group
	both.Go(func() error { b.publish(ctx); return nil })
	both.Go(func() error { b.listen(ctx); return nil })
	return both.Wait()
}

func (b *broadcast) publish(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.told:
			ctx, cancel := context.WithTimeout(ctx, publishTimeout)
			_ = b.client.Publish(ctx, channel) // that Redis is away is told of by the limits
			cancel()
		}
	}
}

func (b *broadcast) listen(ctx context.Context) {
	said, pause := false, firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := b.client.Subscribe(ctx, channel, b.heard)
		if time.Since(began) > subscriptionGood {
			pause = firstPause
		}
		// A right that is missing is told of by nobody else.
		if err != nil && !said && redis.ReasonOf(err).Code == "no_permission" {
			said = true
			b.log.Warn("Redis does not let nodes tell each other of revocations: they look for them four times a second all the same",
				"fix", redis.ReasonOf(err).Fix, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}
