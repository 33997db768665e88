package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/server/internal/api"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/openapi"
	"github.com/merlonhq/merlon/server/internal/operations"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/store/sqlstore"
	"github.com/merlonhq/merlon/token"
)

// A generation is everything that is compiled of one set of settings. It does not
// change: a reload compiles the next one, and a request ends in the one in which it
// began. What lasts, such as stores, counts and the event log, is the Server's.
type generation struct {
	settings config.Settings
	sessions *session.Manager
	tokens   *token.Manager
	privacy  *audit.Privacy
	api      *api.API
	guard    *merlon.Guard
	handler  http.Handler

	pair    *tls.Certificate // nil for clear text
	unnamed []string         // hosts that it does not name

	// over ends, by end, when another generation takes the place of this one.
	over context.Context
	end  context.CancelFunc
}

// now returns the generation in force.
func (s *Server) now() *generation { return s.current.Load() }

// generate compiles the settings and returns all that is wrong with them. Former is the
// generation in force, nil at the start. Nothing is changed by it.
func (s *Server) generate(set config.Settings, former *generation) (*generation, error) {
	g := &generation{settings: set}
	g.over, g.end = context.WithCancel(context.Background())
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	var found []config.Problem
	g.pair, g.unnamed, found = config.Certificate(set.TLS, set.Hosts, time.Now())
	for _, p := range found {
		check(errors.New(p.String()))
	}
	hash, err := hasher(set.Password)
	check(err)
	choose, err := passwordPolicy(set)
	check(err)
	check(s.managers(g, former))
	devices, err := api.NewDevices(secrets(set)...)
	check(err)
	g.privacy, err = privacy(set)
	check(err)
	g.api = &api.API{
		Reports:  s.reports,
		Accounts: s.accounts, Sessions: g.sessions, Tokens: g.tokens, Keys: s.keys, Hasher: hash, Policy: choose, Events: s.store, Devices: devices, Privacy: g.privacy, Watch: s.watch,
		Grants: grants(s.modules), LimitsState: s.limits.state, CheckDatabase: s.checkDatabase, Draining: s.draining.Load, SecurityContact: set.SecurityContact,
	}
	check(s.compile(g, former))
	if err := errors.Join(errs...); err != nil {
		g.end()
		return nil, err
	}
	return g, nil
}

// managers makes the managers of sessions and tokens; those of the former generation
// go on where their settings do.
func (s *Server) managers(g, former *generation) error {
	set := g.settings
	var err error
	switch {
	case former == nil:
		g.sessions, err = session.New(session.Config{
			Store: s.db.Sessions(), IdleTimeout: set.Sessions.IdleTimeout, AbsoluteTimeout: set.Sessions.AbsoluteTimeout,
			OnFlushError: func(err error) { s.log.Error("sessions: last seen not written", "error", err) },
		})
	case former.settings.Sessions != set.Sessions:
		g.sessions, err = former.sessions.WithTimeouts(set.Sessions.IdleTimeout, set.Sessions.AbsoluteTimeout)
	default:
		g.sessions = former.sessions
	}
	if former != nil && former.settings.Tokens == set.Tokens && reflect.DeepEqual(secrets(former.settings), secrets(set)) {
		g.tokens = former.tokens
		return err
	}
	cfg := tokenConfig(set, s.db)
	if s.demo && s.listener != nil {
		cfg.Issuer, cfg.Audience = set.IssuerAt(s.listener.Addr().String())
	}
	cfg.OneSecret, cfg.OnKeyError = oneSecret(set), s.keysTrouble
	var tokensErr error
	g.tokens, tokensErr = token.New(cfg)
	return errors.Join(err, tokensErr)
}

// tokenConfig is how tokens are made by the settings.
func tokenConfig(set config.Settings, db *sqlstore.DB) token.Config {
	keys := secrets(set)
	return token.Config{
		Store: db.Grants(), KeyStore: db.TokenKeys(), Secret: keys[0], PreviousSecrets: keys[1:],
		Algorithm: token.Algorithm(set.Tokens.Algorithm), Issuer: set.Tokens.Issuer, Audience: set.Tokens.Audience,
		AccessTTL: set.Tokens.AccessTTL, RefreshTTL: set.Tokens.RefreshTTL,
	}
}

// compile makes routes, document and policy of one declaration.
func (s *Server) compile(g, former *generation) error {
	routes := append(g.api.Routes(), s.routes...)
	var errs []error
	var err error
	g.api.Document, err = openapi.Document(openapi.Info{
		Title: "Merlon", Version: s.version, Description: "Accounts, sessions, tokens, API keys and security events, and the modules of this server.",
	}, routes)
	errs = append(errs, err)

	cfg := policy(g.settings, routes, s.log)
	cfg.Recorder = &s.recorder
	if g.settings.OperationsListen != "" {
		if s.metrics == nil {
			s.metrics = operations.NewMetrics()
		}
	}
	tracer := s.traces
	if tracer != nil {
		tracer = tracer.With(g.settings.TrustedProxies, g.settings.Hosts)
	}
	cfg.Observe = s.observe(tracer)
	if s.limits != nil {
		cfg.RateLimit.Store = s.limits
		if s.traces != nil {
			cfg.RateLimit.Store = tracedLimits{s.limits, s.traces}
		}
	}
	if former != nil {
		cfg.RateLimit.Replaces = former.guard.Limiter()
	}
	cfg.OnUnknownPath = func(x *exchange.Exchange) { s.watch.UnknownPath(x.Client, x.Request.URL.Path) }
	cfg.Authn = authn.Config{Sessions: authn.Sessions(g.sessions, g.api), Keys: authn.Keys(s.keys, g.api), Tokens: authn.Tokens(g.tokens, g.api)}
	g.guard, err = merlon.New(cfg)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	g.api.Limits, g.api.CSRF = g.guard.Limiter(), g.guard.CSRF()
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.Policy.Pattern, r.Endpoint)
	}
	g.handler = g.guard.Handler(mux)
	if tracer != nil {
		g.handler = tracer.Handler(g.handler)
	}
	if s.metrics != nil {
		g.handler = s.metrics.Served(g.handler)
	}
	return nil
}

// startTokens loads the signing keys, before g is in force. Where the manager is the
// former one's, it looks at them again, and goes on with those it has when it cannot.
func (s *Server) startTokens(ctx context.Context, g, former *generation) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if former == nil || former.tokens != g.tokens {
		return otherSecret(g.tokens.Start(ctx))
	}
	if err := g.tokens.Look(ctx); err != nil {
		s.log.Warn("tokens: signing keys", "error", err)
	}
	return nil
}

// take puts g in force. The counts of the former generation's controls are kept.
func (s *Server) take(g *generation) {
	s.countsMu.Lock()
	former := s.current.Swap(g)
	if former != nil {
		s.counted = addCounts(s.counted, former.guard.Counts())
	}
	s.countsMu.Unlock()
	if former != nil {
		former.end()
	}
}

// counts are what the controls did since the start. What requests in flight are refused
// by a former generation after it was replaced is not among them.
func (s *Server) counts() []exchange.Count {
	s.countsMu.Lock()
	defer s.countsMu.Unlock()
	out := s.now().guard.Counts()
	for i := range out {
		before := s.counted[out[i].Control]
		out[i].Refused += before.Refused
		out[i].WouldRefuse += before.WouldRefuse
	}
	return out
}

func addCounts(sum map[string]exchange.Count, more []exchange.Count) map[string]exchange.Count {
	if sum == nil {
		sum = map[string]exchange.Count{}
	}
	for _, c := range more {
		before := sum[c.Control]
		c.Refused += before.Refused
		c.WouldRefuse += before.WouldRefuse
		sum[c.Control] = c
	}
	return sum
}

// serveHTTP answers a request by the generation that is in force when it begins.
func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) { s.now().handler.ServeHTTP(w, r) }

// runTokens runs the manager of tokens that is in force, until ctx ends.
func (s *Server) runTokens(ctx context.Context) error {
	for {
		g := s.now()
		life, stop := context.WithCancel(ctx)
		unhook := context.AfterFunc(g.over, stop)
		err := g.tokens.Run(life)
		unhook()
		stop()
		if err != nil {
			return fmt.Errorf("tokens: %w", err)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// onStoreError is what the settings in force say of the time in which Redis is away.
func (s *Server) onStoreError() ratelimit.OnStoreError {
	g := s.now()
	if g == nil {
		return ratelimit.OnStoreError(s.settings.RateLimits.OnStoreError)
	}
	return ratelimit.OnStoreError(g.settings.RateLimits.OnStoreError)
}
