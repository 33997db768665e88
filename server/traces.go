package server

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/server/internal/operations"
	"github.com/merlonhq/merlon/server/internal/traces"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// prepareTraces makes the tracer, if the settings name a collector.
func (s *Server) prepareTraces() (err error) {
	set := s.settings.Traces
	if set.Endpoint == "" {
		return nil
	}
	s.traces, err = traces.New(traces.Config{
		Endpoint: set.URL(), OneIn: set.OneIn, Proxies: s.settings.TrustedProxies, Hosts: s.settings.Hosts, Version: s.version, Log: s.log,
	})
	return err
}

// observe returns what is told of each request that has ended; nil for nothing. The
// tracer is that of a generation, nil for none.
func (s *Server) observe(tracer *traces.Tracer) func(*exchange.Exchange, int) {
	switch {
	case s.metrics == nil && tracer == nil:
		return nil
	case tracer == nil:
		return s.metrics.Observe
	case s.metrics == nil:
		return tracer.Observe
	}
	return func(x *exchange.Exchange, status int) {
		s.metrics.Observe(x, status)
		tracer.Observe(x, status)
	}
}

// observeCalls returns what is told of each call of the database; nil for nothing.
func (s *Server) observeCalls(dialect sqlstore.Dialect) func(ctx context.Context, call, statement string) func(error) {
	if s.traces == nil {
		return nil
	}
	system := "sqlite"
	if dialect == sqlstore.PostgreSQL {
		system = "postgresql"
	}
	return func(ctx context.Context, call, statement string) func(error) {
		return s.traces.Call(ctx, system, call, statement)
	}
}

// tracedLimits are limits whose calls are spans.
type tracedLimits struct {
	*sharedLimits
	traces *traces.Tracer
}

// Take is that of [ratelimit.Store].
func (t tracedLimits) Take(ctx context.Context, reqs []ratelimit.Request, res []ratelimit.Result) error {
	ended := t.traces.Call(ctx, "redis", "take", "")
	err := t.sharedLimits.Take(ctx, reqs, res)
	ended(err)
	return err
}

// GiveBack is that of [ratelimit.Store].
func (t tracedLimits) GiveBack(ctx context.Context, reqs []ratelimit.Request, res []ratelimit.Result) error {
	ended := t.traces.Call(ctx, "redis", "give_back", "")
	err := t.sharedLimits.GiveBack(ctx, reqs, res)
	ended(err)
	return err
}

// spanSource is where the metrics of traces are read.
func (s *Server) spanSource(src *operations.Sources) {
	if s.traces == nil {
		return
	}
	src.Spans = func() operations.Spans {
		exported, failed, dropped := s.traces.Spans()
		return operations.Spans{Exported: exported, Failed: failed, Dropped: dropped}
	}
}

// idLog adds to what is logged in the context of a request its id, and the trace that it
// is part of.
type idLog struct{ slog.Handler }

// Handle is that of [slog.Handler].
func (l idLog) Handle(ctx context.Context, r slog.Record) error {
	x, span := exchange.FromContext(ctx), trace.SpanContextFromContext(ctx)
	if x == nil && !span.IsValid() {
		return l.Handler.Handle(ctx, r)
	}
	named := false
	r.Attrs(func(a slog.Attr) bool {
		named = a.Key == "request_id"
		return !named
	})
	r = r.Clone()
	if x != nil && !named {
		r.AddAttrs(slog.String("request_id", x.ID))
	}
	if span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()))
	}
	return l.Handler.Handle(ctx, r)
}

// WithAttrs is that of [slog.Handler].
func (l idLog) WithAttrs(attrs []slog.Attr) slog.Handler { return idLog{l.Handler.WithAttrs(attrs)} }

// WithGroup is that of [slog.Handler].
func (l idLog) WithGroup(name string) slog.Handler { return idLog{l.Handler.WithGroup(name)} }
