package operations

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/merlonhq/merlon/exchange"
)

// unmatched is the route of requests that have none. It cannot be one: paths begin
// with a slash.
const unmatched = "unmatched"

// requests measures requests by labels whose values are few whatever clients send:
// declared routes, known methods, classes of statuses.
type requests struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

func newRequests() requests {
	total, duration, inFlight := find("http_requests_total"), find("http_request_duration_seconds"), find("http_requests_in_flight")
	return requests{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{Name: namespace + total.Name, Help: total.Meaning}, total.Labels),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: namespace + duration.Name, Help: duration.Meaning,
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, duration.Labels),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: namespace + inFlight.Name, Help: inFlight.Meaning}),
	}
}

// Served counts the requests that next is answering.
func (m *Metrics) Served(next http.Handler) http.Handler {
	return promhttp.InstrumentHandlerInFlight(m.requests.inFlight, next)
}

// observe counts a request that has ended.
func (r requests) observe(x *exchange.Exchange, status int) {
	path, method := unmatched, method(x.Request.Method)
	if pattern := x.Pattern(); pattern != "" {
		path = pattern[strings.IndexByte(pattern, ' ')+1:]
	}
	r.total.WithLabelValues(path, method, class(status)).Inc()
	r.duration.WithLabelValues(path, method).Observe(time.Since(x.Now).Seconds())
}

// method returns a known method, or "other" for what a client made up.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

func class(status int) string {
	classes := [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}
	if c := status / 100; c < len(classes) {
		return classes[c]
	}
	return "none"
}
