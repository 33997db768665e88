package merlon

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/authz"
	"github.com/merlonhq/merlon/clientip"
	"github.com/merlonhq/merlon/cors"
	"github.com/merlonhq/merlon/csrf"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/firewall"
	"github.com/merlonhq/merlon/headers"
	"github.com/merlonhq/merlon/httpsonly"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/validate"
)

// An Environment is where the program runs. The zero Environment is production.
type Environment string

// The environments. Development relaxes exactly this: loopback host names are
// accepted, clear text from loopback is accepted, http origins of loopback hosts
// are accepted, and there are default origins.
const (
	Production  Environment = "production"
	Development Environment = "development"
)

// Route is the policy of one route. See [route.Route].
type Route = route.Route

// Config says what a [Guard] protects and how. Facts that several stages need
// stand at the top, once; below is one field per stage, in the order the stages
// run. The zero value of each is its safe default, never "off".
type Config struct {
	_ [0]func()

	// Environment is Production unless set.
	Environment Environment
	// Routes declares every route that is served. What is not declared is refused.
	Routes []Route
	// Hosts are the hosts the API answers for, such as "api.example.com". The
	// firewall refuses others and redirects to https go nowhere else. Required in
	// production, unless Firewall.InsecureAnyHost names a reason.
	Hosts []string
	// Origins are the web origins that may call the API from a browser. CORS
	// answers them and CSRF trusts them.
	Origins []string
	// Secret is at least 32 random bytes from which stages derive their keys.
	// Required when Authn.Sessions is set; the same on every node.
	Secret []byte
	// PreviousSecrets are accepted for reading while Secret is rotated.
	PreviousSecrets [][]byte
	// Recorder keeps the security events. Nil writes them to ErrorLog.
	Recorder audit.Recorder
	// ErrorLog is told of panics, failures and relaxed controls; nil means
	// [slog.Default].
	ErrorLog *slog.Logger
	// OnUnknownPath, when it is set, is told of requests for paths that are not declared,
	// for whoever recognises a search for them (see package pattern). It must not block.
	OnUnknownPath func(*exchange.Exchange)
	// InsecureShadow are controls that record what they would refuse and refuse
	// nothing. Each is told of at start. Default: none.
	InsecureShadow InsecureShadow
	// Observe is called once for each request with the status of its answer, for
	// measurements. See [exchange.Config]. Nil measures nothing.
	Observe func(x *exchange.Exchange, status int)

	ClientIP  clientip.Config
	Headers   headers.Config
	HTTPSOnly httpsonly.Config
	Firewall  firewall.Config
	CORS      cors.Config
	RateLimit ratelimit.Config
	CSRF      csrf.Config
	Authn     authn.Config
	Validate  validate.Config
}

// A Guard protects handlers by one policy. It does not change after [New].
type Guard struct {
	chain   *exchange.Chain
	csrf    *csrf.Protection
	limiter *ratelimit.Limiter
}

// New compiles cfg. It reports everything that is wrong with it at once, also
// where two parts contradict each other.
func New(cfg Config) (*Guard, error) {
	b := &builder{cfg: cfg}
	routes := build(b, route.New, cfg.Routes)
	b.share(routes)
	clients := build(b, clientip.New, b.cfg.ClientIP)
	security := build(b, headers.New, b.cfg.Headers)
	encrypted := build(b, httpsonly.New, b.cfg.HTTPSOnly)
	wall := build(b, firewall.New, b.cfg.Firewall)
	crossOrigin := build(b, cors.New, b.cfg.CORS)
	b.cfg.RateLimit.Routes = routes
	limiter := build(b, ratelimit.New, b.cfg.RateLimit)
	protection := build(b, csrf.New, b.cfg.CSRF)
	caller := build(b, authn.New, b.cfg.Authn)
	permission := build(b, authz.New, authz.Config{})
	content := build(b, validate.New, b.cfg.Validate)
	b.shadow()
	b.contradictions(routes, security)
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	// The order of the stages. doc.go says why.
	chain := exchange.New(exchange.Config{
		Routes:   routes,
		Recorder: b.cfg.Recorder,
		ErrorLog: b.cfg.ErrorLog,

		InsecureShadow: b.cfg.InsecureShadow.Controls,
		Observe:        b.cfg.Observe,
		Stages: []exchange.Stage{
			clients,          // the one address every later stage uses
			security,         // before anything can refuse
			limiter.Guard(),  // counts what is refused before limiter.Before
			encrypted,        // a credential in clear text goes no further
			wall,             // nothing malformed goes further
			crossOrigin,      // preflights are answered, never authenticated
			limiter.Before(), // before anything is looked up
			authz.Routed{Unknown: b.cfg.OnUnknownPath}, // no route, no request
			protection.Origin(),                        // needs no session, so it covers login
			caller,                                     // who
			protection.Token(),                         // where the credential is ambient
			permission,                                 // may they
			limiter.After(),                            // how often
			content,                                    // is what they sent well formed
		},
	})
	for _, r := range b.relaxations() {
		b.cfg.ErrorLog.Warn("a control is relaxed", "setting", r.setting, "reason", r.reason)
	}
	for _, name := range b.cfg.InsecureShadow.Controls {
		b.cfg.ErrorLog.Warn("a control is in shadow: what it refuses is recorded and goes on", "control", name,
			"reason", b.cfg.InsecureShadow.Reason)
	}
	return &Guard{chain: chain, csrf: protection, limiter: limiter}, nil
}

// Handler returns a handler that applies the policy to every request and calls h
// with those that pass.
func (g *Guard) Handler(h http.Handler) http.Handler { return g.chain.Handler(h) }

// CSRF returns the token part of the policy: its TokenHandler hands out tokens, on a
// public route, and handlers that begin sessions issue them.
func (g *Guard) CSRF() *csrf.Protection { return g.csrf }

// Limiter returns the limits, for handlers that know what to count only after
// they have read the body, such as logins by account.
func (g *Guard) Limiter() *ratelimit.Limiter { return g.limiter }

// builder collects errors, so that all are reported at once.
type builder struct {
	cfg  Config
	errs []error
}

// build compiles one part. It returns the zero T after an error, which names its
// package; New fails then.
func build[C, T any](b *builder, compile func(C) (T, error), cfg C) T {
	t, err := compile(cfg)
	if err != nil {
		b.errs = append(b.errs, err)
	}
	return t
}

func (b *builder) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("merlon: "+format, args...))
}
