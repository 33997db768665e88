//go:build unix

package chaos_test

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/merlonhq/merlon/e2e/postgrestest"
	"github.com/merlonhq/merlon/internal/redistest"
)

const (
	nodes      = 3
	pool       = 8 // connections of a node to PostgreSQL
	passphrase = "crenel merlon embrasure 71"
)

// A cluster is three nodes and their stores.
type cluster struct {
	postgres *postgrestest.Server
	redis    *redistest.Server
	dbURL    string // without a link
	nodes    [nodes]*member
}

// A member is a node and its links.
type member struct {
	n               int
	dir             string
	postgres, redis *link
	cmd             *exec.Cmd
	ended           chan struct{}
	url, operations string
	transport       *http.Transport
	output          *output
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{postgres: postgrestest.Start(t), redis: redistest.Start(t)}
	c.dbURL = c.postgres.Database(t)
	secret := rand.Text() + rand.Text()
	for i := range c.nodes {
		m := newMember(t, i)
		m.postgres = newLink(t, fmt.Sprintf("postgres%d", i), c.postgres.Address)
		m.redis = newLink(t, fmt.Sprintf("redis%d", i), c.redis.Addr)
		url := strings.Replace(c.dbURL, c.postgres.Address, m.postgres.addr(), 1) + fmt.Sprint("&pool_max_conns=", pool)
		write(t, m.config(), settings(url, m.redis.addr(), secret))
		c.nodes[i] = m
	}
	c.nodes[0].createAdmin(t)
	for _, m := range c.nodes {
		m.start(t, "127.0.0.1:0")
	}
	return c
}

func newMember(t *testing.T, n int) *member {
	m := &member{n: n, dir: t.TempDir(), transport: &http.Transport{MaxIdleConnsPerHost: 64}, output: &output{}}
	t.Cleanup(func() { m.kill(); m.transport.CloseIdleConnections(); m.judge(t) })
	return m
}

// createAdmin makes the first account, and the schema, by the command.
func (m *member) createAdmin(t *testing.T) {
	t.Helper()
	cmd := exec.Command(merlon, "users", "create", "--config", m.config(), "--username", "warden", "--email", "warden@example.com", "--role", "admin", "--password-stdin")
	cmd.Stdin, cmd.Dir, cmd.Env = strings.NewReader(passphrase+"\n"), m.dir, environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("users create: %v\n%s", err, out)
	}
}

// settings are those of a node: of development, so that clear text on loopback is taken, with limits that the load does
// not meet but for one, which is there to be met. Redis may take its time, so that it is not away for being slow on a busy
// machine.
func settings(database, redis, secret string) string {
	return fmt.Sprintf(`environment: development
secret_key: %s
database_url: "%s"
redis_url: redis://%s
operations_listen: "127.0.0.1:0"
audit: {log: logs/security.log}
rate_limits:
  default: {limit: 1000000, window: 1m, by: [principal_or_address, route]}
  address: {limit: 1000000, window: 1m}
  bad_credentials: {limit: 1000000, window: 1m}
  on_store_error: local
  expected_nodes: %d
  store_timeout: 1s
  rules:
    - {name: login, match: [POST /api/v1/auth/login, POST /api/v1/auth/token, POST /api/v1/users/me/password], limit: 1000000, window: 1m, by: [address], count: failures}
    - {name: login-account, match: [POST /api/v1/auth/login, POST /api/v1/auth/token, POST /api/v1/users/me/password], limit: 1000000, window: 1m, by: [account], count: failures}
    - {name: register, match: [POST /api/v1/users], limit: 1000000, window: 1m, by: [address]}
    - {name: limited, match: [GET /api/v1/api-keys], limit: %d, window: %s, by: [key]}
`, secret, database, redis, nodes, limitedTo, limitedWithin)
}

func environ() []string { return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()} }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (m *member) config() string { return filepath.Join(m.dir, "merlon.yaml") }

// start starts the node and returns when it serves. After the first time it is on the same port.
func (m *member) start(t *testing.T, listen string) {
	t.Helper()
	m.cmd = exec.Command(node, "--config", m.config(), "--listen", listen)
	m.cmd.Dir, m.cmd.Env = m.dir, environ()
	m.cmd.SysProcAttr = dieWithParent()
	from := m.output.len()
	stderr, err := m.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_, _ = io.Copy(m.output, stderr) // ends with the process
		_ = cmd.Wait()                   // it may be killed
		close(ended)
	}(m.cmd, m.ended)
	serving := regexp.MustCompile(`msg=serving address=(\S+) operations=(\S+)`)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if found := serving.FindStringSubmatch(m.output.since(from)); found != nil {
			m.url, m.operations = "http://"+found[1], "http://"+found[2]
			return
		}
		select {
		case <-m.ended:
			t.Fatalf("node %d ended:\n%s", m.n, m.output.since(from))
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("node %d does not serve:\n%s", m.n, m.output.since(from))
		}
	}
}

// kill ends the node at once, as kill -9 does.
func (m *member) kill() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Kill() // may have ended
	<-m.ended
}

// restart starts the node again, on its port.
func (m *member) restart(t *testing.T) {
	t.Helper()
	m.start(t, strings.TrimPrefix(m.url, "http://"))
}

// stop ends the node in order, and judges the event log that it leaves.
func (m *member) stop(t *testing.T) {
	t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.ended:
	case <-time.After(patience):
		t.Fatalf("node %d does not end", m.n)
	}
	if code := m.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("node %d ended with exit %d, want 0:\n%s", m.n, code, tail(m.output.since(0), 10))
	}
}

var crashed = regexp.MustCompile(`(?m)DATA RACE|^panic:|^fatal error:|^goroutine \d+ |runtime error:`)

// judge fails the test for a node that panicked.
func (m *member) judge(t *testing.T) {
	if crashed.MatchString(m.output.since(0)) {
		t.Errorf("node %d crashed:\n%s", m.n, tail(m.output.since(0), 60))
	}
	if t.Failed() {
		t.Logf("node %d said last:\n%s", m.n, tail(m.output.since(0), 15))
	}
}

// gauge reads metrics of the node.
func (m *member) gauges(names ...string) (map[string]float64, error) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(m.operations + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		for _, want := range names {
			if name == want {
				if out[name], err = strconv.ParseFloat(value, 64); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(out) != len(names) {
		return nil, fmt.Errorf("node %d: metrics %v are not all of %v", m.n, out, names)
	}
	return out, lines.Err()
}

// stacks returns where the goroutines of the node are, by their number.
func (m *member) stacks(t *testing.T) string {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(m.operations + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// output is what a process says.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) len() int { return len(o.since(0)) }

func (o *output) since(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()[n:]
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
