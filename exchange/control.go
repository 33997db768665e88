package exchange

import (
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/merlonhq/merlon/audit"
)

// control is what a chain knows of all stages of one name. Its counts are touched
// by refusals only: a request that passes costs nothing here.
type control struct {
	name                 string
	shadow               bool
	refused, wouldRefuse atomic.Uint64
}

// A Count is how often a control has refused since its chain was made. The numbers
// only grow: they can be read at any time, as a monitoring system reads a counter.
type Count struct {
	// Control is the name of the stage, such as "csrf".
	Control string
	// Shadow is set when the control is in shadow.
	Shadow bool
	// Refused are the requests that it refused, with its failures (5xx).
	Refused uint64
	// WouldRefuse are the requests that it would have refused, had it not been in
	// shadow. Each request counts once for each control.
	WouldRefuse uint64
}

// Counts returns the count of each control, in the order of the stages. There are
// as many as stages have different names, whatever the requests are.
func (c *Chain) Counts() []Count {
	var counts []Count
	for i, k := range c.controls {
		if !slices.Contains(c.controls[:i], k) {
			counts = append(counts, Count{Control: k.name, Shadow: k.shadow, Refused: k.refused.Load(), WouldRefuse: k.wouldRefuse.Load()})
		}
	}
	return counts
}

// control returns the control of a name, or nil.
func (c *Chain) control(name string) *control {
	for _, k := range c.controls {
		if k != nil && k.name == name {
			return k
		}
	}
	return nil
}

// lifts reports whether o, which refuses, is lifted.
func (k *control) lifts(o Outcome) bool {
	return k.shadow && !o.Firm && o.Problem.Status() < 500
}

// refuse counts a refusal that stands and makes it the event under construction.
func (k *control) refuse(x *Exchange, o Outcome) {
	k.refused.Add(1)
	if o.Type == "" || o.Quiet {
		return
	}
	x.Event.Type, x.Event.Severity = o.Type, o.Severity
	x.Event.Outcome = audit.Refused
	x.Note(k.detail(o)...)
}

// lift counts a refusal that k would have made, and records it: the event under
// construction stays for what is enforced.
func (x *Exchange) lift(k *control, o Outcome) {
	if slices.Contains(x.lifted, k.name) {
		return
	}
	x.lifted = append(x.lifted, k.name)
	k.wouldRefuse.Add(1)
	if o.Type != "" {
		x.Record(audit.Verdict(o.Type, o.Severity, audit.WouldRefuse, k.detail(o)...))
	}
}

// detail is what the event of a refusal tells.
func (k *control) detail(o Outcome) []slog.Attr {
	status := o.Problem.Status()
	if o.Status != 0 {
		status = o.Status
	}
	return append([]slog.Attr{slog.String("control", k.name), slog.String("code", string(o.Problem.Code)), slog.Int("status", status)}, o.Detail...)
}

// Refuse is to handlers that ask a control what a refusal is to stages: it counts
// the refusal and makes it the event of the request. It reports whether the refusal
// stands, for the handler to answer with. When the control is in shadow it does not:
// it is recorded, and the handler goes on.
func (x *Exchange) Refuse(name string, o Outcome) (stands bool) {
	k := x.chain.control(name)
	switch {
	case k == nil:
		k = &control{name: name} // a stage of a chain inside: it is told of all the same
	case k.lifts(o):
		x.lift(k, o)
		return false
	}
	k.refuse(x, o)
	return true
}

// InShadow reports whether the control of this name is in shadow, for handlers whose
// refusals are not of this request, such as one that they are asked about.
func (x *Exchange) InShadow(name string) bool {
	k := x.chain.control(name)
	return k != nil && k.shadow
}
