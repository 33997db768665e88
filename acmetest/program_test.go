package acmetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the program, which TestMain builds.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "merlon-acme-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "merlon")
	build := exec.Command("go", "build", "-o", binary, "./cmd/merlon")
	build.Dir = ".."
	code := 1
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
	} else {
		// Pebble reads these when it is made: no pauses, and half of all nonces refused.
		os.Setenv("PEBBLE_VA_NOSLEEP", "1")
		os.Setenv("PEBBLE_WFE_NONCEREJECT", "50")
		os.Setenv("PEBBLE_AUTHZREUSE", "0")
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// patience is how long anything may take that is expected to happen.
const patience = 90 * time.Second

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// settings are those of production with names of an authority.
func settings(a *authority, key, more string) string {
	return "secret_key: " + key + "\nhosts: [api.merlon-acme.dev, www.merlon-acme.dev]\naudit: {log: security.log}\n" + more +
		"acme:\n  domains: [api.merlon-acme.dev]\n  email: ops@merlon-acme.dev\n  terms_agreed: true\n" +
		"  directory_url: " + a.url + "\n  ca_file: " + a.file + "\n"
}

const name = "api.merlon-acme.dev"

type program struct {
	t       *testing.T
	dir     string
	config  string
	cmd     *exec.Cmd
	log     *buffer
	address string // of TLS
	clear   string // of clear text, if there is any
	metrics string
}

// start starts the program in dir.
func start(t *testing.T, dir, text string, listen string) *program {
	t.Helper()
	p := &program{t: t, dir: dir, config: filepath.Join(dir, "merlon.yaml"), log: &buffer{}}
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(binary, "serve", "--config", p.config, "--listen", listen)
	p.cmd.Dir, p.cmd.Stderr = dir, p.log
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // may have ended
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("it said:\n%s", p.log)
		}
	})
	p.address = p.says(`msg=serving .*address=(\S+) `)
	if strings.Contains(text, "redirect_listen") {
		p.clear = p.says(`msg="redirecting clear text to https" address=(\S+)`)
	}
	p.metrics = p.says(`msg="serving metrics" address=(\S+)`)
	return p
}

// says waits for a line and returns what is in its parentheses.
func (p *program) says(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	var found []string
	eventually(p.t, "a line "+pattern, func() bool {
		found = re.FindStringSubmatch(p.log.String())
		return found != nil
	})
	return found[len(found)-1]
}

func (p *program) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("ended with %v", err)
	}
}

// health runs merlon health and returns its exit code.
func (p *program) health() int {
	text, err := os.ReadFile(p.config)
	if err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(p.t.TempDir(), "merlon.yaml")
	if err := os.WriteFile(file, append(text, "listen: \""+p.address+"\"\n"...), 0o600); err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(binary, "health", "--config", file)
	cmd.Dir = p.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Logf("health: %v: %s", err, out)
		return 1
	}
	return 0
}

func (p *program) events() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "security.log"))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// buffer is what a program wrote so far.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
