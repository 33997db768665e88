package exchange

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/route"
)

// Config says what a [Chain] is made of.
type Config struct {
	// Stages run in this order.
	Stages []Stage
	// Routes finds the route of each request; nil means that no request has one.
	Routes *route.Table
	// Recorder keeps the events; nil writes them to ErrorLog.
	Recorder audit.Recorder
	// ErrorLog is told of panics and of the causes of 5xx answers; nil means
	// [slog.Default].
	ErrorLog *slog.Logger
	// InsecureShadow are the names of stages in shadow: what they refuse is recorded
	// as [audit.WouldRefuse] and goes on, unless the refusal is firm. A name that no
	// stage has does nothing. Giving a reason and telling of it is for the caller.
	InsecureShadow []string
	// Observe is called once for each request, when all is settled, with the status
	// of its answer; 0 when it was cut off before it had one. It is for measurements:
	// it must not block, and runs in the goroutine of the request. Of chains inside
	// another it is that of the outermost. Nil measures nothing.
	Observe func(x *Exchange, status int)
}

// A Chain runs stages in order. It does not change after [New].
type Chain struct {
	stages    []Stage
	objectors []Objector // parallel to stages; nil where a stage is none
	controls  []*control // parallel to stages; stages of one name share one
	routes    *route.Table
	recorder  audit.Recorder
	errorLog  *slog.Logger
	observe   func(*Exchange, int) // nil for none
	ids       ids
}

// New returns a chain of stages.
func New(cfg Config) *Chain {
	c := &Chain{
		stages:    slices.Clone(cfg.Stages),
		objectors: make([]Objector, len(cfg.Stages)),
		controls:  make([]*control, len(cfg.Stages)),
		routes:    cfg.Routes,
		recorder:  cfg.Recorder,
		errorLog:  cfg.ErrorLog,
		observe:   cfg.Observe,
	}
	for i, s := range c.stages {
		c.objectors[i], _ = s.(Objector)
		if c.controls[i] = c.control(s.Name()); c.controls[i] == nil {
			c.controls[i] = &control{name: s.Name(), shadow: slices.Contains(cfg.InsecureShadow, s.Name())}
		}
	}
	if c.errorLog == nil {
		c.errorLog = slog.Default()
	}
	if c.recorder == nil {
		c.recorder = audit.ToLog(c.errorLog)
	}
	return c
}

// Decide runs the stages until one does not continue, and returns its outcome
// and the stage. It acts on nothing; adapters do. What a stage in shadow refuses is
// recorded, and the next stage decides.
func (c *Chain) Decide(x *Exchange) (Outcome, Stage) {
	for i, s := range c.stages {
		o := s.Decide(x)
		if o.Continues() {
			continue
		}
		if o, by := c.judge(x, i, o); !o.Continues() {
			return o, by
		}
	}
	return Continue(), nil
}

// judge returns what comes of an outcome of stage i that does not continue, and
// the stage that it is of in the end.
func (c *Chain) judge(x *Exchange, i int, o Outcome) (Outcome, Stage) {
	for o.Refusal != nil && c.controls[i].lifts(o) {
		lifted := *o.Refusal
		lifted.Lifted = true
		if other, by := c.object(x, i, Outcome{Refusal: &lifted}); !other.Lifted {
			return other, by
		}
		x.lift(c.controls[i], o)
		if o.Status != 0 {
			delete(x.header, "Location") // of a redirect that is not answered
		}
		if o.Otherwise == nil {
			return Continue(), nil
		}
		o = o.Otherwise()
	}
	if o.Refusal == nil || o.Status != 0 {
		return Outcome{Status: o.Status}, c.stages[i]
	}
	return c.object(x, i, o)
}

// object asks the stages before stage i about its refusal, and returns the one to
// go on with and its stage.
func (c *Chain) object(x *Exchange, i int, o Outcome) (Outcome, Stage) {
	by := c.stages[i]
	for j, earlier := range c.objectors[:i] {
		if earlier == nil {
			continue
		}
		// A refusal can be replaced, never lifted.
		other := earlier.Object(x, by, o)
		switch {
		case other.Refusal == nil || other.Problem == o.Problem:
		case c.controls[j].lifts(other):
			x.lift(c.controls[j], other)
		default:
			o, by = other, earlier
		}
	}
	return o, by
}

// Handler returns a handler that enforces the chain and then calls next. Inside
// another chain it shares that chain's exchange, and events go to the recorder of
// the outermost; with routes of its own, its stages see the route of these.
func (c *Chain) Handler(next http.Handler) http.Handler {
	return &enforcer{chain: c, next: next}
}

// Handler returns a handler that enforces one stage alone and then calls next.
// It is how a stage is used as plain middleware. Its events go to [slog.Default]
// unless it stands inside a chain that has a recorder.
func Handler(s Stage, next http.Handler) http.Handler {
	return New(Config{Stages: []Stage{s}}).Handler(next)
}
