package e2e_test

import (
	"strings"
	"testing"
)

const (
	// As browsers send it: Reporting API section 3.3 with CSP3 section 5.3.
	cspViolation = `[{"type":"csp-violation","age":1,"url":"http://127.0.0.1/docs?token=` + marker + `","user_agent":"Mozilla/5.0","body":{"documentURL":"http://127.0.0.1/docs?token=` + marker +
		`","blockedURL":"https://evil.example/x.js?` + marker + `","effectiveDirective":"script-src-elem","disposition":"enforce","sample":"` + marker + `","statusCode":200}}]`
	// And older ones: CSP Level 2 section 4.4.
	oldViolation = `{"csp-report":{"document-uri":"http://127.0.0.1/docs","violated-directive":"img-src 'self'","blocked-uri":"data"}}`

	reportsType = "Content-Type: application/reports+json"
	oldType     = "Content-Type: application/csp-report"
)

// Browsers send reports with the session cookie and without a token.
func TestReportsOfBrowsersBecomeEvents(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada, anybody := s.register(t), s.client(t)
	fetch := []string{"Origin: null", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: report"}
	want := func(a *answer, document, directive, blocked string) wantEvent {
		return wantEvent{a, "malicious_csp_violation", "suspicious_activity", "medium", "refused", "", "POST /reports",
			object{"document": document, "directive": directive, "blocked": blocked, "disposition": "enforce"}}
	}
	s.wantEvents(t,
		want(ada.do(t, "POST", "/reports", cspViolation, append(fetch, reportsType)...).want(t, 204), "/docs", "script-src-elem", "https://evil.example"),
		want(ada.do(t, "POST", "/reports", oldViolation, append(fetch, oldType)...).want(t, 204), "/docs", "img-src", "data"),
		want(anybody.do(t, "POST", "/reports", cspViolation, reportsType).want(t, 204), "/docs", "script-src-elem", "https://evil.example"))
	for _, line := range s.log(t) {
		if line["type"] == "malicious_csp_violation" && strings.Contains(toText(line), marker) {
			t.Errorf("an event holds the query of a URL, or a sample: %v", line)
		}
	}
	// What the cookie does on every other route, it does still.
	ada.do(t, "POST", "/api/v1/auth/logout", nil).wantProblem(t, 403, "csrf-token-missing")
}

func TestWhatIsNoReportIsRefused(t *testing.T) {
	t.Parallel()
	s := share(t)
	c := s.register(t)
	pad := func(n int) string { return "[" + strings.Repeat(" ", n-2) + "]" }
	c.do(t, "POST", "/reports", pad(16<<10), reportsType).want(t, 204)
	c.do(t, "POST", "/reports", pad(16<<10+1), reportsType).wantProblem(t, 413, "payload-too-large")
	c.do(t, "POST", "/reports", "[]").wantProblem(t, 415, "unsupported-media-type")
	c.do(t, "POST", "/reports", "[]", "Content-Type:").wantProblem(t, 415, "unsupported-media-type")
	c.do(t, "POST", "/reports", "[{]", reportsType).wantProblem(t, 400, "malformed-request")
	c.do(t, "POST", "/reports", "{", oldType).wantProblem(t, 400, "malformed-request")
	c.do(t, "POST", "/reports", nil, reportsType).wantProblem(t, 400, "malformed-request")
	c.do(t, "POST", "/reports", "{}", reportsType).wantProblem(t, 422, "invalid-content")
	c.do(t, "POST", "/reports", "{}", oldType).wantProblem(t, 422, "invalid-content")
	c.do(t, "POST", "/reports", cspViolation, reportsType, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example").wantProblem(t, 403, "cross-site-request")
	c.do(t, "POST", "/reports", cspViolation, reportsType, "Origin: https://evil.example").wantProblem(t, 403, "cross-site-request")
	c.do(t, "POST", "/reports", cspViolation, reportsType, "Sec-Fetch-Site: same-origin").want(t, 204)
}

func TestReportsAreLimitedToSixtyAMinuteAnAddress(t *testing.T) {
	t.Parallel()
	s := share(t)
	c := s.client(t)
	for range 60 {
		c.do(t, "POST", "/reports", "[]", reportsType).want(t, 204)
	}
	a := c.do(t, "POST", "/reports", "[]", reportsType)
	if got := violated(t, a); got != "reports" {
		t.Errorf("violated-policies is %q, want reports", got)
	}
	s.client(t).do(t, "POST", "/reports", "[]", reportsType).want(t, 204)
	s.wantEvents(t, wantEvent{a, "excess_rate_limit_exceeded", "rate_limit", "medium", "refused", "", "POST /reports", object{"rule": "reports"}})
}
