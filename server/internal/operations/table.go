package operations

import "github.com/prometheus/client_golang/prometheus"

// The kinds of metrics.
const (
	counter   = "counter"
	gauge     = "gauge"
	histogram = "histogram"
)

// namespace begins every name.
const namespace = "merlon_"

// A Metric is one row of docs/metrics.md: what a name means. The values of its labels
// are few whatever clients send.
type Metric struct {
	Name    string // without namespace
	Kind    string
	Labels  []string
	Meaning string
	Source  bool // it is read of Sources
}

// Table returns the metrics of the service's own with their whole names. Those of the
// Go runtime, the process and the database pools are beside them.
func Table() []Metric {
	out := table()
	for i := range out {
		out[i].Name = namespace + out[i].Name
	}
	return out
}

func table() []Metric {
	labels := func(names ...string) []string { return names }
	return []Metric{
		{"http_requests_total", counter, labels("route", "method", "code"), "Requests that have ended, by declared path (or unmatched), known method (or other) and class of status such as 4xx (none: cut off before an answer).", false},
		{"http_request_duration_seconds", histogram, labels("route", "method"), "Time from the arrival of a request to the end of its answer.", false},
		{"http_requests_in_flight", gauge, nil, "Requests that are being answered.", false},
		{"control_decisions_total", counter, labels("control", "outcome"), "Requests that a control refused, or would have refused in shadow (would_refuse).", true},
		{"control_in_shadow", gauge, labels("control"), "1 while a control is in shadow and does not refuse.", true},
		{"events_recorded_total", counter, nil, "Security events that were taken into the queue.", true},
		{"events_dropped_total", counter, nil, "Security events that were lost before the queue, for it was full or closed.", true},
		{"event_queue_length", gauge, nil, "Security events that wait to be written; the queue holds 8192.", true},
		{"event_sink_events_total", counter, labels("sink", "result"), "Security events that were for a sink (file, database, stdout): all (sent), those that it has (written) and those that it will never get (failed).", true},
		{"event_sink_spooled", gauge, labels("sink"), "Security events that wait on disk for a sink.", true},
		{"event_sink_up", gauge, labels("sink"), "1 while writes to a sink succeed.", true},
		{"browser_reports_total", counter, labels("result"), "Reports of browsers, by what became of them: violation, other, ignored, silenced; refused counts requests.", true},
		{"ratelimit_store_up", gauge, nil, "1 while the store of shared limits answers. With redis_url.", true},
		{"ratelimit_store_calls_total", counter, labels("result"), "Calls of the store of shared limits that were answered, failed, or skipped for it was away. With redis_url.", true},
		{"ratelimit_store_outages_total", counter, nil, "How often the store of shared limits went away. With redis_url.", true},
		{"database_up", gauge, nil, "1 while PostgreSQL answers. Not with SQLite.", true},
		{"database_calls_skipped_total", counter, nil, "Calls of PostgreSQL that were not made because it was away. Not with SQLite.", true},
		{"revocations_fresh", gauge, nil, "1 while what other processes revoked is known, and caches are used.", true},
		{"clock_offset_seconds", gauge, nil, "How far this clock was ahead of PostgreSQL's when they were last compared; below 0 it was behind. Not with SQLite.", true},
		{"config_last_reload_successful", gauge, nil, "1 when the last reload of the settings was taken over, 0 when it was refused; 1 at the start.", true},
		{"config_last_reload_success_timestamp_seconds", gauge, nil, "When settings were last taken over, in seconds since 1970; at first the start.", true},
		{"connections", gauge, nil, "Open connections of the public listeners.", true},
		{"connections_max", gauge, nil, "How many there may be: connections.max.", true},
		{"connections_refused_total", counter, labels("limit"), "Connections that were closed as they came, by the limit that they met: max or per_address.", true},
		{"tls_certificate_not_after_timestamp_seconds", gauge, labels("certificate"), "When a certificate that is served ends, in seconds since 1970: that of the file (tls.cert), or of a name of acme.domains.", true},
		{"acme_orders_total", counter, labels("result"), "Certificates that were asked of the ACME authority: obtained or failed. With acme.", true},
		{"trace_spans_total", counter, labels("result"), "Spans that the collector has (exported), did not take (failed), or that found the queue full (dropped). With traces.", true},
		{"build_info", gauge, labels("version", "goversion"), "1, with what runs.", true},
	}
}

// find returns the metric of a name that the table has.
func find(name string) Metric {
	for _, m := range table() {
		if m.Name == name {
			return m
		}
	}
	return Metric{}
}

func desc(m Metric) *prometheus.Desc {
	return prometheus.NewDesc(namespace+m.Name, m.Meaning, m.Labels, nil)
}
