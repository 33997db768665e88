package browser_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium and binary are the browser and the program under test. TestMain finds
// the one and builds the other.
var chromium, binary string

func TestMain(m *testing.M) {
	code, err := prepare(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func prepare(m *testing.M) (code int, err error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if chromium, err = exec.LookPath(name); err == nil {
			break
		}
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			return 1, errors.New("no chromium on the PATH, which CI must have: apt-get install chromium")
		}
		fmt.Println("skipped: no chromium on the PATH (Debian: apt-get install chromium)")
		return 0, nil
	}
	dir, err := os.MkdirTemp("", "merlon-browser-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary = filepath.Join(dir, "merlon")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/merlon")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// vectors returns a file of the public test vectors, and skips the test where none
// are at hand.
func vectors(t *testing.T, path string) []byte {
	t.Helper()
	dir := os.Getenv("VECTORS_DIR")
	if dir == "" {
		t.Skip("VECTORS_DIR is not set")
	}
	data, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// launch starts a browser with a profile of its own, without a network but for
// this machine, and returns the context of its first tab.
func launch(t *testing.T, flags map[string]any) context.Context {
	t.Helper()
	profile, err := os.MkdirTemp("", "merlon-profile-")
	if err != nil {
		t.Fatal(err)
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium), chromedp.UserDataDir(profile),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-extensions", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost"),
	}
	for name, value := range flags {
		options = append(options, chromedp.Flag(name, value))
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() {
		cancel()
		stop()
		for range 50 { // the browser's children may still write for a moment
			if err = os.RemoveAll(profile); err == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Error(err)
	})
	ctx, done := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(done)
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[int]("1 + 1")); err != nil {
		t.Fatal("starting chromium: ", err)
	}
	return ctx
}

// tab opens another tab of the browser, at the address.
func tab(t *testing.T, browser context.Context, address string) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	visit(t, ctx, address)
	return ctx
}

func visit(t *testing.T, ctx context.Context, address string) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		t.Fatalf("opening %s: %v", address, err)
	}
}

// evaluate runs an expression in the page as if the user had asked for it, waits
// for what it promises and returns that.
func evaluate[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise, func(p *runtime.EvaluateParams) {
		gesture := true
		p.UserGesture = &gesture
	}))
	if err != nil {
		t.Fatalf("evaluating %.200s: %v", expression, err)
	}
	return v
}

// quote is a value as JavaScript has it.
func quote(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// serve serves pages of the tests on a port of 127.0.0.1, and returns the port.
func serve(t *testing.T, h http.Handler) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(ln) }() // ends with Close
	t.Cleanup(func() { _ = srv.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

type account struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// service is a running `merlon demo`. Browsers reach it as localhost.
type service struct {
	URL         string  `json:"url"`
	Admin, User account `json:"-"`
	APIKey      string  `json:"api_key"`

	port string
	dir  string
}

// page is the address of a path of the service for browsers.
func (s *service) page(path string) string { return "http://localhost:" + s.port + path }

// demo starts a demo, and stops it when the test ends.
func demo(t *testing.T) *service {
	t.Helper()
	s := &service{dir: t.TempDir()}
	stdout, stderr := start(t, nil, "demo", "--listen", "127.0.0.1:0", "--data", s.dir, "--json")
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the first line of the demo: %v\n%s", err, stderr)
	}
	var samples struct {
		*service
		Admin account `json:"admin"`
		User  account `json:"user"`
	}
	samples.service = s
	if err := json.Unmarshal(line, &samples); err != nil {
		t.Fatalf("the first line of the demo is %q: %v", line, err)
	}
	s.Admin, s.User = samples.Admin, samples.User
	if _, s.port, err = net.SplitHostPort(s.URL[len("http://"):]); err != nil {
		t.Fatal(err)
	}
	return s
}

// start starts the program, and stops it when the test ends.
func start(t *testing.T, environ []string, args ...string) (stdout io.Reader, stderr *lockedBuffer) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), environ...)
	stderr = &lockedBuffer{}
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the program ended with %v\n%s", err, stderr)
		}
		for _, bad := range []string{"handler panicked", "goroutine ", "level=ERROR"} {
			if strings.Contains(stderr.String(), bad) {
				t.Errorf("the program's log holds %q:\n%s", bad, stderr)
			}
		}
	})
	return stdout, stderr
}

// lockedBuffer is a buffer that the program writes while a test reads.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
