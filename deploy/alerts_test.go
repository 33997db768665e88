package deploy_test

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

// fires reports whether an alert fires within two hours of series that begin at 0, in the
// notation of promtool: its expression holds for as long as the rule wants.
func fires(t *testing.T, expr string, lasting time.Duration, series string) bool {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "load 1m\n"+series)
	defer storage.Close()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1 << 20, Timeout: patience, Parser: parser.NewParser(parser.Options{})})
	held := time.Duration(-1)
	for at := time.Duration(0); at <= 2*time.Hour; at += time.Minute {
		q, err := engine.NewInstantQuery(t.Context(), storage, nil, expr, time.Unix(0, 0).Add(at))
		if err != nil {
			t.Fatal(err)
		}
		result := q.Exec(t.Context())
		vector, err := result.Vector()
		if err != nil {
			t.Fatal(err)
		}
		if len(vector) == 0 {
			held = -1
		} else if held++; held*time.Minute >= lasting {
			q.Close()
			return true
		}
		q.Close()
	}
	return false
}

// Each alert with what makes it fire and the nearest that does not.
func TestEachAlertFiresWhenItShouldAndNotBefore(t *testing.T) {
	job := func(metric string, rest string) string { return "  " + metric + `{job="merlon",instance="a"` + rest }
	cases := map[string]struct{ bad, good string }{
		"MerlonDown":     {job("up", "} 1 0x120"), job("up", "} 1 0 0 1 0 0 1x120")},
		"MerlonRestarts": {job("process_start_time_seconds", "} 1+1x120"), job("process_start_time_seconds", "} 1 2 3 4x118")},
		"MerlonServerErrors": {
			job("merlon_http_requests_total", `,code="2xx"} 0+97x120`) + "\n" + job("merlon_http_requests_total", `,code="5xx"} 0+3x120`),
			job("merlon_http_requests_total", `,code="2xx"} 0+99x120`) + "\n" + job("merlon_http_requests_total", `,code="5xx"} 0+1x120`),
		},
		"MerlonSlow": {
			job("merlon_http_request_duration_seconds_bucket", `,le="1"} 0+90x120`) + "\n" + job("merlon_http_request_duration_seconds_bucket", `,le="5"} 0+100x120`) + "\n" +
				job("merlon_http_request_duration_seconds_bucket", `,le="+Inf"} 0+100x120`),
			job("merlon_http_request_duration_seconds_bucket", `,le="1"} 0+100x120`) + "\n" + job("merlon_http_request_duration_seconds_bucket", `,le="5"} 0+100x120`) + "\n" +
				job("merlon_http_request_duration_seconds_bucket", `,le="+Inf"} 0+100x120`),
		},
		"MerlonEventsLost": {
			job("merlon_events_dropped_total", "} 0x10 1x110"),
			job("merlon_events_dropped_total", "} 7x120") + "\n" + job("merlon_event_sink_events_total", `,sink="file",result="failed"} 3x120`) + "\n" +
				job("merlon_event_sink_events_total", `,sink="file",result="written"} 0+9x120`),
		},
		"MerlonEventSinkDown":           {job("merlon_event_sink_up", `,sink="file"} 1 0x119`), job("merlon_event_sink_up", `,sink="file"} 1 0 0 1x117`)},
		"MerlonEventQueueGrows":         {job("merlon_event_queue_length", "} 5000x120"), job("merlon_event_queue_length", "} 4096x120")},
		"MerlonLimitsWithoutStore":      {job("merlon_ratelimit_store_up", "} 0x120"), job("merlon_ratelimit_store_up", "} 1x120")},
		"MerlonCertificateEnds":         {job("merlon_tls_certificate_not_after_timestamp_seconds", "} 600000x120"), job("merlon_tls_certificate_not_after_timestamp_seconds", "} 700000x120")},
		"MerlonConnectionsNearTheLimit": {job("merlon_connections", "} 81x120") + "\n" + job("merlon_connections_max", "} 100x120"), job("merlon_connections", "} 80x120") + "\n" + job("merlon_connections_max", "} 100x120")},
		"MerlonConnectionsRefused":      {job("merlon_connections_refused_total", `,limit="max"} 0+1x120`), job("merlon_connections_refused_total", `,limit="per_address"} 0+1x120`)},
		"MerlonRefusedCredentials": {
			job("merlon_http_requests_total", `,code="4xx",route="/api/v1/auth/login"} 0+120x120`) + "\n" + job("merlon_http_requests_total", `,code="2xx",route="/api/v1/auth/login"} 0+60x120`),
			job("merlon_http_requests_total", `,code="4xx",route="/api/v1/auth/login"} 0+120x120`) + "\n" + job("merlon_http_requests_total", `,code="2xx",route="/api/v1/auth/login"} 0+130x120`),
		},
		"MerlonControlInShadow":    {}, // lasts for longer than is tried: see below
		"MerlonVersionsDiffer":     {job("merlon_build_info", `,version="1"} 1x120`) + "\n" + job("merlon_build_info", `,version="2"} 1x120`), job("merlon_build_info", `,version="1"} 1x120`) + "\n" + `  merlon_build_info{job="merlon",instance="b",version="1"} 1x120`},
		"MerlonDatabaseWaits":      {job("go_sql_wait_duration_seconds_total", "} 0+90x120"), job("go_sql_wait_duration_seconds_total", "} 0+30x120")},
		"MerlonDatabaseAway":       {job("merlon_database_up", "} 1 0x119"), job("merlon_database_up", "} 1 0 1x118")},
		"MerlonRevocationsUnknown": {job("merlon_revocations_fresh", "} 0x120"), job("merlon_revocations_fresh", "} 0 0 0 0 1x116")},
		"MerlonReloadRefused":      {job("merlon_config_last_reload_successful", "} 0x120"), job("merlon_config_last_reload_successful", "} 1x120")},
		"MerlonClocksDiffer":       {job("merlon_clock_offset_seconds", "} -6x120"), job("merlon_clock_offset_seconds", "} -5x120")},
		"MerlonFilesNearTheLimit": {
			job("process_open_fds", "} 900x120") + "\n" + job("process_max_fds", "} 1000x120"),
			job("process_open_fds", "} 800x120") + "\n" + job("process_max_fds", "} 1000x120"),
		},
	}
	for _, r := range alerts(t) {
		tt, ok := cases[r.Alert]
		if !ok {
			t.Errorf("%s is not tried", r.Alert)
		}
		lasting := time.Duration(r.For)
		if r.Alert == "MerlonControlInShadow" {
			if lasting != 7*24*time.Hour {
				t.Errorf("%s fires after %v, want a week", r.Alert, lasting)
			}
			lasting = time.Hour
			tt.bad, tt.good = job("merlon_control_in_shadow", `,control="csrf"} 1x120`), job("merlon_control_in_shadow", `,control="csrf"} 0x120`)
		}
		if !fires(t, r.Expr, lasting, tt.bad) {
			t.Errorf("%s does not fire:\n%s", r.Alert, tt.bad)
		}
		if gone := job("process_start_time_seconds", "} 1x120"); r.Alert == "MerlonDown" && !fires(t, r.Expr, lasting, gone) {
			t.Error("MerlonDown does not fire when there is no target at all")
		}
		if fires(t, r.Expr, lasting, tt.good) {
			t.Errorf("%s fires:\n%s", r.Alert, tt.good)
		}
	}
}
