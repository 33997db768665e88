package browser_test

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// guestbook starts examples/forms, and returns its address for browsers and the
// password of ada.
func guestbook(t *testing.T) (url, password string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "forms")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./examples/forms")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the example: %v\n%s", err, out)
	}
	cmd := exec.Command(program, "-listen", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewReader(stdout)
	where, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	how, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	port := regexp.MustCompile(`http://127\.0\.0\.1:(\d+)`).FindStringSubmatch(where)
	if port == nil {
		t.Fatalf("the example says %q", where)
	}
	return "http://localhost:" + port[1] + "/", strings.TrimSpace(how[strings.LastIndex(strings.TrimSpace(how), " "):])
}

// signIn fills in the form of the page as a person does.
func signIn(t *testing.T, ctx context.Context, password string) {
	t.Helper()
	steps(t, ctx, chromedp.SendKeys(chromedp.ID("name"), "ada"), chromedp.SendKeys(chromedp.ID("password"), password))
	press(t, ctx, "/login")
}

// write writes into the book, and returns what the page that follows says.
func write(t *testing.T, ctx context.Context, text string) string {
	t.Helper()
	steps(t, ctx, chromedp.SendKeys(chromedp.ID("text"), text))
	return press(t, ctx, "/entries")
}

// press presses the button of a form, and returns what the page that follows says.
func press(t *testing.T, ctx context.Context, action string) string {
	t.Helper()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(`form[action="`+action+`"] button`))); err != nil {
		t.Fatal(err)
	}
	return evaluate[string](t, ctx, "document.body.innerText")
}

func steps(t *testing.T, ctx context.Context, all ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, all...); err != nil {
		t.Fatal(err)
	}
}

func TestFormsWorkInTwoTabsAndSayWhatToDoWhenTheirTokenEnded(t *testing.T) {
	url, password := guestbook(t)
	first := launch(t, nil)
	said := listen(t, first)
	visit(t, first, url)
	signIn(t, first, password)
	second := tab(t, first, url)
	visit(t, first, url)
	if page := write(t, second, "of the second tab <script>document.title = 'run'</script>"); !strings.Contains(page, "of the second tab <script>") {
		t.Errorf("the second tab says %q", page)
	}
	// The token of the first tab is older than that of the second, and good still.
	if page := write(t, first, "of the first tab"); !strings.Contains(page, "of the first tab") || !strings.Contains(page, "of the second tab") {
		t.Errorf("the first tab says %q", page)
	}
	if title := evaluate[string](t, first, "document.title"); title != "Guestbook" {
		t.Errorf("what was written ran: the title is %q", title)
	}
	for _, complaint := range said.all() {
		t.Error(complaint)
	}

	// In the second tab ada signs out and in again: the form that the first tab still
	// shows is of a session that ended.
	press(t, second, "/logout")
	signIn(t, second, password)
	page := write(t, first, "of a session that ended")
	if !strings.Contains(page, "load its page again") {
		t.Errorf("a form whose token ended is answered with %q", page)
	}
	picture(t, first, "forms-ended")
	visit(t, first, url)
	if page := write(t, first, "once it was loaded again"); !strings.Contains(page, "once it was loaded again") || strings.Contains(page, "of a session that ended") {
		t.Errorf("after loading the page again it says %q", page)
	}
	// One that nobody issued.
	evaluate[any](t, first, `document.querySelectorAll("input[name=csrf_token]").forEach((field) => field.value = "x".repeat(field.value.length))`)
	if page := write(t, first, "with a made-up token"); !strings.Contains(page, "load its page again") {
		t.Errorf("a form with a made-up token is answered with %q", page)
	}
}
