package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The names and values of this file are written out from the contract.

const sessionCookie = "__Host-merlon_session"

// marker stands in values that are to be refused. No answer may hold it.
const marker = "Qz7Echo"

// securityHeaders are what every answer carries, over plain HTTP.
var securityHeaders = map[string]string{
	"Cache-Control":                "no-store",
	"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
}

// pageHeaders are what pages carry instead, the policy but for its sources.
var pageHeaders = map[string]string{
	"Cache-Control":                "no-store, max-age=0",
	"Cross-Origin-Embedder-Policy": "require-corp",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy": "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), clipboard-write=(), cross-origin-isolated=(), " +
		"display-capture=(), encrypted-media=(), fullscreen=(), gamepad=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), " +
		"interest-cohort=(), keyboard-map=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), " +
		"publickey-credentials-get=(), screen-wake-lock=(), serial=(), sync-xhr=(), unload=(), usb=(), web-share=(), xr-spatial-tracking=()",
	"Referrer-Policy":                   "no-referrer",
	"Reporting-Endpoints":               `reports="/reports"`,
	"X-Content-Type-Options":            "nosniff",
	"X-Dns-Prefetch-Control":            "off",
	"X-Frame-Options":                   "DENY",
	"X-Permitted-Cross-Domain-Policies": "none",
}

// headersOf returns the headers that an answer carries, and the type of its content.
func headersOf(a *answer) (want map[string]string, contentType string) {
	if path, _, _ := strings.Cut(a.path, "?"); a.status == 200 && (path == "/docs" || path == "/signed-out") {
		want = map[string]string{"Content-Security-Policy": a.header.Get("Content-Security-Policy")}
		for name, value := range pageHeaders {
			want[name] = value
		}
		return want, "text/html; charset=utf-8"
	}
	return securityHeaders, "application/json"
}

// otherHeaders are what answers may carry besides. Anything else, such as Server,
// X-Powered-By, X-XSS-Protection or, in clear text, Strict-Transport-Security, is
// one too many.
var otherHeaders = map[string]bool{
	"Access-Control-Allow-Credentials": true, "Access-Control-Allow-Headers": true, "Access-Control-Allow-Methods": true,
	"Access-Control-Allow-Origin": true, "Access-Control-Expose-Headers": true, "Access-Control-Max-Age": true,
	"Allow": true, "Clear-Site-Data": true, "Connection": true, "Content-Length": true, "Content-Type": true, "Date": true,
	"Location": true, "Ratelimit": true, "Ratelimit-Policy": true, "Retry-After": true, "Set-Cookie": true, "Vary": true,
	"Www-Authenticate": true, "X-Ratelimit-Limit": true, "X-Ratelimit-Remaining": true, "X-Ratelimit-Reset": true, "X-Request-Id": true,
}

type problemDocument struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Pointer string `json:"pointer"`
		Code    string `json:"code"`
		Detail  string `json:"detail"`
	} `json:"errors"`
	ViolatedPolicies []string `json:"violated-policies"`
}

// statusOf is the status of each code.
var statusOf = map[string]int{
	"malformed-request": 400, "ambiguous-credentials": 400,
	"unauthenticated": 401, "invalid-credentials": 401, "second-factor-required": 401,
	"forbidden": 403, "insufficient-scope": 403, "csrf-token-missing": 403, "csrf-token-invalid": 403,
	"cross-site-request": 403, "https-required": 403,
	"not-found": 404, "method-not-allowed": 405, "account-exists": 409, "conflict": 409,
	"payload-too-large": 413, "unsupported-media-type": 415, "host-not-allowed": 421, "invalid-content": 422,
	"quota-exceeded": 429, "internal-error": 500, "overloaded": 503, "store-unavailable": 503,
}

var (
	requestIDs = regexp.MustCompile(`^[A-Za-z0-9_-]{16,64}$`)
	internals  = regexp.MustCompile(`goroutine \d|\.go:\d|panic|sqlite|SQLITE|runtime error|stack`)
	cookies    = regexp.MustCompile(`^__Host-merlon_[a-z]+=[A-Za-z0-9_-]*; Path=/;( Max-Age=\d+;)? HttpOnly; Secure; SameSite=(Lax|Strict)$`)
	limitItem  = regexp.MustCompile(`^"([a-z_-]+)";r=(\d+)(?:;t=(\d+))?$`)
	policyItem = regexp.MustCompile(`^"([a-z_-]+)";q=(\d+);w=(\d+)$`)
)

// checkAnswer checks what every answer has, whatever it answers.
func checkAnswer(t *testing.T, a *answer) {
	t.Helper()
	fault := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s %s (%d): "+format, append([]any{a.method, a.path, a.status}, args...)...)
	}
	wanted, contentType := headersOf(a)
	for name, value := range wanted {
		if got := a.header[name]; len(got) != 1 || got[0] != value {
			fault("%s is %q, want %q", name, got, value)
		}
	}
	for name := range a.header {
		if _, ok := wanted[name]; !ok && !otherHeaders[name] {
			fault("carries %s: %q, which no answer should", name, a.header[name])
		}
	}
	id := a.header["X-Request-Id"]
	if len(id) != 1 || !requestIDs.MatchString(id[0]) {
		fault("X-Request-Id is %q", id)
	}
	if a.status == 500 {
		fault("the server failed: %s", a.body)
	}
	if (a.status == 401) != (a.header.Get("Www-Authenticate") != "") {
		fault("WWW-Authenticate is %q", a.header.Get("Www-Authenticate"))
	}
	if (a.status == 405) != (a.header["Allow"] != nil) {
		fault("Allow is %q", a.header["Allow"])
	}
	if a.status == 204 && len(a.body) > 0 {
		fault("has a body")
	}
	if len(a.body) > 0 && a.status < 400 && !strings.HasPrefix(a.header.Get("Content-Type"), contentType) {
		fault("Content-Type is %q", a.header.Get("Content-Type"))
	}
	for _, cookie := range a.header["Set-Cookie"] {
		if !cookies.MatchString(cookie) {
			fault("sets the cookie %q", cookie)
		}
	}
	if strings.Contains(string(headerText(a.header)), marker) {
		fault("a header holds the rejected value")
	}
	if a.status >= 400 {
		if a.method != "HEAD" {
			checkProblem(t, a, fault)
		}
		if bytes.Contains(a.body, []byte(marker)) {
			fault("the answer echoes the rejected value: %s", a.body)
		}
		if found := internals.Find(a.body); found != nil {
			fault("the answer tells of the inside (%s): %s", found, a.body)
		}
	}
	checkLimits(t, a, fault)
	checkStructured(a, fault)
}

func headerText(h http.Header) []byte {
	var b bytes.Buffer
	_ = h.Write(&b) // to memory
	return b.Bytes()
}

// checkProblem checks the members that every problem document has.
func checkProblem(t *testing.T, a *answer, fault func(string, ...any)) {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		fault("Content-Type is %q, want application/problem+json", got)
	}
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.DisallowUnknownFields()
	var doc problemDocument
	if err := dec.Decode(&doc); err != nil {
		fault("not a problem document: %v: %s", err, a.body)
		return
	}
	wantType := "urn:merlon:problem:" + doc.Code
	if doc.Code == "quota-exceeded" {
		wantType = "https://iana.org/assignments/http-problem-types#quota-exceeded"
	}
	switch {
	case doc.Type != wantType:
		fault("type is %q, want %q", doc.Type, wantType)
	case doc.Title == "" || doc.Detail == "":
		fault("title or detail is empty: %s", a.body)
	case doc.Status != a.status || statusOf[doc.Code] != a.status:
		fault("status is %d and code %q: %s", doc.Status, doc.Code, a.body)
	case doc.RequestID == "" || doc.RequestID != a.header.Get("X-Request-Id"):
		fault("request_id is %q, X-Request-Id %q", doc.RequestID, a.header.Get("X-Request-Id"))
	case (a.status == 422) != (len(doc.Errors) > 0):
		fault("errors: %s", a.body)
	case (a.status == 429) != (len(doc.ViolatedPolicies) > 0):
		fault("violated-policies: %s", a.body)
	}
	for _, e := range doc.Errors {
		if e.Pointer != "" && e.Pointer[0] != '/' || e.Code == "" || e.Detail == "" {
			fault("an error is incomplete: %s", a.body)
		}
	}
	if retry := a.header.Get("Retry-After"); (a.status == 429 || a.status == 503) != (retry != "") {
		fault("Retry-After is %q", retry)
	}
}

var limitFields = []string{"Ratelimit", "Ratelimit-Policy", "X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"}

// checkLimits checks that the fields on rate limits agree: all of them are there
// once, or none. Which answers must have them is for TestEveryAnswerTellsWhatIsLeft.
func checkLimits(t *testing.T, a *answer, fault func(string, ...any)) {
	t.Helper()
	some := len(a.header["Ratelimit"])
	for _, name := range limitFields {
		if n := len(a.header[name]); n != some || n > 1 {
			fault("%s is %q, RateLimit is %q", name, a.header[name], a.header["Ratelimit"])
			return
		}
	}
	if some == 0 {
		return
	}
	quota := map[string]int{}
	longest := 0
	for item := range strings.SplitSeq(a.header.Get("Ratelimit-Policy"), ", ") {
		m := policyItem.FindStringSubmatch(item)
		if m == nil {
			fault("RateLimit-Policy: %q", item)
			return
		}
		quota[m[1]] = number(m[2])
		longest = max(longest, number(m[3]))
	}
	retry := number(a.header.Get("Retry-After"))
	limits := map[int]bool{}
	for item := range strings.SplitSeq(a.header.Get("Ratelimit"), ", ") {
		m := limitItem.FindStringSubmatch(item)
		if m == nil {
			fault("RateLimit: %q", item)
			return
		}
		name, remaining := m[1], number(m[2])
		q, ok := quota[name]
		if !ok || remaining > q {
			fault("RateLimit %q and RateLimit-Policy %q disagree", a.header.Get("Ratelimit"), a.header.Get("Ratelimit-Policy"))
		}
		if (name == "address" || name == "bad_credentials") && a.status != 429 {
			fault("tells of the guard %s: %q", name, a.header.Get("Ratelimit"))
		}
		if a.status == 429 && number(m[3]) > retry {
			fault("Retry-After is %d, before the t of %q", retry, a.header.Get("Ratelimit"))
		}
		limits[q] = true
	}
	limit, remaining := number(a.header.Get("X-Ratelimit-Limit")), number(a.header.Get("X-Ratelimit-Remaining"))
	if !limits[limit] || remaining > limit {
		fault("X-RateLimit-Limit is %d and -Remaining %d beside %q", limit, remaining, a.header.Get("Ratelimit-Policy"))
	}
	// A slot of the sliding window may outlive it by a fifteenth.
	first, last := a.sent.Unix()-1, a.came.Unix()+2+int64(longest+longest/15+1)
	if reset := int64(number(a.header.Get("X-Ratelimit-Reset"))); reset < first || reset > last {
		fault("X-RateLimit-Reset is %d, want %d to %d", reset, first, last)
	}
}

// number returns the number that s spells, or -1; the empty string is 0.
func number(s string) int {
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}
