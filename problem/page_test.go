package problem_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/problem"
)

// What Chromium and Firefox send when a person opens a page.
const browserAccept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

func TestPeopleReadPagesAndProgramsReadJSON(t *testing.T) {
	for _, tt := range []struct {
		name         string
		accept, mode string // of Sec-Fetch-Mode
		page         bool
	}{
		{"a browser that navigates", browserAccept, "navigate", true},
		{"a browser that does not say", browserAccept, "", true},
		{"a script in a page", "*/*", "cors", false},
		{"a script that prefers pages", browserAccept, "cors", false},
		{"a navigation that wants data", "application/json", "navigate", false},
		{"a program that takes anything", "*/*", "", false},
		{"a program that says nothing", "", "", false},
		{"a program that prefers data", "application/json, text/html;q=0.5", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", nil)
			if tt.accept != "" {
				r.Header.Set("Accept", tt.accept)
			}
			if tt.mode != "" {
				r.Header.Set("Sec-Fetch-Mode", tt.mode)
			}
			w := httptest.NewRecorder()
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
			w.Header().Set("Content-Security-Policy-Report-Only", "default-src 'none'")
			problem.New("csrf-token-invalid", "GET /csrf/token for a new one.").Write(w, r, "REQ1")
			body, h := w.Body.String(), w.Header()
			if w.Code != 403 || h.Get("Cache-Control") != "no-store" || !strings.Contains(body, "REQ1") || !strings.Contains(body, "csrf-token-invalid") {
				t.Errorf("status %d, %v, %s", w.Code, h, body)
			}
			if tt.page {
				if h.Get("Content-Type") != "text/html; charset=utf-8" || !strings.HasPrefix(body, "<!doctype html>\n<html lang=\"en\">") || !strings.Contains(body, "load its page again") {
					t.Errorf("%v: %s", h, body)
				}
				if policy := h.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || h["Content-Security-Policy-Report-Only"] != nil {
					t.Errorf("the policy of the page is %q, %q", policy, h["Content-Security-Policy-Report-Only"])
				}
				return
			}
			if h.Get("Content-Type") != "application/problem+json" || body[0] != '{' || h.Get("Content-Security-Policy") != "default-src 'self'" {
				t.Errorf("%v: %s", h, body)
			}
		})
	}
}

// Java's URLConnection prefers pages unless it is told otherwise.
func TestProgramsThatPreferPagesUnknowinglyReadJSON(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		page        bool
	}{
		{"X-Api-Key", "mrl_live_x", false},
		{"Authorization", "Bearer x", false},
		{"Content-Type", "application/json; charset=utf-8", false},
		{"Content-Type", "application/x-www-form-urlencoded", true},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Accept", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2")
		r.Header.Set(tt.name, tt.value)
		w := httptest.NewRecorder()
		problem.New("forbidden", "").Write(w, r, "")
		if page := strings.HasPrefix(w.Header().Get("Content-Type"), "text/html"); page != tt.page {
			t.Errorf("%s: %s: page %v, want %v", tt.name, tt.value, page, tt.page)
		}
	}
}

func TestThePageFitsItsPolicy(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	problem.New("not-found", "").Write(w, r, "")
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(w.Body.String())
	if style == nil {
		t.Fatal("there is no style sheet")
	}
	// CSP3 section 6.7.2.3: the hash of what is between the tags.
	sum := sha256.Sum256([]byte(style[1]))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := w.Header().Get("Content-Security-Policy"); got != want {
		t.Errorf("the policy is %q, want %q", got, want)
	}
}

func TestThePageEscapesWhatItIsToldAndSaysWhatToDo(t *testing.T) {
	const script = `<script>alert("1" & '2')</script>`
	p := problem.New("invalid-content", script).WithErrors(problem.FieldError{Pointer: "/" + script, Code: script, Detail: script}).WithRetryAfter(1001 * time.Millisecond)
	page := string(p.Page(script))
	if strings.Contains(page, "<script") || strings.Count(page, "&lt;script&gt;alert(&#34;1&#34; &amp; &#39;2&#39;)&lt;/script&gt;") != 4 {
		t.Errorf("not escaped: %s", page)
	}
	for code, want := range map[problem.Code]string{
		"csrf-token-missing": "Go back to the form, load its page again", "csrf-token-invalid": "nothing was changed", "cross-site-request": "by its own address",
		"https-required": "https://", "unauthenticated": "Sign in", "quota-exceeded": "Try again in 2 s.", "forbidden": "What is wrong.",
	} {
		p := problem.New(code, "What is wrong.").WithRetryAfter(1001 * time.Millisecond)
		if page := string(p.Page("")); !strings.Contains(page, want) || !strings.Contains(page, "<h1>"+code.Title()+"</h1>") {
			t.Errorf("%s: %s", code, page)
		}
	}
	if strings.Contains(string(problem.Internal(nil).WithCause(errInside).Page("")), "10.0.0.5") {
		t.Error("the page tells the cause")
	}
}

type inside struct{}

func (inside) Error() string { return "dial tcp 10.0.0.5:5432: connection refused" }

var errInside = inside{}
