package exchange

import (
	"log/slog"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/problem"
)

// A Stage decides about an exchange. It may read the exchange, write the fields
// that are its own and set headers of the answer; it writes no answer, blocks
// nothing and logs nothing. A Stage is used by many requests at a time.
type Stage interface {
	// Name is the stage's short name, such as "cors". Events carry it as the
	// control that decided.
	Name() string
	// Decide decides about x.
	Decide(x *Exchange) Outcome
}

// An Objector is a [Stage] that is asked when a later stage refuses, and returns
// the refusal to go on with: o, or another. A refusal can be replaced, never
// lifted. Counting refused credentials works this way.
type Objector interface {
	Stage
	Object(x *Exchange, by Stage, o Outcome) Outcome
}

// An Outcome is what a stage decides: to continue, to answer, or to refuse. The
// zero Outcome continues. It is two words, which every stage returns in registers;
// what a refusal says is there only when Refusal is not nil.
type Outcome struct {
	// Refusal refuses, when it is not nil.
	*Refusal
	// Status answers with this status, the headers of the exchange and no body,
	// when it is not 0 and Refusal is nil.
	Status int
}

// A Refusal is a problem, and the event that it is recorded as.
type Refusal struct {
	// Problem is the answer.
	Problem *problem.Problem
	// Type is the type of the event. An empty type is a refusal not worth an
	// event, such as a path that does not exist.
	Type audit.Type
	// Severity is that of the event; empty means the one of its type.
	Severity audit.Severity
	// Detail adds to the event.
	Detail []slog.Attr
}

// Continue lets the exchange go on to the next stage.
func Continue() Outcome { return Outcome{} }

// Answer ends the exchange with the given status and no body.
func Answer(status int) Outcome { return Outcome{Status: status} }

// Refuse ends the exchange with a problem, recorded as an event of type t.
func Refuse(p *problem.Problem, t audit.Type, detail ...slog.Attr) Outcome {
	return Outcome{Refusal: &Refusal{Problem: p, Type: t, Detail: detail}}
}

// WithSeverity returns o, which must refuse, with another severity than that of its
// type.
func (o Outcome) WithSeverity(s audit.Severity) Outcome {
	r := *o.Refusal
	r.Severity = s
	o.Refusal = &r
	return o
}

// Continues reports whether o lets the exchange go on.
func (o Outcome) Continues() bool { return o.Refusal == nil && o.Status == 0 }
