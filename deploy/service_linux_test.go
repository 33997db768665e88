package deploy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The user of a service of tests: any that is not root will do.
const serviceUID, serviceGID = 64917, 64917

// A network is one of its own, on a thread that is in it for good.
type network chan func()

// newNetwork makes a network in which all ports are free and loopback is up. What is
// started in it gains no privileges.
func newNetwork(t *testing.T) network {
	t.Helper()
	n, made := make(network), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = loopbackUp()
		}
		if err == nil {
			err = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		}
		made <- err
		for f := range n {
			f()
		}
	}()
	if err := <-made; err != nil || os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatalf("running the unit needs root and a network of its own: %v", err)
		}
		t.Skip("skipped: running the unit needs root and a network of its own")
	}
	t.Cleanup(func() { close(n) })
	return n
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, lo); err != nil {
		return err
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

// in runs f in the network.
func (n network) in(f func()) {
	done := make(chan struct{})
	n <- func() { f(); close(done) }
	<-done
}

// client returns a client in the network, which believes what pool holds.
func (n network) client(t *testing.T, pool *x509.CertPool, name string) *http.Client {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: name},
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			n.in(func() { conn, err = (&net.Dialer{Timeout: patience}).DialContext(ctx, network, address) })
			return conn, err
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// An installation is a root file system with what docs/deploying.md installs.
type installation struct {
	root string
	unit unit
	pool *x509.CertPool
	env  []string
	net  network
}

// install lays out what the unit names, with the owners and modes that the manager and
// the documentation give.
func install(t *testing.T) installation {
	t.Helper()
	i := installation{root: t.TempDir(), unit: readUnit(t), pool: x509.NewCertPool(), net: newNetwork(t)}
	if err := os.Chmod(i.root, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	argv := strings.Fields(i.unit.one(t, "ExecStart"))
	write(t, filepath.Join(i.root, argv[0]), string(program), 0o755)
	write(t, filepath.Join(i.root, "etc/merlon/merlon.yaml"), read(t, "systemd/merlon.yaml"), 0o644)
	cert, key := certificate(t, "api.example.com")
	i.pool.AppendCertsFromPEM([]byte(cert))
	write(t, filepath.Join(i.root, "etc/merlon/tls/cert.pem"), cert, 0o644)
	i.own(t, write(t, filepath.Join(i.root, "etc/merlon/tls/key.pem"), key, 0o400))
	// systemd.exec(5): the directories belong to the user, and a credential is a file
	// that nobody else can read, in a directory that the environment names.
	for directive, parent := range map[string]string{"StateDirectory": "/var/lib", "LogsDirectory": "/var/log"} {
		dir := filepath.Join(i.root, parent, i.unit.one(t, directive))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		i.own(t, dir)
	}
	if err := os.MkdirAll(filepath.Join(i.root, "tmp"), 0o777); err != nil {
		t.Fatal(err)
	}
	credentials := filepath.Join("/run/credentials", "merlon.service")
	for _, c := range i.unit["Service.LoadCredential"] {
		name, _, _ := strings.Cut(c, ":")
		i.own(t, write(t, filepath.Join(i.root, credentials, name), rand.Text()+rand.Text(), 0o400))
	}
	i.own(t, filepath.Join(i.root, credentials))
	i.env = []string{"CREDENTIALS_DIRECTORY=" + credentials, "PATH=/usr/local/bin:/usr/bin", "HOME=/var/lib/merlon"}
	return i
}

func (i installation) own(t *testing.T, path string) {
	t.Helper()
	if err := os.Chown(path, serviceUID, serviceGID); err != nil {
		t.Fatal(err)
	}
}

// start starts a command of the program as the manager starts the service: its user, its
// one capability, its directory, its limit of files.
func (i installation) start(t *testing.T, argv []string, output io.Writer, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Path = argv[0] // below the root
	cmd.Err = nil
	cmd.Dir = i.unit.one(t, "WorkingDirectory")
	cmd.Env = append(append([]string{}, i.env...), env...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: i.root, Credential: &syscall.Credential{Uid: serviceUID, Gid: serviceGID}}
	if i.unit.one(t, "AmbientCapabilities") == "CAP_NET_BIND_SERVICE" {
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_BIND_SERVICE}
	}
	var err error
	i.net.in(func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

// run runs a command to its end.
func (i installation) run(t *testing.T, stdin string, argv ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Path, cmd.Err = argv[0], nil
	cmd.Dir, cmd.Env = i.unit.one(t, "WorkingDirectory"), i.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: i.root, Credential: &syscall.Credential{Uid: serviceUID, Gid: serviceGID}}
	var err error
	i.net.in(func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code tells
	return cmd.ProcessState.ExitCode(), out.String()
}

// listenForState is the socket on which the manager hears of the service.
func (i installation) listenForState(t *testing.T) (path string, next func() string) {
	t.Helper()
	path = "/run/n"
	// A path of a socket is short: it is bound where it is, by a relative name.
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: shortPath(t, filepath.Join(i.root, "run"), "n"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := os.Chmod(filepath.Join(i.root, path), 0o777); err != nil {
		t.Fatal(err)
	}
	return path, func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 4<<10)
		n, err := conn.Read(text)
		if err != nil {
			return err.Error()
		}
		return string(text[:n])
	}
}

// shortPath returns a short name of a file that is to be in dir.
func shortPath(t *testing.T, dir, name string) string {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), name)
}

// The command line of the unit, as its user, with the settings of the documentation and
// the secret as a credential: it serves, tells the manager, and ends in order.
func TestTheCommandLineOfTheUnitRunsAsItsUser(t *testing.T) {
	i := install(t)
	argv := strings.Fields(i.unit.one(t, "ExecStart"))
	if code, said := i.run(t, "", argv[0], "check", "--config", "/etc/merlon/merlon.yaml"); code != 0 {
		t.Fatalf("merlon check exits %d:\n%s", code, said)
	}
	password := rand.Text()
	if code, said := i.run(t, password+"\n", argv[0], "users", "create", "--config", "/etc/merlon/merlon.yaml",
		"--username", "ada", "--email", "ada@example.com", "--role", "admin", "--password-stdin"); code != 0 {
		t.Fatalf("users create exits %d:\n%s", code, said)
	}
	socket, next := i.listenForState(t)
	var output bytes.Buffer
	cmd := i.start(t, argv, &output, "NOTIFY_SOCKET="+socket)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if got := next(); got != "READY=1\n" {
		_ = cmd.Process.Kill()
		<-ended
		t.Fatalf("the manager is told %q, want READY=1\n%s", got, output.String())
	}

	status := read(t, fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	id, bind := fmt.Sprintf("%[1]d\t%[1]d\t%[1]d\t%[1]d", serviceUID), "0000000000000400"
	for name, want := range map[string]string{"Uid": id, "Gid": id, "Groups": "", "CapEff": bind, "CapPrm": bind, "CapAmb": bind, "NoNewPrivs": "1"} {
		if m := regexp.MustCompile(`(?m)^` + name + `:[ \t]*(.*?)[ \t]*$`).FindStringSubmatch(status); m == nil || m[1] != want {
			t.Errorf("%s: %q, want %q", name, m, want)
		}
	}

	client := i.net.client(t, i.pool, "api.example.com")
	ask := func(method, url, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(url, ":9090") {
			req.Host = "api.example.com"
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			return 0, ""
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return resp.StatusCode, string(text)
	}
	for _, tt := range []struct {
		method, url, body string
		status            int
	}{
		{"POST", "https://127.0.0.1/api/v1/auth/login", `{"username":"ada","password":"` + password + `"}`, 200},
		{"POST", "https://127.0.0.1/api/v1/auth/login", `{"username":"ada","password":"` + password + `!"}`, 401},
		{"GET", "https://127.0.0.1/health/ready", "", 200},
		{"GET", "http://127.0.0.1/api/v1/users/me", "", 403}, // clear text
		{"GET", "http://127.0.0.1:9090/metrics", "", 200},
		{"GET", "https://127.0.0.1/metrics", "", 404},
	} {
		if status, body := ask(tt.method, tt.url, tt.body); status != tt.status {
			t.Errorf("%s %s: status %d, want %d: %s", tt.method, tt.url, status, tt.status, body)
		}
	}
	if code, said := i.run(t, "", argv[0], "health", "--config", "/etc/merlon/merlon.yaml"); code != 0 {
		t.Errorf("merlon health exits %d: %s", code, said)
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != "STOPPING=1\n" {
		t.Errorf("the manager is told %q, want STOPPING=1", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("after SIGTERM: %v, want exit 0\n%s", err, output.String())
	}
	// What it writes is where the unit lets it write, and for nobody else.
	err := filepath.WalkDir(i.root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(path, i.root)
		writable := strings.HasPrefix(rel, "/var/lib/merlon") || strings.HasPrefix(rel, "/var/log/merlon")
		if mine := info.Sys().(*syscall.Stat_t).Uid == serviceUID; mine && writable && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", rel, info.Mode())
		} else if mine && !writable && !strings.HasPrefix(rel, "/run/credentials/") && rel != "/etc/merlon/tls/key.pem" {
			t.Errorf("%s was written", rel)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	log := read(t, filepath.Join(i.root, "var/log/merlon/security.log"))
	if !strings.Contains(log, `"sys_shutdown"`) {
		t.Errorf("the event log does not tell of the end:\n%s", log)
	}
}
