//go:build unix

// Package redistest starts Redis servers for tests: real ones, each on a port of its own and in a directory that
// goes with the test.
package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a server may take to do what is asked of it. It is no expectation.
const patience = 20 * time.Second

// A Server is a redis-server process.
type Server struct {
	// Addr is "127.0.0.1:port".
	Addr string
	// TLSPort is the port of a server of [StartTLS].
	TLSPort string
	// Socket is the path of its Unix socket.
	Socket string

	t    testing.TB
	path string
	args []string
	cmd  *exec.Cmd
	log  *os.File
}

// Start starts a server with further arguments, such as "--requirepass", "…". It keeps nothing on disk unless they
// say so, and ends with the test. Without redis-server the test is skipped; with CI=true it fails.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not installed, and CI=true: apt-get install redis-server")
		}
		t.Skip("redis-server is not installed: apt-get install redis-server")
	}
	dir, err := os.MkdirTemp("", "redis") // short: the path of a socket has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: freeAddr(t), Socket: filepath.Join(dir, "s"), t: t, path: path}
	_, port, _ := net.SplitHostPort(s.Addr)
	s.args = append([]string{"--bind", "127.0.0.1", "--port", port, "--unixsocket", s.Socket, "--dir", dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", ""}, args...)
	t.Cleanup(func() {
		s.Kill()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s.Restart()
	return s
}

// StartTLS is [Start] with a port of TLS beside that of clear text.
func StartTLS(t testing.TB, certFile, keyFile string, args ...string) *Server {
	t.Helper()
	_, port, _ := net.SplitHostPort(freeAddr(t))
	s := Start(t, append([]string{"--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certFile,
		"--tls-auth-clients", "no"}, args...)...)
	s.TLSPort = port
	return s
}

// freeAddr finds a port that nobody listens on, and whose neighbour for a cluster bus, 10000 above, exists.
func freeAddr(t testing.TB) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().(*net.TCPAddr)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if addr.Port < 55000 {
			return addr.String()
		}
	}
}

// Restart starts the server again, on its port, after [Server.Kill].
func (s *Server) Restart() {
	s.t.Helper()
	s.cmd = exec.Command(s.path, s.args...)
	out, err := os.CreateTemp(s.t.TempDir(), "redis-log-")
	if err != nil {
		s.t.Fatal(err)
	}
	s.log = out
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if answer, err := s.try("PING"); err == nil && !strings.HasPrefix(answer, "-LOADING") {
			return
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(out.Name())
			s.t.Fatalf("%v does not answer:\n%s", s.cmd.Args, log)
		}
	}
}

// Kill ends the server at once, as kill -9 does. One that has ended stays so.
func (s *Server) Kill() {
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGKILL)
	_ = s.cmd.Wait() // it was killed
	_ = s.log.Close()
}

// Stop makes the server hang: its port takes connections and answers nothing. Continue wakes it up.
func (s *Server) Stop() { s.signal(syscall.SIGSTOP) }

// Continue undoes Stop.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Do sends a command on a connection of its own, and returns the answer as the protocol has it: "+OK", ":1", "$4\r\ntext",
// or all lines of what is longer. An error of the server fails the test.
func (s *Server) Do(command ...string) string {
	s.t.Helper()
	answer, err := s.try(command...)
	if err != nil || strings.HasPrefix(answer, "-") {
		s.t.Fatalf("%v: %v %v", command, answer, err)
	}
	return answer
}

// try sends a command and reads the answer until the server closes: QUIT follows it.
func (s *Server) try(command ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.Addr, patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	w := bufio.NewWriter(conn)
	for _, c := range [][]string{command, {"QUIT"}} {
		fmt.Fprintf(w, "*%d\r\n", len(c))
		for _, word := range c {
			fmt.Fprintf(w, "$%d\r\n%s\r\n", len(word), word)
		}
	}
	if err := w.Flush(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(answer), "+OK\r\n"), "\r\n"), nil
}
