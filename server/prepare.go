package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/pattern"
	"github.com/merlonhq/merlon/report"
	"github.com/merlonhq/merlon/server/internal/accounts"
	"github.com/merlonhq/merlon/server/internal/api"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/eventdb"
	"github.com/merlonhq/merlon/server/internal/openapi"
	"github.com/merlonhq/merlon/server/internal/operations"
	"github.com/merlonhq/merlon/server/internal/pages"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/store/sqlstore"
	"github.com/merlonhq/merlon/token"
)

// recorder is the recorder of a policy that is compiled before the event log is
// opened. The log is set before the first request.
type recorder struct{ audit.Recorder }

// prepare makes everything of the settings and the modules that needs no file but
// the certificate, and returns all that is wrong with them. It makes no file.
func (s *Server) prepare(modules []module.Module) error {
	if s.settings.Environment == "" {
		return errors.New("the settings are empty: make them with LoadSettings")
	}
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	check(checkModules(modules))
	var err error
	s.tls, err = encryption(s.settings, &s.certificate)
	check(err)
	check(s.prepareACME())
	check(s.prepareTraces())
	hash, err := hasher(s.settings.Password)
	check(err)
	choose, err := passwordPolicy(s.settings)
	check(err)
	db, err := s.prepareStores(modules)
	if check(err); err != nil {
		return errors.Join(errs...) // the rest is made of these
	}
	check(s.shareLimits())
	devices, err := api.NewDevices(s.secrets()...)
	check(err)
	s.watch, err = pattern.New(pattern.Config{Recorder: &s.recorder, Canaries: s.settings.Audit.Canaries})
	check(err)
	s.privacy, err = privacy(s.settings)
	check(err)
	reports, err := report.New(report.Config{})
	check(err)
	s.api = &api.API{
		Reports:  reports,
		Accounts: s.accounts, Sessions: s.sessions, Tokens: s.tokens, Keys: s.keys, Hasher: hash, Policy: choose, Events: s.store, Devices: devices, Privacy: s.privacy, Watch: s.watch,
		Grants: grants(modules), LimitsState: s.limits.state, CheckDatabase: s.database.Check, SecurityContact: s.settings.SecurityContact,
	}
	check(s.compile(db, modules))
	return errors.Join(errs...)
}

// secrets returns the secret key and the former ones, in this order.
func (s *Server) secrets() [][]byte {
	list := [][]byte{[]byte(s.settings.SecretKey.Reveal())}
	for _, former := range s.settings.SecretKeyPrevious {
		list = append(list, []byte(former.Reveal()))
	}
	return list
}

// checkModules returns what is wrong with the modules by themselves and beside
// each other.
func checkModules(modules []module.Module) error {
	var errs []error
	names, scopes := map[string]bool{}, map[string]string{}
	for _, scope := range api.Scopes() {
		scopes[scope.Name] = "the service"
	}
	for _, m := range modules {
		errs = append(errs, m.Check())
		if names[m.Name] {
			errs = append(errs, fmt.Errorf("module %q: there are two of this name", m.Name))
			continue
		}
		names[m.Name] = true
		for _, scope := range m.Scopes {
			if owner, taken := scopes[scope.Name]; taken && owner != m.Name {
				errs = append(errs, fmt.Errorf("module %q: scope %q is declared by %s too", m.Name, scope.Name, owner))
			}
			scopes[scope.Name] = m.Name
		}
	}
	return errors.Join(errs...)
}

// prepareStores makes the stores on a database that is not open yet.
func (s *Server) prepareStores(modules []module.Module) (*sqlstore.DB, error) {
	var err error
	var dialect sqlstore.Dialect
	if s.database, dialect, err = newDatabase(s.settings, s.log); err != nil {
		return nil, err
	}
	db, err := sqlstore.New(sqlstore.Config{Writer: s.database.Writer(), Reader: s.database.Reader(), Dialect: dialect, Observe: s.observeCalls(dialect)})
	if err != nil {
		return nil, err
	}
	var errs []error
	s.store, err = eventdb.New(db)
	errs = append(errs, err)
	s.accounts, err = accounts.New(accounts.Config{DB: db})
	errs = append(errs, err)
	s.sessions, err = session.New(session.Config{
		Store: db.Sessions(), IdleTimeout: s.settings.Sessions.IdleTimeout, AbsoluteTimeout: s.settings.Sessions.AbsoluteTimeout,
		OnFlushError: func(err error) { s.log.Error("sessions: last seen not written", "error", err) },
	})
	errs = append(errs, err)
	secrets := s.secrets()
	s.tokens, err = token.New(token.Config{
		Store: db.Grants(), KeyStore: db.TokenKeys(), Secret: secrets[0], PreviousSecrets: secrets[1:],
		Algorithm: token.Algorithm(s.settings.Tokens.Algorithm), Issuer: s.settings.Tokens.Issuer, Audience: s.settings.Tokens.Audience,
		AccessTTL: s.settings.Tokens.AccessTTL, RefreshTTL: s.settings.Tokens.RefreshTTL,
		OnKeyError: func(err error) { s.log.Warn("tokens: signing keys", "error", err) },
	})
	errs = append(errs, err)
	env := apikey.Live
	if s.settings.Environment == config.Development {
		env = apikey.Dev
	}
	var scopes []string
	for _, scope := range allScopes(modules) {
		scopes = append(scopes, scope.Name)
	}
	s.keys, err = apikey.New(apikey.Config{
		Store: db.Keys(), Env: env, Scopes: scopes,
		OnFlushError: func(err error) { s.log.Error("API keys: last use not written", "error", err) },
	})
	errs = append(errs, err)
	return db, errors.Join(errs...)
}

// compile makes routes, document and policy of one declaration.
func (s *Server) compile(db *sqlstore.DB, modules []module.Module) error {
	shown, err := pages.New()
	if err != nil {
		return err
	}
	routes := append(s.api.Routes(), shown.Routes()...)
	for _, m := range modules {
		if m.Routes != nil {
			routes = append(routes, m.Routes(module.Host{DB: db})...)
		}
	}
	var errs []error
	s.api.Document, err = openapi.Document(openapi.Info{
		Title: "Merlon", Version: s.version, Description: "Accounts, sessions, tokens, API keys and security events, and the modules of this server.",
	}, routes)
	errs = append(errs, err)

	cfg := policy(s.settings, routes, s.log)
	cfg.Recorder = &s.recorder
	if s.settings.OperationsListen != "" {
		s.metrics = operations.NewMetrics()
	}
	cfg.Observe = s.observe()
	if s.limits != nil {
		cfg.RateLimit.Store = s.limits
		if s.traces != nil {
			cfg.RateLimit.Store = tracedLimits{s.limits, s.traces}
		}
	}
	cfg.OnUnknownPath = func(x *exchange.Exchange) { s.watch.UnknownPath(x.Client, x.Request.URL.Path) }
	cfg.Authn = authn.Config{Sessions: authn.Sessions(s.sessions, s.api), Keys: authn.Keys(s.keys, s.api), Tokens: authn.Tokens(s.tokens, s.api)}
	s.guard, err = merlon.New(cfg)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if s.metrics != nil {
		errs = append(errs, s.metrics.Read(s.sources()))
	}
	s.api.Limits, s.api.CSRF = s.guard.Limiter(), s.guard.CSRF()
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.Policy.Pattern, r.Endpoint)
	}
	s.handler = s.guard.Handler(mux)
	if s.traces != nil {
		s.handler = s.traces.Handler(s.handler)
	}
	if s.metrics != nil {
		s.handler = s.metrics.Served(s.handler)
	}
	return errors.Join(errs...)
}

// allScopes returns the scopes of the service and its modules.
func allScopes(modules []module.Module) []module.Scope {
	scopes := api.Scopes()
	for _, m := range modules {
		scopes = append(scopes, m.Scopes...)
	}
	return scopes
}

// grants returns the scopes that roles hold: admin all of them, others those
// that name the role.
func grants(modules []module.Module) func(role string) []string {
	byRole := map[string][]string{}
	var all []string
	for _, scope := range allScopes(modules) {
		all = append(all, scope.Name)
		for _, role := range scope.Roles {
			byRole[role] = append(byRole[role], scope.Name)
		}
	}
	byRole[api.RoleAdmin] = all
	for _, scopes := range byRole {
		slices.Sort(scopes)
	}
	return func(role string) []string { return byRole[role] }
}
