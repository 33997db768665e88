package traces

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// queue stands before the SDK's queue and behind it, to bound what waits and to count
// what is lost. A collector that is dead costs requests nothing.
type queue struct {
	sdktrace.SpanProcessor
	inner sdktrace.SpanExporter
	log   *slog.Logger

	waiting                   atomic.Int64
	exported, failed, dropped atomic.Uint64
	told                      atomic.Int64 // when the last warning was, in seconds
}

// OnEnd takes a span that has ended, if there is room.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if q.waiting.Add(1) > queueSize {
		q.waiting.Add(-1)
		q.dropped.Add(1)
		q.tell("the queue is full", nil)
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// exporter is what the SDK sends through. It fails to nobody: the SDK would write to a
// log of its own at each failure.
func (q *queue) exporter() sdktrace.SpanExporter { return counting{q} }

type counting struct{ q *queue }

// ExportSpans sends a batch.
func (c counting) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := c.q.inner.ExportSpans(ctx, spans)
	c.q.waiting.Add(-int64(len(spans)))
	if err != nil {
		c.q.failed.Add(uint64(len(spans)))
		c.q.tell("the collector did not take them", err)
		return nil
	}
	c.q.exported.Add(uint64(len(spans)))
	return nil
}

// Shutdown closes the connections.
func (c counting) Shutdown(ctx context.Context) error { return c.q.inner.Shutdown(ctx) }

// tell tells of lost spans, once a minute.
func (q *queue) tell(why string, err error) {
	now := time.Now().Unix()
	last := q.told.Load()
	if now-last < 60 || !q.told.CompareAndSwap(last, now) {
		return
	}
	attrs := []any{"failed", q.failed.Load(), "dropped", q.dropped.Load(), "fix", "start the collector of traces.endpoint, or correct it; requests are served all the same"}
	if err != nil {
		text := err.Error()
		attrs = append(attrs, "error", text[:min(len(text), 300)])
	}
	q.log.Warn("traces: spans are lost: "+why, attrs...)
}
