package server

import (
	"errors"
	"fmt"
	"slices"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/pattern"
	"github.com/merlonhq/merlon/report"
	"github.com/merlonhq/merlon/server/internal/accounts"
	"github.com/merlonhq/merlon/server/internal/api"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/eventdb"
	"github.com/merlonhq/merlon/server/internal/pages"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// recorder is the recorder of a policy that is compiled before the event log is
// opened. The log is set before the first request.
type recorder struct{ audit.Recorder }

// prepare makes everything of the settings and the modules that needs no file but
// the certificate, and returns all that is wrong with them. It makes no file. What
// other settings would make anew is the first generation; the rest lasts.
func (s *Server) prepare(modules []module.Module) error {
	if s.settings.Environment == "" {
		return errors.New("the settings are empty: make them with LoadSettings")
	}
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	check(checkModules(modules))
	check(s.prepareTraces())
	err := s.prepareStores(modules)
	if check(err); err != nil {
		return errors.Join(errs...) // the rest is made of these
	}
	s.watchClock()
	check(s.shareLimits())
	if s.limits != nil {
		s.broadcast = newBroadcast(s.limits.client, s.revocations.Poke, s.log)
	}
	s.watch, err = pattern.New(pattern.Config{Recorder: &s.recorder, Canaries: s.settings.Audit.Canaries})
	check(err)
	s.reports, err = report.New(report.Config{})
	check(err)
	check(s.prepareRoutes(modules))
	g, err := s.generate(s.settings, nil)
	if check(err); g != nil {
		s.take(g)
		s.tls = encryption(g.pair, &s.certificate)
		check(s.prepareACME())
		if s.metrics != nil {
			check(s.metrics.Read(s.sources()))
		}
	}
	return errors.Join(errs...)
}

// secrets returns the secret key and the former ones, in this order.
func secrets(set config.Settings) [][]byte {
	list := [][]byte{[]byte(set.SecretKey.Reveal())}
	for _, former := range set.SecretKeyPrevious {
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
func (s *Server) prepareStores(modules []module.Module) error {
	var err error
	var dialect sqlstore.Dialect
	if s.database, dialect, err = newDatabase(s.settings, s.log); err != nil {
		return err
	}
	if s.db, err = s.serveFrom(dialect); err != nil {
		return err
	}
	var errs []error
	s.store, err = eventdb.New(s.db)
	errs = append(errs, err, s.follow(s.db))
	s.accounts, err = accounts.New(accounts.Config{DB: s.db, Fresh: s.revocations.Fresh, OnChange: s.revoked})
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
		Store: s.db.Keys(), Env: env, Scopes: scopes, Fresh: s.revocations.Fresh, OnChange: s.revoked,
		OnFlushError: func(err error) { s.log.Error("API keys: last use not written", "error", err) },
	})
	errs = append(errs, err)
	return errors.Join(errs...)
}

// prepareRoutes asks, once, for the routes that do not depend on the settings.
func (s *Server) prepareRoutes(modules []module.Module) error {
	s.modules = modules
	shown, err := pages.New()
	if err != nil {
		return err
	}
	s.routes = shown.Routes()
	for _, m := range modules {
		if m.Routes != nil {
			s.routes = append(s.routes, m.Routes(module.Host{DB: s.db})...)
		}
	}
	return nil
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
