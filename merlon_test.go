package merlon_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/audit/audittest"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/clientip"
	"github.com/merlonhq/merlon/cors"
	"github.com/merlonhq/merlon/csrf"
	"github.com/merlonhq/merlon/firewall"
	"github.com/merlonhq/merlon/headers"
	"github.com/merlonhq/merlon/httpsonly"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/origin"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/validate"
)

// proof verifies "good" as the principal it is, and rejects all else.
type proof identity.Principal

func (p proof) Verify(_ context.Context, secret string, _ netip.Addr, _ time.Time) (identity.Principal, error) {
	if secret == "good" || secret == "mrl_good" {
		return identity.Principal(p), nil
	}
	return identity.Principal{}, &authn.Rejection{Reason: "not_found", Type: audit.APIKeyRejected}
}

// blog is the policy of the tests: a small API in production behind TLS.
func blog(change ...func(*merlon.Config)) merlon.Config {
	cfg := merlon.Config{
		Hosts:   []string{"api.example.com"},
		Origins: []string{"https://app.example.com"},
		Secret:  []byte(strings.Repeat("x", 32)),
		Routes: []merlon.Route{
			{Pattern: "GET /posts", Public: true},
			{Pattern: "POST /posts", Scopes: []string{"posts:write"}},
			{Pattern: "GET /me", AccountOnly: true},
			{Pattern: "POST /login", Public: true},
			{Pattern: "POST /anybody", Public: true, Anonymous: true},
			{Pattern: "GET /health", Probe: true},
		},
		Authn: authn.Config{
			Sessions: proof{Kind: identity.Session, Subject: "usr_1", SessionID: "ses_1", Scopes: []string{"posts:write"}},
			Keys:     proof{Kind: identity.APIKey, Subject: "usr_1", KeyID: "key_1", Scopes: []string{"posts:write"}},
		},
		ErrorLog: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	return cfg
}

func guard(t testing.TB, cfg merlon.Config) *merlon.Guard {
	t.Helper()
	g, err := merlon.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// request is a request over TLS.
func request(method, path string, header ...string) *http.Request {
	r := httptest.NewRequest(method, "https://api.example.com"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var served = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })

// Each row is stopped by the stage that it names, and by none before it.
func TestEveryStageActsInTheRealChain(t *testing.T) {
	clear := func(r *http.Request) *http.Request { r.TLS = nil; return r }
	body := func(r *http.Request, contentType, body string) *http.Request {
		r.Header.Set("Content-Type", contentType)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		return r
	}
	tests := []struct {
		name    string
		r       *http.Request
		status  int
		code    string
		control string // in the event; "" means no event
	}{
		{"a public route", request("GET", "/posts"), 200, "", ""},
		{"clear text", clear(request("GET", "/posts")), 403, "https-required", ""},
		{"a credential in clear text", clear(request("GET", "/posts", "X-API-Key", "mrl_good")), 403, "https-required", "httpsonly"},
		{"another host", httptest.NewRequest("GET", "https://evil.example/posts", nil), 421, "host-not-allowed", "firewall"},
		{"a path that is not in normal form", request("GET", "/posts/..%2fadmin"), 400, "malformed-request", "firewall"},
		{"a preflight from a foreign origin", request("OPTIONS", "/posts", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"), 403, "cross-site-request", "cors"},
		{"a preflight from a known origin", request("OPTIONS", "/posts", "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST"), 204, "", ""},
		{"an unknown path", request("GET", "/nothing"), 404, "not-found", ""},
		{"another method", request("DELETE", "/posts"), 405, "method-not-allowed", ""},
		{"a cross-site login", request("POST", "/login", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"), 403, "cross-site-request", "csrf"},
		{"a login from a known origin", request("POST", "/login", "Sec-Fetch-Site", "cross-site", "Origin", "https://app.example.com"), 200, "", ""},
		{"two credentials", request("GET", "/posts", "X-API-Key", "mrl_good", "Cookie", "__Host-merlon_session=good"), 400, "ambiguous-credentials", "authn"},
		{"a bad key on a public route", request("GET", "/posts", "X-API-Key", "mrl_bad"), 401, "unauthenticated", "authn"},
		{"a session without a token", request("POST", "/posts", "Cookie", "__Host-merlon_session=good"), 403, "csrf-token-missing", "csrf-token"},
		{"a key needs no token", request("POST", "/posts", "X-API-Key", "mrl_good"), 200, "", ""},
		{"nobody on a route with a scope", request("POST", "/posts"), 401, "unauthenticated", "authz"},
		{"a key on an account route", request("GET", "/me", "X-API-Key", "mrl_good"), 403, "forbidden", "authz"},
		{"a session on an account route", request("GET", "/me", "Cookie", "__Host-merlon_session=good"), 200, "", ""},
		{"a session where nobody looks at credentials", request("POST", "/anybody", "Cookie", "__Host-merlon_session=good"), 200, "", ""},
		{"the same where somebody does", request("POST", "/login", "Cookie", "__Host-merlon_session=good"), 403, "csrf-token-missing", "csrf-token"},
		{"a bad key where nobody looks", request("POST", "/anybody", "X-API-Key", "mrl_bad"), 200, "", ""},
		{"two credentials where nobody looks", request("POST", "/anybody", "X-API-Key", "mrl_good", "Cookie", "__Host-merlon_session=good"), 200, "", ""},
		{"another site where nobody looks", request("POST", "/anybody", "Sec-Fetch-Site", "cross-site"), 403, "cross-site-request", "csrf"},
		{"a key that another site sends where nobody looks", request("POST", "/anybody", "Sec-Fetch-Site", "cross-site", "X-API-Key", "mrl_good"), 403, "cross-site-request", "csrf"},
		{"a body of another type", body(request("POST", "/posts", "X-API-Key", "mrl_good"), "text/xml", "<a/>"), 415, "unsupported-media-type", "validate"},
		{"JSON with a member twice", body(request("POST", "/posts", "X-API-Key", "mrl_good"), "application/json", `{"a":1,"a":2}`), 422, "invalid-content", "validate"},
		{"JSON", body(request("POST", "/posts", "X-API-Key", "mrl_good"), "application/json", `{"a":1}`), 200, "", ""},
		{"a probe in clear text for any host", clear(httptest.NewRequest("GET", "http://10.0.0.7/health", nil)), 200, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var events audittest.Memory
			g := guard(t, blog(func(c *merlon.Config) { c.Recorder = &events }))
			w := do(g.Handler(served), tt.r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.code) {
				t.Errorf("status %d, body %s; want %d %s", w.Code, w.Body, tt.status, tt.code)
			}
			control := ""
			for _, e := range events.Events() {
				for _, a := range e.Detail {
					if a.Key == "control" {
						control = a.Value.String()
					}
				}
			}
			if control != tt.control {
				t.Errorf("the event names control %q; want %q", control, tt.control)
			}
			// Whatever happened, the answer carries these.
			for name, want := range map[string]string{
				"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
				"X-Content-Type-Options":       "nosniff",
				"X-Frame-Options":              "DENY",
				"Referrer-Policy":              "no-referrer",
				"Cross-Origin-Resource-Policy": "same-origin",
				"Cache-Control":                "no-store",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %q; want %q", name, got, want)
				}
			}
			if w.Header().Get("X-Request-Id") == "" {
				t.Error("no X-Request-Id")
			}
			if hsts := w.Header().Get("Strict-Transport-Security"); (hsts != "") != (tt.r.TLS != nil) {
				t.Errorf("Strict-Transport-Security %q, TLS %v", hsts, tt.r.TLS != nil)
			}
		})
	}
}

// What a route changes of CORS holds for its preflights, for reading its answers and
// for sending to it.
func TestARouteChangesCORSAndCSRFTogether(t *testing.T) {
	const app, partner = "https://app.example.com", "https://partner.example"
	g := guard(t, blog(func(c *merlon.Config) {
		c.Routes = append(c.Routes,
			merlon.Route{Pattern: "POST /hooks", Public: true, CORS: &route.CORS{AddOrigins: []string{partner}}},
			merlon.Route{Pattern: "POST /internal", Public: true, CORS: &route.CORS{Off: true}})
	}))
	h := g.Handler(served)
	for _, tt := range []struct {
		path, origin string
		trusted      bool
	}{
		{"/login", app, true}, {"/login", partner, false},
		{"/hooks", app, true}, {"/hooks", partner, true},
		{"/internal", app, false}, {"/internal", partner, false},
	} {
		preflight := do(h, request("OPTIONS", tt.path, "Origin", tt.origin, "Access-Control-Request-Method", "POST"))
		if passes := preflight.Code == 204; passes != tt.trusted {
			t.Errorf("preflight for %s from %s: status %d", tt.path, tt.origin, preflight.Code)
		}
		sent := do(h, request("POST", tt.path, "Origin", tt.origin, "Sec-Fetch-Site", "cross-site"))
		if passes := sent.Code == 200; passes != tt.trusted {
			t.Errorf("POST %s from %s: status %d", tt.path, tt.origin, sent.Code)
		}
		if readable := sent.Header().Get("Access-Control-Allow-Origin") == tt.origin; readable != tt.trusted {
			t.Errorf("POST %s from %s: header %v", tt.path, tt.origin, sent.Header())
		}
	}
}

// Whatever a request to an anonymous route presents, its handler sees nobody.
func TestOnAnAnonymousRouteEverybodyIsNobody(t *testing.T) {
	for _, header := range [][]string{{"Cookie", "__Host-merlon_session=good"}, {"X-API-Key", "mrl_good"}, nil} {
		g := guard(t, blog())
		w := do(g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if p := merlon.Principal(r.Context()); p.Known() {
				t.Errorf("%v: the caller is %v", header, p)
			}
		})), request("POST", "/anybody", header...))
		if w.Code != 200 {
			t.Errorf("%v: status %d", header, w.Code)
		}
	}
}

func TestNewReportsEveryErrorAtOnce(t *testing.T) {
	_, err := merlon.New(merlon.Config{
		Environment: "staging",
		Origins:     []string{"*", "http://app.example.com"},
		Secret:      []byte("short"),
		Routes:      []merlon.Route{{Pattern: "GET /nobody"}},
		RateLimit:   ratelimit.Config{Rules: []ratelimit.Rule{{Name: "Login"}}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"staging"`, `"*"`, `"http://app.example.com"`, "Secret has 5 bytes", `"GET /nobody"`, "Hosts", `"Login"`} {
		if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
			t.Errorf("the error does not tell of %s:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "short\"") {
		t.Error("the error tells the secret")
	}
}

// One line for each error, which begins with the package that found it, once.
func TestEveryErrorNamesItsPackageOnce(t *testing.T) {
	short := []byte("short")
	_, err := merlon.New(merlon.Config{
		Environment:     "staging",
		Origins:         []string{"*", "null"},
		Secret:          short,
		PreviousSecrets: [][]byte{[]byte(strings.Repeat("x", 32)), short},
		Routes:          []merlon.Route{{Pattern: "GET /nobody"}, {}},
		ClientIP:        clientip.Config{TrustedProxies: []string{"10.0.0.1"}},
		Headers:         headers.Config{HSTSMaxAge: -1},
		HTTPSOnly:       httpsonly.Config{RedirectPort: -1},
		CORS:            cors.Config{MaxAge: 48 * time.Hour},
		RateLimit:       ratelimit.Config{Rules: []ratelimit.Rule{{Name: "empty"}}, Default: ratelimit.Rule{Name: "x", Match: []string{"y"}}},
		CSRF:            csrf.Config{TTL: -1},
		Authn:           authn.Config{Sessions: authn.Sessions(nil, nil), Keys: authn.Keys(nil, nil)},
		Validate:        validate.Config{MaxBody: -1},
		Firewall:        firewall.Config{MaxURI: -1},
	})
	if err == nil {
		t.Fatal("no error")
	}
	one := regexp.MustCompile(`^(merlon|origin|route|clientip|headers|httpsonly|firewall|cors|ratelimit|csrf|authn|validate)(: | ")`)
	told := map[string]int{}
	for line := range strings.Lines(err.Error()) {
		found := one.FindStringSubmatch(line)
		if found == nil || strings.Contains(line, found[1]+": "+found[1]) {
			t.Errorf("the line begins with no package or with one twice: %s", line)
			continue
		}
		told[found[1]]++
	}
	want := map[string]int{"merlon": 3, "origin": 2, "route": 2, "clientip": 1, "headers": 1, "httpsonly": 1, "firewall": 2, "cors": 1,
		"ratelimit": 5, "csrf": 1, "authn": 2, "validate": 1}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("lines by package (-want +got):\n%s\n%v", diff, err)
	}
	for _, name := range []string{"merlon: Secret has 5 bytes", "merlon: PreviousSecrets[1] has 5 bytes"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error lacks %q:\n%v", name, err)
		}
	}
}

func TestContradictionsBetweenStagesAreErrors(t *testing.T) {
	tests := []struct {
		name   string
		change func(*merlon.Config)
		want   string // "" means that it is right
	}{
		{"the policy itself", func(*merlon.Config) {}, ""},
		{"no routes", func(c *merlon.Config) { c.Routes = nil }, "Routes is empty"},
		{"sessions without a secret", func(c *merlon.Config) { c.Secret = nil }, "Secret is empty"},
		{"keys alone need no secret", func(c *merlon.Config) {
			c.Secret, c.Authn.Sessions = nil, nil
			c.Routes = slices.DeleteFunc(c.Routes, func(r merlon.Route) bool { return r.AccountOnly })
		}, ""},
		{"a list of hosts of one stage", func(c *merlon.Config) { c.Firewall.Hosts = []string{"x.example"} }, "one list"},
		{"a list of origins of one stage", func(c *merlon.Config) { c.CSRF.Origins = []string{"https://x.example"} }, "one list"},
		{"a compiled list of origins of one stage", func(c *merlon.Config) { c.CORS.OriginSet = &origin.Set{} }, "one list"},
		{"a table of routes of one stage", func(c *merlon.Config) { c.RateLimit.Routes = &route.Table{} }, "set Routes of the whole Config"},
		{"http origins of one stage", func(c *merlon.Config) { c.CORS.Development = true }, "set Environment"},
		{"a secret of no bytes", func(c *merlon.Config) { c.Secret = []byte{} }, "Secret has 0 bytes"},
		{"a previous secret of no bytes", func(c *merlon.Config) { c.PreviousSecrets = [][]byte{nil} }, "PreviousSecrets[0] has 0 bytes"},
		{"a key of one stage", func(c *merlon.Config) { c.CSRF.Key = c.Secret }, "set Secret"},
		{"any origin and a list of them", func(c *merlon.Config) { c.CORS.InsecureAnyOrigin = "public data" }, "Origins is set"},
		{"any origin", func(c *merlon.Config) { c.CORS.InsecureAnyOrigin, c.Origins = "public data", nil }, ""},
		{"any origin in development, which has no default origins then", func(c *merlon.Config) {
			c.Environment, c.CORS.InsecureAnyOrigin, c.Origins = merlon.Development, "public data", nil
		}, ""},
		{"any origin in development and a list of them", func(c *merlon.Config) {
			c.Environment, c.CORS.InsecureAnyOrigin = merlon.Development, "public data"
		}, "Origins is set"},
		{"a session verifier made of nothing", func(c *merlon.Config) { c.Authn.Sessions = authn.Sessions(nil, nil) }, "authn: Sessions: "},
		{"credentials across origins without the header of the token", func(c *merlon.Config) {
			c.CORS.Credentials, c.CORS.RequestHeaders = true, []string{"Content-Type"}
		}, "X-CSRF-Token"},
		{"credentials across origins with it", func(c *merlon.Config) {
			c.CORS.Credentials, c.CORS.RequestHeaders = true, []string{"Content-Type", "x-csrf-token"}
		}, ""},
		{"a limit on a route that does not exist", func(c *merlon.Config) {
			c.RateLimit.Rules = []ratelimit.Rule{{Name: "x", Match: []string{"POST /log-in"}, By: []ratelimit.Part{ratelimit.ByAddress}, Limits: []ratelimit.Limit{{Max: 5, Window: time.Minute}}}}
		}, `"POST /log-in"`},
		{"routes that nobody could call", func(c *merlon.Config) { c.Authn = authn.Config{} }, "nobody could call it"},
		{"an account route with keys only", func(c *merlon.Config) { c.Authn.Sessions = nil }, `"GET /me"`},
		{"a table of routes for CORS alone", func(c *merlon.Config) { c.CORS.Routes = &route.Table{} }, "set Routes of the whole Config"},
		{"a route that keeps an origin which there is not", func(c *merlon.Config) {
			c.Routes[0].CORS = &route.CORS{Origins: []string{"https://partner.example"}}
		}, `route "GET /posts": origin "https://partner.example"`},
		{"a route that adds it", func(c *merlon.Config) {
			c.Routes[0].CORS = &route.CORS{AddOrigins: []string{"https://partner.example"}}
		}, ""},
		{"a route that adds a header which pages cannot set", func(c *merlon.Config) {
			c.Routes[0].CORS = &route.CORS{AddRequestHeaders: []string{"Cookie"}}
		}, `cors: route "GET /posts": request header "Cookie"`},
		{"a route for everybody on a site for everybody", func(c *merlon.Config) {
			c.CORS.InsecureAnyOrigin, c.Origins = "public data", nil
			c.Routes[0].CORS = &route.CORS{InsecureAnyOrigin: "more public data"}
		}, "lets in every origin"},
		{"a closed route on a site for everybody", func(c *merlon.Config) {
			c.CORS.InsecureAnyOrigin, c.Origins = "public data", nil
			c.Routes[0].CORS = &route.CORS{Off: true}
		}, ""},
		{"a route with headers that nobody knows", func(c *merlon.Config) { c.Routes[0].Headers = "wep" }, `asks for the headers "wep"`},
		{"a route with headers of its own", func(c *merlon.Config) {
			c.Routes[0].Headers, c.Headers.Pages = "wep", map[headers.Profile]headers.Page{"wep": {}}
		}, ""},
		{"clear text and preload", func(c *merlon.Config) {
			c.HTTPSOnly.InsecureHTTP, c.Headers.HSTSPreload = "test", true
		}, "HSTSPreload"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := merlon.New(blog(tt.change))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("error %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v; want one about %s", err, tt.want)
			}
		})
	}
}

func TestARelaxedControlIsLoudAtStart(t *testing.T) {
	var log strings.Builder
	guard(t, blog(func(c *merlon.Config) {
		c.ErrorLog = slog.New(slog.NewTextHandler(&log, nil))
		c.HTTPSOnly.InsecureHTTP = "a test needs it"
		c.Routes[0].CORS = &route.CORS{InsecureAnyOrigin: "published posts"}
		c.RateLimit.InsecureExempt = ratelimit.InsecureExempt{Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Reason: "our own monitor"}
		c.Headers.Page.CSP.InsecureScriptSrc = headers.InsecureSources{Sources: []headers.Source{headers.UnsafeEval}, Reason: "an old template engine"}
		c.Headers.Reports = "https://reports.example.com/"
		c.Headers.Pages = map[headers.Profile]headers.Page{"editor": {ReportOnly: &headers.CSP{InsecureNoTrustedTypes: "an old editor"}}}
	}))
	for _, want := range []string{
		"HTTPSOnly.InsecureHTTP", "a test needs it", "RateLimit.InsecureExempt", "our own monitor",
		"Headers.Page.CSP.InsecureScriptSrc", "an old template engine", "Headers.Pages[editor].ReportOnly.InsecureNoTrustedTypes", "an old editor",
		"GET /posts: CORS.InsecureAnyOrigin", "published posts",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not tell of %q:\n%s", want, log.String())
		}
	}
}

func TestAnUndeclaredProxyIsToldOfOnce(t *testing.T) {
	var log strings.Builder
	var events audittest.Memory
	g := guard(t, blog(func(c *merlon.Config) {
		c.ErrorLog, c.Recorder = slog.New(slog.NewTextHandler(&log, nil)), &events
	}))
	h := g.Handler(served)
	do(h, request("GET", "/posts"))
	if log.Len() > 0 {
		t.Errorf("told without a header:\n%s", log.String())
	}
	for range 3 {
		do(h, request("GET", "/posts", "X-Forwarded-For", "203.0.113.1"))
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "id=merlon.N001 peer=192.0.2.1 header=X-Forwarded-For request_id=") {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	if got := events.Events(); len(got) != 1 || got[0].Type != "sys_misconfigured" || got[0].Severity != "low" || got[0].Outcome != "failure" || got[0].Address != "192.0.2.1" {
		t.Errorf("events %+v", got)
	}
	log.Reset()
	g = guard(t, blog(func(c *merlon.Config) {
		c.ErrorLog, c.ClientIP.TrustedProxies = slog.New(slog.NewTextHandler(&log, nil)), []string{"192.0.2.0/24"}
	}))
	do(g.Handler(served), request("GET", "/posts", "X-Forwarded-For", "203.0.113.1"))
	if log.Len() > 0 {
		t.Errorf("told of a declared proxy:\n%s", log.String())
	}
}

func TestMisuseOfTheLimitsIsToldOfOnce(t *testing.T) {
	var log strings.Builder
	var events audittest.Memory
	g := guard(t, blog(func(c *merlon.Config) {
		c.ErrorLog, c.Recorder = slog.New(slog.NewTextHandler(&log, nil)), &events
		c.RateLimit.IPv6Bits = 128
	}))
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "id=merlon.N009") {
		t.Errorf("at start:\n%s", log.String())
	}
	log.Reset()
	h := g.Handler(g.Handler(served))
	for range 3 {
		do(h, request("GET", "/posts"))
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), `id=merlon.N002 route="GET /posts" request_id=`) {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	if got := events.Events(); len(got) != 1 || got[0].Type != "sys_misconfigured" || got[0].Outcome != "failure" || got[0].Address != "192.0.2.1" {
		t.Errorf("events %+v", got)
	}
}

func TestDevelopmentKeepsTheReasonsOfTheUser(t *testing.T) {
	var log strings.Builder
	guard(t, blog(func(c *merlon.Config) {
		c.Environment, c.ErrorLog = merlon.Development, slog.New(slog.NewTextHandler(&log, nil))
		c.HTTPSOnly.InsecureLoopback = "a proxy on this machine"
	}))
	for _, want := range []string{
		`setting=HTTPSOnly.InsecureLoopback reason="a proxy on this machine"`,
		`setting=Firewall.InsecureLoopbackHosts reason="the environment is development"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not tell of %q:\n%s", want, log.String())
		}
	}
}

func TestDevelopmentRelaxesLoopbackOnly(t *testing.T) {
	g := guard(t, merlon.Config{
		Environment: merlon.Development,
		Routes:      []merlon.Route{{Pattern: "GET /posts", Public: true}, {Pattern: "POST /posts", Public: true}},
		ErrorLog:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	tests := []struct {
		name, host, peer, origin string
		status                   int
	}{
		{"loopback", "localhost:8080", "127.0.0.1:4000", "", 200},
		{"a default origin", "127.0.0.1:8080", "127.0.0.1:4000", "http://localhost:3000", 200},
		{"another local origin", "127.0.0.1:8080", "127.0.0.1:4000", "http://localhost:3001", 403},
		{"another peer", "localhost:8080", "192.0.2.1:4000", "", 403},
		{"another host", "api.example.com", "127.0.0.1:4000", "", 421},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/posts", nil)
			r.Host, r.RemoteAddr = tt.host, tt.peer
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			if w := do(g.Handler(served), r); w.Code != tt.status {
				t.Errorf("status %d: %s; want %d", w.Code, w.Body, tt.status)
			}
		})
	}
}

// A limiter that checks and then adds lets several through at once; one that counts
// by second counts all requests of a second as one.
func TestSixtyAtOnceAgainstALimitOfTenAdmitTen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, window = 10, time.Minute
		g := guard(t, blog(func(c *merlon.Config) {
			c.RateLimit.Rules = []ratelimit.Rule{{Name: "posts", Match: []string{"GET /posts"}, By: []ratelimit.Part{ratelimit.ByAddress},
				Limits: []ratelimit.Limit{{Max: limit, Window: window}}}}
		}))
		var mu sync.Mutex
		var admitted []time.Time
		h := g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			admitted = append(admitted, time.Now())
		}))
		burst := func() {
			var wg sync.WaitGroup
			for i := range 60 {
				wg.Go(func() {
					// Whatever the client forges, it is one client.
					do(h, request("GET", "/posts", "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i)))
				})
			}
			wg.Wait()
		}
		burst()
		if len(admitted) != limit {
			t.Fatalf("%d of 60 at once; want %d", len(admitted), limit)
		}
		// Bursts at all offsets of the window: no window ever holds more.
		for range 200 {
			time.Sleep(1700 * time.Millisecond)
			burst()
		}
		for i, from := range admitted {
			n := 0
			for _, at := range admitted[i:] {
				if at.Sub(from) < window {
					n++
				}
			}
			if n > limit {
				t.Fatalf("%d in the window that begins with admission %d; want at most %d", n, i, limit)
			}
		}
		if len(admitted) < 3*limit {
			t.Errorf("%d admissions in six windows: the limit never opened again", len(admitted))
		}
	})
}

func TestRetryAfterIsRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard(t, blog(func(c *merlon.Config) {
			c.RateLimit.Rules = []ratelimit.Rule{{Name: "posts", Match: []string{"GET /posts"}, By: []ratelimit.Part{ratelimit.ByAddress},
				Limits: []ratelimit.Limit{{Max: 2, Window: time.Minute}}}}
		}))
		h := g.Handler(served)
		do(h, request("GET", "/posts"))
		time.Sleep(10 * time.Second)
		do(h, request("GET", "/posts"))
		w := do(h, request("GET", "/posts"))
		if w.Code != 429 || w.Header().Get("Retry-After") != "50" {
			t.Fatalf("status %d, Retry-After %q; want 429, 50", w.Code, w.Header().Get("Retry-After"))
		}
		want := map[string]string{
			"RateLimit-Policy":      `"posts";q=2;w=60`,
			"RateLimit":             `"posts";r=0;t=50`,
			"X-RateLimit-Limit":     "2",
			"X-RateLimit-Remaining": "0",
			"X-RateLimit-Reset":     fmt.Sprint(time.Now().Add(50 * time.Second).Unix()),
		}
		got := map[string]string{}
		for name := range want {
			got[name] = w.Header().Get(name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
		if body := w.Body.String(); !strings.Contains(body, `"type":"https://iana.org/assignments/http-problem-types#quota-exceeded"`) || !strings.Contains(body, `"violated-policies":["posts"]`) {
			t.Errorf("body %s", body)
		}
		time.Sleep(49 * time.Second)
		if w := do(h, request("GET", "/posts")); w.Code != 429 {
			t.Errorf("status %d a second early; want 429", w.Code)
		}
		time.Sleep(time.Second)
		if w := do(h, request("GET", "/posts")); w.Code != 200 {
			t.Errorf("status %d after waiting as told; want 200", w.Code)
		}
	})
}

func TestRefusedCredentialsAreCountedByAddress(t *testing.T) {
	var lookups atomic.Int32
	g := guard(t, blog(func(c *merlon.Config) {
		c.RateLimit.BadCredentials = ratelimit.Rule{Limits: []ratelimit.Limit{{Max: 3, Window: time.Minute}}}
		c.Authn.Keys = counting{proof{Kind: identity.APIKey, Subject: "usr_1", KeyID: "key_1"}, &lookups}
	}))
	h := g.Handler(served)
	for i := range 3 {
		if w := do(h, request("GET", "/posts", "X-API-Key", "mrl_bad")); w.Code != 401 {
			t.Fatalf("bad key %d: status %d; want 401", i+1, w.Code)
		}
	}
	before := lookups.Load()
	w := do(h, request("GET", "/posts", "X-API-Key", "mrl_bad"))
	if w.Code != 429 || !strings.Contains(w.Header().Get("RateLimit"), `"bad_credentials"`) {
		t.Errorf("the fourth: status %d, RateLimit %q; want 429 and the rule", w.Code, w.Header().Get("RateLimit"))
	}
	if lookups.Load() != before {
		t.Error("the fourth was looked up")
	}
	if w := do(h, request("GET", "/posts")); w.Code != 200 {
		t.Errorf("without a credential: status %d; want 200", w.Code)
	}
	other := request("GET", "/posts", "X-API-Key", "mrl_good")
	other.RemoteAddr = "198.51.100.9:4000"
	if w := do(h, other); w.Code != 200 {
		t.Errorf("another address: status %d; want 200", w.Code)
	}
}

// What is refused for its form is counted too, and a flood of it, or of anything
// else, does not fill the event log.
func TestAFloodOfMalformedRequestsIsLimitedAndToldOf(t *testing.T) {
	var events audittest.Memory
	g := guard(t, blog(func(c *merlon.Config) {
		c.Recorder = &events
		c.RateLimit.Address = ratelimit.Rule{Limits: []ratelimit.Limit{{Max: 20, Window: time.Minute}}}
	}))
	h := g.Handler(served)
	statuses := map[int]int{}
	for range 100 {
		statuses[do(h, request("GET", "/posts;x=1")).Code]++
	}
	if statuses[400] != 20 || statuses[429] != 80 {
		t.Errorf("statuses %v; want 20 of 400 and 80 of 429", statuses)
	}
	if n := len(events.Events()); n != 30 {
		t.Errorf("%d events; want one for each of the 20, and ten of the 80", n)
	}
	if w := do(h, request("GET", "/posts")); w.Code != 429 {
		t.Errorf("a good request of the same address: status %d; want 429", w.Code)
	}
	other := request("GET", "/posts;x=1")
	other.RemoteAddr = "198.51.100.9:4000"
	if w := do(h, other); w.Code != 400 {
		t.Errorf("another address: status %d; want 400", w.Code)
	}
}

type counting struct {
	authn.Verifier
	n *atomic.Int32
}

func (c counting) Verify(ctx context.Context, secret string, a netip.Addr, now time.Time) (identity.Principal, error) {
	c.n.Add(1)
	return c.Verifier.Verify(ctx, secret, a, now)
}

func TestHandlersReadThePolicysFacts(t *testing.T) {
	g := guard(t, blog(func(c *merlon.Config) { c.ClientIP.TrustedProxies = []string{"192.0.2.0/24"} }))
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		p := merlon.Principal(ctx)
		_, _ = fmt.Fprint(w, merlon.Client(ctx), " ", p.Subject, " ", merlon.RequestID(ctx) == w.Header().Get("X-Request-Id"))
	}))
	r := request("POST", "/posts", "X-API-Key", "mrl_good", "X-Forwarded-For", "6.6.6.6, 203.0.113.7", "X-Forwarded-Proto", "https")
	if w := do(h, r); w.Body.String() != "203.0.113.7 usr_1 true" {
		t.Errorf("%s", w.Body)
	}
	if p, id := merlon.Principal(context.Background()), merlon.RequestID(context.Background()); p.Known() || id != "" || merlon.Client(context.Background()).IsValid() {
		t.Error("facts from nowhere")
	}
}

func TestNoStageChangesTheMethodOrThePath(t *testing.T) {
	g := guard(t, blog())
	h := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.URL.Path != "/posts" || r.URL.RawQuery != "_method=DELETE" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
	}))
	if w := do(h, request("POST", "/posts?_method=DELETE", "X-API-Key", "mrl_good", "X-HTTP-Method-Override", "DELETE")); w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
}
