package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/problem"
)

// The statuses are those of the service's contract, written out by hand.
func TestEachCodeHasOneStatus(t *testing.T) {
	want := map[string]int{
		"malformed-request": 400, "invalid-content": 422, "unsupported-media-type": 415, "payload-too-large": 413,
		"not-found": 404, "method-not-allowed": 405, "unauthenticated": 401, "invalid-credentials": 401,
		"second-factor-required": 401, "ambiguous-credentials": 400, "forbidden": 403, "insufficient-scope": 403,
		"csrf-token-missing": 403, "csrf-token-invalid": 403, "cross-site-request": 403, "https-required": 403,
		"host-not-allowed": 421, "quota-exceeded": 429, "overloaded": 503, "store-unavailable": 503,
		"account-exists": 409, "conflict": 409, "internal-error": 500, "no-such-code": 500,
	}
	for code, status := range want {
		if got := problem.Code(code).Status(); got != status {
			t.Errorf("%s: status %d; want %d", code, got, status)
		}
		if problem.Code(code).Title() == "" {
			t.Errorf("%s: no title", code)
		}
	}
}

func TestWriteSpellsRFC9457(t *testing.T) {
	p := problem.New("invalid-content", "One member is wrong.").
		WithErrors(problem.FieldError{Pointer: "/username", Code: "reserved", Detail: "This name is reserved."}).
		WithCause(errors.New("pq: secret table"))
	w := httptest.NewRecorder()
	w.Header().Set("ETag", `"of another body"`)
	p.Write(w, httptest.NewRequest("POST", "/", nil), "REQ1")
	const body = `{"type":"urn:merlon:problem:invalid-content","title":"Invalid content","status":422,` +
		`"detail":"One member is wrong.","code":"invalid-content","request_id":"REQ1",` +
		`"errors":[{"pointer":"/username","code":"reserved","detail":"This name is reserved."}]}` + "\n"
	if w.Body.String() != body {
		t.Errorf("body\n%s\nwant\n%s", w.Body, body)
	}
	if w.Code != 422 || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("ETag") != "" {
		t.Errorf("status %d, header %v", w.Code, w.Header())
	}
}

func TestWriteAddsWhatTheStatusDemands(t *testing.T) {
	tests := []struct {
		name         string
		p            *problem.Problem
		header, want string
	}{
		{"a 401 has a challenge", problem.New("unauthenticated", ""), "WWW-Authenticate", `Bearer realm="merlon"`},
		{"a 401 has its own challenge", &problem.Problem{Code: "unauthenticated", Challenge: `Bearer error="invalid_token"`}, "WWW-Authenticate", `Bearer error="invalid_token"`},
		{"a 403 has none", problem.New("forbidden", ""), "WWW-Authenticate", ""},
		{"a 405 has Allow", &problem.Problem{Code: "method-not-allowed", Allow: "GET, HEAD"}, "Allow", "GET, HEAD"},
		{"a wait is rounded up", problem.New("overloaded", "").WithRetryAfter(1001 * time.Millisecond), "Retry-After", "2"},
		{"a whole second stays one", problem.New("overloaded", "").WithRetryAfter(time.Second), "Retry-After", "1"},
		{"no wait, no header", problem.New("overloaded", ""), "Retry-After", ""},
		{"an unavailable store names a wait", problem.Unavailable(nil), "Retry-After", "1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			tt.p.Write(w, httptest.NewRequest("GET", "/", nil), "")
			if got := w.Header().Get(tt.header); got != tt.want {
				t.Errorf("%s: %q; want %q", tt.header, got, tt.want)
			}
		})
	}
}

func TestAQuotaProblemIsOfTheIANAType(t *testing.T) {
	p := &problem.Problem{Code: "quota-exceeded", ViolatedPolicies: []string{"login"}}
	var doc map[string]any
	if err := json.Unmarshal(p.Body(""), &doc); err != nil {
		t.Fatal(err)
	}
	if doc["type"] != "https://iana.org/assignments/http-problem-types#quota-exceeded" || fmt.Sprint(doc["violated-policies"]) != "[login]" {
		t.Errorf("document %v", doc)
	}
}

func TestTheCauseStaysInside(t *testing.T) {
	cause := errors.New("dial tcp 10.0.0.5:5432: connection refused")
	p := problem.Unavailable(cause)
	if strings.Contains(string(p.Body("")), "10.0.0.5") {
		t.Error("the body tells the cause")
	}
	if !errors.Is(p, cause) || !strings.Contains(p.Error(), "10.0.0.5") {
		t.Error("the operator is not told the cause")
	}
}

func TestHEADHasNoBody(t *testing.T) {
	w := httptest.NewRecorder()
	problem.New("not-found", "").Write(w, httptest.NewRequest(http.MethodHead, "/", nil), "")
	if w.Body.Len() != 0 || w.Code != 404 || w.Header().Get("Content-Length") == "" {
		t.Errorf("status %d, %d bytes, header %v", w.Code, w.Body.Len(), w.Header())
	}
}

func TestWithMethodsLeaveTheirReceiverAlone(t *testing.T) {
	p := problem.New("conflict", "")
	p.WithErrors(problem.FieldError{Code: "x"})
	p.WithRetryAfter(time.Second)
	p.WithCause(errors.New("x"))
	if p.Errors != nil || p.RetryAfter != 0 || p.Unwrap() != nil {
		t.Errorf("changed: %+v", p)
	}
}
