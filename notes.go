package merlon

import (
	"log/slog"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
)

// The ids of notes: what is wrong and shows only while requests arrive. They are
// stable, told once in the life of a Guard, and explained in docs/operating.md.
const noteUndeclaredProxy = "merlon.N001"

// undeclaredProxy tells of forwarding headers from a peer that is no trusted proxy.
func undeclaredProxy(log *slog.Logger) func(x *exchange.Exchange, header string) {
	return func(x *exchange.Exchange, header string) {
		log.Warn("forwarding headers came from a peer that is no trusted proxy, and are ignored: if it is your proxy, declare it, or all clients behind it share its limits; if it is not, a client has made them up",
			"id", noteUndeclaredProxy, "peer", x.Peer, "header", header)
		x.Record(audit.Event{Type: audit.SysMisconfigured, Outcome: audit.Failure,
			Detail: []slog.Attr{slog.String("id", noteUndeclaredProxy), slog.String("header", header)}})
	}
}
