package redis

import (
	"context"

	"github.com/redis/rueidis"
)

// Publish tells all that subscribe to the channel that something happened. It says no more.
func (c *Client) Publish(ctx context.Context, channel string) error {
	now := c.current.Load()
	if now == nil {
		return errNotConnected
	}
	return now.client.Do(ctx, now.client.B().Publish().Channel(channel).Message("1").Build()).Error()
}

// Subscribe calls heard for each message of the channel, until ctx ends or the server cannot be used. A connection that
// is lost is made anew, with pauses. Heard must not block.
func (c *Client) Subscribe(ctx context.Context, channel string, heard func()) error {
	now := c.current.Load()
	if now == nil {
		return errNotConnected
	}
	return now.client.Receive(ctx, now.client.B().Subscribe().Channel(channel).Build(), func(rueidis.PubSubMessage) { heard() })
}
