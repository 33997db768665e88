package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/listener"
	"github.com/merlonhq/merlon/server/internal/operations"
)

// profileTimeout bounds a profile or a trace, which takes 30 s unless asked.
const profileTimeout = 2 * time.Minute

// sources is where the metrics are read.
func (s *Server) sources() operations.Sources {
	src := operations.Sources{
		Version: s.version, Controls: s.guard.Counts, Reports: s.api.Reports.Counts,
		Connections: func() listener.Counts { return s.connections.Counts() },
		Events:      func() audit.Stats { return s.events.Stats() }, // opened later
		ClockOffset: s.clock.ahead(),
	}
	if s.limits != nil {
		src.LimitsStore = func() bool { _, away := s.limits.Outage(); return !away }
	}
	return src
}

// serveOperations serves the operator's listener, if there is one, and returns what
// to drain.
func (s *Server) serveOperations(failed chan<- error) []*http.Server {
	if s.operations == nil {
		return nil
	}
	profiles, stop := context.WithCancel(context.Background())
	srv := &http.Server{
		Handler:           s.metrics.Handler(s.settings.OperationsPrivate(), s.log),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      profileTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return profiles },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	srv.RegisterOnShutdown(stop) // a profile that is being taken ends
	go func() { failed <- srv.Serve(s.operations) }()
	return []*http.Server{srv}
}

// OperationsAddr returns the address that Listen took for metrics and pprof, or ""
// when there is none.
func (s *Server) OperationsAddr() string {
	if s.operations == nil {
		return ""
	}
	return s.operations.Addr().String()
}
