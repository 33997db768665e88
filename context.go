package merlon

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
)

// Principal returns the caller of the request that ctx belongs to. It is nobody,
// the zero Principal, on public routes without a credential and outside a Guard.
func Principal(ctx context.Context) identity.Principal {
	if x := exchange.FromContext(ctx); x != nil {
		return x.Principal
	}
	return identity.Principal{}
}

// Client returns the address of the client of the request that ctx belongs to:
// the one address that limits and events use too. It is the zero Addr outside a
// Guard and where the peer has no address.
func Client(ctx context.Context) netip.Addr {
	if x := exchange.FromContext(ctx); x != nil {
		return x.Client
	}
	return netip.Addr{}
}

// RequestID returns the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	if x := exchange.FromContext(ctx); x != nil {
		return x.ID
	}
	return ""
}

// Record records an event of the request that ctx belongs to, with its id,
// client, caller and route. It does not block. Outside a Guard it does nothing.
func Record(ctx context.Context, e audit.Event) {
	if x := exchange.FromContext(ctx); x != nil {
		x.Record(e)
	}
}

// Error answers r with a problem, as refusals are answered.
func Error(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	if x := exchange.FromContext(r.Context()); x != nil {
		x.Fail(w, p)
		return
	}
	p.Write(w, r, "")
}
