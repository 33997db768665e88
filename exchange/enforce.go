package exchange

import (
	"crypto/rand"
	"encoding/base32"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
)

// enforcer is the adapter that acts: refusals are answered, all else is served.
type enforcer struct {
	chain *Chain
	next  http.Handler
}

// ServeHTTP opens the exchange, decides, acts, and closes the exchange whatever
// happened: refused, answered, served, or panicked.
func (e *enforcer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if x := FromContext(r.Context()); x != nil {
		x.Request = r // its context leads to x; whoever stands between may have added to it
		if e.chain.routes != nil {
			outer := x.Match
			defer func() { x.Match = outer }()
			x.Match = e.chain.routes.Match(r.Method, r.URL.Path)
		}
		e.enforce(x, w, r)
		return
	}
	x := e.chain.open(w, r)
	defer e.chain.close(x)
	e.enforce(x, &x.writer, x.Request)
}

func (e *enforcer) enforce(x *Exchange, w http.ResponseWriter, r *http.Request) {
	o, by := e.chain.Decide(x)
	switch {
	case o.Problem != nil:
		x.Ended = true
		e.chain.refuse(x, o, by)
		o.Problem.Write(w, r, x.ID)
	case o.Status != 0:
		x.Ended = true
		w.WriteHeader(o.Status)
	default:
		e.next.ServeHTTP(w, x.Request)
	}
}

// refuse writes the verdict into the event of the exchange.
func (c *Chain) refuse(x *Exchange, o Outcome, by Stage) {
	status := o.Problem.Status()
	if status >= 500 {
		if x.Err() != nil {
			return // the client hung up, and what it waited for was cut off: no failure of ours
		}
		c.errorLog.Error("request refused by a failure", "control", by.Name(), "request_id", x.ID, "error", o.Problem.Error())
	}
	if o.Type == "" {
		return
	}
	x.Event.Type, x.Event.Severity = o.Type, o.Severity
	x.Event.Outcome = audit.Refused
	x.Note(slog.String("control", by.Name()), slog.String("code", string(o.Problem.Code)), slog.Int("status", status))
	x.Note(o.Detail...)
}

// requestIDs are base32 without padding: safe in headers, logs and URLs.
var requestIDs = base32.StdEncoding.WithPadding(base32.NoPadding)

// open makes the exchange of a request.
func (c *Chain) open(w http.ResponseWriter, r *http.Request) *Exchange {
	x := &Exchange{
		Context: r.Context(),
		Now:     time.Now(),
		Secure:  r.TLS != nil,
		Host:    r.Host,
		chain:   c,
		header:  w.Header(),
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	var id [26]byte
	requestIDs.Encode(id[:], random[:])
	x.ID = string(id[:])
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		x.Peer = ap.Addr().Unmap().WithZone("")
		x.Client = x.Peer
	}
	if c.routes != nil {
		x.Match = c.routes.Match(r.Method, r.URL.Path)
	}
	x.Credential = identity.Presented(r.Header)
	x.Request = r.WithContext(x)
	x.writer = writer{ResponseWriter: w, x: x}
	x.SetHeader("X-Request-Id", x.ID)
	return x
}

// close settles what is open and records the event of the exchange, also when
// the handler panicked.
func (c *Chain) close(x *Exchange) {
	v := recover()
	if v != nil && v != http.ErrAbortHandler {
		c.crashed(x, v)
	}
	if v == nil && x.writer.status == 0 {
		x.writer.WriteHeader(http.StatusOK) // as the server would, but through our writer
	}
	for _, s := range x.settlements {
		s.Settle(x, x.writer.status)
	}
	if x.Event.Type != "" {
		d := &x.Event
		c.recorder.Record(x.describe(audit.Event{Type: d.Type, Severity: d.Severity, Outcome: d.Outcome, Detail: d.Detail}))
	}
	if v != nil && x.writer.status != 0 && !x.writer.crashed {
		// Part of an answer is out. Ending it as if it were whole would be a lie.
		panic(http.ErrAbortHandler)
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
}

// crashed answers a panic with a 500 that says nothing of its cause.
func (c *Chain) crashed(x *Exchange, v any) {
	c.errorLog.Error("handler panicked", "request_id", x.ID, "route", x.Pattern(), "panic", v, "stack", string(debug.Stack()))
	x.Event.Type, x.Event.Severity = audit.SysCrash, ""
	x.Event.Outcome = audit.Failure
	if x.writer.status == 0 {
		x.writer.crashed = true
		problem.Internal(nil).Write(&x.writer, x.Request, x.ID)
	}
}
