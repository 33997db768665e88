package exchange_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/route"
)

// stage is a stage made of a function.
type stage struct {
	name   string
	decide func(*exchange.Exchange) exchange.Outcome
}

func (s stage) Name() string                                 { return s.name }
func (s stage) Decide(x *exchange.Exchange) exchange.Outcome { return s.decide(x) }

func pass(name string, seen *[]string) stage {
	return stage{name, func(*exchange.Exchange) exchange.Outcome {
		*seen = append(*seen, name)
		return exchange.Continue()
	}}
}

type recorder struct {
	mu     sync.Mutex
	events []audit.Event
}

func (r *recorder) Record(e audit.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) Commit(_ context.Context, e audit.Event) error { r.Record(e); return nil }

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func serve(c *exchange.Chain, h http.HandlerFunc, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	c.Handler(h).ServeHTTP(w, r)
	return w
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }

func TestStagesRunInOrderUntilOneDoesNotContinue(t *testing.T) {
	var seen []string
	refuse := stage{"refuse", func(x *exchange.Exchange) exchange.Outcome {
		return exchange.Refuse(problem.New(problem.Forbidden, "No."), audit.AuthzFail, slog.String("reason", "test"))
	}}
	rec := &recorder{}
	c := exchange.New(exchange.Config{Stages: []exchange.Stage{pass("a", &seen), pass("b", &seen), refuse, pass("c", &seen)}, Recorder: rec})
	served := false
	w := serve(c, func(http.ResponseWriter, *http.Request) { served = true }, httptest.NewRequest("GET", "/", nil))
	if w.Code != 403 || served || strings.Join(seen, " ") != "a b" {
		t.Errorf("status %d, served %v, stages %v", w.Code, served, seen)
	}
	if len(rec.events) != 1 {
		t.Fatalf("%d events; want 1", len(rec.events))
	}
	e := rec.events[0]
	if e.Type != "authz_fail" || e.Outcome != "refused" || e.Category != "authorization" || e.Address != "192.0.2.1" || e.RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("event %+v", e)
	}
	if got := slog.GroupValue(e.Detail...).String(); got != "[control=refuse code=forbidden status=403 reason=test]" {
		t.Errorf("detail %s", got)
	}
}

func TestAnUnremarkableRequestIsNotRecorded(t *testing.T) {
	rec := &recorder{}
	w := serve(exchange.New(exchange.Config{Recorder: rec}), ok, httptest.NewRequest("GET", "/", nil))
	if w.Code != 200 || w.Body.String() != "served" || len(rec.events) != 0 {
		t.Errorf("status %d, body %q, events %v", w.Code, w.Body, rec.events)
	}
}

func TestEveryAnswerHasARequestIDOfItsOwn(t *testing.T) {
	c := exchange.New(exchange.Config{})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Request-Id", "chosen-by-the-client")
	a, b := serve(c, ok, r).Header().Get("X-Request-Id"), serve(c, ok, r).Header().Get("X-Request-Id")
	if a == b || len(a) != 26 || len(b) != 26 {
		t.Errorf("request ids %q and %q", a, b)
	}
}

func TestAnswerEndsWithoutABody(t *testing.T) {
	s := stage{"s", func(x *exchange.Exchange) exchange.Outcome {
		x.SetHeader("Access-Control-Allow-Origin", "https://app.example.com")
		return exchange.Answer(204)
	}}
	w := serve(exchange.New(exchange.Config{Stages: []exchange.Stage{s}}), ok, httptest.NewRequest("OPTIONS", "/", nil))
	if w.Code != 204 || w.Body.Len() != 0 || w.Header().Get("Access-Control-Allow-Origin") != "https://app.example.com" {
		t.Errorf("status %d, body %q, header %v", w.Code, w.Body, w.Header())
	}
}

func TestAPanicIsA500ThatSaysNothing(t *testing.T) {
	rec := &recorder{}
	s := stage{"headers", func(x *exchange.Exchange) exchange.Outcome {
		x.SetHeader("X-Content-Type-Options", "nosniff")
		return exchange.Continue()
	}}
	c := exchange.New(exchange.Config{Stages: []exchange.Stage{s}, Recorder: rec, ErrorLog: quiet()})
	w := serve(c, func(http.ResponseWriter, *http.Request) { panic("the password is swordfish") }, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "swordfish") || !strings.Contains(w.Body.String(), `"internal-error"`) {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
	if w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Error("the 500 lacks the security headers")
	}
	if len(rec.events) != 1 || rec.events[0].Type != "sys_crash" || rec.events[0].Severity != "critical" {
		t.Errorf("events %+v", rec.events)
	}
}

func TestAPanicAfterTheFirstByteBreaksTheConnection(t *testing.T) {
	rec := &recorder{}
	c := exchange.New(exchange.Config{Recorder: rec, ErrorLog: quiet()})
	srv := httptest.NewServer(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of")
		w.(http.Flusher).Flush()
		panic("late")
	})))
	resp, err := http.Get(srv.URL)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	srv.Close()
	if err == nil {
		t.Error("a torn answer looked whole")
	}
	if len(rec.events) != 1 || rec.events[0].Type != "sys_crash" {
		t.Errorf("events %+v", rec.events)
	}
}

func TestErrAbortHandlerIsPassedOn(t *testing.T) {
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recovered %v", v)
		}
	}()
	serve(exchange.New(exchange.Config{}), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, httptest.NewRequest("GET", "/", nil))
}

func TestTheExchangeIsTheContextOfTheRequest(t *testing.T) {
	type key struct{}
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(context.WithValue(r.Context(), key{}, "outer"))
	serve(exchange.New(exchange.Config{}), func(_ http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		x := exchange.FromContext(ctx)
		if x == nil || x.Request != r || ctx.Value(key{}) != "outer" {
			t.Error("the exchange or an outer value is not in the context")
		}
	}, r)
	if exchange.FromContext(context.Background()) != nil {
		t.Error("an exchange from nowhere")
	}
}

func TestAStageInsideAChainSharesItsExchange(t *testing.T) {
	rec := &recorder{}
	inner := stage{"inner", func(x *exchange.Exchange) exchange.Outcome {
		return exchange.Refuse(problem.New(problem.Forbidden, ""), audit.AuthzFail)
	}}
	c := exchange.New(exchange.Config{Recorder: rec})
	w := serve(c, exchange.Handler(inner, http.HandlerFunc(ok)).ServeHTTP, httptest.NewRequest("GET", "/", nil))
	if w.Code != 403 || len(rec.events) != 1 || rec.events[0].RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("status %d, events %+v", w.Code, rec.events)
	}
}

type objector struct{ stage }

func (objector) Object(_ *exchange.Exchange, by exchange.Stage, o exchange.Outcome) exchange.Outcome {
	if by.Name() == "authn" && o.Problem.Status() == 401 {
		return exchange.Refuse(problem.New(problem.QuotaExceeded, ""), audit.ExcessRateLimitExceeded)
	}
	return o
}

func TestAnEarlierStageMayObjectToARefusal(t *testing.T) {
	var seen []string
	for _, tt := range []struct {
		name string
		code problem.Code
		want int
	}{
		{"authn", problem.Unauthenticated, 429},
		{"authz", problem.Unauthenticated, 401},
		{"authn", problem.StoreUnavailable, 503},
	} {
		refuse := stage{tt.name, func(*exchange.Exchange) exchange.Outcome { return exchange.Refuse(problem.New(tt.code, ""), "") }}
		c := exchange.New(exchange.Config{Stages: []exchange.Stage{objector{pass("limit", &seen)}, refuse}, ErrorLog: quiet()})
		if w := serve(c, ok, httptest.NewRequest("GET", "/", nil)); w.Code != tt.want {
			t.Errorf("%s refuses with %s: status %d; want %d", tt.name, tt.code, w.Code, tt.want)
		}
	}
}

// generous is an objector that tries to let a refused request pass.
type generous struct{ stage }

func (generous) Object(*exchange.Exchange, exchange.Stage, exchange.Outcome) exchange.Outcome {
	return exchange.Continue()
}

func TestARefusalIsNeverLifted(t *testing.T) {
	var seen []string
	refuse := stage{"refuse", func(*exchange.Exchange) exchange.Outcome {
		return exchange.Refuse(problem.New(problem.Forbidden, ""), "")
	}}
	c := exchange.New(exchange.Config{Stages: []exchange.Stage{generous{pass("generous", &seen)}, refuse}})
	if w := serve(c, ok, httptest.NewRequest("GET", "/", nil)); w.Code != 403 {
		t.Errorf("status %d; want 403", w.Code)
	}
}

func TestAChainInsideAnotherKeepsItsOwnRoutes(t *testing.T) {
	table := func(pattern string) *route.Table {
		tbl, err := route.New([]route.Route{{Pattern: pattern, Public: true}})
		if err != nil {
			t.Fatal(err)
		}
		return tbl
	}
	var seen []string
	see := stage{"see", func(x *exchange.Exchange) exchange.Outcome {
		seen = append(seen, x.Pattern())
		return exchange.Continue()
	}}
	stages := []exchange.Stage{see}
	inner := exchange.New(exchange.Config{Stages: stages, Routes: table("GET /admin/secret")})
	outer := exchange.New(exchange.Config{Stages: stages, Routes: table("GET /admin/{rest...}")})
	var after string
	h := inner.Handler(http.HandlerFunc(ok))
	serve(outer, func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		after = exchange.FromContext(r.Context()).Pattern()
	}, httptest.NewRequest("GET", "/admin/secret", nil))
	if got := strings.Join(append(seen, after), ", "); got != "GET /admin/{rest...}, GET /admin/secret, GET /admin/{rest...}" {
		t.Errorf("routes %s", got)
	}
}

func TestWhereNobodyLooksAtCredentialsThereIsNone(t *testing.T) {
	table := func(anonymous bool) *route.Table {
		tbl, err := route.New([]route.Route{{Pattern: "GET /x", Public: true, Anonymous: anonymous}})
		if err != nil {
			t.Fatal(err)
		}
		return tbl
	}
	var seen []identity.Kind
	see := stage{"see", func(x *exchange.Exchange) exchange.Outcome {
		seen = append(seen, x.Credential)
		return exchange.Continue()
	}}
	stages := []exchange.Stage{see}
	inner := exchange.New(exchange.Config{Stages: stages, Routes: table(true)})
	outer := exchange.New(exchange.Config{Stages: stages, Routes: table(false)})
	for _, c := range []*exchange.Chain{outer, inner} {
		r := httptest.NewRequest("GET", "/x", nil)
		r.Header.Set("X-API-Key", "mrl_good")
		serve(c, inner.Handler(http.HandlerFunc(ok)).ServeHTTP, r)
	}
	if diff := cmp.Diff([]identity.Kind{identity.APIKey, identity.None, identity.None, identity.None}, seen); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
}

func TestAClientThatHangsUpRaisesNoAlarm(t *testing.T) {
	var log strings.Builder
	rec := &recorder{}
	outage := stage{"authn", func(x *exchange.Exchange) exchange.Outcome {
		return exchange.Refuse(problem.Unavailable(x.Err()), audit.SysDegraded)
	}}
	c := exchange.New(exchange.Config{Stages: []exchange.Stage{outage}, Recorder: rec, ErrorLog: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, hangUp := context.WithCancel(context.Background())
	hangUp()
	serve(c, ok, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	if len(rec.events) != 0 || log.Len() != 0 {
		t.Errorf("events %v, log %s", rec.events, log.String())
	}
	serve(c, ok, httptest.NewRequest("GET", "/", nil))
	if len(rec.events) != 1 || log.Len() == 0 {
		t.Errorf("a real outage: events %v, log %s", rec.events, log.String())
	}
}

// An outage that was told of where it began is not logged with each request that it fails, by a stage or a handler.
func TestAnOutageThatWasToldIsNotToldAgain(t *testing.T) {
	for _, told := range []bool{false, true} {
		var log strings.Builder
		p := problem.Unavailable(errors.New("away"))
		if told {
			p = p.Told()
		}
		refuse := stage{"ratelimit", func(x *exchange.Exchange) exchange.Outcome {
			if x.Request.URL.Path == "/stage" {
				return exchange.Refuse(p, "")
			}
			return exchange.Continue()
		}}
		c := exchange.New(exchange.Config{Stages: []exchange.Stage{refuse}, ErrorLog: slog.New(slog.NewTextHandler(&log, nil))})
		for _, path := range []string{"/stage", "/handler"} {
			log.Reset()
			w := serve(c, func(w http.ResponseWriter, r *http.Request) { exchange.FromContext(r.Context()).Fail(w, p) }, httptest.NewRequest("GET", path, nil))
			if w.Code != 503 || (log.Len() == 0) != told {
				t.Errorf("told %v, %s: status %d, log %q", told, path, w.Code, log.String())
			}
		}
		if n := c.Counts()[0].Refused; n != 1 {
			t.Errorf("told %v: %d refusals counted; want 1", told, n)
		}
	}
}

func TestFlushingTellsOfItsFailure(t *testing.T) {
	serve(exchange.New(exchange.Config{}), func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("a writer that can: %v", err)
		}
	}, httptest.NewRequest("GET", "/", nil))
	h := exchange.New(exchange.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("a writer that cannot: %v", err)
		}
	}))
	h.ServeHTTP(struct{ http.ResponseWriter }{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil))
}

type settlement struct{ status *int }

func (s settlement) Settle(_ *exchange.Exchange, status int) { *s.status = status }

func TestSettlementsSeeTheStatus(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
		want int
	}{
		{"a written status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, 401},
		{"an implied 200", ok, 200},
		{"nothing written at all", func(http.ResponseWriter, *http.Request) {}, 200},
		{"an early hint does not count", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(404) }, 404},
		{"a panic", func(http.ResponseWriter, *http.Request) { panic("x") }, 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got int
			s := stage{"s", func(x *exchange.Exchange) exchange.Outcome {
				x.Settle(settlement{&got})
				return exchange.Continue()
			}}
			serve(exchange.New(exchange.Config{Stages: []exchange.Stage{s}, ErrorLog: quiet()}), tt.h, httptest.NewRequest("GET", "/", nil))
			if got != tt.want {
				t.Errorf("settled with %d; want %d", got, tt.want)
			}
		})
	}
}

// Every end of a request is observed once, with the status that the client got.
func TestEveryRequestIsObservedOnce(t *testing.T) {
	refuse := stage{"s", func(x *exchange.Exchange) exchange.Outcome {
		if x.Request.URL.Path == "/refused" {
			return exchange.Refuse(problem.New(problem.Forbidden, "no"), "")
		}
		return exchange.Continue()
	}}
	for _, tt := range []struct {
		name, path string
		h          http.HandlerFunc
		want       int
	}{
		{"a refusal", "/refused", ok, 403},
		{"an answer", "/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 204},
		{"a panic", "/", func(http.ResponseWriter, *http.Request) { panic("x") }, 500},
		{"an answer that was cut off before it began", "/", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var seen []int
			observe := func(by string) func(*exchange.Exchange, int) {
				return func(_ *exchange.Exchange, status int) {
					if by == "inner" {
						t.Error("the inner chain observes what the outer one does")
					}
					seen = append(seen, status)
				}
			}
			inner := exchange.New(exchange.Config{Observe: observe("inner"), ErrorLog: quiet()}).Handler(tt.h)
			outer := exchange.New(exchange.Config{Stages: []exchange.Stage{refuse}, Observe: observe("outer"), ErrorLog: quiet()})
			func() {
				defer func() { _ = recover() }()
				serve(outer, inner.ServeHTTP, httptest.NewRequest("GET", tt.path, nil))
			}()
			if len(seen) != 1 || seen[0] != tt.want {
				t.Errorf("observed %v; want [%d]", seen, tt.want)
			}
		})
	}
}

func TestTheWriterKeepsAnswersClean(t *testing.T) {
	w := serve(exchange.New(exchange.Config{}), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server", "Apache/1.3")
		w.Header().Set("X-Powered-By", "PHP/4")
		w.Header().Set("Cache-Control", "public, max-age=60")
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		w.WriteHeader(200)
	}, httptest.NewRequest("GET", "/", nil))
	if w.Header().Get("Server") != "" || w.Header().Get("X-Powered-By") != "" {
		t.Errorf("the answer tells what made it: %v", w.Header())
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("an answer that sets a cookie may be stored: %v", w.Header())
	}
	w = serve(exchange.New(exchange.Config{}), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
	}, httptest.NewRequest("GET", "/", nil))
	if w.Header().Get("Cache-Control") != "public, max-age=60" {
		t.Error("an answer without a cookie lost its own caching")
	}
}

func TestAHandlerCannotChangeTheHeadersOfOthers(t *testing.T) {
	s := stage{"s", func(x *exchange.Exchange) exchange.Outcome {
		x.SetHeader("X-Frame-Options", "DENY")
		x.SetHeader("Referrer-Policy", "no-referrer")
		return exchange.Continue()
	}}
	c := exchange.New(exchange.Config{Stages: []exchange.Stage{s}})
	hostile := func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-Frame-Options"][0] = "ALLOWALL"
		w.Header()["X-Frame-Options"] = append(w.Header()["X-Frame-Options"], "x")
	}
	if got := serve(c, hostile, httptest.NewRequest("GET", "/", nil)).Header().Get("Referrer-Policy"); got != "no-referrer" {
		t.Errorf("an append reached the next header: %q", got)
	}
	if got := serve(c, ok, httptest.NewRequest("GET", "/", nil)).Header().Get("X-Frame-Options"); got != "DENY" {
		t.Errorf("the next answer has %q", got)
	}
}

func TestReadBody(t *testing.T) {
	for _, tt := range []struct {
		name   string
		body   io.Reader
		length int64
		want   int
	}{
		{"a body of the limit", strings.NewReader("12345678"), 8, 200},
		{"one byte more", strings.NewReader("123456789"), 9, 413},
		{"a length that is not told, in the limit", strings.NewReader("12345678"), -1, 200},
		{"a length that is not told, over the limit", strings.NewReader("123456789"), -1, 413},
		{"no body", nil, 0, 200},
		{"a body that breaks off", io.MultiReader(strings.NewReader("12"), broken{}), -1, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := stage{"validate", func(x *exchange.Exchange) exchange.Outcome {
				for range 2 { // twice is once
					if p := x.ReadBody(8); p != nil {
						return exchange.Refuse(p, "")
					}
				}
				return exchange.Continue()
			}}
			r := httptest.NewRequest("POST", "/", tt.body)
			r.ContentLength = tt.length
			w := serve(exchange.New(exchange.Config{Stages: []exchange.Stage{s}}), func(w http.ResponseWriter, r *http.Request) {
				got, err := io.ReadAll(r.Body)
				if err != nil || string(got) != string(exchange.FromContext(r.Context()).Body) {
					t.Errorf("the handler reads %q, %v", got, err)
				}
			}, r)
			if w.Code != tt.want {
				t.Errorf("status %d; want %d", w.Code, tt.want)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestTheRouteIsFoundBeforeTheFirstStage(t *testing.T) {
	tbl, err := route.New([]route.Route{{Pattern: "GET /posts/{id}", Public: true}})
	if err != nil {
		t.Fatal(err)
	}
	s := stage{"s", func(x *exchange.Exchange) exchange.Outcome {
		if x.Pattern() != "GET /posts/{id}" || x.Route() == nil {
			t.Errorf("route %q", x.Pattern())
		}
		return exchange.Continue()
	}}
	serve(exchange.New(exchange.Config{Stages: []exchange.Stage{s}, Routes: tbl}), ok, httptest.NewRequest("GET", "/posts/1", nil))
}

func BenchmarkEmptyChain(b *testing.B) {
	h := exchange.New(exchange.Config{}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		clear(w.Header())
		h.ServeHTTP(w, r)
	}
}
