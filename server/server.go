// Package server is the service: accounts, sessions, API keys, CSRF tokens and
// security events behind one policy, with the modules of a Go team beside its own
// routes.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/server/internal/accounts"
	"github.com/merlonhq/merlon/server/internal/api"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/eventdb"
	"github.com/merlonhq/merlon/server/internal/openapi"
	"github.com/merlonhq/merlon/server/internal/sqlite"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// Config says what a [Server] serves.
type Config struct {
	_ [0]func()

	// Settings are those of [LoadSettings], without fatal problems.
	Settings Settings
	// Modules are served beside the service's own routes.
	Modules []module.Module
	// Version is what the OpenAPI document and the first log line say.
	Version string
	// Log is the operator's log; nil means [slog.Default].
	Log *slog.Logger
}

// A Server is the service. Its life is [New], [Server.Listen], [Server.Serve],
// [Server.Close].
type Server struct {
	settings Settings
	version  string
	log      *slog.Logger

	lock     *sqlite.DirLock
	database *sqlite.DB
	accounts *accounts.Store
	sessions *session.Manager
	keys     *apikey.Manager
	events   *audit.Pipeline
	api      *api.API
	handler  http.Handler
	tls      *tls.Config // nil for clear text
	listener net.Listener
}

// New opens the database, brings its schema up to date, and compiles the policy.
// Nothing is served yet. All configuration errors are reported at once.
func New(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{settings: cfg.Settings, version: cfg.Version, log: cfg.Log}
	if s.log == nil {
		s.log = slog.Default()
	}
	if err := s.open(ctx, cfg.Modules); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open does what New does; what it has opened when it fails, Close closes.
func (s *Server) open(ctx context.Context, modules []module.Module) error {
	file := s.settings.DatabaseFile()
	var err error
	if s.lock, err = sqlite.Lock(filepath.Dir(file)); err != nil {
		return err
	}
	if s.database, err = openDatabase(ctx, file); err != nil {
		return err
	}
	for _, m := range modules {
		if m.Migrations == nil {
			continue
		}
		if err := s.database.MigrateModule(ctx, m.Name, m.Migrations); err != nil {
			return err
		}
	}
	db, err := sqlstore.New(sqlstore.Config{Writer: s.database.Writer(), Reader: s.database.Reader(), Dialect: sqlstore.SQLite})
	if err != nil {
		return err
	}
	events, err := eventdb.New(db)
	if err != nil {
		return err
	}
	if err := s.openEvents(events); err != nil {
		return err
	}
	if err := s.openStores(db, modules); err != nil {
		return err
	}
	return s.compile(db, events, modules)
}

// openDatabase opens the database and brings its schema up to date.
func openDatabase(ctx context.Context, file string) (*sqlite.DB, error) {
	db, err := sqlite.Open(ctx, sqlite.Config{Path: file})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// openEvents begins the event log: the file, the database that the API reads, and
// standard output where that is asked for.
func (s *Server) openEvents(events *eventdb.Store) error {
	var sinks []audit.Output
	torn := false
	if s.settings.Audit.Log != "" {
		file, err := audit.NewFile(audit.FileConfig{Path: s.settings.Audit.Log, MaxSizeMiB: s.settings.Audit.MaxSizeMiB, Keep: s.settings.Audit.Keep})
		if err != nil {
			return err
		}
		torn = file.TornLine()
		sinks = append(sinks, audit.Output{Name: "file", Sink: file})
	}
	sinks = append(sinks, audit.Output{Name: "database", Sink: events})
	if s.settings.Audit.Stdout {
		sinks = append(sinks, audit.Output{Name: "stdout", Sink: audit.NewWriterSink(stdout{}), Optional: true})
	}
	pipeline, err := audit.New(audit.Config{Sinks: sinks, ErrorLog: s.log})
	if err != nil {
		for _, o := range sinks {
			err = errors.Join(err, o.Sink.Close())
		}
		return err
	}
	s.events = pipeline
	if torn {
		s.events.Record(audit.Event{Type: audit.SysCrash, Outcome: audit.Failure, Severity: audit.High,
			Description: "The last line of the event log was torn by a crash; it was closed."})
	}
	return nil
}

func (s *Server) openStores(db *sqlstore.DB, modules []module.Module) error {
	var errs []error
	var err error
	if s.accounts, err = accounts.New(accounts.Config{DB: db}); err != nil {
		errs = append(errs, err)
	}
	s.sessions, err = session.New(session.Config{
		Store: db.Sessions(), IdleTimeout: s.settings.Sessions.IdleTimeout, AbsoluteTimeout: s.settings.Sessions.AbsoluteTimeout,
		OnFlushError: func(err error) { s.log.Error("sessions: last seen not written", "error", err) },
	})
	if err != nil {
		errs = append(errs, err)
	}
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
	if err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// compile makes routes, document and policy of one declaration.
func (s *Server) compile(db *sqlstore.DB, events *eventdb.Store, modules []module.Module) error {
	var errs []error
	hash, err := hasher(s.settings.Password)
	errs = append(errs, err)
	choose, err := passwordPolicy(s.settings.Password)
	errs = append(errs, err)
	s.api = &api.API{
		Accounts: s.accounts, Sessions: s.sessions, Keys: s.keys, Hasher: hash, Policy: choose, Events: events,
		Grants: grants(modules), CheckDatabase: s.database.Check, SecurityContact: s.settings.SecurityContact,
	}
	routes := s.api.Routes()
	for _, m := range modules {
		routes = append(routes, m.Routes(module.Host{DB: db})...)
	}
	s.api.Document, err = openapi.Document(openapi.Info{
		Title: "Merlon", Version: s.version, Description: "Accounts, sessions, API keys and security events, and the modules of this server.",
	}, routes)
	errs = append(errs, err)

	cfg := policy(s.settings, routes, s.log)
	cfg.Recorder = s.events
	cfg.Authn = authn.Config{Sessions: authn.Sessions(s.sessions, s.api), Keys: authn.Keys(s.keys, s.api)}
	guard, err := merlon.New(cfg)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.api.Limits, s.api.CSRF = guard.Limiter(), guard.CSRF()
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.Policy.Pattern, r.Endpoint)
	}
	s.handler = guard.Handler(mux)
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
	byRole[roleAdmin] = all
	for _, scopes := range byRole {
		slices.Sort(scopes)
	}
	return func(role string) []string { return byRole[role] }
}

// The roles.
const (
	roleAdmin = "admin"
	roleUser  = "user"
)

// Limits on what a connection may take, against slow and greedy clients.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	drainTimeout      = 20 * time.Second
	sweepInterval     = time.Hour
)

// Listen reads the certificate and takes the address, so that what is wrong with
// them, or a second server there, fails before anything is served.
func (s *Server) Listen() error {
	if s.settings.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(s.settings.TLS.Cert, s.settings.TLS.Key)
		if err != nil {
			return fmt.Errorf("tls: certificate %s with key %s: %w", s.settings.TLS.Cert, s.settings.TLS.Key, err)
		}
		s.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	l, err := net.Listen("tcp", s.settings.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w: stop what listens there, or choose another address with --listen", s.settings.Listen, err)
	}
	s.listener = l
	return nil
}

// Addr returns the address that Listen took, such as "127.0.0.1:8080".
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve serves until ctx ends, then lets requests in flight finish. It returns
// nil after an orderly end.
func (s *Server) Serve(ctx context.Context) error {
	srv := &http.Server{
		Handler:           s.handler,
		TLSConfig:         s.tls,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		// Otherwise net/http itself answers OPTIONS *, before the policy.
		DisableGeneralOptionsHandler: true,
	}
	s.events.Record(audit.Event{Type: audit.SysStartup, Detail: []slog.Attr{slog.String("version", s.version), slog.String("environment", s.settings.Environment)}})

	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var loops errgroup.Group
	loops.Go(func() error { return s.sessions.Run(background) })
	loops.Go(func() error { return s.keys.Run(background) })
	loops.Go(func() error { s.sweep(background); return nil })

	failed := make(chan error, 1)
	go func() {
		if s.tls != nil {
			failed <- srv.ServeTLS(s.listener, "", "") // the certificate is in TLSConfig
			return
		}
		failed <- srv.Serve(s.listener)
	}()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		if err = srv.Shutdown(drain); err != nil {
			err = errors.Join(fmt.Errorf("requests were still running after %v: %w", drainTimeout, err), srv.Close())
		}
	}
	stop()
	err = errors.Join(err, loops.Wait())
	s.events.Record(audit.Event{Type: audit.SysShutdown})
	return err
}

// sweep deletes what has long expired, once an hour.
func (s *Server) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if _, err := s.sessions.Sweep(ctx, now); err != nil && ctx.Err() == nil {
				s.log.Error("sessions: expired ones not deleted", "error", err)
			}
			if _, err := s.keys.Sweep(ctx, now); err != nil && ctx.Err() == nil {
				s.log.Error("API keys: expired ones not deleted", "error", err)
			}
		}
	}
}

// Close flushes the event log and closes the database. It is called once, after
// Serve has returned or instead of it.
func (s *Server) Close() error {
	var errs []error
	if s.listener != nil {
		if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.events != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		errs = append(errs, s.events.Close(ctx))
	}
	if s.database != nil {
		errs = append(errs, s.database.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
