package traces

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Config says which requests are traced, and who is told.
type Config struct {
	// Endpoint is the URL of the collector for OTLP over HTTP, with its path.
	Endpoint string
	// OneIn is of how many requests one is traced, 1 or more; a trusted proxy decides
	// for its own.
	OneIn int
	// Proxies are those whose traces are continued.
	Proxies []netip.Prefix
	// Hosts are the names that server.address may tell.
	Hosts []string
	// Version is that of the service.
	Version string
	// Log is told when spans are lost, once a minute at most. Required.
	Log *slog.Logger
}

// Bounds of what is kept and waited for.
const (
	queueSize     = 2048
	batchSize     = 512
	batchInterval = 2 * time.Second
	exportTimeout = 5 * time.Second
	maxAnswer     = 64 << 10
	maxValue      = 256
)

// A Tracer makes spans and sends them.
type Tracer struct {
	cfg        Config
	provider   *sdktrace.TracerProvider
	tracer     trace.Tracer
	propagator propagation.TraceContext
	queue      *queue
	hosts      map[string]bool
}

// New returns a tracer. It connects to nobody before there are spans. The standard
// variables OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_EXPORTER_OTLP_HEADERS and
// OTEL_EXPORTER_OTLP_CERTIFICATE are read; where spans go and how many are kept is not
// theirs to say.
func New(cfg Config) (*Tracer, error) {
	var errs []error
	if cfg.OneIn < 1 {
		errs = append(errs, fmt.Errorf("traces: OneIn is %d: give 1 or more", cfg.OneIn))
	}
	if cfg.Log == nil {
		errs = append(errs, errors.New("traces: Log is nil"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	exporter := otlptrace.NewUnstarted(otlptracehttp.NewClient(
		otlptracehttp.WithEndpointURL(cfg.Endpoint),
		otlptracehttp.WithTimeout(exportTimeout),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}), // the next batch is the next try
		otlptracehttp.WithMaxResponseSize(maxAnswer),
	))
	// With a background context: it starts nothing but a client.
	if err := exporter.Start(context.Background()); err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	about, err := resource.New(context.Background(), resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "merlon"), attribute.String("service.version", cfg.Version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("traces: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	t := (&Tracer{cfg: cfg}).With(cfg.Proxies, cfg.Hosts)
	t.queue = &queue{log: cfg.Log, inner: exporter}
	t.queue.SpanProcessor = sdktrace.NewBatchSpanProcessor(t.queue.exporter(),
		sdktrace.WithMaxQueueSize(2*queueSize), // of which no more than queueSize are used, see queue
		sdktrace.WithMaxExportBatchSize(batchSize), sdktrace.WithBatchTimeout(batchInterval), sdktrace.WithExportTimeout(exportTimeout))
	limits := sdktrace.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxValue
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithResource(about), sdktrace.WithRawSpanLimits(limits), sdktrace.WithSpanProcessor(t.queue),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(1/float64(cfg.OneIn)))))
	t.tracer = t.provider.Tracer("github.com/merlonhq/merlon/server")
	return t, nil
}

// With returns a tracer that makes and sends spans as t does, and has other proxies and
// hosts, for settings that change while requests are served.
func (t *Tracer) With(proxies []netip.Prefix, hosts []string) *Tracer {
	next := *t
	next.cfg.Proxies, next.cfg.Hosts, next.hosts = proxies, hosts, map[string]bool{}
	for _, h := range hosts {
		next.hosts[h] = true
	}
	return &next
}

// Handler begins the span of each request, and hands it on in the request's context and
// as its Traceparent: whoever reads that later, for an event or for a call to another
// service, finds the trace that this service is part of, and never what a stranger wrote.
func (t *Tracer) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
		carrier := propagation.HeaderCarrier(r.Header)
		if parent := trace.SpanContextFromContext(t.propagator.Extract(context.Background(), carrier)); parent.IsValid() {
			if t.trusts(r.RemoteAddr) {
				ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
			} else {
				options = append(options, trace.WithLinks(trace.Link{SpanContext: parent.WithTraceState(trace.TraceState{})}))
			}
		}
		ctx, span := t.tracer.Start(ctx, "HTTP", options...)
		// In a function: a span that ends in the way of a panic would write down what it says.
		defer func() { span.End() }()
		r = r.WithContext(ctx)
		r.Header.Del("Tracestate")
		t.propagator.Inject(ctx, carrier)
		next.ServeHTTP(w, r)
	})
}

// trusts reports whether a peer is one of the proxies.
func (t *Tracer) trusts(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	a := peer.Addr().Unmap().WithZone("")
	for _, p := range t.cfg.Proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Spans returns how many spans the collector has, did not take, and found no room.
func (t *Tracer) Spans() (exported, failed, dropped uint64) {
	return t.queue.exported.Load(), t.queue.failed.Load(), t.queue.dropped.Load()
}

// Close sends what is left, as long as ctx lasts.
func (t *Tracer) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }
