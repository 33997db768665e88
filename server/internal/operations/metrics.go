package operations

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
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
	// LimitsStore and Database report whether the store of shared limits and the database answer, and how many calls
	// were not made because they did not.
	LimitsStore, Database func() (answers bool, skipped uint64)
	// Revocations reports whether what other processes revoked is known.
	Revocations func() bool
	Connections func() listener.Counts
	// Reload returns how the last reload of the settings ended, and when one last succeeded:
	// at first the start.
	Reload func() (ok bool, succeeded time.Time)
	// ClockOffset is how far this clock was ahead of the database's when they were last compared.
	ClockOffset func() time.Duration
}

// Metrics are the numbers of one service.
type Metrics struct {
	registry *prometheus.Registry
	requests requests
}

// NewMetrics returns metrics of requests that are observed. What is read of others
// is added by [Metrics.Read].
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), requests: newRequests()}
	m.registry.MustRegister(m.requests.total, m.requests.duration, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Read adds what is read of src at each scrape. It is called once.
func (m *Metrics) Read(src Sources) error { return m.registry.Register(reader{src}) }

// Observe counts a request that has ended; see [exchange.Config].
func (m *Metrics) Observe(x *exchange.Exchange, status int) { m.requests.observe(x, status) }

// reader is a collector of what others count.
type reader struct{ src Sources }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("merlon_"+name, help, labels, nil)
}

// The metrics that are read; docs/operating.md lists them.
var (
	buildInfo      = desc("build_info", "1, with what runs.", "version", "goversion")
	controlActions = desc("control_decisions_total", "Requests that a control refused, or would have refused in shadow.", "control", "outcome")
	controlShadow  = desc("control_in_shadow", "1 while a control is in shadow and does not refuse.", "control")
	eventsRecorded = desc("events_recorded_total", "Security events that were taken into the queue.")
	eventsDropped  = desc("events_dropped_total", "Security events that were lost before the queue, for it was full or closed.")
	sinkEvents     = desc("event_sink_events_total", "Security events that were for a sink (sent), that it has (written), and that it will never get (failed).", "sink", "result")
	sinkSpooled    = desc("event_sink_spooled", "Security events that wait on disk for a sink.", "sink")
	sinkUp         = desc("event_sink_up", "1 while writes to a sink succeed.", "sink")
	reports        = desc("browser_reports_total", "Reports of browsers, by what became of them (refused counts requests).", "result")
	limitsStoreUp  = desc("ratelimit_store_up", "1 while the store of shared limits answers.")
	limitsSkipped  = desc("ratelimit_store_calls_skipped_total", "Calls to the store of shared limits that were not made because it was away.")
	databaseUp     = desc("database_up", "1 while the database answers.")
	dbSkipped      = desc("database_calls_skipped_total", "Calls to the database that were not made because it was away.")
	revocations    = desc("revocations_fresh", "1 while what other processes revoked is known, and caches are used.")
	connections    = desc("connections", "Open connections of the public listeners.")
	reloadOK       = desc("config_last_reload_successful", "1 when the last reload of the settings was taken over, 0 when it was refused; 1 at the start.")
	reloadTime     = desc("config_last_reload_success_timestamp_seconds", "When settings were last taken over, in seconds since 1970; at first the start.")
	connsRefused   = desc("connections_refused_total", "Connections that were closed as they came, by the limit that they met.", "limit")
)

var clockOffset = desc("clock_offset_seconds", "How far the clock of this node is ahead of the database's; below 0 it is behind.")

// Describe tells the registry what Collect sends.
func (r reader) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{buildInfo, controlActions, controlShadow, eventsRecorded, eventsDropped, sinkEvents, sinkSpooled, sinkUp, reports, limitsStoreUp, limitsSkipped, databaseUp, dbSkipped, revocations, connections, connsRefused, reloadOK, reloadTime} {
		ch <- d
	}
	ch <- clockOffset
}

// Collect sends the numbers of this moment.
func (r reader) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, is bool, labels ...string) {
		v := 0.0
		if is {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(buildInfo, true, r.src.Version, runtime.Version())
	if r.src.Controls != nil {
		for _, c := range r.src.Controls() {
			counter(controlActions, c.Refused, c.Control, "refused")
			counter(controlActions, c.WouldRefuse, c.Control, "would_refuse")
			gauge(controlShadow, c.Shadow, c.Control)
		}
	}
	if r.src.Events != nil {
		e := r.src.Events()
		counter(eventsRecorded, e.Recorded)
		counter(eventsDropped, e.Dropped)
		for _, s := range e.Sinks {
			counter(sinkEvents, s.Sent, s.Name, "sent")
			counter(sinkEvents, s.Written, s.Name, "written")
			counter(sinkEvents, s.Failed, s.Name, "failed")
			ch <- prometheus.MustNewConstMetric(sinkSpooled, prometheus.GaugeValue, float64(s.Spooled), s.Name)
			gauge(sinkUp, !s.Down, s.Name)
		}
	}
	if r.src.Reports != nil {
		c := r.src.Reports()
		counter(reports, c.Violations, "violation")
		counter(reports, c.Others, "other")
		counter(reports, c.Ignored, "ignored")
		counter(reports, c.Silenced, "silenced")
		counter(reports, c.Refused, "refused")
	}
	if r.src.LimitsStore != nil {
		up, skipped := r.src.LimitsStore()
		gauge(limitsStoreUp, up)
		counter(limitsSkipped, skipped)
	}
	if r.src.Database != nil {
		up, skipped := r.src.Database()
		gauge(databaseUp, up)
		counter(dbSkipped, skipped)
	}
	if r.src.Revocations != nil {
		gauge(revocations, r.src.Revocations())
	}
	if r.src.Reload != nil {
		ok, at := r.src.Reload()
		gauge(reloadOK, ok)
		ch <- prometheus.MustNewConstMetric(reloadTime, prometheus.GaugeValue, float64(at.UnixMilli())/1000)
	}
	if r.src.ClockOffset != nil {
		ch <- prometheus.MustNewConstMetric(clockOffset, prometheus.GaugeValue, r.src.ClockOffset().Seconds())
	}
	if r.src.Connections != nil {
		c := r.src.Connections()
		ch <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(c.Open))
		counter(connsRefused, c.RefusedMax, "max")
		counter(connsRefused, c.RefusedPerAddress, "per_address")
	}
}
