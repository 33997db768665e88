package headers_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/headers"
	"github.com/merlonhq/merlon/problem"
)

func mustNew(t testing.TB, cfg headers.Config) *headers.Stage {
	t.Helper()
	s, err := headers.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func request(secure bool) *http.Request {
	r := httptest.NewRequest("GET", "/items", nil)
	if secure {
		r.TLS = &tls.ConnectionState{}
	}
	return r
}

// answer returns the complete header of an answer, but for the request's id.
func answer(t *testing.T, h http.Handler, r *http.Request) http.Header {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	got := w.Result().Header
	if len(got["X-Request-Id"]) != 1 || got["X-Request-Id"][0] == "" {
		t.Errorf("X-Request-Id = %q, want one value", got["X-Request-Id"])
	}
	delete(got, "X-Request-Id")
	return got
}

var noContent = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })

// The complete header sets, written from the standards by hand.
func inClear() http.Header {
	return http.Header{
		"Cache-Control":                {"no-store"},
		"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Referrer-Policy":              {"no-referrer"},
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
	}
}

func overTLS() http.Header {
	h := inClear()
	h["Strict-Transport-Security"] = []string{"max-age=63072000; includeSubDomains"}
	return h
}

// page is the header set of a page, but for its nonce.
func page(secure bool, referrer string) http.Header {
	policy := "default-src 'none'; script-src 'nonce-NONCE' 'strict-dynamic'; style-src 'self' 'nonce-NONCE'; img-src 'self'; font-src 'self'; " +
		"connect-src 'self'; worker-src 'none'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'"
	h := http.Header{
		"Cache-Control":                {"no-store, max-age=0"},
		"Content-Security-Policy":      {policy},
		"Cross-Origin-Embedder-Policy": {"require-corp"},
		"Cross-Origin-Opener-Policy":   {"same-origin"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Permissions-Policy": {"accelerometer=(), autoplay=(), camera=(), clipboard-read=(), clipboard-write=(), cross-origin-isolated=(), " +
			"display-capture=(), encrypted-media=(), fullscreen=(), gamepad=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), " +
			"interest-cohort=(), keyboard-map=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), " +
			"publickey-credentials-get=(self), screen-wake-lock=(), serial=(), sync-xhr=(), unload=(), usb=(), web-share=(), xr-spatial-tracking=()"},
		"Referrer-Policy":                   {referrer},
		"X-Content-Type-Options":            {"nosniff"},
		"X-Dns-Prefetch-Control":            {"off"},
		"X-Frame-Options":                   {"DENY"},
		"X-Permitted-Cross-Domain-Policies": {"none"},
	}
	if secure {
		h["Content-Security-Policy"] = []string{policy + "; upgrade-insecure-requests"}
		h["Strict-Transport-Security"] = []string{"max-age=63072000; includeSubDomains"}
	}
	return h
}

var nonces = regexp.MustCompile(`'nonce-([A-Za-z0-9_-]*)'`)

// withoutNonce puts NONCE where the nonce of the answer is, and returns it.
func withoutNonce(t *testing.T, h http.Header) string {
	t.Helper()
	nonce := ""
	for _, name := range []string{"Content-Security-Policy", "Content-Security-Policy-Report-Only"} {
		for _, policy := range h[name] {
			for _, m := range nonces.FindAllStringSubmatch(policy, -1) {
				if nonce != "" && m[1] != nonce {
					t.Errorf("one answer has the nonces %s and %s", nonce, m[1])
				}
				nonce = m[1]
			}
			h[name] = []string{nonces.ReplaceAllString(policy, "'nonce-NONCE'")}
		}
	}
	return nonce
}

func TestCompleteHeaders(t *testing.T) {
	var zero headers.Config
	for _, tt := range []struct {
		name   string
		cfg    headers.Config
		secure bool
		want   http.Header
	}{
		{"the zero Config in clear text", zero, false, inClear()},
		{"the zero Config over TLS", zero, true, overTLS()},
		{"the profile by name", headers.Config{Profile: "api"}, true, overTLS()},
		{"pages in clear text", headers.Config{Profile: "web"}, false, page(false, "no-referrer")},
		{"pages over TLS", headers.Config{Profile: "web"}, true, page(true, "no-referrer")},
		{"pages with forms", headers.Config{Profile: "form"}, true, page(true, "same-origin")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := answer(t, mustNew(t, tt.cfg).Handler(noContent), request(tt.secure))
			withoutNonce(t, got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestStrictTransportSecurity(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  headers.Config
		want string
	}{
		{"two years by default", headers.Config{}, "max-age=63072000; includeSubDomains"},
		{"one day", headers.Config{HSTSMaxAge: 24 * time.Hour}, "max-age=86400; includeSubDomains"},
		{"the shortest", headers.Config{HSTSMaxAge: time.Second}, "max-age=1; includeSubDomains"},
		{"the host only", headers.Config{InsecureHSTSHostOnly: "old.example.com has no TLS"}, "max-age=63072000"},
		{"preloaded", headers.Config{HSTSPreload: true}, "max-age=63072000; includeSubDomains; preload"},
		{"preloaded with the shortest age", headers.Config{HSTSPreload: true, HSTSMaxAge: 8760 * time.Hour}, "max-age=31536000; includeSubDomains; preload"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := mustNew(t, tt.cfg).Handler(noContent)
			if got := answer(t, h, request(true))["Strict-Transport-Security"]; len(got) != 1 || got[0] != tt.want {
				t.Errorf("over TLS: got %q, want %q", got, tt.want)
			}
			if got := answer(t, h, request(false))["Strict-Transport-Security"]; got != nil {
				t.Errorf("in clear text: got %q, want none", got)
			}
		})
	}
}

func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  headers.Config
		want []string
	}{
		{"a negative age", headers.Config{HSTSMaxAge: -time.Second}, []string{"HSTSMaxAge -1s"}},
		{"less than a second", headers.Config{HSTSMaxAge: time.Millisecond}, []string{"HSTSMaxAge 1ms"}},
		{"a part of a second", headers.Config{HSTSMaxAge: 1500 * time.Millisecond}, []string{"HSTSMaxAge 1.5s"}},
		{"a profile that does not exist", headers.Config{Profile: "web2"}, []string{`Profile "web2"`}},
		{"preloaded for a day", headers.Config{HSTSPreload: true, HSTSMaxAge: 24 * time.Hour}, []string{"HSTSPreload", "8760h"}},
		{"preloaded without subdomains", headers.Config{HSTSPreload: true, InsecureHSTSHostOnly: "x"}, []string{"subdomains"}},
		{"a profile of nobody", headers.Config{Profile: "docs", Pages: map[headers.Profile]headers.Page{"doc": {}}}, []string{`Profile "docs"`}},
		{"a profile by the name of a built-in one", headers.Config{Pages: map[headers.Profile]headers.Page{"form": {}}}, []string{`Pages["form"]: the name is taken`}},
		{"a profile by a name with a space", headers.Config{Pages: map[headers.Profile]headers.Page{"a b": {}, "": {}}}, []string{`Pages["a b"]`, `Pages[""]`}},
		{"another referrer policy", headers.Config{Page: headers.Page{Referrer: "unsafe-url"}}, []string{`Page: Referrer "unsafe-url"`}},
		{"a feature that does not exist", headers.Config{Page: headers.Page{Allow: []headers.Feature{"cammera"}}}, []string{`Page: Allow "cammera"`}},
		{"reports to another host in clear", headers.Config{Reports: "http://reports.example.com/"}, []string{`Reports "http:`}},
		{"reports to a host by its name alone", headers.Config{Reports: "//reports.example.com/"}, []string{`Reports "//`}},
		{"reports to a path that ends the header", headers.Config{Reports: `/reports", default="/x`}, []string{"Reports "}},
		{"report-only to nowhere", headers.Config{Page: headers.Page{ReportOnly: &headers.CSP{}}}, []string{"Page: ReportOnly without Reports"}},
		{"policies of several pages", headers.Config{Pages: map[headers.Profile]headers.Page{
			"a": {CSP: headers.CSP{ImgSrc: []headers.Source{"*"}}}, "b": {CSP: headers.CSP{ScriptSrc: []headers.Source{"'unsafe-inline'"}}}}},
			[]string{`Pages["a"]: CSP: img-src "*"`, `Pages["b"]: CSP: script-src "'unsafe-inline'"`}},
		{"a reason of spaces", headers.Config{InsecureHSTSHostOnly: "  "}, []string{"InsecureHSTSHostOnly"}},
		{"all at once", headers.Config{Profile: "x", HSTSMaxAge: -1, HSTSPreload: true}, []string{"Profile", "HSTSMaxAge -1ns", "HSTSPreload"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := headers.New(tt.cfg)
			if err == nil || s != nil {
				t.Fatal("want an error")
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
		})
	}
}

// A name that no standard knows is a header that does nothing.
func TestEveryNameIsRegistered(t *testing.T) {
	f, err := os.Open("testdata/field-names.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	registered := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		registered[strings.ToLower(lines.Text())] = true
	}
	if len(registered) < 100 || registered["referer-policy"] || registered["x-xss-protection"] {
		t.Fatal("testdata/field-names.txt is not the registry")
	}
	// What the registry lacks, with who asks for it.
	for _, name := range []string{
		"X-Dns-Prefetch-Control", "X-Permitted-Cross-Domain-Policies", // OWASP Secure Headers Project
	} {
		if registered[strings.ToLower(name)] {
			t.Errorf("%s is in the registry: it needs no mention here", name)
		}
		registered[strings.ToLower(name)] = true
	}
	for _, cfg := range []headers.Config{{}, {Profile: "web", Reports: "/reports", Page: headers.Page{ReportOnly: &headers.CSP{}}}} {
		for name := range answer(t, mustNew(t, cfg).Handler(noContent), request(true)) {
			if !registered[strings.ToLower(name)] {
				t.Errorf("%s is not in the registry", name)
			}
			if name != http.CanonicalHeaderKey(name) {
				t.Errorf("%s is not in canonical form", name)
			}
		}
	}
}

func TestRefusalsCarryTheHeaders(t *testing.T) {
	refuse := stage(func(*exchange.Exchange) exchange.Outcome {
		return exchange.Refuse(problem.New(problem.Forbidden, ""), "")
	})
	h := exchange.New(exchange.Config{Stages: []exchange.Stage{mustNew(t, headers.Config{}), refuse}}).Handler(noContent)
	got := answer(t, h, request(true))
	for name, want := range overTLS() {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

type stage func(*exchange.Exchange) exchange.Outcome

func (stage) Name() string                                   { return "test" }
func (s stage) Decide(x *exchange.Exchange) exchange.Outcome { return s(x) }

func TestHandlersKeepTheirOwnValue(t *testing.T) {
	h := mustNew(t, headers.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
	}))
	want := overTLS()
	want["Cache-Control"] = []string{"public, max-age=60"}
	if diff := cmp.Diff(want, answer(t, h, request(true))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// oshp reads a list of names from the test vectors of the OWASP Secure Headers Project.
func oshp(t *testing.T, file string) []string {
	t.Helper()
	dir := os.Getenv("VECTORS_DIR")
	if dir == "" {
		t.Skip("VECTORS_DIR is not set")
	}
	text, err := os.ReadFile(filepath.Join(dir, "oshp", file))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Headers []json.RawMessage }
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, raw := range doc.Headers {
		var name string
		var pair struct{ Name string }
		if json.Unmarshal(raw, &name) != nil {
			if err := json.Unmarshal(raw, &pair); err != nil {
				t.Fatal(err)
			}
			name = pair.Name
		}
		names = append(names, name)
	}
	return names
}

func TestPagesHaveEveryHeaderOfTheOWASPList(t *testing.T) {
	got := answer(t, mustNew(t, headers.Config{Profile: headers.Web}).Handler(noContent), request(true))
	names := oshp(t, "headers_add.json")
	if len(names) < 13 {
		t.Fatalf("the list has %d names", len(names))
	}
	for _, name := range names {
		if got.Get(name) == "" && name != "Clear-Site-Data" { // which is for the end of a session
			t.Errorf("%s is missing", name)
		}
	}
}

// Whatever a proxy hands on: the whole list at once, and each name beside what an
// honest answer has.
func TestEveryHeaderOfTheOWASPLeakListIsRemoved(t *testing.T) {
	names := oshp(t, "headers_remove.json")
	if len(names) < 70 {
		t.Fatalf("the list has %d names", len(names))
	}
	for _, leaked := range append([][]string{names}, slices.Collect(slices.Chunk(names, 1))...) {
		h := mustNew(t, headers.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "2")
			for _, name := range leaked {
				w.Header().Set(name, "x")
			}
			_, _ = w.Write([]byte("{}"))
		}))
		want := inClear()
		want["Content-Type"], want["Content-Length"] = []string{"application/json"}, []string{"2"}
		if diff := cmp.Diff(want, answer(t, h, request(false))); diff != "" {
			t.Errorf("%v: -want +got:\n%s", leaked, diff)
		}
	}
}

func TestWhatTheServerIsMadeOfIsRemoved(t *testing.T) {
	h := mustNew(t, headers.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server", "nginx/1.29")
		w.Header().Set("X-Powered-By", "PHP/8.5")
		w.Header().Set("X-Generator", "Drupal 11")
		_, _ = w.Write(nil)
	}))
	got := answer(t, h, request(false))
	delete(got, "Content-Type") // the recorder's guess
	if diff := cmp.Diff(inClear(), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A handler that changes the slices it finds in the header changes nothing but
// its own answer.
func TestHostileNeighbour(t *testing.T) {
	hostile := true
	h := mustNew(t, headers.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !hostile {
			return
		}
		for name, values := range w.Header() {
			if name != "X-Request-Id" {
				values[0] = "overwritten"
				w.Header()[name] = append(values, "appended")
			}
		}
	}))
	want := http.Header{}
	for name := range maps.Keys(overTLS()) {
		want[name] = []string{"overwritten", "appended"}
	}
	if diff := cmp.Diff(want, answer(t, h, request(true))); diff != "" {
		t.Errorf("the hostile answer: -want +got:\n%s", diff)
	}
	hostile = false
	if diff := cmp.Diff(overTLS(), answer(t, h, request(true))); diff != "" {
		t.Errorf("the next answer: -want +got:\n%s", diff)
	}
}

// discard is a ResponseWriter whose header has room.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             { clear(d.h) }

func TestNoAllocation(t *testing.T) {
	idle := stage(func(*exchange.Exchange) exchange.Outcome { return exchange.Continue() })
	w, r := &discard{http.Header{}}, request(true)
	measure := func(s exchange.Stage) float64 {
		h := exchange.Handler(s, noContent)
		return testing.AllocsPerRun(200, func() { h.ServeHTTP(w, r) })
	}
	ours := measure(mustNew(t, headers.Config{})) // first, so that the map has grown for both
	ours = min(ours, measure(mustNew(t, headers.Config{})))
	if without := measure(idle); ours != without {
		t.Errorf("%v allocations with the stage, %v without", ours, without)
	}
}

func BenchmarkHandler(b *testing.B) {
	idle := stage(func(*exchange.Exchange) exchange.Outcome { return exchange.Continue() })
	constants := [12][2]string{
		{"Cache-Control", "no-store"}, {"Content-Security-Policy", "default-src 'self'"}, {"Cross-Origin-Embedder-Policy", "require-corp"},
		{"Cross-Origin-Opener-Policy", "same-origin"}, {"Cross-Origin-Resource-Policy", "same-origin"}, {"Permissions-Policy", "camera=()"},
		{"Referrer-Policy", "no-referrer"}, {"Strict-Transport-Security", "max-age=63072000"}, {"X-Content-Type-Options", "nosniff"},
		{"X-Dns-Prefetch-Control", "off"}, {"X-Frame-Options", "deny"}, {"X-Permitted-Cross-Domain-Policies", "none"},
	}
	twelve := stage(func(x *exchange.Exchange) exchange.Outcome {
		for i := range constants {
			x.Header().Set(constants[i][0], constants[i][1])
		}
		return exchange.Continue()
	})
	for _, bm := range []struct {
		name  string
		stage exchange.Stage
	}{
		{"chain alone", idle},
		{"api profile", mustNew(b, headers.Config{})},
		{"web profile", mustNew(b, headers.Config{Profile: headers.Web})},
		{"12 constant headers by Header.Set", twelve},
	} {
		b.Run(bm.name, func(b *testing.B) {
			w, r := &discard{http.Header{}}, request(true)
			h := exchange.Handler(bm.stage, noContent)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
