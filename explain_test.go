package merlon_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/audit/audittest"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/ratelimit"
)

// verdicts are the verdicts that do not let the request go on, one a line.
func verdicts(list []exchange.Verdict) []string {
	var lines []string
	for _, v := range list {
		if v.Status != 0 {
			line := fmt.Sprint(v.Control, " ", v.Status, " ", v.Code)
			if v.Lifted {
				line += " lifted"
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func TestExplainListsEveryVerdict(t *testing.T) {
	tests := []struct {
		name   string
		r      *http.Request
		shadow []string
		want   []string
	}{
		{"what passes", request("GET", "/posts"), nil, nil},
		{"a preflight", request("OPTIONS", "/posts", "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST"), nil, []string{"cors 204 "}},
		{"all that is wrong", withBody(request("POST", "/posts?api_key=x", "X-API-Key", "mrl_bad"), "text/xml", "<a/>"), nil,
			[]string{"authn 400 malformed-request", "authn 401 unauthenticated", "authz 401 unauthenticated", "validate 415 unsupported-media-type"}},
		{"what is in shadow", withBody(request("POST", "/posts", "X-API-Key", "mrl_bad"), "text/xml", "<a/>"), []string{"authn", "validate"},
			[]string{"authn 401 unauthenticated lifted", "authz 401 unauthenticated", "validate 415 unsupported-media-type lifted"}},
		{"no route", request("GET", "/nothing"), nil, []string{"route 404 not-found", "authz 404 not-found"}},
		{"a page in clear text", inClear(request("GET", "/posts", "Accept", "text/html")), nil, []string{"httpsonly 308 https-required"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var events audittest.Memory
			g := guard(t, blog(shadowed(&events, tt.shadow...)))
			got := g.Explain(tt.r)
			if !slices.Equal(verdicts(got), tt.want) {
				t.Errorf("verdicts %q; want %q", verdicts(got), tt.want)
			}
			if len(events.Events()) != 0 {
				t.Errorf("events %v; want none", events.Events())
			}
			wantCount(t, g, "", 0, 0)
		})
	}
}

// Explaining counts nothing, and tells of a limit that has no room.
func TestExplainLooksAtLimitsOnly(t *testing.T) {
	var events audittest.Memory
	g := guard(t, blog(shadowed(&events)))
	h := g.Handler(served)
	for range 50 {
		if got := verdicts(g.Explain(request("GET", "/few"))); got != nil {
			t.Fatalf("verdicts %q; want none", got)
		}
		if got := verdicts(g.Explain(request("GET", "/few", "X-API-Key", "mrl_bad"))); !slices.Equal(got, []string{"authn 401 unauthenticated"}) {
			t.Fatalf("verdicts %q; want that of a bad key", got)
		}
	}
	if w := do(h, request("GET", "/few")); w.Code != 200 {
		t.Fatalf("status %d after explaining; want 200", w.Code)
	}
	if got := verdicts(g.Explain(request("GET", "/few"))); !slices.Equal(got, []string{"ratelimit 429 quota-exceeded"}) {
		t.Errorf("verdicts %q; want 429", got)
	}
	if w := do(h, request("GET", "/posts", "X-API-Key", "mrl_good")); w.Code != 200 {
		t.Errorf("status %d: the explained bad keys were counted", w.Code)
	}
}

// A limit that would refuse anyway does not stand before what is in shadow, and a key
// that is asked about is not told of.
func TestExplainAsksAsTheChainDoes(t *testing.T) {
	var events audittest.Memory
	g := guard(t, blog(shadowed(&events, "firewall"), func(c *merlon.Config) {
		c.RateLimit.Address = ratelimit.Rule{Limits: []ratelimit.Limit{{Max: 1, Window: time.Minute}}}
		c.Authn.Keys = proof{Kind: identity.APIKey, Subject: "usr_1", KeyID: "key_1", FirstUse: true}
	}))
	g.Explain(request("GET", "/posts", "X-API-Key", "mrl_good"))
	if len(events.Events()) != 0 {
		t.Errorf("events %v; want none", events.Events())
	}
	do(g.Handler(served), request("GET", "/posts"))
	got := verdicts(g.Explain(httptest.NewRequest("GET", "https://evil.example/posts", nil)))
	if want := []string{"firewall 421 host-not-allowed lifted", "ratelimit 429 quota-exceeded"}; !slices.Equal(got, want) {
		t.Errorf("verdicts %q; want %q", got, want)
	}
}

// For any request and any controls in shadow: the first verdict that is not lifted is
// the answer.
func TestExplainAgreesWithTheAnswer(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string, values ...string) string { return rapid.SampledFrom(values).Draw(rt, name) }
		method := draw("method", "GET", "POST", "OPTIONS", "PROPFIND")
		path := draw("path", "/posts", "/login", "/me", "/admin", "/few", "/nothing", "/posts;x", "/posts?api_key=1")
		var header []string
		for _, field := range [][]string{
			{"Origin", "https://app.example.com", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Access-Control-Request-Method", "POST"},
			{"X-API-Key", "mrl_good", "mrl_bad"}, {"Cookie", "__Host-merlon_session=good", "__Host-merlon_session=bad"}, {"Accept", "text/html"},
		} {
			if v := draw(field[0], append([]string{""}, field[1:]...)...); v != "" {
				header = append(header, field[0], v)
			}
		}
		body, clear := draw("body", "", "{}", "{"), draw("clear", "", "", "", "clear") != ""
		r := func() *http.Request {
			r := request(method, path, header...)
			if body != "" {
				withBody(r, "application/json", body)
			}
			if clear {
				inClear(r)
			}
			return r
		}
		var shadow []string
		for _, c := range merlon.ShadowControls() {
			if rapid.IntRange(0, 3).Draw(rt, c) == 0 {
				shadow = append(shadow, c)
			}
		}
		var events audittest.Memory
		g := guard(t, blog(shadowed(&events, shadow...)))
		h := g.Handler(served)
		if rapid.Bool().Draw(rt, "after another") {
			do(h, r())
		}
		want := 200
		for _, v := range g.Explain(r()) {
			if v.Status != 0 && !v.Lifted {
				want = v.Status
				break
			}
		}
		if w := do(h, r()); w.Code != want {
			rt.Errorf("status %d; explained as %d by %s", w.Code, want, strings.Join(verdicts(g.Explain(r())), "; "))
		}
	})
}
