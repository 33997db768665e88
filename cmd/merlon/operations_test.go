//go:build unix

package main_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestMetricsAndProfilesHaveAListenerOfTheirOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startSecure(t, dir, "operations_listen: \"127.0.0.1:0\"\n")
	at := s.line(s.stderr, `time=\S+ level=INFO msg="serving metrics" address=(\S+)`)[1]
	operations := newClient(t, "http://"+at)

	// The public listeners know nothing of it, with credentials neither.
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars"} {
		s.call(t, 404, "GET", path, nil)
		if a := s.clear.call(t, 403, "GET", path, nil); a.code() != "https-required" {
			t.Errorf("%s in clear text: %s", path, a.body)
		}
	}
	s.call(t, 200, "GET", "/health/ready", nil)
	s.refused(t, 401, "unauthenticated", "GET", "/api/v1/users/me", nil)

	body := string(operations.call(t, 200, "GET", "/metrics", nil).body)
	for _, line := range []string{
		`merlon_http_requests_total{code="2xx",method="GET",route="/health/ready"} `,
		`merlon_http_requests_total{code="4xx",method="GET",route="/api/v1/users/me"} 1`,
		`merlon_http_requests_total{code="4xx",method="GET",route="unmatched"} `,
		`merlon_http_request_duration_seconds_count{method="GET",route="/api/v1/users/me"} 1`,
		`merlon_control_decisions_total{control="authn",outcome="refused"} `,
		`merlon_control_decisions_total{control="httpsonly",outcome="refused"} 4`,
		`merlon_events_dropped_total 0`,
		`merlon_event_sink_up{sink="file"} 1`,
		`merlon_browser_reports_total{result="violation"} 0`,
		`merlon_build_info{goversion="go1.`,
		`go_goroutines `,
		`merlon_http_requests_in_flight 0`,
		`merlon_event_queue_length `,
		`merlon_event_sink_spooled{sink="database"} 0`,
		`merlon_connections_max 10000`,
		`merlon_tls_certificate_not_after_timestamp_seconds{certificate="tls.cert"} `,
		`go_sql_max_open_connections{db_name="writer"} 1`,
	} {
		if !strings.Contains(body, "\n"+line) {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(body, "merlon_ratelimit_store_up") {
		t.Error("a store is told of that there is not")
	}
	documented := read(t, filepath.Join("..", "..", "docs", "metrics.md"))
	for _, l := range lines(body) {
		if name, ok := strings.CutPrefix(l, "# TYPE merlon_"); ok {
			name, kind, _ := strings.Cut(name, " ")
			if !strings.Contains(documented, "| `merlon_"+name+"` | "+kind+" |") {
				t.Errorf("docs/metrics.md has no row of the %s merlon_%s", kind, name)
			}
		}
	}
	for _, name := range regexp.MustCompile("`((?:go|process)_[a-z_]+)`").FindAllStringSubmatch(documented, -1) {
		if !strings.Contains(body, "\n# TYPE "+name[1]+" ") {
			t.Errorf("docs/metrics.md names %s, which is not served", name[1])
		}
	}

	operations.call(t, 200, "GET", "/debug/pprof/goroutine?debug=1", nil)
	operations.call(t, 403, "GET", "/debug/pprof/", nil, "Host", "attacker.example")
	for _, path := range []string{"/health/ready", "/api/v1/users/me", "/"} {
		operations.call(t, 404, "GET", path, nil) // nor the other way round
	}

	// A profile that is being taken does not hold up the end.
	profiled := make(chan error, 1)
	go func() {
		_, err := operations.try("GET", "/debug/pprof/profile?seconds=60", nil)
		profiled <- err
	}()
	eventually(t, "a profile is being taken", func() bool {
		return strings.Contains(string(operations.call(t, 200, "GET", "/debug/pprof/goroutine?debug=1", nil).body), "pprof.Profile+")
	})
	if r := s.stop(); r.code != 0 {
		t.Errorf("exit %d:\n%s", r.code, r.stderr)
	}
	<-profiled
	if _, err := operations.try("GET", "/metrics", nil); err == nil {
		t.Error("metrics are served after the end")
	}
}

func TestThePortOfMetricsIsTaken(t *testing.T) {
	t.Parallel()
	dir, taken := t.TempDir(), listen(t)
	certificate(t, dir)
	config := write(t, dir, "merlon.yaml", productionTLS+"operations_listen: \""+taken+"\"\n")
	r := run(t, merlon("serve", "--listen", "127.0.0.1:0", "--config", config).in(dir))
	line := complaint(t, r)
	if r.code != 1 || !strings.Contains(line, "operations_listen "+taken) || strings.Contains(r.stderr, "msg=serving") {
		t.Errorf("exit %d, want 1 and the address:\n%s", r.code, r.stderr)
	}
}
