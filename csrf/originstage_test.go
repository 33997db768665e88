package csrf_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/csrf"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/origin"
	"github.com/merlonhq/merlon/route"
)

// key is the secret of the tests; nothing else uses it.
var key = []byte("0123456789abcdef0123456789abcdef")

func mustNew(t testing.TB, cfg csrf.Config) *csrf.Protection {
	t.Helper()
	if cfg.Key == nil {
		cfg.Key = key
	}
	p, err := csrf.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// events records what the exchange recorded.
type events []audit.Event

func (e *events) Record(ev audit.Event)                          { *e = append(*e, ev) }
func (e *events) Commit(_ context.Context, ev audit.Event) error { *e = append(*e, ev); return nil }

// caller is a stage that does what authentication would.
type caller identity.Principal

func (caller) Name() string { return "caller" }
func (c caller) Decide(x *exchange.Exchange) exchange.Outcome {
	x.Principal = identity.Principal(c)
	return exchange.Continue()
}

// through sends r through the stages and reports whether the handler was reached.
func through(r *http.Request, next http.Handler, stages ...exchange.Stage) (rec *httptest.ResponseRecorder, reached bool, evs events) {
	rec = httptest.NewRecorder()
	chain := exchange.New(exchange.Config{Stages: stages, Recorder: &evs})
	chain.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached = true
		if next != nil {
			next.ServeHTTP(w, r)
		}
	})).ServeHTTP(rec, r)
	return rec, reached, evs
}

func codeOf(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	var p struct{ Code string }
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
		t.Fatalf("%v in %q", err, rec.Body)
	}
	return p.Code
}

func detail(e audit.Event) map[string]string {
	m := map[string]string{}
	for _, a := range e.Detail {
		m[a.Key] = a.Value.String()
	}
	return m
}

// The cases of net/http's csrf_test.go, in our own words, and of FIELD's list of
// what that lets through. The site is https://example.com unless clear is set,
// and trusts https://trusted.example and the subdomains of partner.example.
func TestOriginVerdicts(t *testing.T) {
	p := mustNew(t, csrf.Config{Origins: []string{"https://trusted.example", "https://*.partner.example"}})
	for _, tt := range []struct {
		name   string
		method string
		site   string // Sec-Fetch-Site
		origin string
		clear  bool
		want   string // "", or the reason of the refusal
	}{
		{"a page of the same origin", "POST", "same-origin", "", false, ""},
		{"the person, by address bar or bookmark", "POST", "none", "", false, ""},
		{"a page of another site", "POST", "cross-site", "", false, "fetch metadata"},
		{"a page of another subdomain", "POST", "same-site", "", false, "fetch metadata"},
		{"a page of another subdomain that names itself", "POST", "same-site", "https://other.example.com", false, "fetch metadata"},
		{"a value not yet invented", "POST", "near-site", "", false, "fetch metadata"},
		{"a value in upper case, which no browser sends", "POST", "SAME-ORIGIN", "", false, "fetch metadata"},

		{"neither header: not a browser", "POST", "", "", false, ""},
		{"no metadata, own origin", "POST", "", "https://example.com", false, ""},
		{"no metadata, foreign origin", "POST", "", "https://attacker.example", false, "origin"},
		{"no metadata, origin null", "POST", "", "null", false, "origin"},
		{"no metadata, a subdomain", "POST", "", "https://a.example.com", false, "origin"},
		{"no metadata, a longer name", "POST", "", "https://evilexample.com", false, "origin"},
		{"no metadata, another port", "POST", "", "https://example.com:8443", false, "origin"},

		{"GET", "GET", "cross-site", "https://attacker.example", false, ""},
		{"HEAD", "HEAD", "cross-site", "https://attacker.example", false, ""},
		{"OPTIONS", "OPTIONS", "cross-site", "https://attacker.example", false, ""},
		{"PUT", "PUT", "cross-site", "", false, "fetch metadata"},
		{"PATCH", "PATCH", "cross-site", "", false, "fetch metadata"},
		{"DELETE", "DELETE", "", "https://attacker.example", false, "origin"},
		{"TRACE", "TRACE", "cross-site", "", false, "fetch metadata"},
		{"an invented method", "BREW", "cross-site", "", false, "fetch metadata"},
		{"GET in lower case is another method", "get", "cross-site", "", false, "fetch metadata"},

		{"a trusted origin without metadata", "POST", "", "https://trusted.example", false, ""},
		{"a trusted origin across sites", "POST", "cross-site", "https://trusted.example", false, ""},
		{"a trusted wildcard across sites", "POST", "cross-site", "https://shop.partner.example", false, ""},
		{"a longer name than a trusted wildcard", "POST", "cross-site", "https://evilpartner.example", false, "fetch metadata"},
		{"a trusted origin in clear text", "POST", "cross-site", "http://trusted.example", false, "fetch metadata"},
		{"an untrusted origin across sites", "POST", "cross-site", "https://attacker.example", false, "fetch metadata"},
		{"origin null across sites", "POST", "cross-site", "null", false, "fetch metadata"},
		{"own origin, but across sites", "POST", "cross-site", "https://example.com", false, "fetch metadata"},
		{"own page under no-referrer sends null", "POST", "same-origin", "null", false, ""},

		// Let through by net/http.
		{"a user name before the host", "POST", "", "http://evil@example.com", false, "origin"},
		{"a user name before the host over https", "POST", "", "https://evil@example.com", false, "origin"},
		{"clear text to an encrypted site", "POST", "", "http://example.com", false, "origin"},
		{"clear text to a site in clear text", "POST", "", "http://example.com", true, ""},
		{"encrypted to a site behind a proxy that is not trusted", "POST", "", "https://example.com", true, ""},
		{"another scheme", "POST", "", "ftp://example.com", false, "origin"},
		{"no scheme", "POST", "", "//example.com", false, "origin"},
		{"a path", "POST", "", "https://example.com/", false, "origin"},
		{"a query", "POST", "", "https://example.com?x", false, "origin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := "https://example.com/"
			if tt.clear {
				target = "http://example.com/"
			}
			r := httptest.NewRequest(tt.method, target, nil)
			if tt.site != "" {
				r.Header.Set("Sec-Fetch-Site", tt.site)
			}
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			rec, reached, evs := through(r, nil, p.Origin())

			var vary []string
			if tt.method != "GET" && tt.method != "HEAD" && tt.method != "OPTIONS" {
				vary = []string{"Sec-Fetch-Site, Origin"}
			}
			if diff := cmp.Diff(vary, rec.Header()["Vary"]); diff != "" {
				t.Errorf("Vary (-want +got):\n%s", diff)
			}
			if tt.want == "" {
				if !reached || len(evs) != 0 {
					t.Errorf("refused: %d %+v", rec.Code, evs)
				}
				return
			}
			if reached || rec.Code != 403 || codeOf(t, rec) != "cross-site-request" {
				t.Fatalf("handler reached: %v, answer %d %s; want 403 cross-site-request", reached, rec.Code, rec.Body)
			}
			if len(evs) != 1 || evs[0].Type != "malicious_csrf" || evs[0].Outcome != "refused" ||
				detail(evs[0])["reason"] != tt.want || detail(evs[0])["control"] != "csrf" || detail(evs[0])["origin"] != tt.origin {
				t.Errorf("events %+v, want one malicious_csrf with reason %q", evs, tt.want)
			}
		})
	}
}

// The list of a route is one list, for reading its answers and for sending to it.
func TestARouteTrustsItsOwnList(t *testing.T) {
	const app, partner = "https://app.example.com", "https://partner.example"
	table, err := route.New([]route.Route{
		{Pattern: "POST /plain", Public: true},
		{Pattern: "POST /off", Public: true, CORS: &route.CORS{Off: true}},
		{Pattern: "POST /partner", Public: true, CORS: &route.CORS{AddOrigins: []string{partner}}},
		{Pattern: "POST /anybody", Public: true, CORS: &route.CORS{InsecureAnyOrigin: "published data"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	set, err := origin.Compile([]string{app}, origin.Options{Routes: table})
	if err != nil {
		t.Fatal(err)
	}
	p := mustNew(t, csrf.Config{OriginSet: set})
	for _, tt := range []struct {
		method, path, origin string
		want                 bool
	}{
		{"POST", "/plain", app, true},
		{"POST", "/plain", partner, false},
		{"POST", "/off", app, false},
		{"PUT", "/off", app, true}, // another route, or none
		{"POST", "/off", "https://api.example.com", true},
		{"POST", "/partner", app, true},
		{"POST", "/partner", partner, true},
		{"PUT", "/partner", partner, false},
		{"POST", "/anybody", app, true},
		{"POST", "/anybody", partner, false}, // may read, not change
	} {
		for _, site := range []string{"", "cross-site"} {
			r := httptest.NewRequest(tt.method, "https://api.example.com"+tt.path, nil)
			r.Header.Set("Origin", tt.origin)
			if site != "" {
				if tt.origin == "https://api.example.com" {
					continue
				}
				r.Header.Set("Sec-Fetch-Site", site)
			}
			if _, reached, _ := through(r, nil, p.Origin()); reached != tt.want {
				t.Errorf("%s %s from %s (%s): passes = %v, want %v", tt.method, tt.path, tt.origin, site, reached, tt.want)
			}
		}
	}
}

func TestRepeatedHeadersAreRefused(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	for name, values := range map[string][]string{
		"Sec-Fetch-Site": {"same-origin", "cross-site"},
		"Origin":         {"https://example.com", "https://example.com"},
	} {
		r := httptest.NewRequest("POST", "https://example.com/", nil)
		r.Header[name] = values
		if _, reached, _ := through(r, nil, p.Origin()); reached {
			t.Errorf("%s twice passes", name)
		}
		r.Header[name] = values[:1]
		if _, reached, _ := through(r, nil, p.Origin()); !reached {
			t.Errorf("%s once is refused", name)
		}
	}
}

func TestTheHostThatTheProxyForwardedCounts(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	for _, tt := range []struct {
		origin string
		want   bool
	}{
		{"https://public.example", true},
		{"https://internal:8080", false},
		{"http://public.example", false},
	} {
		r := httptest.NewRequest("POST", "http://internal:8080/", nil)
		r.Header.Set("Origin", tt.origin)
		if _, reached, _ := through(r, nil, proxied{}, p.Origin()); reached != tt.want {
			t.Errorf("origin %s passes: %v, want %v", tt.origin, reached, tt.want)
		}
	}
}

// proxied does what clientip does behind a trusted proxy.
type proxied struct{}

func (proxied) Name() string { return "proxied" }
func (proxied) Decide(x *exchange.Exchange) exchange.Outcome {
	x.Host, x.Secure = "public.example", true
	return exchange.Continue()
}

func TestCredentialsThatOnlyScriptsSendAreExempt(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	for _, tt := range []struct {
		name string
		h    http.Header
		want bool
	}{
		{"an API key", http.Header{"X-Api-Key": {"mrl_dev_x_y"}}, true},
		{"an API key as bearer", http.Header{"Authorization": {"Bearer mrl_dev_x_y"}}, true},
		{"a bearer token", http.Header{"Authorization": {"bearer x.y.z"}}, true},
		{"the session cookie", http.Header{"Cookie": {"__Host-merlon_session=x"}}, false},
		{"an API key beside the session cookie", http.Header{"X-Api-Key": {"mrl_dev_x_y"}, "Cookie": {"a=b; __Host-merlon_session=x"}}, false},
		{"a bearer token beside the session cookie", http.Header{"Authorization": {"Bearer x"}, "Cookie": {"__Host-merlon_session=x"}}, false},
		{"an API key beside another cookie", http.Header{"X-Api-Key": {"mrl_dev_x_y"}, "Cookie": {"theme=dark"}}, true},
		{"Basic, which browsers send by themselves", http.Header{"Authorization": {"Basic dXNlcjpwYXNz"}}, false},
		{"Negotiate, which browsers send by themselves", http.Header{"Authorization": {"Negotiate YII"}}, false},
		{"nothing, as at login", nil, false},
	} {
		r := httptest.NewRequest("POST", "https://example.com/", nil)
		maps.Copy(r.Header, tt.h)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://attacker.example")
		if _, reached, _ := through(r, nil, p.Origin()); reached != tt.want {
			t.Errorf("%s: passes = %v, want %v", tt.name, reached, tt.want)
		}
	}
}

// verdicts returns whether net/http and we let a request pass.
func verdicts(t *testing.T, peer *http.CrossOriginProtection, p *csrf.Protection, method, host string, secure bool, h http.Header) (theirs, ours bool) {
	t.Helper()
	target := "http://example.com/"
	if secure {
		target = "https://example.com/"
	}
	r := httptest.NewRequest("POST", target, nil)
	r.URL.Scheme, r.URL.Host = "", "" // https://go.dev/issue/73151
	r.Method, r.Host, r.Header = method, host, h
	theirs = peer.Check(r) == nil
	_, ours, _ = through(r, nil, p.Origin())
	return theirs, ours
}

// plain reports whether a request is one of those about which net/http and we
// are of one mind: what a browser can send, to a host over the scheme it names.
func plain(host string, secure bool, h http.Header) bool {
	from := h.Get("Origin")
	return len(h["Sec-Fetch-Site"]) < 2 && len(h["Origin"]) < 2 && host != "" &&
		(from == "" || from == "null" || isOrigin(from)) && !(secure && from == "http://"+host)
}

func isOrigin(s string) bool {
	host, ok := strings.CutPrefix(s, "https://")
	if !ok {
		host, ok = strings.CutPrefix(s, "http://")
	}
	return ok && host != "" && strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-.:[]") == ""
}

func peers(t testing.TB) (*http.CrossOriginProtection, *csrf.Protection) {
	t.Helper()
	peer := http.NewCrossOriginProtection()
	if err := peer.AddTrustedOrigin("https://trusted.example"); err != nil {
		t.Fatal(err)
	}
	return peer, mustNew(t, csrf.Config{Origins: []string{"https://trusted.example"}})
}

func TestAgreesWithNetHTTP(t *testing.T) {
	peer, p := peers(t)
	origins := [][]string{nil, {""}, {"null"}, {"https://example.com"}, {"http://example.com"}, {"https://example.com:8443"},
		{"https://trusted.example"}, {"http://trusted.example"}, {"https://attacker.example"},
		{"https://a.example.com"}, {"https://example.com.attacker.example"}, {"https://[::1]:8080"}, {"http://evil@example.com"},
		{"//example.com"}, {"https://example.com/"}, {"https://attacker.example", "https://example.com"}, {"https://example.com", "null"}}
	sites := [][]string{nil, {""}, {"same-origin"}, {"none"}, {"same-site"}, {"cross-site"}, {"x"}, {"same-origin", "cross-site"}}
	agreed := 0
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "DELETE", ""} {
		for _, host := range []string{"example.com", "example.com:8443", "[::1]:8080", "EXAMPLE.com", ""} {
			for _, secure := range []bool{false, true} {
				for _, o := range origins {
					for _, s := range sites {
						h := http.Header{}
						if o != nil {
							h["Origin"] = slices.Clone(o)
						}
						if s != nil {
							h["Sec-Fetch-Site"] = slices.Clone(s)
						}
						theirs, ours := verdicts(t, peer, p, method, host, secure, h)
						switch {
						case ours && !theirs:
							t.Errorf("%s host %q secure %v %v: passes here, refused by net/http", method, host, secure, h)
						case ours != theirs && plain(host, secure, h):
							t.Errorf("%s host %q secure %v %v: refused here, passes net/http", method, host, secure, h)
						case ours == theirs:
							agreed++
						}
					}
				}
			}
		}
	}
	if agreed == 0 {
		t.Error("nothing was compared")
	}
}

func FuzzOriginIsNeverLaxerThanNetHTTP(f *testing.F) {
	peer, p := peers(f)
	f.Add("POST", "example.com", true, "cross-site", "https://trusted.example")
	f.Add("POST", "example.com", false, "", "http://example.com")
	f.Add("PUT", "example.com", true, "", "http://evil@example.com")
	f.Add("DELETE", "[::1]:80", true, "same-site", "null")
	f.Add("GET", "", false, "none", "")
	f.Fuzz(func(t *testing.T, method, host string, secure bool, site, origin string) {
		h := http.Header{"Sec-Fetch-Site": {site}, "Origin": {origin}}
		theirs, ours := verdicts(t, peer, p, method, host, secure, h)
		if ours && !theirs {
			t.Error("passes here, refused by net/http")
		}
		if ours != theirs && plain(host, secure, h) {
			t.Error("refused here, passes net/http")
		}
	})
}

func TestPassingTheOriginStageAllocatesNothing(t *testing.T) {
	s := mustNew(t, csrf.Config{Origins: []string{"https://trusted.example"}}).Origin()
	for name, h := range map[string]http.Header{
		"same origin":     {"Sec-Fetch-Site": {"same-origin"}, "Origin": {"https://example.com"}},
		"own origin":      {"Origin": {"https://example.com"}},
		"trusted origin":  {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://trusted.example"}},
		"no browser":      {},
		"a bearer token":  {"Authorization": {"Bearer x"}},
		"an API key":      {"X-Api-Key": {"x"}},
		"the session too": {"Sec-Fetch-Site": {"same-origin"}, "Cookie": {"__Host-merlon_session=x"}},
	} {
		r := httptest.NewRequest("POST", "https://example.com/", nil)
		maps.Copy(r.Header, h)
		through(r, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			x := exchange.FromContext(r.Context())
			fresh, y := *x, new(exchange.Exchange)
			if n := testing.AllocsPerRun(100, func() {
				*y = fresh
				clear(y.Header())
				if o := s.Decide(y); !o.Continues() {
					t.Errorf("%s: refused", name)
				}
			}); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}))
	}
}

func BenchmarkOrigin(b *testing.B) {
	s := mustNew(b, csrf.Config{}).Origin()
	for _, method := range []string{"GET", "POST"} {
		b.Run(method, func(b *testing.B) {
			r := httptest.NewRequest(method, "https://example.com/", nil)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			through(r, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				x := exchange.FromContext(r.Context())
				fresh, y := *x, new(exchange.Exchange)
				b.ReportAllocs()
				for b.Loop() {
					*y = fresh
					clear(y.Header())
					s.Decide(y)
				}
			}))
		})
	}
}
