package operations

import (
	"database/sql"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/report"
	"github.com/merlonhq/merlon/server/internal/listener"
)

// Sources are where numbers are read when somebody asks for them. A nil function
// is of a part that this service does not have.
type Sources struct {
	Version  string
	Controls func() []exchange.Count
	Events   func() audit.Stats
	Reports  func() report.Counts
	// LimitsStore reports whether the store of shared limits answers, and its calls.
	LimitsStore func() (up bool, calls ratelimit.BreakerCounters)
	// Database reports whether the database answers, and how many calls were not made because it did not.
	Database func() (up bool, skipped uint64)
	// Revocations reports whether what other processes revoked is known.
	Revocations func() bool
	Connections func() listener.Counts
	// ConnectionsMax is the limit of Connections.
	ConnectionsMax func() int
	// Reload returns how the last reload of the settings ended, and when one last succeeded:
	// at first the start.
	Reload func() (ok bool, succeeded time.Time)
	// ClockOffset is how far this clock was ahead of the database's when they were last compared.
	ClockOffset func() time.Duration
	// Certificates are those that are served.
	Certificates func() []Certificate
	Orders       func() Orders
	Spans        func() Spans
	// Databases are pools of connections by a short name.
	Databases map[string]*sql.DB
}

// A Certificate is one that is served.
type Certificate struct {
	Name     string // a host name of the settings, or the setting that names the file
	NotAfter time.Time
}

// Orders counts the orders of certificates at an ACME authority.
type Orders struct{ Obtained, Failed uint64 }

// Spans counts the spans of traces: those that the collector has, those that it did
// not take, and those that found the queue full.
type Spans struct{ Exported, Failed, Dropped uint64 }

// Metrics are the numbers of one service.
type Metrics struct {
	registry *prometheus.Registry
	requests requests
}

// NewMetrics returns metrics of requests that are observed. What is read of others
// is added by [Metrics.Read].
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), requests: newRequests()}
	m.registry.MustRegister(m.requests.total, m.requests.duration, m.requests.inFlight, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Read adds what is read of src at each scrape. It is called once.
func (m *Metrics) Read(src Sources) error {
	if err := m.registry.Register(reader{src}); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(src.Databases)) {
		if err := m.registry.Register(collectors.NewDBStatsCollector(src.Databases[name], name)); err != nil {
			return err
		}
	}
	return nil
}

// Observe counts a request that has ended; see [exchange.Config].
func (m *Metrics) Observe(x *exchange.Exchange, status int) { m.requests.observe(x, status) }

// reader is a collector of what others count.
type reader struct{ src Sources }

// Describe tells the registry what Collect sends.
func (r reader) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range table() {
		if m.Source {
			ch <- desc(m)
		}
	}
}

// Collect sends the numbers of this moment.
func (r reader) Collect(ch chan<- prometheus.Metric) {
	send := func(name string, v float64, labels ...string) {
		m := find(name)
		kind := prometheus.GaugeValue
		if m.Kind == counter {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(desc(m), kind, v, labels...)
	}
	count := func(name string, n uint64, labels ...string) { send(name, float64(n), labels...) }
	is := func(name string, yes bool, labels ...string) {
		v := 0.0
		if yes {
			v = 1
		}
		send(name, v, labels...)
	}
	is("build_info", true, r.src.Version, runtime.Version())
	if r.src.Controls != nil {
		for _, c := range r.src.Controls() {
			count("control_decisions_total", c.Refused, c.Control, "refused")
			count("control_decisions_total", c.WouldRefuse, c.Control, "would_refuse")
			is("control_in_shadow", c.Shadow, c.Control)
		}
	}
	if r.src.Events != nil {
		e := r.src.Events()
		count("events_recorded_total", e.Recorded)
		count("events_dropped_total", e.Dropped)
		send("event_queue_length", float64(e.Queued))
		for _, s := range e.Sinks {
			count("event_sink_events_total", s.Sent, s.Name, "sent")
			count("event_sink_events_total", s.Written, s.Name, "written")
			count("event_sink_events_total", s.Failed, s.Name, "failed")
			count("event_sink_spooled", s.Spooled, s.Name)
			is("event_sink_up", !s.Down, s.Name)
		}
	}
	if r.src.Reports != nil {
		c := r.src.Reports()
		count("browser_reports_total", c.Violations, "violation")
		count("browser_reports_total", c.Others, "other")
		count("browser_reports_total", c.Ignored, "ignored")
		count("browser_reports_total", c.Silenced, "silenced")
		count("browser_reports_total", c.Refused, "refused")
	}
	if r.src.LimitsStore != nil {
		up, c := r.src.LimitsStore()
		is("ratelimit_store_up", up)
		count("ratelimit_store_calls_total", c.Calls-min(c.Failures, c.Calls), "answered")
		count("ratelimit_store_calls_total", c.Failures, "failed")
		count("ratelimit_store_calls_total", c.Skipped, "skipped")
		count("ratelimit_store_outages_total", c.Outages)
	}
	if r.src.Database != nil {
		up, skipped := r.src.Database()
		is("database_up", up)
		count("database_calls_skipped_total", skipped)
	}
	if r.src.Revocations != nil {
		is("revocations_fresh", r.src.Revocations())
	}
	if r.src.Reload != nil {
		ok, at := r.src.Reload()
		is("config_last_reload_successful", ok)
		send("config_last_reload_success_timestamp_seconds", float64(at.UnixMilli())/1000)
	}
	if r.src.ClockOffset != nil {
		send("clock_offset_seconds", r.src.ClockOffset().Seconds())
	}
	if r.src.Connections != nil {
		c := r.src.Connections()
		send("connections", float64(c.Open))
		send("connections_max", float64(r.src.ConnectionsMax()))
		count("connections_refused_total", c.RefusedMax, "max")
		count("connections_refused_total", c.RefusedPerAddress, "per_address")
	}
	if r.src.Certificates != nil {
		for _, c := range r.src.Certificates() {
			send("tls_certificate_not_after_timestamp_seconds", float64(c.NotAfter.Unix()), c.Name)
		}
	}
	if r.src.Orders != nil {
		c := r.src.Orders()
		count("acme_orders_total", c.Obtained, "obtained")
		count("acme_orders_total", c.Failed, "failed")
	}
	if r.src.Spans != nil {
		c := r.src.Spans()
		count("trace_spans_total", c.Exported, "exported")
		count("trace_spans_total", c.Failed, "failed")
		count("trace_spans_total", c.Dropped, "dropped")
	}
}
