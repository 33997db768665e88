package merlon_test

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/audit/audittest"
	"github.com/merlonhq/merlon/ratelimit"
)

// shadowed is the policy of these tests with controls in shadow.
func shadowed(events audit.Recorder, controls ...string) func(*merlon.Config) {
	return func(c *merlon.Config) {
		c.Recorder = events
		if len(controls) > 0 {
			c.InsecureShadow = merlon.InsecureShadow{Controls: controls, Reason: "a test"}
		}
		c.Routes = append(c.Routes,
			merlon.Route{Pattern: "OPTIONS /posts", Public: true},
			merlon.Route{Pattern: "PROPFIND /posts", Public: true},
			merlon.Route{Pattern: "GET /admin", Role: "admin"},
			merlon.Route{Pattern: "GET /reports", Scopes: []string{"reports:read"}},
			merlon.Route{Pattern: "POST /small", Public: true, MaxBody: 8},
			merlon.Route{Pattern: "GET /few", Public: true})
		c.RateLimit.Rules = []ratelimit.Rule{{Name: "few", Match: []string{"GET /few"}, By: []ratelimit.Part{ratelimit.ByAddress},
			Limits: []ratelimit.Limit{{Max: 1, Window: time.Minute}}}}
	}
}

func inClear(r *http.Request) *http.Request { r.TLS = nil; return r }

func withBody(r *http.Request, contentType, body string) *http.Request {
	r.Header.Set("Content-Type", contentType)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return r
}

// verdict is what came of a request: the answer, and one line for each event.
type verdict struct {
	status int
	body   string
	header http.Header
	events []string

	refuser string // the control that refused it
	lifted  bool   // a control in shadow would have
}

// pass sends a request through a new guard, after as many others as are to be first.
func pass(t testing.TB, make func() *http.Request, first int, controls ...string) (verdict, *merlon.Guard) {
	var events audittest.Memory
	g := guard(t, blog(shadowed(&events, controls...)))
	h := g.Handler(served)
	for range first {
		do(h, make())
	}
	before, counted := len(events.Events()), g.Counts()
	w := do(h, make())
	v := verdict{status: w.Code, body: w.Body.String(), header: w.Header()}
	if id := w.Header().Get("X-Request-Id"); id != "" {
		v.body = strings.ReplaceAll(v.body, id, "ID")
		v.header.Set("X-Request-Id", "ID")
	}
	for _, e := range events.Events()[before:] {
		line := fmt.Sprint(e.Type, " ", e.Outcome)
		for _, a := range e.Detail {
			if a.Key == "control" || a.Key == "code" || a.Key == "status" {
				line += fmt.Sprint(" ", a.Value)
			}
		}
		v.events = append(v.events, line)
	}
	for i, c := range g.Counts() {
		if c.Refused > counted[i].Refused || c.Control == "httpsonly" && w.Code == 308 {
			v.refuser = c.Control
		}
		v.lifted = v.lifted || c.WouldRefuse > counted[i].WouldRefuse
	}
	return v, g
}

// Every control: enforced it refuses; in shadow the handler is reached and the event
// says what would have been; the nearest request that is allowed tells of nothing.
func TestEveryControlInShadow(t *testing.T) {
	preflight := func(origin string) *http.Request {
		return request("OPTIONS", "/posts", "Origin", origin, "Access-Control-Request-Method", "POST")
	}
	tests := []struct {
		control string
		name    string
		bad     func() *http.Request
		first   int // requests before it
		status  int
		event   string // of the refusal when it is enforced; "" means none
		would   string // of the refusal in shadow
		good    func() *http.Request
	}{
		{"httpsonly", "a credential in clear text", func() *http.Request { return inClear(request("GET", "/posts", "X-API-Key", "mrl_good")) }, 0,
			403, "authn_credential_in_clear refused httpsonly https-required 403", "authn_credential_in_clear would_refuse httpsonly https-required 403",
			func() *http.Request { return request("GET", "/posts", "X-API-Key", "mrl_good") }},
		{"httpsonly", "clear text", func() *http.Request { return inClear(request("GET", "/posts")) }, 0,
			403, "", "input_validation_fail would_refuse httpsonly https-required 403",
			func() *http.Request { return request("GET", "/posts") }},
		{"httpsonly", "a page in clear text", func() *http.Request { return inClear(request("GET", "/posts", "Accept", "text/html")) }, 0,
			308, "", "input_validation_fail would_refuse httpsonly https-required 308",
			func() *http.Request { return request("GET", "/posts", "Accept", "text/html") }},
		{"firewall", "another host", func() *http.Request { return httptest.NewRequest("GET", "https://evil.example/posts", nil) }, 0,
			421, "input_validation_fail refused firewall host-not-allowed 421", "input_validation_fail would_refuse firewall host-not-allowed 421",
			func() *http.Request { return request("GET", "/posts") }},
		{"firewall", "another method", func() *http.Request { return request("PROPFIND", "/posts") }, 0,
			405, "input_validation_fail refused firewall method-not-allowed 405", "input_validation_fail would_refuse firewall method-not-allowed 405",
			func() *http.Request { return request("GET", "/posts") }},
		{"firewall", "a header that is too long", func() *http.Request { return request("GET", "/posts", "X-Long", strings.Repeat("x", 8<<10+1)) }, 0,
			400, "input_validation_fail refused firewall malformed-request 400", "input_validation_fail would_refuse firewall malformed-request 400",
			func() *http.Request { return request("GET", "/posts", "X-Long", strings.Repeat("x", 8<<10)) }},
		{"cors", "a preflight from a foreign origin", func() *http.Request { return preflight("https://evil.example") }, 0,
			403, "malicious_cors refused cors cross-site-request 403", "malicious_cors would_refuse cors cross-site-request 403",
			func() *http.Request { return request("OPTIONS", "/posts") }},
		{"ratelimit", "the second request of one a minute", func() *http.Request { return request("GET", "/few") }, 1,
			429, "excess_rate_limit_exceeded refused ratelimit quota-exceeded 429", "excess_rate_limit_exceeded would_refuse ratelimit quota-exceeded 429",
			func() *http.Request { return request("GET", "/posts") }},
		{"csrf", "a cross-site login", func() *http.Request {
			return request("POST", "/login", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		}, 0,
			403, "malicious_csrf refused csrf cross-site-request 403", "malicious_csrf would_refuse csrf cross-site-request 403",
			func() *http.Request {
				return request("POST", "/login", "Sec-Fetch-Site", "cross-site", "Origin", "https://app.example.com")
			}},
		{"authn", "a bad key on a public route", func() *http.Request { return request("GET", "/posts", "X-API-Key", "mrl_bad") }, 0,
			401, "apikey_rejected refused authn unauthenticated 401", "apikey_rejected would_refuse authn unauthenticated 401",
			func() *http.Request { return request("GET", "/posts", "X-API-Key", "mrl_good") }},
		{"authn", "two credentials", func() *http.Request {
			return request("GET", "/posts", "X-API-Key", "mrl_good", "Cookie", "__Host-merlon_session=good")
		}, 0,
			400, "authz_fail refused authn ambiguous-credentials 400", "authz_fail would_refuse authn ambiguous-credentials 400",
			func() *http.Request { return request("GET", "/posts", "X-API-Key", "mrl_good") }},
		{"authn", "a key in the query beside a good one", func() *http.Request { return request("GET", "/me?api_key=x", "Cookie", "__Host-merlon_session=good") }, 0,
			400, "apikey_rejected refused authn malformed-request 400", "apikey_rejected would_refuse authn malformed-request 400",
			func() *http.Request { return request("GET", "/me?key=x", "Cookie", "__Host-merlon_session=good") }},
		{"csrf-token", "a session without a token", func() *http.Request { return request("POST", "/posts", "Cookie", "__Host-merlon_session=good") }, 0,
			403, "malicious_csrf refused csrf-token csrf-token-missing 403", "malicious_csrf would_refuse csrf-token csrf-token-missing 403",
			func() *http.Request { return request("POST", "/posts", "X-API-Key", "mrl_good") }},
		{"authz", "a missing role", func() *http.Request { return request("GET", "/admin", "X-API-Key", "mrl_good") }, 0,
			403, "authz_fail refused authz forbidden 403", "authz_fail would_refuse authz forbidden 403",
			func() *http.Request { return request("POST", "/posts", "X-API-Key", "mrl_good") }},
		{"authz", "a missing scope", func() *http.Request { return request("GET", "/reports", "X-API-Key", "mrl_good") }, 0,
			403, "authz_fail refused authz insufficient-scope 403", "authz_fail would_refuse authz insufficient-scope 403",
			func() *http.Request { return request("POST", "/posts", "X-API-Key", "mrl_good") }},
		{"validate", "a body of another type", func() *http.Request { return withBody(request("POST", "/login"), "text/xml", "<a/>") }, 0,
			415, "input_validation_fail refused validate unsupported-media-type 415", "input_validation_fail would_refuse validate unsupported-media-type 415",
			func() *http.Request { return withBody(request("POST", "/login"), "application/json", `{}`) }},
		{"validate", "JSON that is malformed", func() *http.Request { return withBody(request("POST", "/login"), "application/json", `{`) }, 0,
			400, "input_validation_fail refused validate malformed-request 400", "input_validation_fail would_refuse validate malformed-request 400",
			func() *http.Request { return withBody(request("POST", "/login"), "application/json", `{}`) }},
		{"validate", "JSON with a member twice", func() *http.Request { return withBody(request("POST", "/login"), "application/json", `{"a":1,"a":2}`) }, 0,
			422, "input_validation_fail refused validate invalid-content 422", "input_validation_fail would_refuse validate invalid-content 422",
			func() *http.Request { return withBody(request("POST", "/login"), "application/json", `{"a":1,"b":2}`) }},
	}
	tested := map[string]bool{}
	for _, tt := range tests {
		tested[tt.control] = true
		t.Run(tt.control+": "+tt.name, func(t *testing.T) {
			list := func(line string) []string {
				if line == "" {
					return nil
				}
				return []string{line}
			}
			v, g := pass(t, tt.bad, tt.first)
			if v.status != tt.status || !slices.Equal(v.events, list(tt.event)) {
				t.Errorf("enforced: status %d, events %q; want %d, %q", v.status, v.events, tt.status, tt.event)
			}
			n := uint64(1)
			if tt.status < 400 {
				n = 0 // a redirect is no refusal
			}
			wantCount(t, g, tt.control, n, 0)
			v, g = pass(t, tt.bad, tt.first, tt.control)
			if v.status != 200 || v.body != "served" || !slices.Equal(v.events, list(tt.would)) {
				t.Errorf("in shadow: status %d, body %q, events %q; want 200 and %q", v.status, v.body, v.events, tt.would)
			}
			wantCount(t, g, tt.control, 0, 1)
			v, g = pass(t, tt.good, tt.first, tt.control)
			if v.status != 200 || v.body != "served" || v.events != nil {
				t.Errorf("what is allowed, in shadow: status %d, body %q, events %q; want 200 and none", v.status, v.body, v.events)
			}
			wantCount(t, g, tt.control, 0, 0)
		})
	}
	for _, name := range merlon.ShadowControls() {
		if !tested[name] {
			t.Errorf("no row for the control %s", name)
		}
	}
}

func wantCount(t *testing.T, g *merlon.Guard, control string, refused, wouldRefuse uint64) {
	t.Helper()
	for _, c := range g.Counts() {
		want := [2]uint64{}
		if c.Control == control {
			want = [2]uint64{refused, wouldRefuse}
		}
		if got := [2]uint64{c.Refused, c.WouldRefuse}; got != want {
			t.Errorf("%s has refused, and would have, %v; want %v", c.Control, got, want)
		}
	}
}

// What has no one meaning, is not whole or would leave handlers without whom they
// rely on stands, with everything in shadow that can be.
func TestWhatIsNeverLifted(t *testing.T) {
	tests := []struct {
		name    string
		r       func() *http.Request
		status  int
		control string // of the refusal
	}{
		{"an unknown path", func() *http.Request { return request("GET", "/nothing") }, 404, "route"},
		{"a path without this method", func() *http.Request { return request("DELETE", "/posts") }, 405, "route"},
		{"a path that is not in normal form", func() *http.Request { return request("GET", "/posts/..%2fadmin") }, 400, "firewall"},
		{"the same behind a method that is not listed", func() *http.Request { return request("PROPFIND", "/posts/..%2fadmin") }, 400, "firewall"},
		{"the same behind a header that is too long", func() *http.Request {
			return request("GET", "/posts/..%2fadmin", "X-Long", strings.Repeat("x", 8<<10+1))
		}, 400, "firewall"},
		{"a header with a control character behind too many", func() *http.Request {
			r := request("GET", "/posts", "X-Control", "a\x01b")
			r.Header["X-Many"] = make([]string, 101)
			return r
		}, 400, "firewall"},
		{"two content types", func() *http.Request { return request("GET", "/posts", "Content-Type", "a/b", "Content-Type", "c/d") }, 400, "firewall"},
		{"a host that is malformed", func() *http.Request { r := request("GET", "/posts"); r.Host = "a b"; return r }, 400, "firewall"},
		{"nobody on a route that needs a caller", func() *http.Request { return request("POST", "/posts") }, 401, "authz"},
		{"a bad key on a route that needs a caller", func() *http.Request { return request("POST", "/posts", "X-API-Key", "mrl_bad") }, 401, "authz"},
		{"a session that is over on a route that needs a caller", func() *http.Request { return request("POST", "/posts", "Cookie", "__Host-merlon_session=bad") }, 401, "authz"},
		{"a key on an account route", func() *http.Request { return request("GET", "/me", "X-API-Key", "mrl_good") }, 403, "authz"},
		{"a body that is too large", func() *http.Request { return withBody(request("POST", "/small"), "application/json", `{"a":12345}`) }, 413, "validate"},
		{"a body that is too large, of another type", func() *http.Request { return withBody(request("POST", "/small"), "text/plain", "123456789") }, 413, "validate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, g := pass(t, tt.r, 0, merlon.ShadowControls()...)
			if v.status != tt.status {
				t.Errorf("status %d; want %d", v.status, tt.status)
			}
			for _, c := range g.Counts() {
				if want := c.Control == tt.control; want != (c.Refused == 1) {
					t.Errorf("%s has refused %d", c.Control, c.Refused)
				}
			}
		})
	}
}

// For every control in shadow and any request: what passes when all is enforced is
// answered byte for byte the same, and so is what another control refuses.
func TestShadowChangesNothingElse(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string, values ...string) string { return rapid.SampledFrom(values).Draw(rt, name) }
		method := draw("method", "GET", "GET", "HEAD", "POST", "POST", "OPTIONS", "DELETE", "PROPFIND")
		path := draw("path", "/posts", "/posts", "/login", "/me", "/admin", "/reports", "/small", "/few", "/health", "/nothing", "/posts;x", "/posts?api_key=1")
		header := []string{}
		add := func(name string, values ...string) {
			if v := draw(name, values...); v != "" {
				header = append(header, name, v)
			}
		}
		add("Origin", "", "", "https://app.example.com", "https://evil.example")
		add("Sec-Fetch-Site", "", "", "same-origin", "cross-site")
		add("Access-Control-Request-Method", "", "", "POST", "TRACE")
		add("X-API-Key", "", "", "mrl_good", "mrl_bad")
		add("Cookie", "", "", "__Host-merlon_session=good", "__Host-merlon_session=bad")
		add("Accept", "", "text/html")
		secure := draw("scheme", "https", "https", "https", "http") == "https"
		host := draw("host", "", "", "", "evil.example")
		contentType := draw("type", "", "application/json", "text/xml")
		content := draw("body", "{}", `{"a":1}`, `{`, `{"a":1,"a":2}`)
		r := func() *http.Request {
			r := request(method, path, header...)
			if contentType != "" {
				withBody(r, contentType, content)
			}
			if !secure {
				r.TLS = nil
			}
			if host != "" {
				r.Host = host
			}
			return r
		}
		first := rapid.IntRange(0, 1).Draw(rt, "before")
		control := draw("control", merlon.ShadowControls()...)
		if before, _ := pass(t, r, 0, control); first > 0 && before.lifted {
			rt.Skip("the request before would leave other counts behind")
		}
		enforced, _ := pass(t, r, first)
		shadow, _ := pass(t, r, first, control)
		if enforced.refuser != control && shadow.lifted {
			rt.Errorf("%s in shadow would refuse what is refused by %q when all is enforced", control, enforced.refuser)
		}
		if enforced.refuser == control && shadow.lifted {
			return
		}
		// It passes, another control refuses it, or the refusal is firm.
		if diff := cmp.Diff(enforced, shadow, cmp.AllowUnexported(verdict{}), ignoreClock); diff != "" {
			rt.Errorf("%s in shadow, refused by %q (-enforced +shadow):\n%s", control, enforced.refuser, diff)
		}
	})
}

// ignoreClock leaves out the header that tells the time of day.
var ignoreClock = cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "header" },
	cmp.Transformer("withoutClock", func(h http.Header) map[string][]string {
		m := maps.Clone(map[string][]string(h))
		delete(m, "X-Ratelimit-Reset")
		return m
	}))

// Limits in shadow let everything pass, say truly what is left, and tell of it ten
// times a minute.
func TestLimitsInShadow(t *testing.T) {
	var events audittest.Memory
	g := guard(t, blog(shadowed(&events, "ratelimit")))
	h := g.Handler(served)
	for i := range 30 {
		w := do(h, request("GET", "/few"))
		if w.Code != 200 || w.Header().Get("Retry-After") != "" {
			t.Fatalf("request %d: status %d, Retry-After %q", i, w.Code, w.Header().Get("Retry-After"))
		}
		if got := w.Header().Get("X-RateLimit-Remaining"); got != "0" {
			t.Errorf("request %d: %q remaining; want 0", i, got)
		}
		if got := w.Header().Get("RateLimit"); !strings.HasPrefix(got, `"few";r=0;t=`) {
			t.Errorf("request %d: RateLimit %q", i, got)
		}
	}
	if n := len(events.Events()); n != 10 {
		t.Errorf("%d events; want 10", n)
	}
	wantCount(t, g, "ratelimit", 0, 29)
}

// While bad credentials may not be tried any more, the shadow of authentication is no
// way to go on guessing: whether a guess is right would show.
func TestGuessingIsLimitedWhileAuthenticationIsInShadow(t *testing.T) {
	var events audittest.Memory
	g := guard(t, blog(shadowed(&events, "authn"), func(c *merlon.Config) {
		c.RateLimit.BadCredentials = ratelimit.Rule{Limits: []ratelimit.Limit{{Max: 3, Window: time.Minute}}}
	}))
	h := g.Handler(served)
	for i := range 3 {
		// On a closed route the same bad key is refused again, by authz: it is one guess.
		if w := do(h, request("POST", "/posts", "X-API-Key", "mrl_bad")); w.Code != 401 {
			t.Fatalf("guess %d: status %d; want 401", i, w.Code)
		}
	}
	if w := do(h, request("GET", "/posts", "X-API-Key", "mrl_good")); w.Code != 429 {
		t.Errorf("a right guess after the quota: status %d; want 429", w.Code)
	}
	if w := do(h, request("GET", "/posts")); w.Code != 200 {
		t.Errorf("without a credential: status %d; want 200", w.Code)
	}
}

// A caller is counted as who it is, though a control before authentication is in shadow.
func TestShadowDoesNotChangeWhomLimitsCount(t *testing.T) {
	var events audittest.Memory
	g := guard(t, blog(shadowed(&events, "csrf", "csrf-token"), func(c *merlon.Config) {
		c.RateLimit.Default = ratelimit.Rule{Limits: []ratelimit.Limit{{Max: 2, Window: time.Minute}}}
	}))
	h := g.Handler(served)
	send := func(i int) int {
		r := request("POST", "/posts", "Cookie", "__Host-merlon_session=good", "Sec-Fetch-Site", "cross-site")
		r.RemoteAddr = fmt.Sprintf("198.51.100.%d:1", i)
		return do(h, r).Code
	}
	if got := []int{send(1), send(2), send(3)}; !slices.Equal(got, []int{200, 200, 429}) {
		t.Errorf("statuses %v of one session from three addresses; want the third refused", got)
	}
}

// A request whose refusal is lifted is one request to every limit.
func TestLimitsCountALiftedRequestOnce(t *testing.T) {
	tests := []struct {
		control string
		r       *http.Request
		change  func(*merlon.Config)
	}{
		{"firewall", httptest.NewRequest("GET", "https://evil.example/posts", nil), func(c *merlon.Config) {
			c.RateLimit.Address = ratelimit.Rule{Limits: []ratelimit.Limit{{Max: 2, Window: time.Minute}}}
		}},
		{"csrf-token", request("POST", "/posts", "Cookie", "__Host-merlon_session=good"), func(c *merlon.Config) {
			c.RateLimit.Default = ratelimit.Rule{Limits: []ratelimit.Limit{{Max: 2, Window: time.Minute}}}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.control, func(t *testing.T) {
			var events audittest.Memory
			h := guard(t, blog(shadowed(&events, tt.control), tt.change)).Handler(served)
			if got := []int{do(h, tt.r).Code, do(h, tt.r).Code, do(h, tt.r).Code}; !slices.Equal(got, []int{200, 200, 429}) {
				t.Errorf("statuses %v; want the third refused", got)
			}
		})
	}
}

// A rule without room that let a request pass is told of beside those that count it.
func TestLimitsInShadowTellOfTheRuleWithoutRoom(t *testing.T) {
	var events audittest.Memory
	g := guard(t, blog(shadowed(&events, "ratelimit"), func(c *merlon.Config) {
		c.RateLimit.Rules = append(c.RateLimit.Rules, ratelimit.Rule{Name: "mine", Match: []string{"GET /few"},
			By: []ratelimit.Part{ratelimit.ByPrincipal}, Limits: []ratelimit.Limit{{Max: 9, Window: time.Minute}}})
	}))
	h := g.Handler(served)
	do(h, request("GET", "/few", "X-API-Key", "mrl_good"))
	w := do(h, request("GET", "/few", "X-API-Key", "mrl_good"))
	if got := w.Header().Get("RateLimit"); w.Code != 200 || !strings.HasPrefix(got, `"few";r=0;t=`) || !strings.Contains(got, `, "mine";r=7;t=`) {
		t.Errorf("status %d, RateLimit %q; want 200 and both rules", w.Code, got)
	}
	if got := w.Header().Get("X-RateLimit-Limit") + " " + w.Header().Get("X-RateLimit-Remaining"); got != "1 0" {
		t.Errorf("limit and remaining %q; want those of the rule without room", got)
	}
}

// Who is nobody because authentication is in shadow is asked to log in, not for a token.
func TestASessionThatIsOverIsNobodyWhileAuthenticationIsInShadow(t *testing.T) {
	v, _ := pass(t, func() *http.Request { return request("POST", "/posts", "Cookie", "__Host-merlon_session=bad") }, 0, "authn")
	if v.status != 401 {
		t.Errorf("status %d, %s; want 401", v.status, v.body)
	}
}

func TestShadowIsLoudAtStart(t *testing.T) {
	var log strings.Builder
	guard(t, blog(func(c *merlon.Config) {
		c.ErrorLog = slog.New(slog.NewTextHandler(&log, nil))
		c.InsecureShadow = merlon.InsecureShadow{Controls: []string{"csrf", "cors"}, Reason: "measuring before we enforce"}
	}))
	for _, control := range []string{"csrf", "cors"} {
		want := `level=WARN msg="a control is in shadow: what it refuses is recorded and goes on" control=` + control + ` reason="measuring before we enforce"` + "\n"
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
	if !strings.Contains(log.String(), `msg="a control is relaxed" setting=InsecureShadow reason="measuring before we enforce"`) {
		t.Errorf("the log does not tell of the setting:\n%s", log.String())
	}
}

func TestShadowIsChecked(t *testing.T) {
	tests := []struct {
		name string
		in   merlon.InsecureShadow
		want []string // none: it is right
	}{
		{"none", merlon.InsecureShadow{}, nil},
		{"all with a reason", merlon.InsecureShadow{Controls: merlon.ShadowControls(), Reason: "why"}, nil},
		{"no reason", merlon.InsecureShadow{Controls: []string{"csrf"}}, []string{"no Reason"}},
		{"a blank reason", merlon.InsecureShadow{Controls: []string{"csrf"}, Reason: " "}, []string{"no Reason"}},
		{"a reason for nothing", merlon.InsecureShadow{Reason: "why"}, []string{"no Controls"}},
		{"misspelt", merlon.InsecureShadow{Controls: []string{"crsf"}, Reason: "why"}, []string{`no control "crsf": did you mean csrf?`}},
		{"nothing like it", merlon.InsecureShadow{Controls: []string{"everything"}, Reason: "why"}, []string{`no control "everything": want some of httpsonly, firewall`}},
		{"twice", merlon.InsecureShadow{Controls: []string{"csrf", "csrf"}, Reason: "why"}, []string{`"csrf" is there twice`}},
		{"what cannot be", merlon.InsecureShadow{Controls: []string{"route", "headers", "clientip"}}, []string{
			`"route" cannot be in shadow: what has no route`, `"headers" cannot be in shadow: it refuses nothing`, `"clientip" cannot be`, "no Reason"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := merlon.New(blog(func(c *merlon.Config) { c.InsecureShadow = tt.in }))
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("error %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

// Every stage of the chain can be in shadow, or is known not to.
func TestEveryControlIsKnownToShadow(t *testing.T) {
	var can []string
	for _, c := range guard(t, blog()).Counts() {
		_, err := merlon.New(blog(func(cfg *merlon.Config) {
			cfg.InsecureShadow = merlon.InsecureShadow{Controls: []string{c.Control}, Reason: "why"}
		}))
		switch {
		case err == nil:
			can = append(can, c.Control)
		case !strings.Contains(err.Error(), "cannot be in shadow"):
			t.Errorf("%s: %v", c.Control, err)
		}
	}
	slices.Sort(can)
	want := merlon.ShadowControls()
	slices.Sort(want)
	if diff := cmp.Diff(want, can); diff != "" {
		t.Errorf("controls (-want +got):\n%s", diff)
	}
}
