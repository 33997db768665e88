package cors_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/cors"
	"github.com/merlonhq/merlon/exchange"
)

// The wire, spelled by hand.
const (
	acao  = "Access-Control-Allow-Origin"
	acac  = "Access-Control-Allow-Credentials"
	acam  = "Access-Control-Allow-Methods"
	acah  = "Access-Control-Allow-Headers"
	acma  = "Access-Control-Max-Age"
	aceh  = "Access-Control-Expose-Headers"
	acapn = "Access-Control-Allow-Private-Network"

	acrm  = "Access-Control-Request-Method"
	acrh  = "Access-Control-Request-Headers"
	acrpn = "Access-Control-Request-Private-Network"

	varyOrigin  = "Origin"
	varyOptions = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network"

	defaultMethods = "GET, POST, PUT, PATCH, DELETE, HEAD"
	defaultHeaders = "Authorization, Content-Type, X-API-Key, X-CSRF-Token, X-Requested-With"
	defaultExposed = "RateLimit, RateLimit-Policy, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id"
)

func mustNew(t testing.TB, cfg cors.Config) *cors.Stage {
	t.Helper()
	s, err := cors.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// events records what the exchange recorded.
type events []audit.Event

func (e *events) Record(ev audit.Event)                          { *e = append(*e, ev) }
func (e *events) Commit(_ context.Context, ev audit.Event) error { *e = append(*e, ev); return nil }

// do sends one request through the stage and reports whether the handler was
// reached, which answers 200.
func do(t testing.TB, s *cors.Stage, method string, h http.Header) (rec *httptest.ResponseRecorder, reached bool, evs events) {
	t.Helper()
	chain := exchange.New(exchange.Config{Stages: []exchange.Stage{s}, Recorder: &evs})
	rec = httptest.NewRecorder()
	req := httptest.NewRequest(method, "https://api.example.com/things", nil)
	maps.Copy(req.Header, h)
	chain.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })).ServeHTTP(rec, req)
	return rec, reached, evs
}

// corsHeaders returns all headers of the answer that CORS is about, so that a
// table also sees the ones that should not be there.
func corsHeaders(h http.Header) map[string]string {
	got := map[string]string{}
	for name, values := range h {
		if name == "Vary" || strings.HasPrefix(name, "Access-Control-") {
			got[name] = strings.Join(values, " | ")
		}
	}
	return got
}

type headers = map[string]string

var one = []string{"https://app.example.com"}

const app = "https://app.example.com"

// The cases of the table of github.com/rs/cors v1.11.1, in our own words, and
// more of our own. Where ours differ the name says how.
func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cfg    cors.Config
		method string
		req    http.Header
		status int // 200 is the handler's
		want   headers
	}{
		// No CORS at all.
		{"zero Config, no Origin", cors.Config{}, "GET", nil, 200, headers{"Vary": varyOrigin}},
		{"zero Config, some Origin: nobody is trusted", cors.Config{}, "GET",
			http.Header{"Origin": {app}}, 200, headers{"Vary": varyOrigin}},
		{"no Origin on a POST", cors.Config{Origins: one}, "POST", nil, 200, headers{"Vary": varyOrigin}},
		{"an empty Origin", cors.Config{Origins: one}, "GET", http.Header{"Origin": {""}}, 200, headers{"Vary": varyOrigin}},
		{"the origin of the API itself", cors.Config{Origins: one}, "POST",
			http.Header{"Origin": {"https://api.example.com"}}, 200, headers{"Vary": varyOrigin}},

		// Requests that are no preflights.
		{"a listed origin", cors.Config{Origins: one, ExposedHeaders: []string{}}, "GET",
			http.Header{"Origin": {app}}, 200, headers{"Vary": varyOrigin, acao: app}},
		{"a listed origin, default headers", cors.Config{Origins: one}, "GET",
			http.Header{"Origin": {app}}, 200, headers{"Vary": varyOrigin, acao: app, aceh: defaultExposed}},
		{"a listed origin, with credentials", cors.Config{Origins: one, Credentials: true}, "DELETE",
			http.Header{"Origin": {app}}, 200, headers{"Vary": varyOrigin, acao: app, acac: "true", aceh: defaultExposed}},
		{"a subdomain of a wildcard", cors.Config{Origins: []string{"https://*.bar.example"}, ExposedHeaders: []string{}}, "GET",
			http.Header{"Origin": {"https://foo.bar.example"}}, 200, headers{"Vary": varyOrigin, acao: "https://foo.bar.example"}},
		{"no subdomain of a wildcard", cors.Config{Origins: []string{"https://*.bar.example"}}, "GET",
			http.Header{"Origin": {"https://foo.baz.example"}}, 200, headers{"Vary": varyOrigin}},
		{"a longer name with the end of a wildcard", cors.Config{Origins: []string{"https://*.bar.example"}, Credentials: true}, "GET",
			http.Header{"Origin": {"https://evilbar.example"}}, 200, headers{"Vary": varyOrigin}},
		{"a foreign origin", cors.Config{Origins: one, Credentials: true}, "GET",
			http.Header{"Origin": {"https://evil.example"}}, 200, headers{"Vary": varyOrigin}},
		{"a foreign origin on a POST: the CSRF stage decides", cors.Config{Origins: one, Credentials: true}, "POST",
			http.Header{"Origin": {"https://evil.example"}}, 200, headers{"Vary": varyOrigin}},
		{"a malformed origin", cors.Config{Origins: one}, "GET",
			http.Header{"Origin": {"https://app.example.com/"}}, 200, headers{"Vary": varyOrigin}},
		{"the origin in upper case", cors.Config{Origins: one}, "GET",
			http.Header{"Origin": {"HTTPS://APP.EXAMPLE.COM"}}, 200, headers{"Vary": varyOrigin}},
		{"the origin in clear text", cors.Config{Origins: one}, "GET",
			http.Header{"Origin": {"http://app.example.com"}}, 200, headers{"Vary": varyOrigin}},
		{"the origin null", cors.Config{Origins: one, Credentials: true}, "GET",
			http.Header{"Origin": {"null"}}, 200, headers{"Vary": varyOrigin}},
		{"a listed origin sent twice", cors.Config{Origins: one}, "GET",
			http.Header{"Origin": {app, app}}, 200, headers{"Vary": varyOrigin}},
		{"a foreign origin behind a listed one", cors.Config{Origins: one}, "GET",
			http.Header{"Origin": {app + ", https://evil.example"}}, 200, headers{"Vary": varyOrigin}},
		{"exposed headers of one's own", cors.Config{Origins: one, ExposedHeaders: []string{"X-Header-1", "x-header-2"}}, "GET",
			http.Header{"Origin": {app}}, 200, headers{"Vary": varyOrigin, acao: app, aceh: "X-Header-1, x-header-2"}},
		{"any origin", cors.Config{InsecureAnyOrigin: "public data", ExposedHeaders: []string{}}, "GET",
			http.Header{"Origin": {"https://evil.example"}}, 200, headers{"Vary": varyOrigin, acao: "*"}},
		{"clear text on loopback in development", cors.Config{Origins: []string{"http://localhost:3000"}, Development: true, ExposedHeaders: []string{}}, "GET",
			http.Header{"Origin": {"http://localhost:3000"}}, 200, headers{"Vary": varyOrigin, acao: "http://localhost:3000"}},
		{"GET with the headers of a preflight is none", cors.Config{Origins: one, ExposedHeaders: []string{}}, "GET",
			http.Header{"Origin": {app}, acrm: {"DELETE"}}, 200, headers{"Vary": varyOrigin, acao: app}},

		// OPTIONS that is no preflight.
		{"OPTIONS without Origin", cors.Config{Origins: one}, "OPTIONS",
			http.Header{acrm: {"GET"}}, 200, headers{"Vary": varyOptions}},
		{"OPTIONS without a method asked for", cors.Config{Origins: one, ExposedHeaders: []string{}}, "OPTIONS",
			http.Header{"Origin": {app}}, 200, headers{"Vary": varyOptions, acao: app}},
		{"OPTIONS from a foreign origin without a method asked for", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {"https://evil.example"}}, 200, headers{"Vary": varyOptions}},

		// Preflights that pass.
		{"a preflight with all defaults", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: defaultMethods, acah: defaultHeaders, acma: "86400"}},
		{"a preflight with credentials", cors.Config{Origins: one, Credentials: true}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"POST"}}, 204,
			headers{"Vary": varyOptions, acao: app, acac: "true", acam: defaultMethods, acah: defaultHeaders, acma: "86400"}},
		{"a listed method", cors.Config{Origins: one, Methods: []string{"PUT", "DELETE"}, RequestHeaders: []string{}}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"PUT"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: "PUT, DELETE", acma: "86400"}},
		{"HEAD where GET is listed", cors.Config{Origins: one, Methods: []string{"GET"}, RequestHeaders: []string{}}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"HEAD"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: "GET, HEAD", acma: "86400"}},
		{"a max age", cors.Config{Origins: one, Methods: []string{"GET"}, RequestHeaders: []string{}, MaxAge: 10 * time.Second}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: "GET, HEAD", acma: "10"}},
		{"the longest max age", cors.Config{Origins: one, Methods: []string{"PUT"}, RequestHeaders: []string{}, MaxAge: 24 * time.Hour}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"PUT"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: "PUT", acma: "86400"}},
		{"a negative max age", cors.Config{Origins: one, Methods: []string{"PUT"}, RequestHeaders: []string{}, MaxAge: -1}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"PUT"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: "PUT", acma: "0"}},
		{"listed headers", cors.Config{Origins: one, Methods: []string{"PUT"}, RequestHeaders: []string{"X-Header-1", "x-header-2", "X-HEADER-3"}}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"PUT"}, acrh: {"x-header-1,x-header-2"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: "PUT", acah: "X-Header-1, x-header-2, X-HEADER-3", acma: "86400"}},
		{"a default header", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET"}, acrh: {"x-requested-with"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: defaultMethods, acah: defaultHeaders, acma: "86400"}},
		{"listed headers in another case and order, as a person types them", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"POST"}, acrh: {"X-CSRF-Token, Content-Type"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: defaultMethods, acah: defaultHeaders, acma: "86400"}},
		{"listed headers on several lines", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET"}, acrh: {"authorization", "content-type"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: defaultMethods, acah: defaultHeaders, acma: "86400"}},
		{"listed headers with spaces and empty elements", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET"}, acrh: {"authorization\t", " ", " content-type"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: defaultMethods, acah: defaultHeaders, acma: "86400"}},
		{"an empty list of headers", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET"}, acrh: {""}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: defaultMethods, acah: defaultHeaders, acma: "86400"}},
		{"any origin", cors.Config{InsecureAnyOrigin: "public data"}, "OPTIONS",
			http.Header{"Origin": {"https://evil.example"}, acrm: {"GET"}}, 204,
			headers{"Vary": varyOptions, acao: "*", acam: defaultMethods, acah: defaultHeaders, acma: "86400"}},
		{"a private network that is allowed", cors.Config{Origins: one, InsecurePrivateNetwork: "printer in the office"}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET"}, acrpn: {"true"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: defaultMethods, acah: defaultHeaders, acma: "86400", acapn: "true"}},
		{"a private network that is allowed and not asked for", cors.Config{Origins: one, InsecurePrivateNetwork: "printer in the office"}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: defaultMethods, acah: defaultHeaders, acma: "86400"}},

		// Preflights that do not pass reveal nothing.
		{"a preflight to the zero Config", cors.Config{}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET"}}, 403, headers{"Vary": varyOptions}},
		{"a preflight from a foreign origin", cors.Config{Origins: one, Credentials: true}, "OPTIONS",
			http.Header{"Origin": {"https://evil.example"}, acrm: {"GET"}}, 403, headers{"Vary": varyOptions}},
		{"a preflight from null", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {"null"}, acrm: {"GET"}}, 403, headers{"Vary": varyOptions}},
		{"a preflight with two origins", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {app, app}, acrm: {"GET"}}, 403, headers{"Vary": varyOptions}},
		{"a preflight with an empty origin to any origin", cors.Config{InsecureAnyOrigin: "public data"}, "OPTIONS",
			http.Header{"Origin": {""}, acrm: {"GET"}}, 403, headers{"Vary": varyOptions}},
		{"a method that is not listed", cors.Config{Origins: one, Methods: []string{"PUT", "DELETE"}}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"PATCH"}}, 403, headers{"Vary": varyOptions}},
		{"a listed method in lower case", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"patch"}}, 403, headers{"Vary": varyOptions}},
		{"no method listed", cors.Config{Origins: one, Methods: []string{}}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET"}}, 403, headers{"Vary": varyOptions}},
		{"an empty method", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {""}}, 403, headers{"Vary": varyOptions}},
		{"two methods", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET", "PUT"}}, 403, headers{"Vary": varyOptions}},
		{"OPTIONS asked for, which rs/cors always allows", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"OPTIONS"}}, 403, headers{"Vary": varyOptions}},
		{"a header that is not listed", cors.Config{Origins: one, RequestHeaders: []string{"X-Header-1", "x-header-2"}}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET"}, acrh: {"x-header-1,x-header-3"}}, 403, headers{"Vary": varyOptions}},
		{"a private network, which rs/cors leaves to the browser", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET"}, acrpn: {"true"}}, 403, headers{"Vary": varyOptions}},
		{"a misspelt request for a private network is none", cors.Config{Origins: one}, "OPTIONS",
			http.Header{"Origin": {app}, acrm: {"GET"}, "Access-Control-Request-PrivateNetwork": {"true"}}, 204,
			headers{"Vary": varyOptions, acao: app, acam: defaultMethods, acah: defaultHeaders, acma: "86400"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec, reached, evs := do(t, mustNew(t, tt.cfg), tt.method, tt.req)
			if rec.Code != tt.status || reached != (tt.status == 200) {
				t.Errorf("status %d, handler reached: %v; want %d", rec.Code, reached, tt.status)
			}
			if diff := cmp.Diff(tt.want, corsHeaders(rec.Header())); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if refused := tt.status == 403; refused != (len(evs) == 1) {
				t.Errorf("%d events; want one if refused", len(evs))
			}
			if tt.status == 204 && rec.Body.Len() != 0 {
				t.Errorf("a 204 with a body: %q", rec.Body)
			}
		})
	}
}

func TestARefusedPreflightIsOneProblemWhateverTheReason(t *testing.T) {
	s := mustNew(t, cors.Config{Origins: one})
	for reason, h := range map[string]http.Header{
		"origin":          {"Origin": {"https://evil.example"}, acrm: {"GET"}},
		"method":          {"Origin": {app}, acrm: {"PURGE"}},
		"headers":         {"Origin": {app}, acrm: {"GET"}, acrh: {"x-evil"}},
		"private network": {"Origin": {app}, acrm: {"GET"}, acrpn: {"true"}},
	} {
		rec, _, evs := do(t, s, "OPTIONS", h)
		var p map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		delete(p, "request_id")
		if diff := cmp.Diff(map[string]any{
			"type": "urn:merlon:problem:cross-site-request", "title": "Cross-site request refused", "status": 403.0,
			"code": "cross-site-request", "detail": "This request was made by a page that may not make it.",
		}, p); diff != "" {
			t.Errorf("%s (-want +got):\n%s", reason, diff)
		}
		if len(evs) != 1 || evs[0].Type != "malicious_cors" || evs[0].Outcome != "refused" {
			t.Fatalf("%s: events %+v", reason, evs)
		}
		got := map[string]string{}
		for _, a := range evs[0].Detail {
			got[a.Key] = a.Value.String()
		}
		if got["reason"] != reason || got["control"] != "cors" || got["origin"] != h.Get("Origin") {
			t.Errorf("%s: event detail %v", reason, got)
		}
	}
}

func TestAnEventKeepsOnlyTheBeginningOfAnOrigin(t *testing.T) {
	_, _, evs := do(t, mustNew(t, cors.Config{}), "OPTIONS", http.Header{"Origin": {strings.Repeat("a", 1<<20)}, acrm: {"GET"}})
	for _, a := range evs[0].Detail {
		if n := len(a.Value.String()); n > 256 {
			t.Errorf("%s has %d bytes", a.Key, n)
		}
	}
}

func TestDebugSaysWhy(t *testing.T) {
	s := mustNew(t, cors.Config{Origins: one, Debug: true})
	rec, _, _ := do(t, s, "OPTIONS", http.Header{"Origin": {"https://evil.example"}, acrm: {"GET"}})
	if rec.Code != 403 || !strings.Contains(rec.Body.String(), "the origin of this preflight") || rec.Header().Get(acao) != "" {
		t.Errorf("foreign origin: %d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	rec, _, _ = do(t, s, "OPTIONS", http.Header{"Origin": {app}, acrm: {"PURGE"}})
	want := headers{"Vary": varyOptions, acao: app, acam: defaultMethods, acah: defaultHeaders}
	if diff := cmp.Diff(want, corsHeaders(rec.Header())); rec.Code != 403 || !strings.Contains(rec.Body.String(), "the method of this preflight") || diff != "" {
		t.Errorf("method: %d %s (-want +got):\n%s", rec.Code, rec.Body, diff)
	}
	if strings.Contains(rec.Body.String(), "PURGE") {
		t.Error("the rejected value is echoed")
	}
}

func TestVaryOfOthersStays(t *testing.T) {
	s := mustNew(t, cors.Config{Origins: one})
	rec := httptest.NewRecorder()
	rec.Header().Set("Vary", "Accept-Encoding")
	s.Handler(http.NotFoundHandler()).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if diff := cmp.Diff([]string{"Accept-Encoding", "Origin"}, rec.Header()["Vary"]); diff != "" {
		t.Errorf("Vary (-want +got):\n%s", diff)
	}
}

func TestAHandlerThatChangesHeaderValuesHarmsNobody(t *testing.T) {
	s := mustNew(t, cors.Config{Origins: one, Credentials: true})
	vandal := s.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, values := range w.Header() {
			for i := range values {
				values[i] = "vandalised"
			}
		}
	}))
	for range 2 {
		req := httptest.NewRequest("GET", "/", nil)
		req.Header.Set("Origin", app)
		vandal.ServeHTTP(httptest.NewRecorder(), req)
	}
	rec, _, _ := do(t, s, "GET", http.Header{"Origin": {app}})
	want := headers{"Vary": varyOrigin, acao: app, acac: "true", aceh: defaultExposed}
	if diff := cmp.Diff(want, corsHeaders(rec.Header())); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// decideAgain runs the stage on one exchange over and over, as a request that
// comes for the first time.
func decideAgain(tb testing.TB, s *cors.Stage, method string, h http.Header, run func(decide func())) {
	tb.Helper()
	req := httptest.NewRequest(method, "/", nil)
	maps.Copy(req.Header, h)
	handler := exchange.New(exchange.Config{}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		x := exchange.FromContext(r.Context())
		fresh, y := *x, new(exchange.Exchange)
		run(func() {
			*y = fresh
			clear(y.Header())
			s.Decide(y)
		})
	}))
	handler.ServeHTTP(httptest.NewRecorder(), req)
}

func TestRequestsThatPassAllocateNothing(t *testing.T) {
	s := mustNew(t, cors.Config{Origins: one, Credentials: true})
	for name, tt := range map[string]struct {
		method string
		h      http.Header
	}{
		"no CORS":             {"GET", nil},
		"a listed origin":     {"GET", http.Header{"Origin": {app}}},
		"a foreign origin":    {"GET", http.Header{"Origin": {"https://evil.example"}}},
		"a passing preflight": {"OPTIONS", http.Header{"Origin": {app}, acrm: {"PUT"}, acrh: {"content-type,x-csrf-token"}}},
	} {
		decideAgain(t, s, tt.method, tt.h, func(decide func()) {
			if n := testing.AllocsPerRun(100, decide); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	s := mustNew(b, cors.Config{Origins: one, Credentials: true})
	for name, tt := range map[string]struct {
		method string
		h      http.Header
	}{
		"actual":    {"GET", http.Header{"Origin": {app}}},
		"preflight": {"OPTIONS", http.Header{"Origin": {app}, acrm: {"GET"}, acrh: {"authorization"}}},
		"hostile":   {"OPTIONS", http.Header{"Origin": {app}, acrm: {"GET"}, acrh: {strings.Repeat(", ", 500_000)}}},
	} {
		b.Run(name, func(b *testing.B) {
			decideAgain(b, s, tt.method, tt.h, func(decide func()) {
				b.ReportAllocs()
				for b.Loop() {
					decide()
				}
			})
		})
	}
}
