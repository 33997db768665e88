// Package authz says whether the caller may call the route: deny unless the
// route's policy allows it.
//
// It has two stages. [Routed] stands before anything is looked up: it refuses
// requests that no route is declared for (404, 405). [Authorizer] stands behind
// authentication and decides by the route's policy. A public route lets everybody pass. All
// others refuse a caller that is nobody (401) and one that is somebody but may
// not (403): an API key on a route for account owners in person, a missing role,
// a missing scope. Whether a caller may touch one particular object is not
// known here; handlers ask [MayActOn].
package authz

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/route"
)

// Config says what is required.
type Config struct {
	// Require is the policy of every request; it must say who may call, see
	// [route.Route.Check], and needs no Pattern. Nil means the policy of the
	// request's own route, and a refusal where there is none.
	Require *route.Route
}

// An Authorizer is the stage that allows or refuses.
type Authorizer struct {
	require *route.Route // our own copy, or nil
}

// New compiles cfg. It returns an error when Require says of nobody that they may
// call, or contradicts itself.
func New(cfg Config) (*Authorizer, error) {
	if cfg.Require == nil {
		return &Authorizer{}, nil
	}
	if err := cfg.Require.Check(); err != nil {
		return nil, fmt.Errorf("authz: Require: %w", err)
	}
	require := *cfg.Require
	require.Scopes = slices.Clone(require.Scopes)
	return &Authorizer{require: &require}, nil
}

// Name returns "authz".
func (a *Authorizer) Name() string { return "authz" }

// Handler returns a handler that refuses callers that may not call next.
func (a *Authorizer) Handler(next http.Handler) http.Handler { return exchange.Handler(a, next) }

// Decide decides whether the caller of x may go on. In shadow it lets callers pass
// that lack a role or a scope. Handlers of closed routes rely on a caller, and those
// of account routes on a person: these refusals are firm.
func (a *Authorizer) Decide(x *exchange.Exchange) exchange.Outcome {
	r := a.require
	if r == nil {
		r = x.Route()
	}
	p := &x.Principal
	switch {
	case r == nil:
		return Routed{}.Decide(x)
	case r.AccountOnly && p.Kind == identity.APIKey:
		return exchange.Refuse(problem.New(problem.Forbidden, "API keys do not open account routes. Log in."), audit.AuthzFail,
			slog.String("reason", "account_only")).Firmly()
	case r.Open():
		return exchange.Continue()
	case !p.Known():
		return exchange.Refuse(problem.New(problem.Unauthenticated, "This route needs a caller: log in or present an API key."), audit.AuthzFail,
			slog.String("reason", "no_credential")).Firmly()
	case r.Role != "" && p.Role != r.Role:
		return exchange.Refuse(problem.New(problem.Forbidden, "The caller may not do this."), audit.AuthzFail,
			slog.String("reason", "role"), slog.String("required", r.Role))
	}
	if scope := p.Missing(r.Scopes); scope != "" {
		refusal := problem.New(problem.InsufficientScope, "The caller lacks the scope "+scope+".")
		return exchange.Refuse(refusal, audit.AuthzFail,
			slog.String("reason", "scope"), slog.String("required", strings.Join(r.Scopes, " ")))
	}
	return exchange.Continue()
}

// MayActOn reports whether the caller p may act on an object that belongs to the
// account owner: its owner may, and so may a caller of the role that overrides
// ownership ("" for none). It is the one place where ownership is decided.
func MayActOn(p *identity.Principal, owner, override string) bool {
	if !p.Known() || owner == "" {
		return false
	}
	return p.Subject == owner || override != "" && p.Role == override
}
