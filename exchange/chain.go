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
}

// A Chain runs stages in order. It does not change after [New].
type Chain struct {
	stages    []Stage
	objectors []Objector // parallel to stages; nil where a stage is none
	routes    *route.Table
	recorder  audit.Recorder
	errorLog  *slog.Logger
	ids       ids
}

// New returns a chain of stages.
func New(cfg Config) *Chain {
	c := &Chain{
		stages:    slices.Clone(cfg.Stages),
		objectors: make([]Objector, len(cfg.Stages)),
		routes:    cfg.Routes,
		recorder:  cfg.Recorder,
		errorLog:  cfg.ErrorLog,
	}
	for i, s := range c.stages {
		c.objectors[i], _ = s.(Objector)
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
// and the stage. It acts on nothing; adapters do.
func (c *Chain) Decide(x *Exchange) (Outcome, Stage) {
	for i, s := range c.stages {
		o := s.Decide(x)
		if o.Continues() {
			continue
		}
		if o.Refusal != nil {
			for _, earlier := range c.objectors[:i] {
				if earlier == nil {
					continue
				}
				// A refusal can be replaced, never lifted.
				if other := earlier.Object(x, s, o); other.Refusal != nil && other.Problem != o.Problem {
					o, s = other, earlier
				}
			}
		}
		return o, s
	}
	return Continue(), nil
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
