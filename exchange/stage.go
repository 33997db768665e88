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
// lifted. Counting refused credentials works this way. It is asked about a refusal
// that is lifted too (see [Refusal.Lifted]), and may refuse in its stead.
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
	// when it is not 0. Refusal, when there is one too, says what is answered in
	// this way: a redirect of clear text is a refusal of it.
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

	// Quiet is a refusal that is an event in shadow only: not worth one when it
	// stands, and all that there is to see when it does not.
	Quiet bool
	// Firm is a refusal that stands in shadow too: what comes after it could not
	// be right without what it refuses. A 5xx is firm in any case: it is a
	// failure and no verdict.
	Firm bool
	// Otherwise decides on when the refusal is lifted: what the stage has not looked
	// at, since it refused before. Nil continues.
	Otherwise func() Outcome
	// Lifted is set by the chain for objectors: the stage is in shadow, and the
	// exchange goes on as if it had not refused.
	Lifted bool
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

// Firmly returns o, which must refuse, as a refusal that stands in shadow too.
func (o Outcome) Firmly() Outcome {
	r := *o.Refusal
	r.Firm = true
	o.Refusal = &r
	return o
}

// Else returns o, which must refuse, with what is decided when it is lifted.
func (o Outcome) Else(decide func() Outcome) Outcome {
	r := *o.Refusal
	r.Otherwise = decide
	o.Refusal = &r
	return o
}

// Continues reports whether o lets the exchange go on.
func (o Outcome) Continues() bool { return o.Refusal == nil && o.Status == 0 }
