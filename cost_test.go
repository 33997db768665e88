package merlon_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/audit/audittest"
)

// A stuck sink holds its first batch until it is let go.
type stuck struct{ gate chan struct{} }

func (s stuck) Write(context.Context, []audit.Event, [][]byte) error { <-s.gate; return nil }
func (s stuck) Close() error                                         { return nil }

// What events cost: nothing where a request is accepted, and up to the queue at most six
// allocations where it is refused.
func TestTheCostOfRecording(t *testing.T) {
	build := func(r audit.Recorder) http.Handler {
		g, err := merlon.New(merlon.Config{
			Environment: merlon.Development, Recorder: r, Secret: make([]byte, 32),
			Origins: []string{"https://app.example.com"}, Hosts: []string{"example.com"},
			Routes: []merlon.Route{{Pattern: "GET /open", Public: true}, {Pattern: "POST /open", Public: true}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	}
	serve := func(h http.Handler, method, origin string) int {
		r := httptest.NewRequest(method, "http://127.0.0.1/open", nil)
		r.RemoteAddr = "127.0.0.1:1"
		if origin != "" {
			r.Header.Set("Origin", origin)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	var m audittest.Memory
	h := build(&m)
	if got := serve(h, "GET", ""); got != 204 || len(m.Events()) != 0 {
		t.Errorf("an accepted request: status %d, events %+v", got, m.Events())
	}
	if got := serve(h, "POST", "https://evil.example"); got != 403 || len(m.Events()) != 1 {
		t.Errorf("a refused request: status %d, events %+v", got, m.Events())
	}

	s := stuck{make(chan struct{})}
	p, err := audit.New(audit.Config{Sinks: []audit.Output{{Name: "stuck", Sink: s}}, Queue: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	h, silent := build(p), build(audit.Discard{})
	with := testing.AllocsPerRun(200, func() { serve(h, "POST", "https://evil.example") })
	without := testing.AllocsPerRun(200, func() { serve(silent, "POST", "https://evil.example") })
	if with-without > 6 {
		t.Errorf("recording a refusal makes %v allocations, want 6 at most", with-without)
	}
	close(s.gate)
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
