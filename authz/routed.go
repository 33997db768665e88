package authz

import (
	"net/http"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
)

// Routed is the stage that refuses requests without a route: 404 not-found
// when the path has none, and 405 method-not-allowed with Allow when it has one
// for other methods. OPTIONS is a method like others here: preflights are
// answered before, by the cors stage, and a route table that lists no OPTIONS
// serves none (RFC 9110 section 9.3.7 leaves it to the server).
//
// The refusals are no events: a path that does not exist is everyday life. The
// zero Routed is ready, and it refuses everything where no routes are
// configured. They are firm: what has no route has no policy to go on with.
type Routed struct {
	// Unknown, when it is set, is told of requests for paths that are not served. It
	// must not block.
	Unknown func(*exchange.Exchange)
}

// Name returns "route".
func (Routed) Name() string { return "route" }

// Handler returns a handler that keeps requests without a route from next.
func (s Routed) Handler(next http.Handler) http.Handler { return exchange.Handler(s, next) }

// Decide refuses x when it has no route.
func (s Routed) Decide(x *exchange.Exchange) exchange.Outcome {
	switch {
	case x.Match.Route != nil:
		return exchange.Continue()
	case x.Match.Allow == "":
		if s.Unknown != nil && !x.Asked {
			s.Unknown(x)
		}
		return exchange.Refuse(problem.New(problem.NotFound, "There is nothing at this path."), "").Firmly()
	}
	p := problem.New(problem.MethodNotAllowed, "This path is not served with this method.")
	p.Allow = x.Match.Allow
	return exchange.Refuse(p, "").Firmly()
}
