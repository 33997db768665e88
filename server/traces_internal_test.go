package server

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
)

// What is logged in the context of a request has its ids, once.
func TestLinesOfARequestHaveItsIDs(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(idLog{slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})})
	id := ""
	h := exchange.New(exchange.Config{Recorder: audit.Discard{}, ErrorLog: log}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id = exchange.FromContext(r.Context()).ID
		log.InfoContext(r.Context(), "by a handler")
		log.With("a", 1).InfoContext(r.Context(), "with more", "request_id", id)
		panic("of a handler")
	}))
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	r := httptest.NewRequest("GET", "/", nil)
	h.ServeHTTP(httptest.NewRecorder(), r.WithContext(trace.ContextWithSpanContext(r.Context(), span)))
	log.Info("of no request")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	ids := " request_id=" + id + " trace_id=01" + strings.Repeat("0", 30)
	for i, want := range []string{`msg="by a handler"` + ids, `msg="with more" a=1` + ids, `msg="handler panicked" request_id=` + id, `msg="of no request"`} {
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Errorf("line %d of %q, want %s", i, lines, want)
			continue
		}
		if n := strings.Count(lines[i], "request_id="); n > 1 || i == 3 && n > 0 || i < 3 && strings.Count(lines[i], "trace_id=") != 1 {
			t.Errorf("line %s", lines[i])
		}
	}
}
