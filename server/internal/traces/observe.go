package traces

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
)

// Observe completes the span of a request that has ended; see [exchange.Config]. Names
// are those of the semantic conventions for HTTP servers, without what a client wrote:
// url.path and url.query may hold secrets, and client.address is a person's.
func (t *Tracer) Observe(x *exchange.Exchange, status int) {
	span := trace.SpanFromContext(x)
	if !span.IsRecording() {
		return
	}
	method := known(x.Request.Method)
	name := method
	if method == other {
		name = "HTTP"
	}
	scheme := "http"
	if x.Secure {
		scheme = "https"
	}
	attrs := []attribute.KeyValue{
		attribute.String("http.request.method", method), attribute.String("url.scheme", scheme),
		attribute.String("network.protocol.version", version(x.Request)), attribute.String("merlon.request_id", x.ID),
	}
	if pattern := x.Pattern(); pattern != "" {
		route := pattern[strings.IndexByte(pattern, ' ')+1:]
		name += " " + route
		attrs = append(attrs, attribute.String("http.route", route))
	}
	host := x.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host = strings.ToLower(host); t.hosts[host] {
		attrs = append(attrs, attribute.String("server.address", host))
	}
	if x.Event.Outcome == audit.Refused {
		attrs = append(attrs, decision(x)...)
	}
	switch {
	case status == 0:
		attrs = append(attrs, attribute.String("error.type", "cut_off"))
	case status >= http.StatusInternalServerError:
		span.SetStatus(codes.Error, "")
		attrs = append(attrs, attribute.Int("http.response.status_code", status), attribute.String("error.type", http.StatusText(status)))
	default:
		attrs = append(attrs, attribute.Int("http.response.status_code", status))
	}
	span.SetName(name)
	span.SetAttributes(attrs...)
}

// decision tells which control refused, and as what.
func decision(x *exchange.Exchange) []attribute.KeyValue {
	out := []attribute.KeyValue{attribute.String("merlon.event", string(x.Event.Type))}
	for _, a := range x.Event.Detail {
		if a.Key == "control" || a.Key == "code" {
			out = append(out, attribute.String("merlon."+a.Key, a.Value.String()))
		}
	}
	return out
}

// other is what the conventions call a method that is not known.
const other = "_OTHER"

func known(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return other
}

func version(r *http.Request) string {
	switch r.ProtoMajor {
	case 2:
		return "2"
	case 1:
		if r.ProtoMinor == 0 {
			return "1.0"
		}
	}
	return "1.1"
}

// Call begins the span of a call of a store, within a request that is traced, and returns
// what ends it. The statement is a constant of the program: values are parameters.
func (t *Tracer) Call(ctx context.Context, system, operation, statement string) func(error) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return func(error) {}
	}
	attrs := []attribute.KeyValue{attribute.String("db.system.name", system), attribute.String("db.operation.name", operation)}
	if statement != "" {
		attrs = append(attrs, attribute.String("db.query.text", statement))
	}
	_, span := t.tracer.Start(ctx, system+" "+operation, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
	return func(err error) {
		if err != nil {
			// What it says may hold a value: only what kind it is.
			span.SetStatus(codes.Error, "")
			kind := "failure"
			if errors.Is(err, context.DeadlineExceeded) {
				kind = "timeout"
			}
			span.SetAttributes(attribute.String("error.type", kind))
		}
		span.End()
	}
}
