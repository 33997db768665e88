package exchange

import (
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/route"
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
			outer, credential := x.Match, x.Credential
			defer func() { x.Match, x.Credential = outer, credential }()
			x.Match = e.chain.routes.Match(r.Method, r.URL.Path)
			x.Credential = presented(x.Match.Route, r.Header)
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
	case o.Refusal != nil:
		x.Ended = true
		e.chain.refuse(x, o, by)
		o.Problem.Write(w, r, x.ID)
	case o.Status != 0:
		x.Ended = true
		w.WriteHeader(o.Status)
	default:
		if x.handed == 0 {
			x.handed = len(x.header)
		}
		e.next.ServeHTTP(w, x.Request)
	}
}

// refuse counts the verdict and writes it into the event of the exchange.
func (c *Chain) refuse(x *Exchange, o Outcome, by Stage) {
	if o.Problem.Status() >= 500 {
		if x.Err() != nil {
			return // the client hung up, and what it waited for was cut off: no failure of ours
		}
		if !o.Problem.IsTold() {
			c.errorLog.ErrorContext(x, "request refused by a failure", "control", by.Name(), "request_id", x.ID, "error", o.Problem.Error())
		}
	}
	c.control(by.Name()).refuse(x, o)
}

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
	x.ID = c.ids.next()
	x.Peer = peer(r.RemoteAddr)
	x.Client = x.Peer
	if c.routes != nil {
		x.Match = c.routes.Match(r.Method, r.URL.Path)
	}
	x.Credential = presented(x.Match.Route, r.Header)
	x.Request = r.WithContext(x)
	x.writer = writer{ResponseWriter: w, x: x}
	x.SetHeader("X-Request-Id", x.ID)
	return x
}

// presented returns the kind of credential of a request for the route. Where
// nobody looks at credentials there is none: it is neither counted, nor refused,
// nor asked for a token.
func presented(r *route.Route, h http.Header) identity.Kind {
	if r != nil && r.Anonymous {
		return identity.None
	}
	return identity.Presented(h)
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
		c.recorder.Record(x.describe(audit.Verdict(d.Type, d.Severity, d.Outcome, d.Detail...)))
	}
	if c.observe != nil {
		c.observe(x, x.writer.status)
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
	c.errorLog.ErrorContext(x, "handler panicked", "request_id", x.ID, "route", x.Pattern(), "panic", v, "stack", string(debug.Stack()))
	x.Event.Type, x.Event.Severity = audit.SysCrash, ""
	x.Event.Outcome = audit.Failure
	if x.writer.status == 0 {
		x.writer.crashed = true
		problem.Internal(nil).Write(&x.writer, x.Request, x.ID)
	}
}

// peer returns the address of a RemoteAddr, or the zero Addr. net/http writes it;
// the port is not of interest.
func peer(remote string) netip.Addr {
	i := strings.LastIndexByte(remote, ':')
	if i < 0 {
		return netip.Addr{}
	}
	host, six := remote[:i], false
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host, six = host[1:len(host)-1], true
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.Is6() != six {
		return netip.Addr{}
	}
	if a.Is4() {
		return a
	}
	return a.Unmap().WithZone("")
}
