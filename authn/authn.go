package authn

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
)

// Config says which kinds of credential are accepted. The zero Config accepts
// none: every credential is refused.
type Config struct {
	// Sessions verifies the value of the session cookie. Nil accepts none.
	Sessions Verifier
	// Keys verifies API keys. Nil accepts none.
	Keys Verifier
	// Tokens verifies bearer tokens other than API keys. Nil accepts none.
	Tokens Verifier
}

// An Authenticator is the stage that finds the caller.
type Authenticator struct {
	sessions, keys, tokens Verifier
}

// New compiles cfg. It reports all verifiers at once that were made of nil.
func New(cfg Config) (*Authenticator, error) {
	var errs []error
	for _, v := range [...]struct {
		field    string
		verifier Verifier
	}{{"Sessions", cfg.Sessions}, {"Keys", cfg.Keys}, {"Tokens", cfg.Tokens}} {
		if c, ok := v.verifier.(checked); ok {
			if err := c.valid(); err != nil {
				errs = append(errs, fmt.Errorf("authn: %s: %w", v.field, err))
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Authenticator{sessions: cfg.Sessions, keys: cfg.Keys, tokens: cfg.Tokens}, nil
}

// Name returns "authn".
func (a *Authenticator) Name() string { return "authn" }

// Handler returns a handler that authenticates callers and then calls next.
func (a *Authenticator) Handler(next http.Handler) http.Handler { return exchange.Handler(a, next) }

// Decide finds the caller of x and writes x.Principal. In shadow, who presents a bad
// credential goes on as nobody.
func (a *Authenticator) Decide(x *exchange.Exchange) exchange.Outcome {
	if r := x.Route(); r != nil && r.Probe {
		return exchange.Continue()
	}
	if identity.InQuery(x.Request.URL.RawQuery) {
		return exchange.Refuse(
			problem.New(problem.MalformedRequest, "A credential in the query string is not accepted: URLs are logged and shared. Send it in the X-API-Key header, and replace it."),
			audit.APIKeyRejected, slog.String("reason", "in_query")).Else(func() exchange.Outcome { return a.presented(x) })
	}
	return a.presented(x)
}

// presented judges the credential in the header of x.
func (a *Authenticator) presented(x *exchange.Exchange) exchange.Outcome {
	x.Identified = true
	switch x.Credential {
	case identity.None:
		return exchange.Continue()
	case identity.Session:
		token, _ := identity.SessionToken(x.Request.Header)
		return a.verify(x, a.sessions, token)
	case identity.APIKey:
		return a.verify(x, a.keys, identity.KeyText(x.Request.Header))
	case identity.Token:
		return a.verify(x, a.tokens, identity.BearerToken(x.Request.Header))
	}
	return exchange.Refuse(
		problem.New(problem.AmbiguousCredentials, "The request carries more than one credential. Send exactly one: a session cookie, a bearer token or an API key."),
		audit.AuthzFail, slog.String("reason", "ambiguous_credentials"))
}

func (a *Authenticator) verify(x *exchange.Exchange, v Verifier, secret string) exchange.Outcome {
	var p identity.Principal
	err := x.Err()
	switch {
	case v == nil:
		err = &Rejection{Reason: "kind_not_accepted", Type: audit.AuthzFail}
	case err == nil:
		p, err = v.Verify(x, secret, x.Client, x.Now)
	}
	if err == nil {
		x.Principal = p
		if p.FirstUse {
			// The first use of a key is worth a look: it tells that the key arrived.
			x.Record(audit.KeyFirstUsed(p.KeyID))
		}
		return exchange.Continue()
	}
	rejection := (*Rejection)(nil)
	if !errors.As(err, &rejection) {
		p503 := problem.Unavailable(err)
		if p503.IsTold() { // once, when the outage began, and not again with each request
			return exchange.Refuse(p503, "")
		}
		return exchange.Refuse(p503, audit.SysDegraded, slog.String("reason", "credential_store"))
	}
	if r := x.Route(); x.Credential == identity.Session && r != nil && r.Open() {
		return exchange.Continue() // a session that is over is nobody, and nobody may call this route
	}
	p401 := problem.New(problem.Unauthenticated, "The credential is not valid, or not any more.")
	if x.Credential != identity.Session {
		p401.Challenge = `Bearer realm="merlon", error="invalid_token"` // RFC 6750 section 3.1
	}
	detail := append([]slog.Attr{
		slog.String("credential", x.Credential.String()),
		slog.String("reason", rejection.Reason),
	}, rejection.Detail...)
	return exchange.Refuse(p401, rejection.Type, detail...).WithSeverity(rejection.Severity)
}
