package module

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/store/sqlstore"
	"github.com/merlonhq/merlon/validate"
)

// An Endpoint answers the calls of a route. It is made by [Bare], [Query], [Body],
// [OptionalBody], [BodyOrForm] or [Raw], which fix the types of what comes in and goes out.
type Endpoint struct {
	status  int
	handle  http.HandlerFunc
	body    *validate.Definition
	query   []validate.Parameter
	answer  *validate.Definition
	content string
	err     error

	bodyRequired bool
	form         bool
}

// None is the type of an answer without a body.
type None struct{}

// Bare makes an endpoint that reads neither body nor query.
func Bare[Out any](status int, f func(*Call) (Out, error)) Endpoint {
	e := answering[Out](status)
	noQuery, err := validate.CompileQuery[struct{}]()
	e.err = errors.Join(e.err, err)
	e.handle = func(w http.ResponseWriter, r *http.Request) {
		c := newCall(w, r)
		// Who probes may add a parameter to get past a cache.
		if rt := c.x.Route(); rt == nil || !rt.Probe {
			if _, p := noQuery.Read(c.x); p != nil {
				c.x.Fail(w, p)
				return
			}
		}
		out, err := f(c)
		c.answer(status, out, err)
	}
	return e
}

// Query makes an endpoint that reads its query into a Q, see [validate.Query].
func Query[Q, Out any](status int, f func(*Call, *Q) (Out, error)) Endpoint {
	e := answering[Out](status)
	query, err := validate.CompileQuery[Q]()
	if err != nil {
		e.err = errors.Join(e.err, err)
		return e
	}
	e.query = query.Parameters()
	e.handle = func(w http.ResponseWriter, r *http.Request) {
		c := newCall(w, r)
		q, p := query.Read(c.x)
		if p != nil {
			c.x.Fail(w, p)
			return
		}
		out, err := f(c, &q)
		c.answer(status, out, err)
	}
	return e
}

// Body makes an endpoint that reads its JSON body into an In, see [validate.Schema].
func Body[In, Out any](status int, f func(*Call, *In) (Out, error)) Endpoint {
	return reading(status, validate.Compile[In], (*validate.Schema[In]).Read, true, f)
}

// BodyOrForm is [Body] for a body that is JSON or a URL-encoded form with the same members, which may not be lists or
// objects then. The ContentTypes of the route's policy must name both, [validate.FormType] and application/json.
func BodyOrForm[In, Out any](status int, f func(*Call, *In) (Out, error)) Endpoint {
	e := reading(status, validate.CompileForm[In], (*validate.Schema[In]).ReadForm, true, f)
	e.form = true
	return e
}

// OptionalBody is [Body] for a body that may be left out: an empty one is read
// as the empty object.
func OptionalBody[In, Out any](status int, f func(*Call, *In) (Out, error)) Endpoint {
	return reading(status, validate.Compile[In], (*validate.Schema[In]).Read, false, f)
}

func reading[In, Out any](status int, compile func() (*validate.Schema[In], error), read func(*validate.Schema[In], *exchange.Exchange) (In, *problem.Problem),
	required bool, f func(*Call, *In) (Out, error)) Endpoint {
	e := answering[Out](status)
	e.bodyRequired = required
	schema, err := compile()
	noQuery, queryErr := validate.CompileQuery[struct{}]()
	if err := errors.Join(err, queryErr); err != nil {
		e.err = errors.Join(e.err, err)
		return e
	}
	e.body = schema.JSONSchema()
	e.handle = func(w http.ResponseWriter, r *http.Request) {
		c := newCall(w, r)
		if _, p := noQuery.Read(c.x); p != nil {
			c.x.Fail(w, p)
			return
		}
		if !required {
			if p := c.x.ReadBody(validate.DefaultMaxBody); p == nil && len(c.x.Body) == 0 {
				c.x.ReplaceBody([]byte("{}"))
			}
		}
		in, p := read(schema, c.x)
		if p != nil {
			c.x.Fail(w, p)
			return
		}
		out, err := f(c, &in)
		c.answer(status, out, err)
	}
	return e
}

// Raw makes an endpoint of a plain handler whose answers are of the given media
// type. The document says no more about it.
func Raw(status int, contentType string, h http.Handler) Endpoint {
	if h == nil {
		return Endpoint{err: errors.New("no handler")}
	}
	return Endpoint{status: status, handle: h.ServeHTTP, content: contentType, err: checkStatus(status)}
}

func answering[Out any](status int) Endpoint {
	e := Endpoint{status: status, content: "application/json", err: checkStatus(status)}
	t := reflect.TypeFor[Out]()
	none := t == reflect.TypeFor[None]()
	switch {
	case none && status != http.StatusNoContent:
		e.err = errors.Join(e.err, fmt.Errorf("status %d with None: an answer without a body has 204", status))
	case !none && status == http.StatusNoContent:
		e.err = errors.Join(e.err, fmt.Errorf("status 204 with an answer of type %v: it has no body, use None", t))
	}
	if none {
		e.content = ""
		return e
	}
	var err error
	e.answer, err = validate.AnswerSchema(t)
	e.err = errors.Join(e.err, err)
	return e
}

// checkStatus refuses what is no success: failures are problems.
func checkStatus(status int) error {
	if status < 200 || status > 299 {
		return fmt.Errorf("status %d: must be 200 to 299, the status of success; return a problem for another", status)
	}
	return nil
}

// Err returns what is wrong with the types and the status of the endpoint, or nil.
func (e Endpoint) Err() error {
	if e.err == nil && e.handle == nil {
		return errors.New("no endpoint")
	}
	return e.err
}

// ServeHTTP answers a call that the chain has let pass.
func (e Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.handle(w, r) }

// A Description is what the OpenAPI document tells of an endpoint.
type Description struct {
	Status      int
	ContentType string // of the answer; empty means no body
	Body        *validate.Definition
	Required    bool // whether the body must be there
	Form        bool // whether it may be a URL-encoded form
	Query       []validate.Parameter
	Answer      *validate.Definition
}

// Describe returns what the OpenAPI document tells of e.
func (e Endpoint) Describe() Description {
	return Description{Status: e.status, ContentType: e.content, Body: e.body, Required: e.bodyRequired, Form: e.form, Query: e.query, Answer: e.answer}
}

// answer writes what the handler returned.
func (c *Call) answer(status int, out any, err error) {
	if err != nil {
		c.refuse(problemOf(err))
		return
	}
	if _, none := out.(None); none {
		c.w.WriteHeader(status)
		return
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	// Answers are data: their type, nosniff and the policy keep browsers from
	// taking them for a page, and people read them.
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		c.x.Fail(c.w, problem.Internal(fmt.Errorf("encoding the answer: %w", err)))
		return
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body.Bytes()) // the client may be gone
}

// refuse answers with a problem. That the caller may not is a refusal like that of
// a stage, and recorded as one.
func (c *Call) refuse(p *problem.Problem) {
	if p.Status() == http.StatusForbidden && c.x.Event.Type == "" {
		c.x.Event.Type, c.x.Event.Outcome = audit.AuthzFail, audit.Refused
		c.x.Note(slog.String("control", "handler"), slog.String("code", string(p.Code)), slog.Int("status", p.Status()))
	}
	c.x.Fail(c.w, p)
}

// problemOf turns the error of a handler into an answer. What it does not know
// is a 500 that tells the client nothing.
func problemOf(err error) *problem.Problem {
	if p := (*problem.Problem)(nil); errors.As(err, &p) {
		return p
	}
	if errors.Is(err, sqlstore.ErrUnavailable) {
		return problem.Unavailable(err)
	}
	return problem.Internal(err)
}

func newCall(w http.ResponseWriter, r *http.Request) *Call {
	x := exchange.FromContext(r.Context())
	return &Call{Context: r.Context(), x: x, w: w, r: r}
}
