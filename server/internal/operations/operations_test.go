package operations_test

import (
	"database/sql"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/report"
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/server/internal/listener"
	"github.com/merlonhq/merlon/server/internal/operations"
)

// served returns a handler of one route whose requests are observed by m.
func served(tb testing.TB, m *operations.Metrics) http.Handler {
	tb.Helper()
	table, err := route.New([]route.Route{{Pattern: "GET /posts/{id}", Public: true}})
	if err != nil {
		tb.Fatal(err)
	}
	cfg := exchange.Config{Routes: table, Recorder: audit.Discard{}}
	if m != nil {
		cfg.Observe = m.Observe
	}
	return exchange.New(cfg).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			panic(http.ErrAbortHandler)
		}
		if !strings.HasPrefix(r.URL.Path, "/posts/") {
			w.WriteHeader(404)
		}
	}))
}

func ask(h http.Handler, method, url string, header ...string) (int, string) {
	r, w := httptest.NewRequest(method, url, nil), httptest.NewRecorder()
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func scrape(t *testing.T, m *operations.Metrics) string {
	t.Helper()
	status, body := ask(m.Handler(true, slog.New(slog.DiscardHandler)), "GET", "http://127.0.0.1:9090/metrics")
	if status != 200 {
		t.Fatalf("status %d: %s", status, body)
	}
	return body
}

func holds(t *testing.T, body string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(body, l+"\n") {
			t.Errorf("no line %s", l)
		}
	}
}

func TestRequestsAreCountedByRouteMethodAndClass(t *testing.T) {
	m := operations.NewMetrics()
	h := served(t, m)
	ask(h, "GET", "/posts/1")
	ask(h, "GET", "/posts/2")
	ask(h, "HEAD", "/posts/2")
	func() {
		defer func() { _ = recover() }()
		ask(h, "GET", "/cut")
	}()
	body := scrape(t, m)
	holds(t, body,
		`merlon_http_requests_total{code="2xx",method="GET",route="/posts/{id}"} 2`,
		`merlon_http_requests_total{code="2xx",method="HEAD",route="/posts/{id}"} 1`,
		`merlon_http_requests_total{code="none",method="GET",route="unmatched"} 1`,
		`merlon_http_request_duration_seconds_count{method="GET",route="/posts/{id}"} 2`,
		`merlon_http_request_duration_seconds_bucket{method="GET",route="/posts/{id}",le="+Inf"} 2`)
	for _, runtime := range []string{"go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(body, "\n"+runtime) {
			t.Errorf("no %s", runtime)
		}
	}
}

// What clients make up is no label: a flood of names makes no series.
func TestClientsCannotMakeSeries(t *testing.T) {
	m := operations.NewMetrics()
	h := served(t, m)
	for i := range 500 {
		ask(h, fmt.Sprintf("METHOD%d", i), fmt.Sprintf("/posts/%d", i))
		ask(h, "GET", fmt.Sprintf("/made/up/%d", i))
	}
	body := scrape(t, m)
	holds(t, body, `merlon_http_requests_total{code="4xx",method="GET",route="unmatched"} 500`)
	if n := strings.Count(body, "\nmerlon_http_requests_total{"); n != 2 {
		t.Errorf("%d series; want 2", n)
	}
	if strings.Contains(body, "METHOD") || strings.Contains(body, "made") {
		t.Error("a label holds what a client sent")
	}
}

func TestWhatOthersCountIsReadAtEachScrape(t *testing.T) {
	m := operations.NewMetrics()
	up := true
	pool, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	pool.SetMaxOpenConns(5)
	err = m.Read(operations.Sources{
		Version: "1.2.3",
		Controls: func() []exchange.Count {
			return []exchange.Count{{Control: "csrf", Shadow: true, Refused: 1, WouldRefuse: 2}, {Control: "authn", Refused: 3}}
		},
		Events: func() audit.Stats {
			return audit.Stats{Recorded: 9, Dropped: 4, Queued: 3, Sinks: []audit.SinkStats{{Name: "file", Sent: 14, Written: 7, Failed: 2, Spooled: 5, Down: true}, {Name: "database", Written: 8}}}
		},
		Reports: func() report.Counts {
			return report.Counts{Violations: 1, Others: 2, Ignored: 3, Silenced: 4, Refused: 5}
		},
		LimitsStore: func() (bool, ratelimit.BreakerCounters) {
			return up, ratelimit.BreakerCounters{Calls: 10, Failures: 4, Skipped: 5, Outages: 2}
		},
		Database:       func() (bool, uint64) { return !up, 11 },
		Revocations:    func() bool { return up },
		Reload:         func() (bool, time.Time) { return up, time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC) },
		ClockOffset:    func() time.Duration { return -1500 * time.Millisecond },
		Connections:    func() listener.Counts { return listener.Counts{Open: 6, RefusedMax: 7, RefusedPerAddress: 8} },
		ConnectionsMax: func() int { return 100 },
		Certificates: func() []operations.Certificate {
			return []operations.Certificate{{Name: "api.example.com", NotAfter: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)}}
		},
		Orders:    func() operations.Orders { return operations.Orders{Obtained: 3, Failed: 1} },
		Spans:     func() operations.Spans { return operations.Spans{Exported: 11, Failed: 12, Dropped: 13} },
		Databases: map[string]*sql.DB{"pool": pool},
	})
	if err != nil {
		t.Fatal(err)
	}
	body := scrape(t, m)
	holds(t, body, `merlon_clock_offset_seconds -1.5`,
		`merlon_control_decisions_total{control="csrf",outcome="refused"} 1`, `merlon_control_decisions_total{control="csrf",outcome="would_refuse"} 2`,
		`merlon_control_decisions_total{control="authn",outcome="refused"} 3`, `merlon_control_in_shadow{control="csrf"} 1`, `merlon_control_in_shadow{control="authn"} 0`,
		`merlon_events_recorded_total 9`, `merlon_events_dropped_total 4`,
		`merlon_event_sink_events_total{result="sent",sink="file"} 14`, `merlon_event_sink_spooled{sink="file"} 5`, `merlon_event_sink_spooled{sink="database"} 0`,
		`merlon_event_sink_events_total{result="written",sink="file"} 7`, `merlon_event_sink_events_total{result="failed",sink="file"} 2`,
		`merlon_event_sink_up{sink="file"} 0`, `merlon_event_sink_up{sink="database"} 1`,
		`merlon_browser_reports_total{result="violation"} 1`, `merlon_browser_reports_total{result="other"} 2`, `merlon_browser_reports_total{result="ignored"} 3`,
		`merlon_browser_reports_total{result="silenced"} 4`, `merlon_browser_reports_total{result="refused"} 5`,
		`merlon_connections 6`, `merlon_connections_refused_total{limit="max"} 7`, `merlon_connections_refused_total{limit="per_address"} 8`,
		`merlon_database_up 0`, `merlon_database_calls_skipped_total 11`, `merlon_revocations_fresh 1`, `merlon_clock_offset_seconds -1.5`,
		`merlon_config_last_reload_successful 1`, `merlon_config_last_reload_success_timestamp_seconds 1.770091506e+09`,
		`merlon_ratelimit_store_up 1`, `merlon_event_queue_length 3`, `merlon_event_sink_spooled{sink="file"} 5`, `merlon_event_sink_spooled{sink="database"} 0`,
		`merlon_ratelimit_store_calls_total{result="answered"} 6`, `merlon_ratelimit_store_calls_total{result="failed"} 4`,
		`merlon_ratelimit_store_calls_total{result="skipped"} 5`, `merlon_ratelimit_store_outages_total 2`, `merlon_connections_max 100`,
		`merlon_tls_certificate_not_after_timestamp_seconds{certificate="api.example.com"} 1.770091506e+09`,
		`merlon_acme_orders_total{result="obtained"} 3`, `merlon_acme_orders_total{result="failed"} 1`,
		`merlon_trace_spans_total{result="exported"} 11`, `merlon_trace_spans_total{result="failed"} 12`, `merlon_trace_spans_total{result="dropped"} 13`,
		`go_sql_max_open_connections{db_name="pool"} 5`)
	if !strings.Contains(body, `version="1.2.3"`) {
		t.Error("the version is not told")
	}
	served(t, m).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/posts/1", nil))
	body = scrape(t, m)
	for _, d := range operations.Table() {
		if !strings.Contains(body, "\n# TYPE "+d.Name+" "+d.Kind+"\n") {
			t.Errorf("%s, a %s, is in the table and not served", d.Name, d.Kind)
		}
	}
	conventions(t, body)
	up = false
	holds(t, scrape(t, m), `merlon_ratelimit_store_up 0`, `merlon_database_up 1`, `merlon_revocations_fresh 0`)
}

// conventions holds names to those of Prometheus: base units, counters that end in
// _total and nothing else that does, and a help text.
func conventions(t *testing.T, body string) {
	t.Helper()
	for line := range strings.Lines(body) {
		name, kind, ok := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "# TYPE "), " ")
		if !ok || !strings.HasPrefix(line, "# TYPE merlon_") {
			continue
		}
		if strings.HasSuffix(name, "_total") != (kind == "counter") {
			t.Errorf("%s is a %s", name, kind)
		}
		for _, unit := range []string{"_ms", "_millis", "_minutes", "_days", "_kib", "_mib", "_percent"} {
			if strings.Contains(name, unit) {
				t.Errorf("%s is not in a base unit", name)
			}
		}
		if !strings.Contains(body, "# HELP "+name+" ") {
			t.Errorf("%s has no help", name)
		}
	}
}

func TestRequestsInFlightAreCounted(t *testing.T) {
	m := operations.NewMetrics()
	h := m.Served(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		holds(t, scrape(t, m), `merlon_http_requests_in_flight 1`)
		panic(http.ErrAbortHandler)
	}))
	func() {
		defer func() { _ = recover() }()
		ask(h, "GET", "/")
	}()
	holds(t, scrape(t, m), `merlon_http_requests_in_flight 0`)
}

var update = flag.Bool("update", false, "write the page that a test compares")

// docs/metrics.md is what the table says. Write it anew with
// go test ./server/internal/operations -run TestTheMetricsPage -update
func TestTheMetricsPageIsTheTable(t *testing.T) {
	const path = "../../../docs/metrics.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range operations.Table() {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, labels, m.Meaning)
	}
	const begin, end = "<!-- the table -->\n", "<!-- its end -->\n"
	before, rest, found := strings.Cut(string(text), begin)
	table, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", path)
	}
	if *update {
		table = b.String()
		if err := os.WriteFile(path, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if table != b.String() {
		t.Errorf("%s is not what the code says: run this test with -update", path)
	}
}

func TestWhoMayAskForProfiles(t *testing.T) {
	m := operations.NewMetrics()
	log := slog.New(slog.DiscardHandler)
	private, network := m.Handler(true, log), m.Handler(false, log)
	for _, tt := range []struct {
		name   string
		h      http.Handler
		url    string
		header []string
		want   int
	}{
		{"a profile on this machine", private, "http://127.0.0.1:9090/debug/pprof/goroutine?debug=1", nil, 200},
		{"by name", private, "http://localhost:9090/debug/pprof/", nil, 200},
		{"over IPv6", private, "http://[::1]:9090/debug/pprof/cmdline", nil, 200},
		{"a name that an attacker made to mean this machine", private, "http://attacker.example:9090/debug/pprof/", nil, 403},
		{"metrics by that name", private, "http://attacker.example:9090/metrics", nil, 403},
		{"a page of another site", private, "http://localhost:9090/debug/pprof/", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"typed into a browser", private, "http://localhost:9090/debug/pprof/", []string{"Sec-Fetch-Site", "none"}, 200},
		{"metrics over the network", network, "http://merlon.internal:9090/metrics", nil, 200},
		{"a profile over the network", network, "http://127.0.0.1:9090/debug/pprof/", nil, 404},
		{"a heap over the network", network, "http://merlon.internal:9090/debug/pprof/heap", nil, 404},
		{"what there is not", private, "http://localhost:9090/", nil, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, body := ask(tt.h, "GET", tt.url, tt.header...); got != tt.want {
				t.Errorf("status %d; want %d: %.80s", got, tt.want, body)
			}
		})
	}
	if got, _ := ask(private, "POST", "http://localhost:9090/metrics"); got != 405 {
		t.Errorf("POST: status %d; want 405", got)
	}
}

// What a request costs more when it is observed: no allocation.
func TestObservingAllocatesNothing(t *testing.T) {
	m := operations.NewMetrics()
	count := func(m *operations.Metrics) float64 {
		h := served(t, m)
		w, r := discard{http.Header{}}, httptest.NewRequest("GET", "/posts/1", nil)
		return testing.AllocsPerRun(1000, func() { clear(w.header); h.ServeHTTP(w, r) })
	}
	if off, on := count(nil), count(m); on > off {
		t.Errorf("%v allocations observed, %v not", on, off)
	}
}

func BenchmarkRequest(b *testing.B) {
	for name, m := range map[string]*operations.Metrics{"off": nil, "on": operations.NewMetrics()} {
		b.Run(name, func(b *testing.B) {
			h := served(b, m)
			w, r := discard{http.Header{}}, httptest.NewRequest("GET", "/posts/1", nil)
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
