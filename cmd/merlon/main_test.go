//go:build unix

package main_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// These tests start the program as a user does and see what a user sees: output,
// exit codes, files, answers. What a stage decides in detail is tested beside it.

// binary is the path of the program. TestMain builds it once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "merlon-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// They mostly wait for other processes.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f != nil && f.Value.String() == f.DefValue {
		_ = f.Value.Set("6") // a number
	}
	code := 1
	if err := build(dir); err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = os.RemoveAll(dir) // it is in the temporary directory of the system
	os.Exit(code)
}

func build(dir string) error {
	// Others may run the program too: a test starts it as nobody.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	binary = filepath.Join(dir, "merlon")
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, ".")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// patience is how long anything may take that is expected to happen. It is no
// expectation: machines that run tests are slow and busy.
const patience = 40 * time.Second

// An invocation is how the program is started.
type invocation struct {
	args  []string
	dir   string   // working directory; default: one of its own
	env   []string // beside PATH, HOME and TMPDIR
	stdin string
	// within is how soon it must have ended, for run; default patience.
	within time.Duration
	// as starts it as another user.
	as *syscall.Credential
	// umask is that of the process if set.
	umask string
}

func merlon(args ...string) invocation { return invocation{args: args} }

func (i invocation) in(dir string) invocation { i.dir = dir; return i }

func (i invocation) with(env ...string) invocation {
	i.env = append(slices.Clone(i.env), env...)
	return i
}

func (i invocation) reading(stdin string) invocation { i.stdin = stdin; return i }

// A result is what a run of the program leaves.
type result struct {
	code           int
	stdout, stderr string
}

// run runs the program to its end.
func run(t *testing.T, i invocation) result {
	t.Helper()
	if i.within == 0 {
		i.within = patience
	}
	p := start(t, i)
	return p.wait(i.within)
}

// A process is a running program.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr *output
	ended          chan struct{}
	err            error // of Wait, once ended is closed
}

func start(t *testing.T, i invocation) *process {
	t.Helper()
	if i.dir == "" {
		i.dir = t.TempDir()
	}
	args := append([]string{binary}, i.args...)
	if i.umask != "" {
		args = append([]string{"/bin/sh", "-c", "umask " + i.umask + `; exec "$@"`, "sh"}, args...)
	}
	p := &process{t: t, cmd: exec.Command(args[0], args[1:]...), stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	p.cmd.Dir = i.dir
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + i.dir, "TMPDIR=" + t.TempDir()}, i.env...)
	p.cmd.Stdin = strings.NewReader(i.stdin)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: i.as}
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.cleanUp)
	return p
}

// crashed finds what no output may hold: a race, a panic or a stack.
var crashed = regexp.MustCompile(`(?m)DATA RACE|^panic:|^fatal error:|^goroutine \d+ |runtime error:|\.go:\d+`)

// cleanUp ends p whatever the test did with it, and judges what it left.
func (p *process) cleanUp() {
	p.kill()
	for name, text := range map[string]string{"output": p.stdout.String(), "error output": p.stderr.String()} {
		if crashed.MatchString(text) {
			p.t.Errorf("%v: %s shows a crash:\n%s", p.cmd.Args, name, text)
		}
	}
	if p.t.Failed() {
		p.t.Logf("%v said:\n%s", p.cmd.Args, p.stderr)
	}
}

// signal sends a signal to p.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal %v: %v", s, err)
	}
}

// kill ends p without a warning, if it has not ended, and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // may have ended
	<-p.ended
}

// wait returns when p has ended. One that has not in that time hangs: it is made
// to say where.
func (p *process) wait(within time.Duration) result {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		if within < patience && (p.stdout.String() != "" || strings.Contains(p.stderr.String(), "msg=serving")) {
			p.kill()
			p.t.Fatalf("%v serves", p.cmd.Args)
		}
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		select {
		case <-p.ended:
		case <-time.After(5 * time.Second):
			p.kill()
		}
		p.t.Fatalf("%v has not ended within %v:\n%s", p.cmd.Args, within, p.stderr)
	}
	return result{p.cmd.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()}
}

// stop asks p to end and expects that it does so in order.
func (p *process) stop() result {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	r := p.wait(patience)
	if r.code != 0 {
		p.t.Errorf("exit %d after SIGTERM, want 0:\n%s", r.code, r.stderr)
	}
	return r
}

// isRunning reports whether p has not ended.
func (p *process) isRunning() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// An output collects what a process writes.
type output struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	written chan struct{} // is closed and replaced by every write
}

func newOutput() *output { return &output{written: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.written)
	o.written = make(chan struct{})
	return o.buf.Write(p)
}

func (o *output) String() string {
	text, _ := o.snapshot()
	return text
}

// snapshot returns what there is, and a channel that closes when there is more.
func (o *output) snapshot() (text string, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String(), o.written
}

// line waits for a whole line of p's output o that matches, and returns its
// submatches.
func (p *process) line(o *output, pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(`(?m)^` + pattern + `$\n`)
	deadline := time.After(patience)
	for {
		text, more := o.snapshot()
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		select {
		case <-more:
			continue
		case <-p.ended:
		case <-deadline:
		}
		if text := o.String(); re.MatchString(text) {
			continue
		}
		p.t.Fatalf("%v has not said %q:\n%s%s", p.cmd.Args, pattern, p.stdout, p.stderr)
	}
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// lines returns the lines of text.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// complaint returns the one line of r's error output that is not an entry of the
// operator's log, and fails when there are more or none.
func complaint(t *testing.T, r result) string {
	t.Helper()
	var found []string
	for _, l := range lines(r.stderr) {
		if !strings.HasPrefix(l, "time=") && !strings.HasPrefix(l, "merlon.W") {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		t.Fatalf("want one line that says what is wrong:\n%s", r.stderr)
	}
	return found[0]
}

// write writes a file of a test and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// names returns the names in a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}
