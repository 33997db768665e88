package server

import (
	"context"
	"database/sql"
	"net"
	"net/http"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/server/internal/listener"
	"github.com/merlonhq/merlon/server/internal/operations"
)

// profileTimeout bounds a profile or a trace, which takes 30 s unless asked.
const profileTimeout = 2 * time.Minute

// sources is where the metrics are read.
func (s *Server) sources() operations.Sources {
	src := operations.Sources{
		Version: s.version, Controls: s.counts, Reports: s.reports.Counts, Reload: s.reloads.last,
		Connections: func() listener.Counts { return s.connections.Counts() }, ConnectionsMax: func() int { return s.now().settings.Connections.Max },
		Events:      func() audit.Stats { return s.events.Stats() }, // opened later
		ClockOffset: s.clock.ahead(),
	}
	src.Revocations = s.revocations.Fresh
	if s.limits != nil {
		src.LimitsStore = func() (bool, ratelimit.BreakerCounters) { return answers(s.limits.Outage()), s.limits.Counters() }
	}
	if s.outages != nil {
		src.Database = func() (bool, uint64) { return answers(s.outages.Outage()), s.outages.Counters().Skipped }
	}
	if s.tls != nil {
		src.Certificates = s.certificates
	}
	s.acmeSources(&src)
	s.spanSource(&src)
	src.Databases = map[string]*sql.DB{"writer": s.database.Writer(), "reader": s.database.Reader()}
	if s.database.Writer() == s.database.Reader() {
		src.Databases = map[string]*sql.DB{"pool": s.database.Writer()}
	}
	return src
}

// answers turns what a breaker says round.
func answers[T any](_ T, away bool) bool { return !away }

// certificates returns those that are served.
func (s *Server) certificates() []operations.Certificate {
	var out []operations.Certificate
	if pair := s.certificate.pair.Load(); pair != nil {
		out = append(out, operations.Certificate{Name: "tls.cert", NotAfter: pair.Leaf.NotAfter})
	}
	return out
}

// serveOperations serves the operator's listener, if there is one, and returns what
// to drain.
func (s *Server) serveOperations(failed chan<- error) []*http.Server {
	if s.operations == nil {
		return nil
	}
	srv := s.operationsServer()
	go func() { failed <- srv.Serve(s.operations) }()
	return []*http.Server{srv}
}

// operationsServer returns a server of the metrics and profiles.
func (s *Server) operationsServer() *http.Server {
	profiles, stop := context.WithCancel(context.Background())
	srv := &http.Server{
		Handler:           s.metrics.Handler(s.settings.OperationsPrivate(), s.log),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      profileTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return profiles },
		ErrorLog:          newHTTPLog(s.log),
	}
	srv.RegisterOnShutdown(stop) // a profile that is being taken ends
	return srv
}

// OperationsAddr returns the address that Listen took for metrics and pprof, or ""
// when there is none.
func (s *Server) OperationsAddr() string {
	if s.operations == nil {
		return ""
	}
	return s.operations.Addr().String()
}
