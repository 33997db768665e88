package headers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/headers"
	"github.com/merlonhq/merlon/route"
)

type sources = []headers.Source

// A hash of nothing in particular: 32 bytes in base64.
const hash = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"

func TestPolicies(t *testing.T) {
	insecure := func(s ...headers.Source) headers.InsecureSources {
		return headers.InsecureSources{Sources: s, Reason: "a test"}
	}
	for _, tt := range []struct {
		name string
		csp  headers.CSP
		want string // a directive of the policy over TLS, or, of errors, a part
	}{
		{"scripts by nonce", headers.CSP{}, "script-src 'nonce-NONCE' 'strict-dynamic'"},
		{"scripts by hash", headers.CSP{ScriptSrc: sources{hash, headers.StrictDynamic}}, "script-src " + hash + " 'strict-dynamic'"},
		{"scripts of the origin", headers.CSP{ScriptSrc: sources{headers.Self}}, "script-src 'self'"},
		{"scripts of another origin", headers.CSP{ScriptSrc: sources{"https://cdn.example.com/app/"}}, "script-src https://cdn.example.com/app/"},
		{"no scripts", headers.CSP{ScriptSrc: sources{}}, "script-src 'none'"},
		{"nothing by default is not repeated", headers.CSP{ImgSrc: sources{}}, "-img-src"},
		{"nothing, where more is the default", headers.CSP{DefaultSrc: sources{headers.Self}, ImgSrc: sources{}}, "img-src 'none'"},
		{"images of anywhere over TLS", headers.CSP{ImgSrc: sources{headers.Self, "https:", "data:"}}, "img-src 'self' https: data:"},
		{"images of subdomains", headers.CSP{ImgSrc: sources{"https://*.example.com"}}, "img-src https://*.example.com"},
		{"a development server", headers.CSP{ConnectSrc: sources{headers.Self, "ws://localhost:5173"}}, "connect-src 'self' ws://localhost:5173"},
		{"a frame of another origin", headers.CSP{FrameSrc: sources{"https://pay.example.com"}}, "frame-src https://pay.example.com"},
		{"framed by the origin", headers.CSP{FrameAncestors: sources{headers.Self}}, "frame-ancestors 'self'"},
		{"policies of trusted types", headers.CSP{TrustedTypes: []string{"dompurify", "app#html"}}, "trusted-types dompurify app#html"},
		{"no trusted types, for a reason", headers.CSP{InsecureNoTrustedTypes: "an old editor"}, "-require-trusted-types-for"},
		{"base-uri whatever else", headers.CSP{DefaultSrc: sources{headers.Self}}, "base-uri 'none'"},
		{"object-src whatever else", headers.CSP{DefaultSrc: sources{headers.Self}}, "object-src 'none'"},
		{"insecure ones beside the strict ones", headers.CSP{InsecureScriptSrc: insecure(headers.UnsafeEval)}, "script-src 'nonce-NONCE' 'strict-dynamic' 'unsafe-eval'"},
		{"insecure styles", headers.CSP{InsecureStyleSrc: insecure(headers.UnsafeInline), StyleSrc: sources{headers.Self}}, "style-src 'self' 'unsafe-inline'"},
		{"insecure wildcards", headers.CSP{ScriptSrc: sources{headers.Self}, InsecureScriptSrc: insecure("https://*.example.com", "data:")}, "script-src 'self' https://*.example.com data:"},

		{"inline scripts", headers.CSP{ScriptSrc: sources{headers.UnsafeInline}}, "!script-src \"'unsafe-inline'\""},
		{"evaluated scripts", headers.CSP{ScriptSrc: sources{headers.UnsafeEval}}, "!InsecureScriptSrc"},
		{"inline styles", headers.CSP{StyleSrc: sources{headers.UnsafeInline}}, "!InsecureStyleSrc"},
		{"inline by default", headers.CSP{DefaultSrc: sources{headers.UnsafeInline}}, "!default-src"},
		{"scripts of everywhere", headers.CSP{ScriptSrc: sources{"*"}}, `!script-src "*"`},
		{"scripts of a scheme", headers.CSP{ScriptSrc: sources{"data:"}}, `!script-src "data:"`},
		{"scripts of all subdomains", headers.CSP{ScriptSrc: sources{"https://*.example.com"}}, "!one subdomain that fell"},
		{"images of everywhere", headers.CSP{ImgSrc: sources{"*"}}, `!img-src "*"`},
		{"images in clear", headers.CSP{ImgSrc: sources{"http://img.example.com"}}, "!use https"},
		{"workers of a scheme", headers.CSP{WorkerSrc: sources{"blob:"}}, `!worker-src "blob:"`},
		{"frames of a scheme", headers.CSP{FrameSrc: sources{"https:"}}, `!frame-src "https:"`},
		{"forms to everywhere", headers.CSP{FormAction: sources{"*"}}, `!form-action "*"`},
		{"a nonce where none counts", headers.CSP{ImgSrc: sources{headers.NonceSource}}, "!ScriptSrc and StyleSrc only"},
		{"a nonce that stays", headers.CSP{ScriptSrc: sources{"'nonce-abcdefgh'"}}, "!a nonce that stays"},
		{"strict-dynamic alone", headers.CSP{ScriptSrc: sources{headers.StrictDynamic}}, "!no script runs at all"},
		{"strict-dynamic for styles", headers.CSP{StyleSrc: sources{headers.NonceSource, headers.StrictDynamic}}, "!ScriptSrc only"},
		{"'none' as a source", headers.CSP{ImgSrc: sources{"'none'"}}, "!empty list"},
		{"a hash cut short", headers.CSP{ScriptSrc: sources{"'sha256-47DEQpj8HBSa'"}}, "!want a keyword"},
		{"a keyword that does not exist", headers.CSP{ScriptSrc: sources{"'self"}}, "!want a keyword"},
		{"a host without a scheme", headers.CSP{ImgSrc: sources{"cdn.example.com"}}, "!want a keyword"},
		{"a source that ends the directive", headers.CSP{ImgSrc: sources{"https://a.example;script-src"}}, "!want a keyword"},
		{"a source that is two", headers.CSP{ImgSrc: sources{"https://a.example https://b.example"}}, "!want a keyword"},
		{"a source with a line break", headers.CSP{ImgSrc: sources{"https://a.example/\r\nX: y"}}, "!want a keyword"},
		{"an empty source", headers.CSP{ImgSrc: sources{""}}, "!want a keyword"},
		{"insecure without a reason", headers.CSP{InsecureScriptSrc: headers.InsecureSources{Sources: sources{headers.UnsafeEval}}}, "!both Sources and a Reason"},
		{"insecure with a reason of spaces", headers.CSP{InsecureStyleSrc: headers.InsecureSources{Sources: sources{headers.UnsafeInline}, Reason: " "}}, "!both Sources and a Reason"},
		{"a reason for nothing", headers.CSP{InsecureScriptSrc: headers.InsecureSources{Reason: "why not"}}, "!both Sources and a Reason"},
		{"insecure, and malformed", headers.CSP{InsecureScriptSrc: insecure("cdn.example.com")}, "!want a keyword"},
		{"a policy of trusted types that is none", headers.CSP{TrustedTypes: []string{"a b"}}, "!TrustedTypes"},
		{"trusted types and none", headers.CSP{TrustedTypes: []string{"a"}, InsecureNoTrustedTypes: "x"}, "!both TrustedTypes"},
		{"no trusted types, without a reason", headers.CSP{InsecureNoTrustedTypes: " "}, "!InsecureNoTrustedTypes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := headers.New(headers.Config{Profile: headers.Web, Page: headers.Page{CSP: tt.csp}})
			if part, bad := strings.CutPrefix(tt.want, "!"); bad {
				if err == nil || s != nil || !strings.Contains(err.Error(), part) || strings.ContainsAny(err.Error(), "\r\x00") {
					t.Fatalf("error %v, want one about %s", err, part)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := answer(t, s.Handler(noContent), request(true))
			withoutNonce(t, got)
			policy := got.Get("Content-Security-Policy")
			name, absent := strings.CutPrefix(tt.want, "-")
			if absent && strings.Contains(policy, name) {
				t.Errorf("the policy has %s: %s", name, policy)
			}
			if !absent && !strings.Contains("; "+policy+";", "; "+tt.want+";") {
				t.Errorf("the policy lacks %q: %s", tt.want, policy)
			}
		})
	}
}

// Whatever the sources are, a policy that compiles has no more directives than the
// strict one, and no line break.
func FuzzSourcesEndNoDirective(f *testing.F) {
	for _, seed := range []string{"https://img.example.com", "'self'", "data:", "*", "https://a;b", "https://[::1]:443/a", "'sha256-", "https://é.example", "https://a.example/%3b", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		s, err := headers.New(headers.Config{Profile: headers.Web, Page: headers.Page{CSP: headers.CSP{
			ImgSrc: sources{headers.Source(source)}, FormAction: sources{headers.Source(source)}}}})
		if err != nil {
			return
		}
		policy := answer(t, s.Handler(noContent), request(false)).Get("Content-Security-Policy")
		if n := strings.Count(policy, ";"); n != 12 || strings.ContainsAny(policy, "\r\n\x00,") || strings.Contains(policy, "unsafe") || strings.Contains(policy, " * ") {
			t.Errorf("%q makes the policy %q", source, policy)
		}
	})
}

func TestEveryAnswerHasANonceOfItsOwn(t *testing.T) {
	var asked string
	h := mustNew(t, headers.Config{Profile: headers.Web, Reports: "/reports", Page: headers.Page{ReportOnly: &headers.CSP{}}}).Handler(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked = headers.Nonce(r.Context())
			if again := headers.Nonce(r.Context()); again != asked {
				t.Errorf("one request has the nonces %s and %s", asked, again)
			}
		}))
	seen := map[string]bool{}
	for range 50 {
		sent := withoutNonce(t, answer(t, h, request(true)))
		// 128 bits (CSP3 section 7.1) in base64 are 22 characters.
		if len(sent) != 22 || sent != asked || seen[sent] {
			t.Fatalf("the nonce %q was sent, %q told; seen before: %v", sent, asked, seen[sent])
		}
		seen[sent] = true
	}
}

func TestWithoutAPolicyThatHasANonceThereIsNone(t *testing.T) {
	for name, cfg := range map[string]headers.Config{
		"data":                   {},
		"a page without scripts": {Profile: headers.Web, Page: headers.Page{CSP: headers.CSP{ScriptSrc: sources{}, StyleSrc: sources{headers.Self}}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := mustNew(t, cfg).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if nonce := headers.Nonce(r.Context()); nonce != "" {
					t.Errorf("the nonce %s is in no policy", nonce)
				}
			}))
			answer(t, h, request(true))
		})
	}
	if nonce := headers.Nonce(t.Context()); nonce != "" {
		t.Errorf("outside of the stage there is the nonce %s", nonce)
	}
}

func TestReportsGoToTheCollectorOfBothPolicies(t *testing.T) {
	h := mustNew(t, headers.Config{Profile: headers.Web, Reports: "/reports", Page: headers.Page{
		ReportOnly: &headers.CSP{StyleSrc: sources{headers.NonceSource}},
	}}).Handler(noContent)
	got := answer(t, h, request(true))
	withoutNonce(t, got)
	if e := got["Reporting-Endpoints"]; len(e) != 1 || e[0] != `reports="/reports"` {
		t.Errorf("Reporting-Endpoints is %q", e)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy":             "style-src 'self' 'nonce-NONCE'",
		"Content-Security-Policy-Report-Only": "style-src 'nonce-NONCE'",
	} {
		policy := got[name]
		if len(policy) != 1 || !strings.Contains(policy[0], want+";") || !strings.Contains(policy[0], "; report-uri /reports; report-to reports") {
			t.Errorf("%s is %q", name, policy)
		}
	}
	// CSP3 and Upgrade Insecure Requests section 3.3: it means nothing there.
	if strings.Contains(got.Get("Content-Security-Policy-Report-Only"), "upgrade") {
		t.Error("the policy that is only reported upgrades requests")
	}
}

func TestARouteHasTheHeadersItNames(t *testing.T) {
	table, err := route.New([]route.Route{
		{Pattern: "GET /data", Public: true},
		{Pattern: "GET /page", Public: true, Headers: "web"},
		{Pattern: "GET /form", Public: true, Headers: "form"},
		{Pattern: "GET /camera", Public: true, Headers: "camera"},
		{Pattern: "GET /unknown", Public: true, Headers: "nobody"},
	})
	if err != nil {
		t.Fatal(err)
	}
	stage := mustNew(t, headers.Config{Pages: map[headers.Profile]headers.Page{"camera": {Allow: []headers.Feature{headers.Camera}}}})
	h := exchange.New(exchange.Config{Stages: []exchange.Stage{stage}, Routes: table}).Handler(noContent)
	for path, want := range map[string]struct{ referrer, camera string }{
		"/data":    {"no-referrer", ""},
		"/page":    {"no-referrer", "camera=(),"},
		"/form":    {"same-origin", "camera=(),"},
		"/camera":  {"no-referrer", "camera=(self),"},
		"/unknown": {"no-referrer", ""},
		"/nowhere": {"no-referrer", ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		got := w.Header()
		if got.Get("Referrer-Policy") != want.referrer || !strings.Contains(got.Get("Permissions-Policy"), want.camera) ||
			want.camera == "" && got.Get("Permissions-Policy") != "" {
			t.Errorf("%s: %v", path, got)
		}
	}
	if stage.Has("nobody") || !stage.Has("camera") || !stage.Has("api") {
		t.Error("Has tells of other profiles than there are")
	}
}

// TestCSPEvaluator asks Google's csp_evaluator, which make csp installs, about the
// policies as they are sent. A severity of 30 and below is a weakness.
func TestCSPEvaluator(t *testing.T) {
	dir := os.Getenv("CSP_EVALUATOR")
	if dir == "" {
		t.Skip("CSP_EVALUATOR is not set: make csp sets it")
	}
	ask := func(policy string) string {
		cmd := exec.CommandContext(t.Context(), "node", filepath.Join(dir, "evaluate.mjs"), policy)
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState.ExitCode() != 1 {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if found := ask("script-src 'unsafe-inline'"); found == "" {
		t.Fatal("the evaluator finds nothing in a weak policy")
	}
	for _, profile := range []headers.Profile{headers.API, headers.Web} {
		for _, secure := range []bool{true, false} {
			h := mustNew(t, headers.Config{Profile: profile, Reports: "/reports"}).Handler(noContent)
			policy := answer(t, h, request(secure)).Get("Content-Security-Policy")
			if found := ask(policy); found != "" {
				t.Error(fmt.Sprint(profile, ": ", policy, "\n", found))
			}
		}
	}
}
