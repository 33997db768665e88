package merlon

import (
	"context"
	"log/slog"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/ratelimit"
)

// The ids of notes: what is wrong and shows only while requests arrive. They are
// stable, told once in the life of a Guard, and explained in docs/operating.md.
const noteUndeclaredProxy = "merlon.N001"

// undeclaredProxy tells of forwarding headers from a peer that is no trusted proxy.
func undeclaredProxy(log *slog.Logger) func(x *exchange.Exchange, header string) {
	return func(x *exchange.Exchange, header string) {
		log.WarnContext(x, "forwarding headers came from a peer that is no trusted proxy, and are ignored: if it is your proxy, declare it, or all clients behind it share its limits; if it is not, a client has made them up",
			"id", noteUndeclaredProxy, "peer", x.Peer, "header", header, "request_id", x.ID)
		x.Record(audit.Misconfigured(noteUndeclaredProxy, slog.String("header", header)))
	}
}

// misuse tells of a limiter that is used in a way that probably is a mistake.
func misuse(log *slog.Logger) func(*exchange.Exchange, ratelimit.Misuse) {
	return func(x *exchange.Exchange, m ratelimit.Misuse) {
		ctx, attrs := context.Background(), []slog.Attr{slog.String("id", m.ID)}
		if m.Rule != "" {
			attrs = append(attrs, slog.String("rule", m.Rule))
		}
		if x != nil {
			x.Record(audit.Misconfigured(m.ID, attrs[1:]...))
			ctx, attrs = x, append(attrs, slog.String("route", x.Pattern()), slog.String("request_id", x.ID))
		}
		log.LogAttrs(ctx, slog.LevelWarn, m.Message, attrs...)
	}
}
