// Package exchange holds the way of a request: the state that the stages share,
// what a stage may decide, and the one place that acts on decisions.
//
// An [Exchange] is one request with what is known of it so far. A [Stage]
// decides about an exchange and acts on nothing: it returns an [Outcome]. A
// [Chain] runs stages in order; adapters around a chain act on the outcomes.
// The adapter here, [Chain.Handler], enforces: it is the only code that writes
// refusals. What a stage in shadow refuses, the chain records instead and goes on.
// [Chain.Explain] acts on nothing and lists every verdict. Others (to answer a proxy's
// authorization question) run the same stages. No stage knows what comes of its outcomes.
package exchange

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/route"
)

// An Exchange is one request with what is known of it so far, and the headers
// of its answer under construction. It is allocated once for the whole chain
// and is itself the context of the request, so handing it down costs nothing.
//
// Fields are written by the stage that their comment names and read by the
// stages after it. Handlers read them through the getters of the root package.
type Exchange struct {
	// Context is the request's own context.
	context.Context

	// Request is the request that the handler gets; its context is the exchange.
	Request *http.Request
	// ID identifies the request: 26 characters of base32, 128 random bits.
	ID string
	// Now is when the request arrived: the one time that all decisions are made by.
	Now time.Time

	// Match is the route of the request, found before the first stage.
	Match route.Match

	// Peer is the address of the other end of the connection. The zero Addr
	// means that it is not an address (a Unix socket, a test).
	Peer netip.Addr
	// Client is the address of the client: Peer, or what a trusted proxy
	// forwarded. Written by clientip; Peer until then.
	Client netip.Addr
	// Forwarded is set when the peer is a trusted proxy. Written by clientip.
	Forwarded bool
	// Secure is set when the client's connection is encrypted. Written by
	// clientip; until then, whether the peer's connection is.
	Secure bool
	// Host is the host and port the client asked for, as sent. Written by
	// clientip; Request.Host until then.
	Host string

	// Credential is the kind of credential that the request presents, whether
	// it is good or not; none on a route that is [route.Route.Anonymous]. It is
	// found before the first stage.
	Credential identity.Kind
	// Principal is the caller. Written by authn; nobody until then.
	Principal identity.Principal

	// Identified is set when authn has judged the credential: a Principal that is
	// nobody is nobody then. Written by authn.
	Identified bool

	// Guarded is the limiter whose coarse guard has counted the request by its client's
	// address, the last one if there are several; nil until then. Written by ratelimit.
	Guarded any
	// Counted is set when the request has been counted by the limits that need to
	// know who calls. Written by ratelimit.
	Counted bool
	// Blamed is set when the request's credential has been counted as a bad one.
	// Written by ratelimit.
	Blamed bool
	// Asked is set when the request is asked about and not served: limits look and
	// count nothing.
	Asked bool
	// Ended is set when a stage refused or answered: no handler saw the request.
	Ended bool

	// Nonce is what scripts and styles of the page are marked with that the
	// answer's Content-Security-Policy lets run, or "". Written by headers.
	Nonce string

	// Body is the whole body once a stage has read it, see [Exchange.ReadBody].
	Body     []byte
	bodyRead bool

	// Event is the one event under construction for this request. Its type is
	// empty, and it is not recorded, unless something remarkable happened.
	Event Draft

	chain *Chain // the chain that opened the exchange
	// lifted are the controls in shadow that would have refused the request. Each
	// tells of a request once.
	lifted []string
	// settlements run when the answer's status is known.
	settlements []Settlement

	header http.Header
	writer writer

	// values backs the header values that stages set: a value is a slice of one
	// string, and a slice of its own per request keeps handlers from changing
	// the values of other requests.
	values  [maxValues]string
	nvalues int
	handed  int // how many names the header had when the handler got it
}

// maxValues is how many header values a page gets from the stages; beyond it each
// costs an allocation.
const maxValues = 22

// A Draft is what the stages say of the event under construction. The rest, who
// asked for what from where, is known and added when the event is recorded.
type Draft struct {
	Type     audit.Type
	Severity audit.Severity // empty: that of the type
	Outcome  audit.Outcome
	Detail   []slog.Attr
}

// A Settlement is something that a stage or a handler left to be settled when
// the status of the answer is known, such as a reserved quota.
type Settlement interface {
	Settle(x *Exchange, status int)
}

type contextKey struct{}

// Value returns the exchange itself for the key of [FromContext], or what the
// request's own context holds.
func (x *Exchange) Value(key any) any {
	if key == (contextKey{}) {
		return x
	}
	return x.Context.Value(key)
}

// FromContext returns the exchange that ctx belongs to, or nil.
func FromContext(ctx context.Context) *Exchange {
	x, _ := ctx.Value(contextKey{}).(*Exchange)
	return x
}

// Header returns the headers of the answer under construction.
func (x *Exchange) Header() http.Header { return x.header }

// SetHeader sets a header of the answer. The name must be in canonical form
// (see [http.CanonicalHeaderKey]); it is not converted.
func (x *Exchange) SetHeader(canonicalName, value string) {
	if x.nvalues == maxValues {
		x.header[canonicalName] = []string{value}
		return
	}
	i := x.nvalues
	x.nvalues++
	x.values[i] = value
	// The capacity is cut, so that an append does not reach the next value.
	x.header[canonicalName] = x.values[i : i+1 : i+1]
}

// AddHeader adds a value to a header of the answer, for lists such as Vary.
func (x *Exchange) AddHeader(canonicalName, value string) {
	if len(x.header[canonicalName]) == 0 {
		x.SetHeader(canonicalName, value)
		return
	}
	x.header[canonicalName] = append(x.header[canonicalName], value)
}

// Route returns the route of the request, or nil when it has none.
func (x *Exchange) Route() *route.Route { return x.Match.Route }

// Pattern returns the pattern of the route, or "".
func (x *Exchange) Pattern() string {
	if x.Match.Route == nil {
		return ""
	}
	return x.Match.Route.Pattern
}

// Settle leaves s to be settled when the status of the answer is known.
func (x *Exchange) Settle(s Settlement) { x.settlements = append(x.settlements, s) }

// Record records a further fact of this request: e with what the request is
// known by, its id, host, path and so on, and with its time, client, caller and
// route where e does not say. It does not block.
func (x *Exchange) Record(e audit.Event) {
	x.chain.recorder.Record(x.describe(e))
}

// Commit records like [Exchange.Record] and returns when the event would survive
// a crash, or with the reason why it would not.
func (x *Exchange) Commit(e audit.Event) error {
	return x.chain.recorder.Commit(x, x.describe(e))
}

// Fail answers with a problem that a handler found. It is to handlers what a
// refusal is to stages: the one way to answer with an error.
func (x *Exchange) Fail(w http.ResponseWriter, p *problem.Problem) {
	// A client that hung up cuts off what it waited for, being overloaded is told to
	// the client, and what was told need not be told again: none is a failure to look into.
	if p.Status() >= 500 && p.Code != problem.Overloaded && !p.IsTold() && x.Err() == nil {
		x.chain.errorLog.ErrorContext(x, "request failed", "request_id", x.ID, "route", x.Pattern(), "error", p.Error())
	}
	p.Write(w, x.Request, x.ID)
}

// Note adds a detail to the event under construction.
func (x *Exchange) Note(attrs ...slog.Attr) { x.Event.Detail = append(x.Event.Detail, attrs...) }

func (x *Exchange) describe(e audit.Event) audit.Event {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.RequestID = x.ID
	if e.Address == "" && x.Client.IsValid() {
		e.Address = x.Client.String()
	}
	if e.Principal == "" {
		e.Principal = x.Principal.Subject
	}
	if e.Route == "" {
		e.Route = x.Pattern()
	}
	e.Method = x.Request.Method
	e.Host = x.Host
	e.Path = x.Request.URL.Path
	e.UserAgent = x.Request.UserAgent()
	e.Detail = x.correlate(e.Detail)
	return e.Complete()
}
