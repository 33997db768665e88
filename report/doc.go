// Package report collects what browsers report about pages: above all what a
// Content-Security-Policy has blocked, or would block.
//
// A [Collector] is a handler. It takes application/reports+json (Reporting API
// section 3.3, an array) and application/csp-report (CSP Level 2 section 4.4, what
// older browsers send to a report-uri), and turns each CSP violation into an event
// malicious_csp_violation. Reports of other kinds are counted.
//
// Whoever can reach the collector can make reports up. So it trusts nothing in them:
// the body, the number of reports in it and every field are bounded, and of URLs,
// which may hold secrets, an event keeps the path of the page and the origin of what
// was blocked. Events are recorded at a bounded rate, whoever sends them; those
// above it are counted, and the next event tells how many there were.
//
// Browsers send reports with the session cookie and without a CSRF token. Taking a
// report changes nothing for anybody, so its route is public and looks at no
// credential:
//
//	{Pattern: "POST /reports", Public: true, Anonymous: true,
//		MaxBody: report.MaxBody, ContentTypes: report.ContentTypes()}
//
// Requests that pages of other sites make are refused all the same, and a rule of
// package ratelimit should limit the route.
//
// Refuses: another content type (415), a larger body (413), a body that is not JSON
// (400), JSON that is no report (422).
package report
