package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// complaints are what a browser says against a page: on its console, as an issue, as
// a request that failed.
type complaints struct {
	mu   sync.Mutex
	said []string
}

// listen takes note of what the browser says from now on.
func listen(t *testing.T, ctx context.Context) *complaints {
	t.Helper()
	c := &complaints{}
	for _, err := range []error{
		chromedp.Listen(ctx, c.hear),
		call(ctx, log.Enable, cdp.Empty{}),
		call(ctx, runtime.Enable, cdp.Empty{}),
		call(ctx, network.Enable, network.EnableParams{}),
		call(ctx, audits.Enable, cdp.Empty{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *complaints) hear(event any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	say := func(format string, args ...any) { c.said = append(c.said, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *log.EventEntryAdded:
		// Which features there are differs between the systems that a browser runs on.
		feature := strings.HasPrefix(e.Entry.Text, "Error with Permissions-Policy header: Unrecognized feature")
		// The icon it asks for of its own accord.
		icon := strings.HasSuffix(e.Entry.URL, "/favicon.ico")
		if (e.Entry.Level == "error" || e.Entry.Level == "warning") && !feature && !icon {
			say("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			text, _ := json.Marshal(e.Args) // for the message
			say("console.%s: %s", e.Type, text)
		}
	case *runtime.EventExceptionThrown:
		say("exception: %s", e.ExceptionDetails.Text)
	case *network.EventLoadingFailed:
		say("failed: %s %s", e.Type, e.ErrorText)
	case *audits.EventIssueAdded:
		if e.Issue.Code == "GenericIssue" {
			return // hints about the markup of forms
		}
		text, _ := json.Marshal(e.Issue) // for the message
		say("issue: %s", text)
	}
}

func (c *complaints) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.said...)
}

// picture keeps what a page looks like in the directory that SCREENSHOTS names.
func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	image, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), image, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheDocumentationIsShownWithoutAComplaint(t *testing.T) {
	s := serveProduction(t)
	browser := launch(t, s.flags)
	said := listen(t, browser)
	visit(t, browser, s.url+"/docs")
	resp, err := s.client.Get(s.url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		Paths map[string]map[string]any
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, item := range doc.Paths {
		want += len(item)
	}
	if err := chromedp.Do(browser, chromedp.WaitVisible(chromedp.CSSAll(".opblock"), chromedp.AtLeast(want))); err != nil {
		t.Fatal(err)
	}
	if got := evaluate[int](t, browser, `document.querySelectorAll(".opblock").length`); got != want || want < 15 {
		t.Errorf("%d operations are shown, the document has %d", got, want)
	}
	picture(t, browser, "docs")
	// What a reader does: opens an operation.
	evaluate[any](t, browser, `document.querySelector(".opblock-post button").click()`)
	if err := chromedp.Do(browser, chromedp.WaitVisible(chromedp.CSS(".opblock-body"))); err != nil {
		t.Fatal(err)
	}
	picture(t, browser, "docs-open")
	wantNoComplaint(t, s, said)
}

func TestTheEndOfASessionIsShownWithoutAComplaint(t *testing.T) {
	s := serveProduction(t)
	browser := launch(t, s.flags)
	said := listen(t, browser)
	visit(t, browser, s.url+"/csrf/token") // which sets a cookie
	cookies := func() int {
		got, err := chromedp.Call(browser, network.GetCookies, network.GetCookiesParams{URLs: []string{s.url}})
		if err != nil {
			t.Fatal(err)
		}
		return len(got.Cookies)
	}
	if cookies() == 0 {
		t.Fatal("the browser keeps no cookie: there is nothing to forget")
	}
	visit(t, browser, s.url+"/signed-out")
	if got := evaluate[string](t, browser, "document.body.innerText"); !strings.Contains(got, "You are signed out") {
		t.Errorf("the page says %q", got)
	}
	picture(t, browser, "signed-out")
	wantNoComplaint(t, s, said)
	if n := cookies(); n != 0 {
		t.Errorf("the browser keeps %d cookies", n)
	}
}

// wantNoComplaint checks that neither the browser nor the service has to say
// anything against a page, once reports would have come.
func wantNoComplaint(t *testing.T, s *production, said *complaints) {
	t.Helper()
	time.Sleep(2 * time.Second)
	for _, complaint := range said.all() {
		t.Error(complaint)
	}
	if got := s.violations(t); got != nil {
		t.Errorf("violations were reported: %v", got)
	}
}

// A script that got into a page does not run, and whoever runs the service learns of it.
func TestAnInjectedScriptIsBlockedAndReported(t *testing.T) {
	s := serveProduction(t)
	browser := launch(t, s.flags)
	said := listen(t, browser)
	for _, path := range []string{"/docs", "/signed-out"} {
		visit(t, browser, s.url+path)
		for name, inject := range map[string]string{
			"a script":         `const s = document.createElement("script"); s.append("window.ran = 1"); document.body.append(s)`,
			"an event handler": `const p = document.createElement("p"); p.setAttribute("onclick", "window.ran = 1"); document.body.append(p); p.click()`,
			"an address":       `const a = document.createElement("a"); a.href = "javascript:window.ran = 1"; document.body.append(a); a.click()`,
			"markup":           `document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran = 1'>")`,
		} {
			// Some are refused by an exception.
			ran := evaluate[bool](t, browser, `(async () => { try { `+inject+` } catch { } await new Promise((done) => setTimeout(done, 100)); return window.ran === 1 })()`)
			if ran {
				t.Errorf("%s: %s ran", path, name)
			}
		}
		reported := func() bool {
			return slices.ContainsFunc(s.violations(t), func(detail map[string]any) bool { return detail["document"] == path })
		}
		for end := time.Now().Add(15 * time.Second); !reported(); time.Sleep(200 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: no violation was reported; the browser says %q", path, said.all())
			}
		}
	}
	t.Log(s.violations(t))
}
