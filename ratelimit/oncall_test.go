package ratelimit_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
)

// exports is a service whose handler takes a weight that it knows from the query, by a rule of 10 a minute.
func exports(t *testing.T, cfg ratelimit.Config) *service {
	var s *service
	cfg.Rules = append(cfg.Rules, ratelimit.Rule{Name: "export", OnCall: true, Limits: minute(10), By: []ratelimit.Part{"principal_or_address"}})
	s = newService(t, cfg, nil, func(w http.ResponseWriter, r *http.Request) {
		for _, rows := range r.URL.Query()["rows"] {
			weight, _ := strconv.Atoi(rows)
			d := s.limiter.Take(r.Context(), "export", uint32(weight))
			w.Header().Add("Decision", strconv.FormatBool(d.Allowed)+" "+strconv.Itoa(d.Limit)+" "+strconv.Itoa(d.Remaining)+" "+
				d.Reset.String()+" "+d.RetryAfter.String())
			if !d.Allowed {
				d.Problem.Write(w, r, "")
				return
			}
		}
	})
	return s
}

func TestAHandlerTakesWhatARequestCosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exports(t, ratelimit.Config{})
		w := s.send("GET /posts?rows=4", client)
		if got := w.Header().Get("Decision"); got != "true 10 6 1m0s 0s" {
			t.Errorf("decision %q", got)
		}
		wantHeaders(t, "four rows", w, 200, map[string]string{
			"RateLimit-Policy": `"default";q=100;w=60, "export";q=10;w=60`, "RateLimit": `"default";r=99;t=64, "export";r=6;t=60`,
			"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "6", "X-RateLimit-Reset": "946684860",
		})
		time.Sleep(10 * time.Second)
		w = s.send("GET /posts?rows=7", client)
		if got := w.Header().Get("Decision"); got != "false 10 6 50s 50s" {
			t.Errorf("decision %q", got)
		}
		wantHeaders(t, "seven of six", w, 429, map[string]string{
			"RateLimit-Policy": `"export";q=10;w=60`, "RateLimit": `"export";r=6;t=50`, "Retry-After": "50",
			"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "6", "X-RateLimit-Reset": "946684860",
		})
		if len(s.events.list) != 1 || s.events.list[0].Type != "excess_rate_limit_exceeded" {
			t.Errorf("events %+v; want one", s.events.list)
		}
		// What was refused consumed nothing, and others have a quota of their own.
		s.spend(1, 200, "GET /posts?rows=6", client)
		s.spend(1, 200, "GET /posts?rows=10", other)
		// Obeying Retry-After succeeds.
		time.Sleep(50 * time.Second)
		s.spend(1, 200, "GET /posts?rows=4", client)
		s.spend(1, 429, "GET /posts?rows=1", client)
	})
}

func TestTakingTwiceInARequestIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := exports(t, ratelimit.Config{})
		wantHeaders(t, "three and two", s.send("GET /posts?rows=3&rows=2", client), 200, map[string]string{
			"RateLimit-Policy": `"default";q=100;w=60, "export";q=10;w=60`, "RateLimit": `"default";r=99;t=64, "export";r=5;t=60`,
			"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "946684860",
		})
	})
}

func TestTheMostRestrictiveRuleHasTheLegacyHeaders(t *testing.T) {
	s := exports(t, ratelimit.Config{Default: ratelimit.Rule{Limits: minute(5)}})
	w := s.send("GET /posts?rows=1", client) // 4 left by the default, 9 by the call
	if got := w.Header().Get("X-RateLimit-Limit") + " " + w.Header().Get("X-RateLimit-Remaining"); got != "5 4" {
		t.Errorf("limit and remaining %s; want those of the default rule, 5 4", got)
	}
	w = s.send("GET /posts?rows=8", client) // 3 left by the default, 1 by the call
	if got := w.Header().Get("X-RateLimit-Limit") + " " + w.Header().Get("X-RateLimit-Remaining"); got != "10 1" {
		t.Errorf("limit and remaining %s; want those of the rule on call, 10 1", got)
	}
}

func TestTakeWhereItCannotCount(t *testing.T) {
	s := exports(t, ratelimit.Config{})
	if d := s.limiter.Take(context.Background(), "export", 1); d.Allowed || d.Problem.Status() != 500 {
		t.Errorf("outside of a request: %+v", d)
	}
	for rule, want := range map[string]int{"export": 200, "exports": 500, "default": 500} {
		h := s.limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if d := s.limiter.Take(r.Context(), rule, 1); !d.Allowed {
				d.Problem.Write(w, r, "")
			}
		}))
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil)); w.Code != want {
			t.Errorf("rule %q: status %d; want %d", rule, w.Code, want)
		}
	}
	// Probes are not counted.
	for range 20 {
		if w := s.send("GET /health?rows=10", client); w.Code != 200 {
			t.Fatalf("a probe: status %d", w.Code)
		}
	}
}

func TestTakeWhileTheStoreFails(t *testing.T) {
	for _, tt := range []struct {
		on   ratelimit.OnStoreError
		want int
	}{{ratelimit.Deny, 503}, {ratelimit.Allow, 200}, {ratelimit.Local, 200}} {
		l, err := ratelimit.New(ratelimit.Config{Store: broken{}, OnStoreError: tt.on, ExpectedNodes: 2,
			Rules: []ratelimit.Rule{{Name: "export", OnCall: true, Limits: minute(10), By: []ratelimit.Part{"address"}}}})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d := l.Take(r.Context(), "export", 1)
			if !d.Allowed {
				d.Problem.Write(w, r, "")
			} else if tt.on == ratelimit.Local && (d.Limit != 5 || d.Remaining != 4) { // its share of ten
				t.Errorf("locally: %+v", d)
			}
		})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != tt.want {
			t.Errorf("%s: status %d; want %d", tt.on, w.Code, tt.want)
		}
	}
}

func TestRulesOnCallMatchNothing(t *testing.T) {
	good := ratelimit.Rule{Name: "export", OnCall: true, Limits: minute(10), By: []ratelimit.Part{"address"}}
	if _, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{good}}); err != nil {
		t.Fatal(err)
	}
	bad := good
	bad.Match, bad.Count, bad.By = []string{"GET /posts"}, "failures", []ratelimit.Part{"account"}
	_, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{bad}})
	for _, want := range []string{"leave Match empty", "leave Count empty", "call TakeAccount"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}
