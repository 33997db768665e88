// Package server is the service: accounts, sessions, tokens, API keys, CSRF tokens and
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
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/pattern"
	"github.com/merlonhq/merlon/report"
	"github.com/merlonhq/merlon/revocation"
	"github.com/merlonhq/merlon/server/internal/accounts"
	"github.com/merlonhq/merlon/server/internal/acme"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/eventdb"
	"github.com/merlonhq/merlon/server/internal/listener"
	"github.com/merlonhq/merlon/server/internal/operations"
	"github.com/merlonhq/merlon/server/internal/sqlite"
	"github.com/merlonhq/merlon/server/internal/traces"
	"github.com/merlonhq/merlon/server/module"
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
	settings config.Settings // of the start: those that take a restart are in force
	version  string
	log      *slog.Logger

	// Made by prepare, which opens nothing.
	database database
	outages  *databaseBreaker // nil for none
	db       *sqlstore.DB
	store    *eventdb.Store
	accounts *accounts.Store
	keys     *apikey.Manager
	modules  []module.Module
	routes   []module.Route // of the pages and the modules
	reports  *report.Collector
	tls      *tls.Config // nil for clear text
	recorder recorder
	clock    *clockWatch
	secret   secretNote
	limits   *sharedLimits // nil in memory
	watch    *pattern.Watch

	revocations *revocation.Watch
	broadcast   *broadcast // nil without Redis
	current     atomic.Pointer[generation]

	countsMu sync.Mutex
	counted  map[string]exchange.Count // by former generations
	reloads  reloads

	lock     *sqlite.DirLock
	events   *audit.Pipeline
	eventLog *audit.File // nil for none
	listener net.Listener
	redirect net.Listener // clear text beside TLS; nil for none

	draining    atomic.Bool
	connections *listener.Limit
	certificate serving
	demo        bool                // the issuer of tokens has the port that was taken
	acme        *acme.Manager       // nil for none
	traces      *traces.Tracer      // nil for none
	metrics     *operations.Metrics // nil for none, as operations
	operations  net.Listener
}

// New compiles the policy, opens the database and the event log, and brings the
// database's schema up to date. Nothing is served yet. Everything that is wrong
// with cfg is reported at once, with [ErrSettings], before anything is made.
func New(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{settings: cfg.Settings.set, version: cfg.Version, log: cfg.Log}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.log = slog.New(idLog{s.log.Handler()})
	s.connections = listener.New(connectionLimit(s.settings, s.log))
	if s.demo = cfg.Settings.demo; s.demo {
		if err := s.takeAnyPort(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if err := s.prepare(cfg.Modules); err != nil {
		return nil, errors.Join(settingsError{err}, s.Close())
	}
	if err := s.open(ctx, cfg.Modules); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open opens what prepare has made ready; when it fails, Close closes that.
func (s *Server) open(ctx context.Context, modules []module.Module) error {
	var err error
	if file := s.settings.DatabaseFile(); file != "" { // any number of processes may serve from PostgreSQL
		if s.lock, err = sqlite.Lock(filepath.Dir(file)); err != nil {
			return named(err)
		}
	}
	if s.acme != nil {
		if err := s.acme.Open(); err != nil {
			return err
		}
	}
	sets, err := migrationSets(modules)
	if err != nil {
		return err
	}
	if err := s.database.Open(ctx); err != nil {
		return named(err)
	}
	if _, err := s.database.Up(ctx, sets...); err != nil {
		return named(err)
	}
	if err := s.startTokens(ctx, s.now(), nil); err != nil {
		return err
	}
	return s.openEvents(ctx, s.store)
}

// openEvents begins the event log: the file, the database that the API reads, and
// standard output where that is asked for.
func (s *Server) openEvents(ctx context.Context, events *eventdb.Store) error {
	var sinks []audit.Output
	torn := false
	if s.settings.Audit.Log != "" {
		file, err := openLog(ctx, s.settings)
		if err != nil {
			return err
		}
		s.eventLog, torn = file, file.TornLine()
		sinks = append(sinks, audit.Output{Name: "file", Sink: file, Filter: only(s.settings.Audit.FileOnly)})
	}
	database := audit.Output{Name: "database", Sink: events, Filter: only(s.settings.Audit.DatabaseOnly)}
	if s.settings.Audit.Log != "" { // whose lock makes it ours alone
		database.Spool = s.settings.Audit.Log + ".spool"
		database.SpoolOnly = spools(s.settings.Audit)
	}
	sinks = append(sinks, database)
	if s.settings.Audit.Stdout {
		sinks = append(sinks, audit.Output{Name: "stdout", Sink: audit.NewWriterSink(stdout{}), Optional: true, Filter: only(s.settings.Audit.StdoutOnly)})
	}
	pipeline, err := audit.New(audit.Config{Sinks: sinks, ErrorLog: s.log, Privacy: s.now().privacy, Wait: waits(s.settings.Audit)})
	if err != nil {
		for _, o := range sinks {
			err = errors.Join(err, o.Sink.Close())
		}
		return err
	}
	s.events, s.recorder.Recorder = pipeline, pipeline
	if torn {
		s.events.Record(audit.LogTorn())
	}
	return nil
}

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

// Limits of HTTP/2, written out because the defaults of net/http are not a promise. Of a
// client that opens and resets streams as fast as it can (CVE-2023-44487) net/http runs
// no more handlers than streams at once, queues four times as many, and then ends the
// connection with ENHANCE_YOUR_CALM.
func http2Limits() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams:          100, // the least that RFC 9113 section 6.5.2 recommends
		MaxDecoderHeaderTableSize:     4 << 10,
		MaxEncoderHeaderTableSize:     4 << 10,
		MaxReadFrameSize:              16 << 10,
		MaxReceiveBufferPerConnection: 1 << 20,
		MaxReceiveBufferPerStream:     256 << 10,
		// A reader that takes nothing holds its buffers no longer than this.
		WriteByteTimeout: 30 * time.Second,
		SendPingTimeout:  30 * time.Second,
		PingTimeout:      15 * time.Second,
	}
}

// Listen takes the addresses, so that a second server there fails before anything
// is served, and records the start.
func (s *Server) Listen() error {
	if err := s.takePort(); err != nil {
		return err
	}
	var err error
	if s.settings.RedirectListen != "" {
		if s.redirect, err = s.listen(s.settings.RedirectListen); err != nil {
			return fmt.Errorf("cannot listen on redirect_listen %s: %w: stop what listens there, or write another address", s.settings.RedirectListen, err)
		}
	}
	if s.metrics != nil {
		if s.operations, err = listenWithin(listener.New(operationsLimit(s.log)), s.settings.OperationsListen); err != nil {
			return fmt.Errorf("cannot listen on operations_listen %s: %w: stop what listens there, or write another address", s.settings.OperationsListen, err)
		}
	}
	s.reloads.ended(true)
	// The first event of a run: what is done before serving comes after it.
	s.events.Record(audit.Started(s.version, s.settings.Environment))
	s.recordOtherSecret()
	s.clock.check(context.Background())
	s.recordShadow()
	if s.outages != nil {
		s.outages.armed.Store(true)
	}
	if s.limits != nil {
		s.limits.start(context.Background())
	}
	return nil
}

// Addr returns the address that Listen took, such as "127.0.0.1:8080".
func (s *Server) Addr() string { return s.listener.Addr().String() }

// RedirectAddr returns the address that Listen took for clear text beside TLS, or ""
// when there is none.
func (s *Server) RedirectAddr() string {
	if s.redirect == nil {
		return ""
	}
	return s.redirect.Addr().String()
}

// httpServer returns a server of the one policy, over TLS when encryption is not nil.
func (s *Server) httpServer(encryption *tls.Config) *http.Server {
	return &http.Server{
		Handler:           s.closing(http.HandlerFunc(s.serveHTTP)),
		TLSConfig:         encryption,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             http2Limits(),
		ErrorLog:          newHTTPLog(s.log),
		// Otherwise net/http itself answers OPTIONS *, before the policy.
		DisableGeneralOptionsHandler: true,
	}
}

// Serve serves until ctx ends, then lets requests in flight finish. It returns
// nil after an orderly end.
func (s *Server) Serve(ctx context.Context) error {
	main := s.httpServer(s.tls)
	servers := []*http.Server{main}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var loops errgroup.Group
	loops.Go(func() error { return s.now().sessions.Run(background) }) // what a reload makes shares what was seen
	loops.Go(func() error { return s.runTokens(background) })
	loops.Go(func() error { return s.keys.Run(background) })
	loops.Go(func() error { return s.following(background) })
	loops.Go(func() error { s.sweep(background); return nil })
	loops.Go(func() error { s.certificate.tickets.run(background); return nil })
	loops.Go(func() error { s.clock.run(background); return nil })
	if s.acme != nil {
		loops.Go(func() error { return s.acme.Run(background) })
	}

	failed := make(chan error, 3)
	observed := s.serveOperations(failed)
	if s.redirect != nil {
		// The policy sees clear text, and does with it what it does everywhere.
		clear := s.httpServer(nil)
		clear.Handler = s.clearText()
		servers = append(servers, clear)
		go func() { failed <- clear.Serve(s.redirect) }()
	}
	go func() {
		if s.tls != nil {
			// Not ServeTLS, which serves a copy of the configuration: the keys of its
			// tickets would never change.
			failed <- main.Serve(tls.NewListener(s.listener, s.tls))
			return
		}
		failed <- main.Serve(s.listener)
	}()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		err = s.notReady(failed)
	}
	// One time for both, which is what a service manager waits for.
	draining, end := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	err = errors.Join(err, drain(draining, servers))
	err = errors.Join(err, drain(draining, observed)) // last: what is drained can be watched
	end()
	stop()
	err = errors.Join(err, loops.Wait())
	s.logShadow()
	s.events.Record(audit.Stopped())
	return err
}

// drain lets the requests in flight finish, until ctx ends, and closes what is left.
func drain(ctx context.Context, servers []*http.Server) error {
	var drained errgroup.Group
	for _, srv := range servers {
		drained.Go(func() error {
			if err := srv.Shutdown(ctx); err != nil {
				return errors.Join(fmt.Errorf("requests were still running after %v: %w", drainTimeout, err), srv.Close())
			}
			return nil
		})
	}
	return drained.Wait()
}

// sweep deletes what has long expired, once an hour, and tells of controls in shadow.
func (s *Server) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			g := s.now()
			if _, err := g.sessions.Sweep(ctx, now); err != nil && ctx.Err() == nil {
				s.log.Error("sessions: expired ones not deleted", "error", err)
			}
			if _, err := g.tokens.Sweep(ctx, now); err != nil && ctx.Err() == nil {
				s.log.Error("tokens: expired ones not deleted", "error", err)
			}
			if err := s.sweepEvents(ctx, now.Add(-g.settings.Audit.DatabaseKeepFor)); err != nil && ctx.Err() == nil {
				s.log.Error("events: old ones not deleted from the database", "error", err)
			}
			if _, err := s.keys.Sweep(ctx, now); err != nil && ctx.Err() == nil {
				s.log.Error("API keys: expired ones not deleted", "error", err)
			}
			s.logShadow()
		}
	}
}

// sweepEvents deletes the events from before, in batches that let others write.
func (s *Server) sweepEvents(ctx context.Context, before time.Time) error {
	const batch = 1000
	for {
		n, err := s.store.Sweep(ctx, before, batch)
		if err != nil || n < batch {
			return err
		}
	}
}

// Close flushes the event log and closes the database. It is called once, after
// Serve has returned or instead of it.
func (s *Server) Close() error {
	var errs []error
	if g := s.now(); g != nil {
		g.end()
	}
	for _, l := range []net.Listener{s.listener, s.redirect, s.operations} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.limits != nil {
		s.limits.close()
	}
	if s.outages != nil {
		s.outages.Close() // before the log that it records in
	}
	if s.traces != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.traces.Close(ctx); err != nil { // as when they were lost before
			s.log.Warn("traces: the last spans are lost", "error", err)
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
