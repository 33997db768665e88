package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// binary is the program under test. TestMain builds it once.
var binary string

func TestMain(m *testing.M) {
	code, err := build(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func build(m *testing.M) (code int, err error) {
	probe, err := net.Listen("tcp", "127.1.0.1:0")
	if err != nil {
		fmt.Println("skipped: the end-to-end tests need all of 127.0.0.0/8 on the loopback interface:", err)
		return 0, nil
	}
	defer probe.Close()
	dir, err := os.MkdirTemp("", "merlon-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary = filepath.Join(dir, "merlon")
	args := []string{"build", "-buildvcs=false", "-o", binary}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "../cmd/merlon")...).CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building the program: %w\n%s", err, out)
	}
	code = m.Run()
	if common.s != nil {
		for _, fault := range common.s.stop() {
			fmt.Fprintln(os.Stderr, "the common server:", fault)
			code = 1
		}
	}
	return code, nil
}

// patience is how long an event may take to be in the file and in the API. The
// contract says a second; the race detector makes the program several times slower.
const patience = time.Second

func deadline() time.Time {
	if raceDetector {
		return time.Now().Add(3 * patience)
	}
	return time.Now().Add(patience)
}

// server is a running `merlon demo` with a data directory of its own.
type server struct {
	url, dir    string
	admin, user account
	apiKey      string

	cmd    *exec.Cmd
	stderr *syncBuffer

	addresses atomic.Int32
	names     atomic.Int32

	adminOnce sync.Once
	adminer   *client // logged in as admin; see server.asAdmin

	secretsMu sync.Mutex
	secrets   map[string]string // what must not be written anywhere, and what it is
}

type account struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// syncBuffer is a buffer that the program writes while a test reads.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start starts a server of the test's own, and stops it when the test ends.
func start(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	s, err := boot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, fault := range s.stop() {
			t.Error(fault)
		}
	})
	return s
}

// common is the server of tests that have accounts of their own and ask for
// nothing that others leave behind. It is started by the first of them.
var common struct {
	once sync.Once
	s    *server
	err  error
}

// share returns the common server.
func share(t *testing.T) *server {
	t.Helper()
	common.once.Do(func() {
		var dir string
		if dir, common.err = os.MkdirTemp(filepath.Dir(binary), "data-"); common.err == nil {
			common.s, common.err = boot(dir)
		}
	})
	if common.err != nil {
		t.Fatal(common.err)
	}
	return common.s
}

// boot starts a server that keeps its data in dir.
func boot(dir string) (*server, error) {
	s := &server{dir: dir, stderr: &syncBuffer{}, secrets: map[string]string{}}
	s.cmd = exec.Command(binary, "demo", "--listen", "127.0.0.1:0", "--data", dir, "--json")
	s.cmd.Env = append(os.Environ(), "GOMAXPROCS=2") // what passwords may cost at once follows from it
	s.cmd.Stderr = s.stderr
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	first := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		first <- line
	}()
	var line string
	select {
	case line = <-first:
	case <-time.After(30 * time.Second):
	}
	var samples struct {
		URL    string  `json:"url"`
		Admin  account `json:"admin"`
		User   account `json:"user"`
		APIKey string  `json:"api_key"`
	}
	if err := json.Unmarshal([]byte(line), &samples); err != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		return nil, fmt.Errorf("the first line of the demo is %q: %w\n%s", line, err, s.stderr)
	}
	s.url, s.admin, s.user, s.apiKey = samples.URL, samples.Admin, samples.User, samples.APIKey
	s.secret("the admin's password", s.admin.Password)
	s.secret("the user's password", s.user.Password)
	s.secretKey("the sample key", s.apiKey)
	return s, nil
}

// secret remembers what the server must not write to its data directory or to
// its standard error.
func (s *server) secret(what, value string) {
	if len(value) < 8 {
		return
	}
	s.secretsMu.Lock()
	defer s.secretsMu.Unlock()
	s.secrets[value] = what
}

// secretKey remembers an API key, whole and its secret part alone.
func (s *server) secretKey(what, key string) {
	s.secret(what, key)
	if i := strings.LastIndexByte(key, '_'); i >= 0 && len(key) > i+43 {
		s.secret(what+"'s secret part", key[i+1:i+1+43])
	}
}

// stop asks the server to end, and returns what is wrong with how it ended and
// with what it left behind.
func (s *server) stop() (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		fault("the server ended before it was asked to: %v\n%s", err, s.stderr)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			fault("the server ended with %v, want exit code 0\n%s", err, s.stderr)
		}
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		fault("the server did not end within 30 s of SIGTERM\n%s", s.stderr)
	}
	for line := range strings.Lines(s.stderr.String()) {
		if strings.Contains(line, "error=overloaded") {
			continue // what TestMorePasswordsThanCanBeTestedAtOnce asks for
		}
		for _, bad := range []string{"DATA RACE", "handler panicked", "goroutine ", "level=ERROR"} {
			if strings.Contains(line, bad) {
				fault("the server's log holds %q:\n%s", bad, s.stderr)
			}
		}
	}
	s.checkSecrets(fault)
	return faults
}

// checkSecrets looks for what must never be written, in every file of the data
// directory but the secret key and in the log of the operator.
func (s *server) checkSecrets(fault func(string, ...any)) {
	texts := map[string]string{"standard error": s.stderr.String()}
	files, err := os.ReadDir(s.dir)
	if err != nil {
		fault("%v", err)
	}
	for _, f := range files {
		if f.Name() == "secret_key" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(s.dir, f.Name()))
		if err != nil {
			fault("%v", err)
		}
		texts[f.Name()] = string(text)
	}
	// A search that finds nothing must be known to look where things are.
	for name, there := range map[string]string{"merlon.db": s.user.Username, "security.log": "sys_startup"} {
		if !strings.Contains(texts[name], there) {
			fault("%s does not hold %s: it was not searched", name, there)
		}
	}
	s.secretsMu.Lock()
	defer s.secretsMu.Unlock()
	for name, text := range texts {
		for secret, what := range s.secrets {
			if strings.Contains(text, secret) {
				fault("%s holds %s in clear", name, what)
			}
		}
	}
}

// shown returns what of the secrets a text holds, or "".
func (s *server) shown(text string) string {
	s.secretsMu.Lock()
	defer s.secretsMu.Unlock()
	for secret, what := range s.secrets {
		if strings.Contains(text, secret) {
			return what
		}
	}
	return ""
}

// name returns a username that no other account of this server has.
func (s *server) name(prefix string) string {
	return fmt.Sprintf("%s%d", prefix, s.names.Add(1))
}
