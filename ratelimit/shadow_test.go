package ratelimit_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/ratelimit"
)

// inShadow serves h behind a limiter in shadow.
func inShadow(t *testing.T, cfg ratelimit.Config, h func(*ratelimit.Limiter, http.ResponseWriter, *http.Request)) (*service, *exchange.Chain) {
	t.Helper()
	s := newService(t, cfg, nil, ok)
	c := exchange.New(exchange.Config{
		Stages: []exchange.Stage{s.limiter.Before(), authn{}, s.limiter.After()}, Routes: mustRoutes(t),
		Recorder: s.events, ErrorLog: slog.New(slog.DiscardHandler), InsecureShadow: []string{"ratelimit"},
	})
	s.handler = c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h(s.limiter, w, r) }))
	return s, c
}

func (s *service) told() []string {
	var lines []string
	for _, e := range s.events.list {
		lines = append(lines, string(e.Type)+" "+string(e.Outcome)+" "+slog.GroupValue(e.Detail...).String())
	}
	return lines
}

// Handlers that ask for an account's quota are let go on, and it is told once a request.
func TestTakeAccountInShadow(t *testing.T) {
	cfg := ratelimit.Config{Rules: []ratelimit.Rule{{Name: "account", Match: []string{"POST /login"}, Limits: minute(2), By: []ratelimit.Part{"account"}}}}
	s, c := inShadow(t, cfg, func(l *ratelimit.Limiter, w http.ResponseWriter, r *http.Request) {
		d := l.TakeAccount(r.Context(), r.Header.Get("Account"))
		if !d.Allowed || d.Problem != nil {
			t.Errorf("allowed %v, problem %v; want allowed", d.Allowed, d.Problem)
		}
		w.Header().Set("Wait", d.RetryAfter.Round(time.Minute).String())
	})
	for i, want := range []string{"0s", "0s", "1m0s", "1m0s"} {
		w := s.send("POST /login", client, "Account", "ann")
		if w.Code != 200 || w.Header().Get("Wait") != want || w.Header().Get("Retry-After") != "" {
			t.Errorf("attempt %d: status %d, would wait %s; want 200, %s", i, w.Code, w.Header().Get("Wait"), want)
		}
		if want != "0s" && w.Header().Get("X-RateLimit-Remaining") != "0" {
			t.Errorf("attempt %d: %s remaining; want 0", i, w.Header().Get("X-RateLimit-Remaining"))
		}
	}
	s.send("POST /login", client, "Account", "bob") // the neighbour tells of nothing
	const event = "excess_rate_limit_exceeded would_refuse [control=ratelimit code=quota-exceeded status=429 rule=account]"
	if got := s.told(); len(got) != 2 || got[0] != event || got[1] != event {
		t.Errorf("events %q; want two of %q", got, event)
	}
	if n := c.Counts()[0]; n.Control != "ratelimit" || n.Refused != 0 || n.WouldRefuse != 2 {
		t.Errorf("counts %+v", n)
	}
}

func TestTakeKeyInShadow(t *testing.T) {
	own := identity.KeyLimit{Limit: 1, Window: time.Minute}
	s, c := inShadow(t, ratelimit.Config{}, func(l *ratelimit.Limiter, _ http.ResponseWriter, r *http.Request) {
		if got, err := l.TakeKey(r.Context(), "key_ann", own); err != nil || !got.Allowed {
			t.Errorf("allowed %v, %v; want allowed", got.Allowed, err)
		}
	})
	s.spend(30, 200, "GET /posts", client)
	if got := s.told(); len(got) != 10 || got[0] != "excess_rate_limit_exceeded would_refuse [control=ratelimit code=quota-exceeded status=429 rule=key]" {
		t.Errorf("%d events, %q; want ten", len(got), got)
	}
	if n := c.Counts()[0]; n.WouldRefuse != 29 {
		t.Errorf("counts %+v; want 29", n)
	}
	// Outside of a request there is no shadow.
	if got, err := s.limiter.TakeKey(context.Background(), "key_ann", own); err != nil || got.Allowed {
		t.Errorf("outside: allowed %v, %v; want not", got.Allowed, err)
	}
}

// A store that is away is no verdict.
func TestAnOutageInShadowIsRefused(t *testing.T) {
	s, _ := inShadow(t, ratelimit.Config{Store: broken{}}, func(*ratelimit.Limiter, http.ResponseWriter, *http.Request) { t.Error("served") })
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequest("GET", "/posts", nil))
	if w.Code != 503 || !strings.Contains(w.Body.String(), string(problem.StoreUnavailable)) {
		t.Errorf("status %d, %s; want 503", w.Code, w.Body)
	}
}
