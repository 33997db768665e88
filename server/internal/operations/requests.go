package operations

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
}

func newRequests() requests {
	return requests{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "merlon_http_requests_total",
			Help: "Requests that have ended, by route, method and class of status (none: cut off before an answer)."}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "merlon_http_request_duration_seconds",
			Help:    "Time from the arrival of a request to the end of its answer, by route and method.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"route", "method"}),
	}
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
