package traces_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/server/internal/traces"
)

// receiver is a collector in this process.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	raw   []byte
	spans []*otlp.Span
	paths []string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var m collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &m)
		}
		if err != nil {
			t.Errorf("not OTLP: %v", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.raw, r.paths = append(r.raw, body...), append(r.paths, req.URL.Path)
		for _, resource := range m.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(r.Close)
	return r
}

func tracer(t *testing.T, endpoint string, oneIn int, log io.Writer) *traces.Tracer {
	t.Helper()
	tr, err := traces.New(traces.Config{
		Endpoint: endpoint, OneIn: oneIn, Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Hosts: []string{"api.example.com"},
		Version: "1.2.3", Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// refuser refuses what asks for it.
type refuser struct{}

func (refuser) Name() string { return "firewall" }
func (refuser) Decide(x *exchange.Exchange) exchange.Outcome {
	if x.Request.Header.Get("X-Refuse") != "" {
		return exchange.Refuse(problem.New(problem.Forbidden, "no"), audit.AuthzFail)
	}
	return exchange.Continue()
}

// service is a handler of one route whose requests are traced.
func service(t *testing.T, tr *traces.Tracer, inner http.HandlerFunc) http.Handler {
	t.Helper()
	table, err := route.New([]route.Route{{Pattern: "GET /posts/{id}", Public: true}})
	if err != nil {
		t.Fatal(err)
	}
	chain := exchange.New(exchange.Config{Routes: table, Stages: []exchange.Stage{refuser{}}, Recorder: audit.Discard{}, Observe: tr.Observe,
		ErrorLog: slog.New(slog.DiscardHandler)})
	return tr.Handler(chain.Handler(inner))
}

func ask(h http.Handler, method, url, peer string, header ...string) int {
	r, w := httptest.NewRequest(method, url, nil), httptest.NewRecorder()
	r.RemoteAddr = peer
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	func() {
		defer func() { _ = recover() }()
		h.ServeHTTP(w, r)
	}()
	return w.Code
}

// flush ends the tracer and returns what was received.
func flush(t *testing.T, tr *traces.Tracer, r *receiver) []*otlp.Span {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := tr.Close(ctx); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spans
}

// attributes writes those of a span, sorted.
func attributes(s *otlp.Span) string {
	var out []string
	for _, a := range s.Attributes {
		v := a.Value.GetStringValue()
		if v == "" {
			v = strconv.FormatInt(a.Value.GetIntValue(), 10)
		}
		out = append(out, a.Key+"="+v)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

const stranger, proxy = "192.0.2.1:1234", "10.0.0.7:1234"

func TestASpanTellsWhatThisProgramKnowsAndNothingThatAClientWrote(t *testing.T) {
	r := newReceiver(t)
	tr := tracer(t, r.URL+"/v1/traces", 1, io.Discard)
	h := service(t, tr, func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/posts/panic":
			panic("hush-panic")
		case "/posts/cut":
			panic(http.ErrAbortHandler)
		}
	})
	hidden := []string{"User-Agent", "hush-agent", "Authorization", "Bearer hush-token", "Cookie", "a=hush-cookie", "X-Forwarded-For", "198.51.100.77"}
	ask(h, "GET", "http://api.example.com/posts/hush-id?token=hush-query", stranger, hidden...)
	ask(h, "GET", "http://hush-host.example/hush-path", stranger, hidden...)
	ask(h, "HUSHMETHOD", "http://API.example.com:8443/posts/1", stranger)
	ask(h, "GET", "http://api.example.com/posts/1", stranger, "X-Refuse", "hush-refuse")
	ask(h, "GET", "http://api.example.com/posts/panic", stranger)
	ask(h, "GET", "http://api.example.com/posts/cut", stranger)
	want := []struct{ name, attributes string }{
		{"GET /posts/{id}", "http.request.method=GET http.response.status_code=200 http.route=/posts/{id} merlon.request_id=ID network.protocol.version=1.1 server.address=api.example.com url.scheme=http"},
		{"GET", "http.request.method=GET http.response.status_code=200 merlon.request_id=ID network.protocol.version=1.1 url.scheme=http"},
		{"HTTP", "http.request.method=_OTHER http.response.status_code=200 merlon.request_id=ID network.protocol.version=1.1 server.address=api.example.com url.scheme=http"},
		{"GET /posts/{id}", "http.request.method=GET http.response.status_code=403 http.route=/posts/{id} merlon.code=forbidden merlon.control=firewall merlon.event=authz_fail merlon.request_id=ID network.protocol.version=1.1 server.address=api.example.com url.scheme=http"},
		{"GET /posts/{id}", "error.type=Internal Server Error http.request.method=GET http.response.status_code=500 http.route=/posts/{id} merlon.request_id=ID network.protocol.version=1.1 server.address=api.example.com url.scheme=http"},
		{"GET /posts/{id}", "error.type=cut_off http.request.method=GET http.route=/posts/{id} merlon.request_id=ID network.protocol.version=1.1 server.address=api.example.com url.scheme=http"},
	}
	got := flush(t, tr, r)
	if len(got) != len(want) {
		t.Fatalf("%d spans, want %d", len(got), len(want))
	}
	for i, s := range got {
		a := attributes(s)
		if at := strings.Index(a, "merlon.request_id="); at >= 0 {
			a = a[:at+18] + "ID" + a[at+18+26:]
		}
		if s.Name != want[i].name || a != want[i].attributes || s.Kind != otlp.Span_SPAN_KIND_SERVER || len(s.Events) > 0 {
			t.Errorf("span %d is %q: %s\nwant %q: %s", i, s.Name, a, want[i].name, want[i].attributes)
		}
		if failed := s.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR; failed != (i == 4) {
			t.Errorf("span %d has status %v", i, s.Status)
		}
	}
	for _, never := range []string{"hush", "HUSH", "198.51.100.77", "192.0.2.1"} {
		if bytes.Contains(r.raw, []byte(never)) {
			t.Errorf("a span holds %q", never)
		}
	}
	if r.paths[0] != "/v1/traces" {
		t.Errorf("sent to %s", r.paths)
	}
}

// The ids of W3C Trace Context's own example.
const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
	parent  = "00-" + traceID + "-" + spanID + "-01"
)

func TestTheTraceOfATrustedProxyGoesOnAndThatOfAnybodyElseIsLinked(t *testing.T) {
	r := newReceiver(t)
	tr := tracer(t, r.URL, 1, io.Discard)
	var seen []http.Header
	h := service(t, tr, func(_ http.ResponseWriter, req *http.Request) { seen = append(seen, req.Header.Clone()) })
	for _, header := range [][]string{
		{"Traceparent", parent, "Tracestate", "a=1,b=2"},
		{"Traceparent", parent, "Traceparent", parent, "Tracestate", "a=1"},
	} {
		ask(h, "GET", "/posts/1", proxy, header...)
		ask(h, "GET", "/posts/1", stranger, header...)
	}
	for _, broken := range []string{"", "00-" + traceID, "ff-" + traceID + "-" + spanID + "-01", "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", strings.ToUpper(parent)} {
		ask(h, "GET", "/posts/1", proxy, "Traceparent", broken)
	}
	spans := flush(t, tr, r)
	if len(spans) != 9 {
		t.Fatalf("%d spans", len(spans))
	}
	hexOf := func(b []byte) string {
		const digits = "0123456789abcdef"
		var s strings.Builder
		for _, c := range b {
			s.WriteByte(digits[c>>4])
			s.WriteByte(digits[c&15])
		}
		return s.String()
	}
	for i, s := range spans {
		own := hexOf(s.TraceId)
		if got := seen[i].Values("Traceparent"); len(got) != 1 || got[0] != "00-"+own+"-"+hexOf(s.SpanId)+"-01" {
			t.Errorf("request %d has Traceparent %q, of trace %s", i, got, own)
		}
		state := seen[i].Get("Tracestate")
		switch {
		case i < 4 && i%2 == 0: // the proxy
			if own != traceID || hexOf(s.ParentSpanId) != spanID || len(s.Links) > 0 || !strings.HasPrefix(state, "a=1") {
				t.Errorf("request %d of the proxy: trace %s, state %q, %d links", i, own, state, len(s.Links))
			}
		case i < 4:
			if own == traceID || len(s.ParentSpanId) > 0 || len(s.Links) != 1 || hexOf(s.Links[0].TraceId) != traceID || s.Links[0].TraceState != "" || state != "" {
				t.Errorf("request %d of a stranger: trace %s, state %q, links %v", i, own, state, s.Links)
			}
		default:
			if own == traceID || len(s.ParentSpanId) > 0 || len(s.Links) > 0 {
				t.Errorf("request %d with no parent has one", i)
			}
		}
	}
}

func TestWhatIsNotSampledHasATraceToo(t *testing.T) {
	r := newReceiver(t)
	tr := tracer(t, r.URL, 1_000_000, io.Discard)
	var seen []string
	h := service(t, tr, func(_ http.ResponseWriter, req *http.Request) { seen = append(seen, req.Header.Get("Traceparent")) })
	for range 20 {
		ask(h, "GET", "/posts/1", stranger, "Traceparent", parent) // who asks for it is not sampled either
	}
	ask(h, "GET", "/posts/1", proxy, "Traceparent", parent) // but for a proxy
	spans := flush(t, tr, r)
	if len(spans) > 5 || len(spans) == 0 {
		t.Errorf("%d spans", len(spans))
	}
	for _, s := range seen[:20] {
		if len(s) != 55 || strings.Contains(s, traceID) {
			t.Errorf("Traceparent %q", s)
		}
	}
}

func TestAHugeTracestateChangesNothing(t *testing.T) {
	r := newReceiver(t)
	tr := tracer(t, r.URL, 1, io.Discard)
	var seen http.Header
	h := service(t, tr, func(_ http.ResponseWriter, req *http.Request) { seen = req.Header })
	for _, peer := range []string{stranger, proxy} {
		for _, state := range []string{strings.Repeat("x", 1<<20), strings.Repeat("a=b,", 1<<18), "k=" + strings.Repeat("v", 1<<20)} {
			if code := ask(h, "GET", "/posts/1", peer, "Traceparent", parent, "Tracestate", state); code != 200 {
				t.Errorf("status %d", code)
			}
			if got := seen.Get("Tracestate"); got != "" {
				t.Errorf("%d bytes of tracestate went on", len(got))
			}
		}
	}
	if spans := flush(t, tr, r); len(spans) != 6 || len(r.raw) > 10_000 {
		t.Errorf("%d spans in %d bytes", len(spans), len(r.raw))
	}
}

func TestADeadCollectorChangesNothingButACountAndALine(t *testing.T) {
	dead := httptest.NewServer(nil)
	dead.Close()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	defer refusing.Close()
	for what, url := range map[string]string{"nobody": dead.URL, "one that fails": refusing.URL} {
		var says bytes.Buffer
		tr := tracer(t, url, 1, &says)
		h := service(t, tr, func(http.ResponseWriter, *http.Request) {})
		for range 700 {
			if code := ask(h, "GET", "/posts/1", stranger); code != 200 {
				t.Fatalf("status %d", code)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if err := tr.Close(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if exported, failed, dropped := tr.Spans(); exported != 0 || failed != 700 || dropped != 0 {
			t.Errorf("%s: %d, %d, %d", what, exported, failed, dropped)
		}
		if n := strings.Count(says.String(), "traces: spans are lost"); n != 1 || strings.Count(says.String(), "\n") != 1 {
			t.Errorf("%s: %d lines:\n%s", what, n, says.String())
		}
	}
}

func TestACollectorThatHangsFillsNoMemory(t *testing.T) {
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hanging.Close()
	tr := tracer(t, hanging.URL, 1, io.Discard)
	h := service(t, tr, func(http.ResponseWriter, *http.Request) {})
	for range 5000 {
		ask(h, "GET", "/posts/1", stranger)
	}
	if _, _, dropped := tr.Spans(); dropped < 5000-2*2048 {
		t.Errorf("%d dropped of 5000, with room for 2048", dropped)
	}
	close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_ = tr.Close(ctx) // whether the last ones arrive is not of interest
}

func TestCallsOfStoresAreSpansOfTheRequest(t *testing.T) {
	r := newReceiver(t)
	tr := tracer(t, r.URL, 1, io.Discard)
	h := service(t, tr, func(_ http.ResponseWriter, req *http.Request) {
		tr.Call(req.Context(), "sqlite", "get", "SELECT 1 WHERE a = $1")(nil)
		tr.Call(req.Context(), "sqlite", "tx", "")(errors.New("hush-error"))
		tr.Call(req.Context(), "redis", "take", "")(context.DeadlineExceeded)
	})
	ask(h, "GET", "/posts/1", stranger)
	tr.Call(t.Context(), "sqlite", "get", "SELECT 2")(nil) // of no request
	spans := flush(t, tr, r)
	if len(spans) != 4 {
		t.Fatalf("%d spans, want 4", len(spans))
	}
	request := spans[3]
	for i, want := range []string{"db.operation.name=get db.query.text=SELECT 1 WHERE a = $1 db.system.name=sqlite",
		"db.operation.name=tx db.system.name=sqlite error.type=failure", "db.operation.name=take db.system.name=redis error.type=timeout"} {
		s := spans[i]
		if attributes(s) != want || !bytes.Equal(s.ParentSpanId, request.SpanId) || !bytes.Equal(s.TraceId, request.TraceId) || s.Kind != otlp.Span_SPAN_KIND_CLIENT {
			t.Errorf("span %d: %s, want %s below the request", i, attributes(s), want)
		}
	}
	if bytes.Contains(r.raw, []byte("hush")) {
		t.Error("a span holds an error")
	}
}

func TestNewWantsWhatItNeeds(t *testing.T) {
	if _, err := traces.New(traces.Config{Endpoint: "http://127.0.0.1:4318"}); err == nil || !strings.Contains(err.Error(), "OneIn") || !strings.Contains(err.Error(), "Log") {
		t.Errorf("%v", err)
	}
}
