package report

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
)

// MaxBody is the largest body of a request, in bytes.
const MaxBody = 16 << 10

const (
	defaultReports = 20
	defaultEvents  = 60
)

// Config bounds what a collector takes.
type Config struct {
	// MaxReports is how many reports of one request are looked at: 1 to 100.
	// Default: 20.
	MaxReports int
	// EventsPerMinute is how many events are recorded in a minute, from all clients
	// together: 1 to 10,000. Default: 60.
	EventsPerMinute int
}

// A Collector takes reports.
type Collector struct {
	cfg     Config
	quota   quota
	handler http.Handler

	violations, others, ignored, silenced, refused atomic.Uint64
}

// Counts are how many reports there were since the start.
type Counts struct {
	Violations uint64 // of CSP, recorded or not
	Others     uint64 // of kinds that are no violations of CSP
	Ignored    uint64 // beyond MaxReports of their request
	Silenced   uint64 // violations that were not recorded, for there were too many
	Refused    uint64 // requests that were refused
}

// New returns a collector. All errors of cfg are reported at once.
func New(cfg Config) (*Collector, error) {
	if cfg.MaxReports == 0 {
		cfg.MaxReports = defaultReports
	}
	if cfg.EventsPerMinute == 0 {
		cfg.EventsPerMinute = defaultEvents
	}
	var errs []error
	if cfg.MaxReports < 1 || cfg.MaxReports > 100 {
		errs = append(errs, fmt.Errorf("report: MaxReports %d: want 1 to 100, or 0 for %d", cfg.MaxReports, defaultReports))
	}
	if cfg.EventsPerMinute < 1 || cfg.EventsPerMinute > 10_000 {
		errs = append(errs, fmt.Errorf("report: EventsPerMinute %d: want 1 to 10000, or 0 for %d", cfg.EventsPerMinute, defaultEvents))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	c := &Collector{cfg: cfg}
	// Alone it needs an exchange of its own; inside a chain it shares the chain's.
	c.handler = exchange.New(exchange.Config{}).Handler(http.HandlerFunc(c.serve))
	return c, nil
}

// ServeHTTP takes the reports of one request and answers 204.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// Counts returns how many reports there were since the start.
func (c *Collector) Counts() Counts {
	return Counts{c.violations.Load(), c.others.Load(), c.ignored.Load(), c.silenced.Load(), c.refused.Load()}
}

func (c *Collector) serve(w http.ResponseWriter, r *http.Request) {
	x := exchange.FromContext(r.Context())
	found, p := c.read(x)
	if p != nil {
		c.refused.Add(1)
		x.Fail(w, p)
		return
	}
	c.others.Add(uint64(found.Others))
	c.ignored.Add(uint64(found.Ignored))
	c.violations.Add(uint64(len(found.Violations)))
	for _, v := range found.Violations {
		allowed, before := c.quota.take(x.Now, c.cfg.EventsPerMinute)
		if !allowed {
			c.silenced.Add(1)
			continue
		}
		x.Record(v.event(before))
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *Collector) read(x *exchange.Exchange) (Reports, *problem.Problem) {
	media, p := mediaType(x.Request.Header)
	if p != nil {
		return Reports{}, p
	}
	if p := x.ReadBody(MaxBody); p != nil {
		return Reports{}, p
	}
	return parse(media, x.Body, c.cfg.MaxReports)
}

// event is the event of v, and how many were not recorded before it.
func (v Violation) event(silenced int) audit.Event {
	e := audit.PolicyViolated(v.Document, v.Directive, v.Blocked, v.Disposition, v.Disposition != dispositionReport)
	if silenced > 0 {
		e = e.With(slog.Int("silenced", silenced))
	}
	return e
}

// quota lets through so many in each minute that begins with one of them.
type quota struct {
	mu       sync.Mutex
	begin    time.Time
	used     int
	silenced int
}

// take reports whether one more is let through, and if so, how many were not since
// the last that was.
func (q *quota) take(now time.Time, most int) (allowed bool, silenced int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.begin) >= time.Minute {
		q.begin, q.used = now, 0
	}
	if q.used == most {
		q.silenced++
		return false, 0
	}
	q.used++
	silenced, q.silenced = q.silenced, 0
	return true, silenced
}
