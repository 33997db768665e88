package validate

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
)

// A Report is what reading a body or a query against a schema found.
type Report struct {
	// Syntax is set when the text could not be read at all; there are no other
	// problems then.
	Syntax *SyntaxError
	// Problems are the reasons to refuse, at most 50. None holds a value.
	Problems []problem.FieldError
	// Findings are what is worth an event: content that looks like an attack,
	// refused, removed or kept as the field's text policy says.
	Findings []Finding

	base string // prefix of pointers while a nested Check runs

	// x is whose body or query it is; nil where nobody is to be asked about shadow.
	x *exchange.Exchange
	// lifted are the problems that are none because the control is in shadow.
	lifted []problem.FieldError
}

// The kinds of findings.
const (
	// KindScript is active content: a script element, an event handler, a
	// script URL, or text that only makes sense inside a tag.
	KindScript = "script"
	// KindMarkup is other markup, removed.
	KindMarkup = "markup"
	// KindSQL is text that reads as part of an SQL statement.
	KindSQL = "sql"
)

// A Finding is content that is worth an event, whether or not it was refused.
type Finding struct {
	// Pointer is the JSON pointer (RFC 6901) of the member.
	Pointer string
	// Kind is KindScript, KindMarkup or KindSQL.
	Kind string
	// Detail names what was found: the threats of sanitize, or the fingerprint
	// of the SQL detector. It holds nothing that the client sent.
	Detail string
}

// A Checker is a type with rules that no tag can say: names that are reserved,
// members that depend on each other. [Schema.Decode] calls Check after it has
// filled the value, also when there are other problems; members that have one
// may be zero. Pointers are relative to the value.
type Checker interface {
	Check(r *Report)
}

// OK reports whether there is no reason to refuse.
func (r *Report) OK() bool { return r.Syntax == nil && len(r.Problems) == 0 }

// Add adds a reason to refuse. The detail must not hold the value.
func (r *Report) Add(pointer, code, detail string) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, problem.FieldError{Pointer: r.base + pointer, Code: code, Detail: detail})
	}
}

// Has reports whether the member already has a problem.
func (r *Report) Has(pointer string) bool {
	for _, p := range r.Problems {
		if p.Pointer == r.base+pointer {
			return true
		}
	}
	return false
}

func (r *Report) find(pointer, kind, detail string) {
	if len(r.Findings) < maxProblems {
		r.Findings = append(r.Findings, Finding{Pointer: r.base + pointer, Kind: kind, Detail: detail})
	}
}

// injected adds a reason to refuse that is a verdict on what the text reads as, not
// on what it is. It reports whether the value is taken all the same: the control is
// in shadow.
func (r *Report) injected(pointer, detail string) (taken bool) {
	if r.x == nil || !r.x.InShadow(stageName) {
		r.Add(pointer, codeSuspicious, detail)
		return false
	}
	if len(r.lifted) < maxProblems {
		r.lifted = append(r.lifted, problem.FieldError{Pointer: r.base + pointer, Code: codeSuspicious, Detail: detail})
	}
	return true
}

// Problem returns the answer to what the report says, or nil if it is OK.
func (r *Report) Problem() *problem.Problem {
	switch {
	case r.Syntax != nil:
		return problemOf(r.Syntax)
	case len(r.Problems) > 0:
		return problem.New(problem.InvalidContent, "The request has content that this call does not accept.").WithErrors(r.Problems...)
	}
	return nil
}

// problemOf is the answer to an error of CheckJSON.
func problemOf(err error) *problem.Problem {
	if c, ok := err.(*ContentError); ok {
		return (&Report{Problems: c.Problems}).Problem()
	}
	return problem.New(problem.MalformedRequest, "The body is not well-formed JSON in UTF-8.").WithCause(err)
}

// settle writes what the report found into the events of x and returns the
// answer to it. A refusal becomes the event of the exchange; content that was
// cleaned or only noticed becomes an event of its own. In shadow too a handler gets
// no value that its schema does not take; text that reads as an attack it does.
func (r *Report) settle(x *exchange.Exchange) *problem.Problem {
	if !r.OK() {
		r.Problems = append(r.Problems, r.lifted...) // it is refused, so all is told
	}
	p := r.Problem()
	switch {
	case p != nil:
		x.Refuse(stageName, r.refusal(p).Firmly())
	case len(r.lifted) > 0:
		x.Refuse(stageName, r.refusal((&Report{Problems: r.lifted}).Problem()))
	}
	for _, f := range r.Findings {
		if r.has(f.Pointer) {
			continue // the refusal tells it
		}
		found := audit.ContentFound
		switch f.Kind {
		case KindSQL:
			found = audit.SQLFound
		case KindMarkup:
			found = audit.MarkupFound
		}
		x.Record(found(stageName, f.Pointer, f.Kind, f.Detail, p != nil))
	}
	return p
}

// has reports whether a refused member is suspicious content.
func (r *Report) has(pointer string) bool {
	suspicious := func(p problem.FieldError) bool { return p.Pointer == pointer && p.Code == codeSuspicious }
	return slices.ContainsFunc(r.Problems, suspicious) || slices.ContainsFunc(r.lifted, suspicious)
}

// refusal is the refusal with the problem p.
func (r *Report) refusal(p *problem.Problem) exchange.Outcome {
	o := exchange.Refuse(p, refusalType(p, r.Findings))
	if len(p.Errors) > 0 {
		o.Detail = append(o.Detail, members(p))
	}
	return o
}

func refusalType(p *problem.Problem, findings []Finding) audit.Type {
	t := audit.InputValidationFail
	for _, e := range p.Errors {
		if e.Code != codeSuspicious {
			continue
		}
		t = audit.SuspiciousContent
		for _, f := range findings {
			if f.Kind == KindSQL && f.Pointer == e.Pointer {
				return audit.MaliciousSQLi
			}
		}
	}
	return t
}

// members names the members at fault and the codes, never values.
func members(p *problem.Problem) slog.Attr {
	const most = 10
	var b strings.Builder
	for i, e := range p.Errors {
		if i == most {
			b.WriteString(", …")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		at := e.Pointer
		switch e.Code {
		case "unknown-member", "unknown-parameter", "duplicate", "too-deep", "too-many-members":
			at = "/…" // its names are the client's, who may have put a secret there
		}
		b.WriteString(at + " " + e.Code)
	}
	return slog.String("members", b.String())
}
