package exchange

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/problem"
)

// A Verdict is what one stage decides about a request.
type Verdict struct {
	// Control is the name of the stage.
	Control string
	// Status is that of the answer; 0 lets the request go on.
	Status int
	// Code is that of the problem; empty where nothing is refused.
	Code problem.Code
	// Type is that of the event, if the verdict is one.
	Type audit.Type
	// Detail is what the event tells.
	Detail []slog.Attr
	// Lifted is set where the control is in shadow and does not refuse.
	Lifted bool
}

// Explain asks every stage about r and lists what each decides, in order, also behind
// one that refuses: what it says, and what else is wrong. The first verdict with a
// Status that is not lifted is the answer that r would get; where none has one, r
// would reach the handler. A refusal that an earlier stage replaces stands behind the
// one that replaces it.
//
// Nothing is answered, recorded or counted, by limits neither. But r is read: its body
// is gone afterwards. And credentials are verified, which leaves behind what it always
// does, such as when a key was last used.
func (c *Chain) Explain(r *http.Request) []Verdict {
	x := c.open(nowhere{}, r)
	x.Asked = true
	x.chain = &Chain{recorder: unrecorded{}, errorLog: c.errorLog}
	var list []Verdict
	for i, s := range c.stages {
		for o := s.Decide(x); ; o = o.Otherwise() {
			if o.Refusal != nil && o.Status == 0 {
				if other, by := c.objection(x, i, o); by != nil {
					list = append(list, verdict(by, other))
				}
			}
			list = append(list, verdict(c.controls[i], o))
			if o.Refusal == nil || o.Otherwise == nil {
				break
			}
		}
	}
	return list
}

// objection returns the refusal that replaces that of stage i, and its control, or nil.
func (c *Chain) objection(x *Exchange, i int, o Outcome) (Outcome, *control) {
	refusal := *o.Refusal
	refusal.Lifted = c.controls[i].lifts(o)
	o.Refusal = &refusal
	for j, earlier := range c.objectors[:i] {
		if earlier == nil {
			continue
		}
		if other := earlier.Object(x, c.stages[i], o); other.Refusal != nil && other.Problem != o.Problem {
			return other, c.controls[j]
		}
	}
	return Outcome{}, nil
}

func verdict(k *control, o Outcome) Verdict {
	v := Verdict{Control: k.name, Status: o.Status}
	if o.Refusal != nil {
		v.Code, v.Type, v.Detail = o.Problem.Code, o.Type, o.Detail
		v.Lifted = k.lifts(o)
		if o.Status == 0 {
			v.Status = o.Problem.Status()
		}
	}
	return v
}

// nowhere is an answer that nobody gets.
type nowhere http.Header

func (w nowhere) Header() http.Header       { return http.Header(w) }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

// unrecorded is a recorder of nothing.
type unrecorded struct{}

func (unrecorded) Record(audit.Event)                        {}
func (unrecorded) Commit(context.Context, audit.Event) error { return nil }
