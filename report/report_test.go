package report_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon/audit/audittest"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/report"
)

// What browsers send, after the examples of the standards.
const (
	// Reporting API section 3.3 with CSP3 section 5.3.
	violation = `{"type":"csp-violation","age":53531,"url":"https://example.com/sign-up?token=hunter2","user_agent":"Mozilla/5.0","body":{
		"documentURL":"https://example.com/sign-up?token=hunter2#x","referrer":"https://www.google.com/","blockedURL":"https://evil.example:8443/x.js?secret=hunter2",
		"effectiveDirective":"script-src-elem","originalPolicy":"default-src 'none'; report-to reports","sourceFile":"https://example.com/csp-report",
		"sample":"hunter2","disposition":"enforce","statusCode":200,"lineNumber":121,"columnNumber":39}}`
	// CSP Level 2 section 4.4.
	old = `{"csp-report":{"document-uri":"http://example.org/page.html?token=hunter2","referrer":"http://evil.example.com/haxor.html","blocked-uri":"http://evil.example.com/image.png",
		"violated-directive":"default-src 'self'","effective-directive":"img-src","original-policy":"default-src 'self'; report-uri http://example.org/csp-report.cgi"}}`
	deprecation = `{"type":"deprecation","age":1,"url":"https://example.com/","user_agent":"x","body":{"id":"websql","message":"hunter2"}}`
)

var want = report.Violation{Document: "/sign-up", Directive: "script-src-elem", Blocked: "https://evil.example:8443", Disposition: "enforce"}

func TestParse(t *testing.T) {
	const reports, csp = "application/reports+json", "application/csp-report"
	of := func(violations []report.Violation, others, ignored int) report.Reports {
		return report.Reports{Violations: violations, Others: others, Ignored: ignored}
	}
	for _, tt := range []struct {
		name, media, body string
		want              report.Reports
		status            int // of the refusal
	}{
		{"a violation", reports, "[" + violation + "]", of([]report.Violation{want}, 0, 0), 0},
		{"several", reports, "[" + violation + "," + deprecation + "," + violation + "]", of([]report.Violation{want, want}, 1, 0), 0},
		{"of another kind alone", reports, "[" + deprecation + "]", of(nil, 1, 0), 0},
		{"none", reports, "[]", of(nil, 0, 0), 0},
		{"more than are looked at", reports, "[" + strings.Repeat(deprecation+",", 5) + violation + "]", of(nil, 4, 2), 0},
		{"a violation that is only reported", reports, strings.Replace("["+violation+"]", `"enforce"`, `"report"`, 1),
			of([]report.Violation{{want.Document, want.Directive, want.Blocked, "report"}}, 0, 0), 0},
		{"the older form", csp, old, of([]report.Violation{{"/page.html", "img-src", "http://evil.example.com", "enforce"}}, 0, 0), 0},
		{"the older form of Level 1", csp, `{"csp-report":{"document-uri":"https://example.org/","violated-directive":"style-src 'self'","blocked-uri":""}}`,
			of([]report.Violation{{"/", "style-src", "other", "enforce"}}, 0, 0), 0},
		{"the older form under the newer type", reports, old, report.Reports{}, 422},
		{"the newer form under the older type", csp, "[" + violation + "]", report.Reports{}, 422},
		{"one that is not in a list", reports, violation, report.Reports{}, 422},
		{"an empty body", reports, "", report.Reports{}, 400},
		{"no JSON", reports, "[{]", report.Reports{}, 400},
		{"not UTF-8", csp, "{\"csp-report\":{\"blocked-uri\":\"\xff\"}}", report.Reports{}, 400},
		{"null", reports, "null", report.Reports{}, 422},
		{"null of the older form", csp, `{"csp-report":null}`, report.Reports{}, 422},
		{"a list of what are no reports", reports, "[1]", report.Reports{}, 422},
		{"a list of null", reports, "[null]", report.Reports{}, 422},
		{"a report without a type", reports, "[{}]", report.Reports{}, 422},
		{"a violation whose members have other types", reports, `[{"type":"csp-violation","body":{"blockedURL":["https://a.example"]}}]`, report.Reports{}, 422},
		{"a member twice", reports, `[{"type":"deprecation","type":"csp-violation"}]`, report.Reports{}, 422},
		{"too deep", reports, "[" + strings.Repeat(`{"type":"x","body":`, 9) + "1" + strings.Repeat("}", 9) + "]", report.Reports{}, 422},
		{"another type", "application/json", "[]", report.Reports{}, 415},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, p := report.Parse(tt.media, []byte(tt.body), 4)
			status := 0
			if p != nil {
				status = p.Status()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || status != tt.status {
				t.Errorf("status %d, want %d; -want +got:\n%s", status, tt.status, diff)
			}
		})
	}
}

// Of URLs an event keeps what no secret can be in, and no more than is needed.
func TestWhatIsKeptOfABlockedURL(t *testing.T) {
	for blocked, want := range map[string]string{
		"inline": "inline", "eval": "eval", "wasm-eval": "wasm-eval", "data": "data", "blob": "blob", "trusted-types-sink": "trusted-types-sink",
		"https://EVIL.example/a?b#c":                       "https://evil.example",
		"https://user:hunter2@evil.example/":               "https://evil.example",
		"wss://evil.example:8443/socket":                   "wss://evil.example:8443",
		"data:text/html,hunter2":                           "data:",
		"chrome-extension://aapbdbdomjkkjkaonfhkkikfgjll/": "chrome-extension:",
		"javascript:alert(1)":                              "javascript:",
		"":                                                 "other", "Hunter 2": "other", "//evil.example/": "other", "https:///x": "other", "http://[::1": "other", "\x00": "other",
		"https://" + strings.Repeat("a", 300) + ".example/": "https://" + strings.Repeat("a", 192),
		strings.Repeat("a", 60):                             "other",
		strings.Repeat("a", 60) + ":x":                      "other",
	} {
		body := fmt.Sprintf(`{"csp-report":{"effective-directive":"script-src","blocked-uri":%s}}`, quoted(blocked))
		if blocked == "\x00" {
			continue // refused as JSON; see TestParse
		}
		got, p := report.Parse("application/csp-report", []byte(body), 1)
		if p != nil || len(got.Violations) != 1 || got.Violations[0].Blocked != want {
			t.Errorf("%q: %+v, %v; want %q", blocked, got, p, want)
		}
	}
}

func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"[" + violation + "," + deprecation + "]", old, "[", "null", `[{"type":"csp-violation","body":null}]`, `{"csp-report":{"document-uri":"http://a/%zz"}}`} {
		f.Add(true, seed)
		f.Add(false, seed)
	}
	f.Fuzz(func(t *testing.T, legacy bool, body string) {
		media := "application/reports+json"
		if legacy {
			media = "application/csp-report"
		}
		got, p := report.Parse(media, []byte(body), 3)
		if p != nil {
			if p.Status() != 400 && p.Status() != 422 || len(got.Violations) > 0 {
				t.Errorf("status %d with %d violations", p.Status(), len(got.Violations))
			}
			return
		}
		if len(got.Violations)+got.Others > 3 {
			t.Errorf("%d reports are looked at", len(got.Violations)+got.Others)
		}
		for _, v := range got.Violations {
			for _, text := range []string{v.Document, v.Directive, v.Blocked, v.Disposition} {
				if len(text) > 200 || strings.ContainsAny(text, "?#\r\n\x00 ") {
					t.Errorf("a field is %q", text)
				}
			}
			if strings.Contains(v.Blocked, "@") {
				t.Errorf("what was blocked is %q", v.Blocked)
			}
		}
	})
}

// collector returns a collector in a chain, and its events.
func collector(t *testing.T, cfg report.Config) (*report.Collector, http.Handler, *audittest.Memory) {
	t.Helper()
	c, err := report.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	events := &audittest.Memory{}
	chain := exchange.New(exchange.Config{Recorder: events, ErrorLog: slog.New(slog.NewTextHandler(io.Discard, nil))})
	return c, chain.Handler(c), events
}

func send(h http.Handler, body string, types ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/reports", strings.NewReader(body))
	r.Header["Content-Type"] = types
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestTheCollectorRecordsViolationsAndCountsTheRest(t *testing.T) {
	c, h, events := collector(t, report.Config{MaxReports: 3})
	body := "[" + strings.Join([]string{violation, deprecation, strings.Replace(violation, `"enforce"`, `"report"`, 1), violation}, ",") + "]"
	if w := send(h, body, "application/reports+json"); w.Code != 204 || w.Body.Len() > 0 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if w := send(h, old, "application/csp-report; charset=utf-8"); w.Code != 204 {
		t.Errorf("the older form: status %d: %s", w.Code, w.Body)
	}
	var got []string
	for _, e := range events.Events() {
		line := fmt.Sprintf("%s %s %s %s", e.Type, e.Type.Category(), e.Severity, e.Outcome)
		for _, a := range e.Detail {
			line += " " + a.String()
		}
		got = append(got, line)
	}
	const head = "malicious_csp_violation suspicious_activity medium "
	if diff := cmp.Diff([]string{
		head + "refused document=/sign-up directive=script-src-elem blocked=https://evil.example:8443 disposition=enforce",
		head + "would_refuse document=/sign-up directive=script-src-elem blocked=https://evil.example:8443 disposition=report",
		head + "refused document=/page.html directive=img-src blocked=http://evil.example.com disposition=enforce",
	}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(report.Counts{Violations: 3, Others: 1, Ignored: 1}, c.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestTheCollectorRefusesWhatIsNoReport(t *testing.T) {
	c, h, events := collector(t, report.Config{})
	for _, tt := range []struct {
		name   string
		body   string
		types  []string
		status int
	}{
		{"the largest body", "[" + deprecation + strings.Repeat(" ", report.MaxBody-len(deprecation)-2) + "]", []string{"application/reports+json"}, 204},
		{"a byte more", "[" + deprecation + strings.Repeat(" ", report.MaxBody-len(deprecation)-1) + "]", []string{"application/reports+json"}, 413},
		{"another type", "[]", []string{"application/json"}, 415},
		{"no type", "[]", nil, 415},
		{"two types", "[]", []string{"application/reports+json", "application/csp-report"}, 415},
		{"no JSON", "{", []string{"application/reports+json"}, 400},
		{"no report", "{}", []string{"application/reports+json"}, 422},
	} {
		if w := send(h, tt.body, tt.types...); w.Code != tt.status {
			t.Errorf("%s: status %d, want %d: %s", tt.name, w.Code, tt.status, w.Body)
		}
	}
	if n := c.Counts().Refused; n != 6 {
		t.Errorf("%d refusals are counted, want 6", n)
	}
	if n := len(events.Events()); n > 0 {
		t.Errorf("%d events", n)
	}
}

// Whoever sends them: so many events in a minute, and the next one after it tells
// how many there were beside.
func TestAFloodOfReportsDoesNotFloodTheEvents(t *testing.T) {
	c, err := report.New(report.Config{EventsPerMinute: 5})
	if err != nil {
		t.Fatal(err)
	}
	events := &audittest.Memory{}
	var now time.Time
	clock := stage(func(x *exchange.Exchange) exchange.Outcome { x.Now = now; return exchange.Continue() })
	h := exchange.New(exchange.Config{Stages: []exchange.Stage{clock}, Recorder: events}).Handler(c)
	begin := time.Now()
	for i := range 30 {
		now = begin.Add(time.Duration(i) * time.Second)
		if w := send(h, "["+violation+"]", "application/reports+json"); w.Code != 204 {
			t.Fatalf("status %d", w.Code)
		}
	}
	if n := len(events.Events()); n != 5 {
		t.Fatalf("%d events, want 5", n)
	}
	now = begin.Add(time.Minute)
	send(h, "["+violation+"]", "application/reports+json")
	all := events.Events()
	if len(all) != 6 || all[5].Detail[len(all[5].Detail)-1].String() != "silenced=25" {
		t.Errorf("after a minute there are %d events, the last is %v", len(all), all[len(all)-1].Detail)
	}
	if diff := cmp.Diff(report.Counts{Violations: 31, Silenced: 25}, c.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

type stage func(*exchange.Exchange) exchange.Outcome

func (stage) Name() string                                   { return "test" }
func (s stage) Decide(x *exchange.Exchange) exchange.Outcome { return s(x) }

func TestConfigErrors(t *testing.T) {
	_, err := report.New(report.Config{MaxReports: 101, EventsPerMinute: -1})
	if err == nil || !strings.Contains(err.Error(), "MaxReports 101") || !strings.Contains(err.Error(), "EventsPerMinute -1") {
		t.Errorf("error %v", err)
	}
	for _, cfg := range []report.Config{{}, {MaxReports: 100, EventsPerMinute: 10_000}} {
		if _, err := report.New(cfg); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	if got := report.ContentTypes(); cmp.Diff([]string{"application/reports+json", "application/csp-report"}, got) != "" {
		t.Errorf("ContentTypes are %q", got)
	}
}
