package exchange_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
)

// refuse is a stage that refuses every request as outcome says.
func refuse(name string, o exchange.Outcome) stage {
	return stage{name, func(*exchange.Exchange) exchange.Outcome { return o }}
}

func forbidden(detail ...slog.Attr) exchange.Outcome {
	return exchange.Refuse(problem.New(problem.Forbidden, "No."), audit.AuthzFail, detail...)
}

// told is what was recorded, an event a line: type, outcome and detail.
func (r *recorder) told() []string {
	lines := []string{}
	for _, e := range r.events {
		lines = append(lines, fmt.Sprint(e.Type, " ", e.Outcome, " ", slog.GroupValue(e.Detail...)))
	}
	return lines
}

func counts(c *exchange.Chain) string {
	var b strings.Builder
	for _, n := range c.Counts() {
		fmt.Fprintf(&b, "%s %d %d\n", n.Control, n.Refused, n.WouldRefuse)
	}
	return b.String()
}

func TestShadow(t *testing.T) {
	tests := []struct {
		name   string
		shadow []string
		stages []exchange.Stage
		status int
		events []string
		counts string
	}{
		{"a refusal in shadow is recorded and goes on", []string{"a"},
			[]exchange.Stage{refuse("a", forbidden(slog.String("reason", "x")))}, 200,
			[]string{"authz_fail would_refuse [control=a code=forbidden status=403 reason=x]"}, "a 0 1\n"},
		{"the shadow of another control lifts nothing", []string{"b"},
			[]exchange.Stage{refuse("a", forbidden())}, 403,
			[]string{"authz_fail refused [control=a code=forbidden status=403]"}, "a 1 0\n"},
		{"each control in shadow tells of the request, and what is enforced is the event of it", []string{"a", "b"},
			[]exchange.Stage{refuse("a", forbidden()), refuse("b", forbidden()), refuse("c", forbidden())}, 403,
			[]string{"authz_fail would_refuse [control=a code=forbidden status=403]", "authz_fail would_refuse [control=b code=forbidden status=403]",
				"authz_fail refused [control=c code=forbidden status=403]"}, "a 0 1\nb 0 1\nc 1 0\n"},
		{"two stages of one name tell of the request once", []string{"a"},
			[]exchange.Stage{refuse("a", forbidden()), refuse("a", forbidden())}, 200,
			[]string{"authz_fail would_refuse [control=a code=forbidden status=403]"}, "a 0 1\n"},
		{"a firm refusal stands", []string{"a"},
			[]exchange.Stage{refuse("a", forbidden().Firmly())}, 403,
			[]string{"authz_fail refused [control=a code=forbidden status=403]"}, "a 1 0\n"},
		{"a failure stands", []string{"a"},
			[]exchange.Stage{refuse("a", exchange.Refuse(problem.Unavailable(nil), audit.SysDegraded))}, 503,
			[]string{"sys_degraded refused [control=a code=store-unavailable status=503]"}, "a 1 0\n"},
		{"a refusal that is no event is none in shadow, and is counted", []string{"a"},
			[]exchange.Stage{refuse("a", exchange.Refuse(problem.New(problem.Forbidden, "No."), ""))}, 200,
			[]string{}, "a 0 1\n"},
		{"an answer that is no refusal stands", []string{"a"},
			[]exchange.Stage{refuse("a", exchange.Answer(204))}, 204,
			[]string{}, "a 0 0\n"},
		{"what the stage has not looked at is decided when its refusal is lifted", []string{"a"},
			[]exchange.Stage{refuse("a", forbidden().Else(func() exchange.Outcome {
				return exchange.Refuse(problem.New(problem.NotFound, "Not here."), audit.InputValidationFail).Firmly()
			}))}, 404,
			[]string{"authz_fail would_refuse [control=a code=forbidden status=403]", "input_validation_fail refused [control=a code=not-found status=404]"},
			"a 1 1\n"},
		{"and is not decided when it is enforced", nil,
			[]exchange.Stage{refuse("a", forbidden().Else(func() exchange.Outcome { panic("asked") }))}, 403,
			[]string{"authz_fail refused [control=a code=forbidden status=403]"}, "a 1 0\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := &recorder{}
			c := exchange.New(exchange.Config{Stages: tt.stages, Recorder: rec, ErrorLog: quiet(), InsecureShadow: tt.shadow})
			w := serve(c, ok, httptest.NewRequest("GET", "/", nil))
			if w.Code != tt.status {
				t.Errorf("status %d; want %d", w.Code, tt.status)
			}
			if diff := cmp.Diff(tt.events, rec.told()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if got := counts(c); got != tt.counts {
				t.Errorf("counts %q; want %q", got, tt.counts)
			}
			for _, e := range rec.events {
				if e.RequestID != w.Header().Get("X-Request-Id") {
					t.Errorf("the event has the request id %q; the answer %q", e.RequestID, w.Header().Get("X-Request-Id"))
				}
			}
		})
	}
}

// A redirect that a stage answers with in the stead of a refusal is one in shadow, and
// leaves no trace on the answer.
func TestARedirectInShadowGoesOn(t *testing.T) {
	s := stage{"a", func(x *exchange.Exchange) exchange.Outcome {
		x.SetHeader("Location", "https://example.com/")
		o := forbidden()
		o.Quiet, o.Status = true, 308
		return o
	}}
	for _, tt := range []struct {
		shadow   []string
		status   int
		location string
		events   []string
		counts   string
	}{
		{nil, 308, "https://example.com/", []string{}, "a 0 0\n"},
		{[]string{"a"}, 200, "", []string{"authz_fail would_refuse [control=a code=forbidden status=308]"}, "a 0 1\n"},
	} {
		rec := &recorder{}
		c := exchange.New(exchange.Config{Stages: []exchange.Stage{s}, Recorder: rec, InsecureShadow: tt.shadow})
		w := serve(c, ok, httptest.NewRequest("GET", "/", nil))
		if w.Code != tt.status || w.Header().Get("Location") != tt.location || counts(c) != tt.counts || !slices.Equal(rec.told(), tt.events) {
			t.Errorf("in shadow %v: status %d, Location %q, counts %q, events %q", tt.shadow, w.Code, w.Header().Get("Location"), counts(c), rec.told())
		}
	}
}

// replacing is an objector that replaces every refusal, and notes which were lifted.
type replacing struct {
	name   string
	with   exchange.Outcome
	lifted *[]bool
}

func (r replacing) Name() string                             { return r.name }
func (replacing) Decide(*exchange.Exchange) exchange.Outcome { return exchange.Continue() }
func (r replacing) Object(_ *exchange.Exchange, _ exchange.Stage, o exchange.Outcome) exchange.Outcome {
	*r.lifted = append(*r.lifted, o.Lifted)
	if r.with.Refusal == nil {
		return o
	}
	return r.with
}

func TestObjectorsInShadow(t *testing.T) {
	limited := exchange.Refuse(problem.New(problem.QuotaExceeded, "Too many."), audit.ExcessRateLimitExceeded)
	down := exchange.Refuse(problem.Unavailable(nil), "")
	tests := []struct {
		name   string
		shadow []string
		with   exchange.Outcome
		lifted []bool
		status int
		events []string
		counts string
	}{
		{"a refusal is replaced", nil, limited, []bool{false}, 429,
			[]string{"excess_rate_limit_exceeded refused [control=limits code=quota-exceeded status=429]"}, "limits 1 0\nauthn 0 0\n"},
		{"in shadow the objector replaces nothing", []string{"limits"}, limited, []bool{false}, 403,
			[]string{"excess_rate_limit_exceeded would_refuse [control=limits code=quota-exceeded status=429]",
				"authz_fail refused [control=authn code=forbidden status=403]"}, "limits 0 1\nauthn 1 0\n"},
		{"but a failure of it stands", []string{"limits"}, down, []bool{false}, 503,
			[]string{}, "limits 1 0\nauthn 0 0\n"},
		{"a lifted refusal is objected to all the same, or the shadow of one control would weaken another", []string{"authn"}, limited, []bool{true}, 429,
			[]string{"excess_rate_limit_exceeded refused [control=limits code=quota-exceeded status=429]"}, "limits 1 0\nauthn 0 0\n"},
		{"without objection it is lifted", []string{"authn"}, exchange.Continue(), []bool{true}, 200,
			[]string{"authz_fail would_refuse [control=authn code=forbidden status=403]"}, "limits 0 0\nauthn 0 1\n"},
		{"both in shadow", []string{"authn", "limits"}, limited, []bool{true}, 200,
			[]string{"excess_rate_limit_exceeded would_refuse [control=limits code=quota-exceeded status=429]",
				"authz_fail would_refuse [control=authn code=forbidden status=403]"}, "limits 0 1\nauthn 0 1\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := &recorder{}
			var lifted []bool
			c := exchange.New(exchange.Config{Recorder: rec, ErrorLog: quiet(), InsecureShadow: tt.shadow,
				Stages: []exchange.Stage{replacing{"limits", tt.with, &lifted}, refuse("authn", forbidden())}})
			w := serve(c, ok, httptest.NewRequest("GET", "/", nil))
			if w.Code != tt.status || counts(c) != tt.counts || !slices.Equal(lifted, tt.lifted) {
				t.Errorf("status %d, counts %q, asked about %v; want %d, %q, %v", w.Code, counts(c), lifted, tt.status, tt.counts, tt.lifted)
			}
			if diff := cmp.Diff(tt.events, rec.told()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// What a handler asks a control is in shadow with it.
func TestRefusalsOfHandlersInShadow(t *testing.T) {
	for _, tt := range []struct {
		shadow []string
		status int
		event  string
		counts string
	}{
		{nil, 403, "authz_fail refused [control=a code=forbidden status=403]", "a 1 0\n"},
		{[]string{"a"}, 200, "authz_fail would_refuse [control=a code=forbidden status=403]", "a 0 1\n"},
	} {
		rec := &recorder{}
		var seen []string
		c := exchange.New(exchange.Config{Stages: []exchange.Stage{pass("a", &seen)}, Recorder: rec, InsecureShadow: tt.shadow})
		w := serve(c, func(w http.ResponseWriter, r *http.Request) {
			x := exchange.FromContext(r.Context())
			if x.InShadow("a") != (tt.shadow != nil) || x.InShadow("b") {
				t.Error("InShadow is wrong")
			}
			if o := forbidden(); x.Refuse("a", o) {
				x.Fail(w, o.Problem)
			}
		}, httptest.NewRequest("GET", "/", nil))
		if w.Code != tt.status || counts(c) != tt.counts || !slices.Equal(rec.told(), []string{tt.event}) {
			t.Errorf("in shadow %v: status %d, counts %q, events %q", tt.shadow, w.Code, counts(c), rec.told())
		}
	}
}

func TestCountsAreExactUnderLoad(t *testing.T) {
	rec := &recorder{}
	c := exchange.New(exchange.Config{Recorder: rec, InsecureShadow: []string{"shadow"},
		Stages: []exchange.Stage{refuse("shadow", forbidden()), refuse("enforced", forbidden())}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				serve(c, ok, httptest.NewRequest("GET", "/", nil))
			}
		})
	}
	wg.Wait()
	if got := counts(c); got != "shadow 0 800\nenforced 800 0\n" || len(rec.events) != 1600 {
		t.Errorf("counts %q and %d events", got, len(rec.events))
	}
}

func TestShadowCostsNothingWhereNothingIsRefused(t *testing.T) {
	c := exchange.New(exchange.Config{InsecureShadow: []string{"a"},
		Stages: []exchange.Stage{stage{"a", func(*exchange.Exchange) exchange.Outcome { return exchange.Continue() }}}})
	x := &exchange.Exchange{Request: httptest.NewRequest("GET", "/", nil)}
	if n := testing.AllocsPerRun(100, func() { c.Decide(x) }); n != 0 {
		t.Errorf("%v allocations; want none", n)
	}
}
