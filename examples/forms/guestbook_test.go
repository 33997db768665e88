package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const secret = "eleven crenels in a row"

// browser is a browser with the guestbook in some tabs.
type browser struct {
	t    *testing.T
	url  string
	http *http.Client
}

func start(t *testing.T) *browser {
	t.Helper()
	book, err := newGuestbook(t.Context(), secret, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewTLSServer(book)
	t.Cleanup(srv.Close)
	return (&browser{t: t, url: srv.URL, http: srv.Client()}).another()
}

// another returns another browser.
func (b *browser) another() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return &browser{b.t, b.url, &http.Client{Transport: b.http.Transport, Jar: jar}}
}

func (b *browser) do(method, path, body string, header ...string) (*http.Response, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, string(text)
}

var token = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)

// open opens the page in a tab, and returns the page and the token of its form.
func (b *browser) open() (page, csrf string) {
	b.t.Helper()
	resp, page := b.do("GET", "/", "")
	m := token.FindStringSubmatch(page)
	if resp.StatusCode != 200 || m == nil {
		b.t.Fatalf("status %d: %s", resp.StatusCode, page)
	}
	return page, m[1]
}

// send sends a form of a tab, and checks the status and a part of the page that follows.
func (b *browser) send(path, csrf string, status int, part string, fields ...string) {
	b.t.Helper()
	form := url.Values{"csrf_token": {csrf}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	resp, page := b.do("POST", path, form.Encode())
	if resp.StatusCode != status || !strings.Contains(page, part) || !strings.HasPrefix(page, "<!doctype html>") {
		b.t.Errorf("POST %s: status %d, want %d and %q:\n%s", path, resp.StatusCode, status, part, page)
	}
}

func (b *browser) login() {
	b.t.Helper()
	_, csrf := b.open()
	b.send("/login", csrf, 200, "Sign out", "name", "ada", "password", secret)
}

func TestTheGuestbook(t *testing.T) {
	b := start(t)
	_, csrf := b.open()
	b.send("/login", csrf, 401, "The name or the password is not right.", "name", "ada", "password", "wrong")
	b.send("/login", csrf, 401, "The name or the password is not right.", "name", "eve", "password", secret)
	b.send("/entries", csrf, 401, "Sign in", "text", "x")
	b.login()
	_, csrf = b.open()
	b.send("/entries", csrf, 200, "&lt;script&gt;alert(1)&lt;/script&gt;", "text", "<script>alert(1)</script>")
	b.send("/entries", csrf, 422, "Must have 1 to 500 characters.", "text", " ")
	b.send("/entries", csrf, 422, "Must have 1 to 500 characters.", "text", strings.Repeat("é", 501))
	b.send("/entries", csrf, 200, "éééé", "text", strings.Repeat("é", 500))
	b.send("/logout", csrf, 200, "Sign in")
	b.send("/entries", csrf, 401, "Sign in", "text", "x")
}

func TestFormsOfSeveralTabs(t *testing.T) {
	b := start(t)
	_, before := b.open() // in one tab
	b.login()             // in another
	b.send("/entries", before, 403, "load its page again", "text", "from before the login")
	_, first := b.open()
	_, second := b.open()
	b.send("/entries", second, 200, "of the second tab", "text", "of the second tab")
	b.send("/entries", first, 200, "of the first tab", "text", "of the first tab")
	b.login() // again, in a third
	b.send("/entries", first, 403, "load its page again", "text", "of a session that ended")
	_, again := b.open()
	b.send("/entries", again, 200, "loaded again", "text", "loaded again")
	b.send("/entries", "", 403, "load its page again", "text", "without a token")
	if page, _ := b.open(); strings.Contains(page, "from before") || strings.Contains(page, "that ended") || strings.Contains(page, "without a token") {
		t.Errorf("a refused form was taken: %s", page)
	}
}

func TestFormsOfOtherSitesAndBrowsersAreRefused(t *testing.T) {
	b := start(t)
	b.login()
	_, csrf := b.open()
	form := url.Values{"text": {"forged"}, "csrf_token": {csrf}}.Encode()
	for name, header := range map[string][]string{
		"another site": {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"a subdomain":  {"Sec-Fetch-Site", "same-site", "Origin", "https://evil.example"},
		"another site, of a browser without Fetch Metadata": {"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
	} {
		if resp, page := b.do("POST", "/entries", form, header...); resp.StatusCode != 403 || !strings.Contains(page, "by its own address") {
			t.Errorf("%s: status %d: %s", name, resp.StatusCode, page)
		}
	}
	eve := b.another()
	eve.login()
	eve.send("/entries", csrf, 403, "load its page again", "text", "with the token of somebody else")
}

// The page runs nothing that its policy does not let in, and a program is answered
// with data.
func TestThePageFitsItsPolicy(t *testing.T) {
	b := start(t)
	b.login()
	resp, page := b.do("GET", "/", "")
	policy := resp.Header.Get("Content-Security-Policy")
	nonce := regexp.MustCompile(`'nonce-([^']+)'`).FindStringSubmatch(policy)
	if nonce == nil || !strings.Contains(policy, "require-trusted-types-for 'script'") || resp.Header.Get("Referrer-Policy") != "same-origin" {
		t.Fatalf("the policy is %q, the header %v", policy, resp.Header)
	}
	tags := regexp.MustCompile(`<(?:script|style)[^>]*>`).FindAllString(page, -1)
	if len(tags) != 2 {
		t.Errorf("there are %q", tags)
	}
	for _, tag := range tags {
		if !strings.Contains(tag, `nonce="`+nonce[1]+`"`) {
			t.Errorf("%s lacks the nonce", tag)
		}
	}
	if _, again := b.do("GET", "/", ""); strings.Contains(again, nonce[1]) {
		t.Error("two answers have the same nonce")
	}
	resp, body := b.do("POST", "/entries", "text=x", "Accept", "application/json", "Sec-Fetch-Mode", "cors")
	if resp.StatusCode != 403 || resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, `"code":"csrf-token-missing"`) {
		t.Errorf("a program reads status %d, %s", resp.StatusCode, body)
	}
}
