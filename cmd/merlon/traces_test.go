//go:build unix

package main_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A request is a span, whose trace is in its event and in the lines of the log, whatever
// trace the client says that it is part of.
func TestTracesReachTheCollectorAndTheEventLog(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var spans []*otlp.Span
	var token string
	c := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var m collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &m)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		token = r.Header.Get("X-Collector-Token")
		for _, resource := range m.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				spans = append(spans, scope.Spans...)
			}
		}
	}))
	defer c.Close()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", developmentConfig+"operations_listen: \"127.0.0.1:0\"\ntraces: {endpoint: \""+c.URL+"\", one_in: 1}\n")
	s := startService(t, merlon("--config", config).in(dir).with("OTEL_EXPORTER_OTLP_HEADERS=X-Collector-Token=of-the-environment"))
	at := s.line(s.stderr, `time=\S+ level=INFO msg="serving metrics" address=(\S+)`)[1]

	const theirs = "0af7651916cd43dd8448eb211c80319c"
	s.call(t, 401, "GET", "/api/v1/users/me", nil, "X-API-Key", "mrl_dev_wrong", "Traceparent", "00-"+theirs+"-b7ad6b7169203331-01")
	span := func(name string) (found *otlp.Span) {
		mu.Lock()
		defer mu.Unlock()
		for _, sp := range spans {
			if sp.Name == name {
				found = sp
			}
		}
		return found
	}
	eventually(t, "the span", func() bool { return span("GET /api/v1/users/me") != nil })
	request := span("GET /api/v1/users/me")
	if len(request.Links) != 1 || hex.EncodeToString(request.Links[0].TraceId) != theirs {
		t.Errorf("links %v", request.Links)
	}
	id := hex.EncodeToString(request.TraceId)
	eventually(t, "the event with the trace", func() bool {
		return strings.Contains(read(t, filepath.Join(dir, "logs", "security.log")), `"trace_id":"`+id+`"`)
	})
	if strings.Contains(read(t, filepath.Join(dir, "logs", "security.log")), theirs) {
		t.Error("an event has the trace that a client wrote")
	}
	s.call(t, 401, "POST", "/api/v1/auth/login", map[string]string{"username": "nobody", "password": "wrong horse battery"})
	eventually(t, "a call of the database", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, sp := range spans {
			if strings.HasPrefix(sp.Name, "sqlite ") && len(sp.ParentSpanId) > 0 {
				return true
			}
		}
		return false
	})
	if body := string(newClient(t, "http://"+at).call(t, 200, "GET", "/metrics", nil).body); !strings.Contains(body, "\nmerlon_trace_spans_total{result=\"exported\"} ") ||
		!strings.Contains(body, "\nmerlon_trace_spans_total{result=\"failed\"} 0\n") {
		t.Error("the metrics do not tell of the spans")
	}
	mu.Lock()
	if token != "of-the-environment" {
		t.Errorf("the collector was shown %q", token)
	}
	mu.Unlock()
	s.stop()
}
