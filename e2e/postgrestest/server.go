//go:build unix

package postgrestest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of the schemas
)

// A Server is a running PostgreSQL. Its superuser is "postgres"; Merlon's user in it is "merlon", which owns no more
// than its databases.
type Server struct {
	Address  string // "127.0.0.1:54321"
	Password string // of both users

	dir      string
	bin      string
	as       *syscall.Credential
	watchdog io.Closer
	cmd      *exec.Cmd
	ended    chan struct{} // closed when cmd is gone
}

var shared struct {
	once sync.Once
	s    *Server
	err  error
	n    atomic.Int64
}

// Schema returns the URL of an empty schema, in a server that the tests of the package share.
func Schema(t testing.TB) string {
	t.Helper()
	s := sharedServer(t)
	name := fmt.Sprintf("s%d", shared.n.Add(1))
	s.exec(t, "postgres", "CREATE SCHEMA "+name+" AUTHORIZATION merlon")
	return s.URL("merlon", s.Password, "postgres") + "&search_path=" + name
}

// Database returns the URL of an empty database, in a server that the tests of the package share.
func Database(t testing.TB) string {
	t.Helper()
	return sharedServer(t).Database(t)
}

// Shared returns the server that the tests of the package share. Do not stop it.
func Shared(t testing.TB) *Server { return sharedServer(t) }

func sharedServer(t testing.TB) *Server {
	t.Helper()
	bin := programs(t)
	shared.once.Do(func() { shared.s, shared.err = start(bin) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.s
}

// Start starts a server for one test, which may do with it what it likes.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := start(programs(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.watchdog.Close(); <-s.ended })
	return s
}

// programs returns the directory of initdb and postgres.
func programs(t testing.TB) string {
	t.Helper()
	var found []string
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, filepath.Dir(path))
	}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is good
	for i := len(debian) - 1; i >= 0; i-- {
		found = append(found, debian[i])
	}
	for _, dir := range found {
		_, err1 := os.Stat(filepath.Join(dir, "initdb"))
		_, err2 := os.Stat(filepath.Join(dir, "postgres"))
		if err1 == nil && err2 == nil {
			return dir
		}
	}
	const missing = "PostgreSQL is not installed: apt-get install postgresql"
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip("skipped: " + missing)
	return ""
}

func start(bin string) (s *Server, err error) {
	s = &Server{bin: bin, Password: rand.Text()}
	if s.dir, err = os.MkdirTemp("", "merlon-postgres-"); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			if u, err = user.Lookup("nobody"); err != nil {
				return nil, err
			}
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2, os.Chown(s.dir, uid, gid)); err != nil {
			return nil, err
		}
		s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	// The pipe ends with this process, however it does, and everything ends with the pipe.
	watch := exec.Command("/bin/sh", "-c", `read _; if [ -f "$0/data/postmaster.pid" ]; then kill -9 "$(head -1 "$0/data/postmaster.pid")"; fi 2>/dev/null; sleep 0.2; rm -rf "$0"`, s.dir)
	watch.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := watch.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := watch.Start(); err != nil {
		return nil, err
	}
	s.watchdog = pipe
	go watch.Wait() // its end is that of this process
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(s.Password), 0o644); err != nil { // in a directory of mode 0700
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Address = l.Addr().String()
	l.Close()
	if out, err := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "password", "--pwfile="+secret, "--no-sync", "--no-instructions",
		"-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := s.Run(); err != nil {
		return nil, err
	}
	return s, s.do("postgres", "CREATE ROLE merlon LOGIN PASSWORD '"+s.Password+"'")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true}
	return cmd
}

// Run starts the server again, after [Server.Kill], and returns when it answers.
func (s *Server) Run() error {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	start := func() error {
		s.cmd = s.command("postgres", "-D", s.data(), "-h", host, "-p", port, "-k", "", "-c", "max_connections=200",
			"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB", "-c", "log_min_messages=fatal")
		s.cmd.Stdout, s.cmd.Stderr = log, log
		if err := s.cmd.Start(); err != nil {
			return err
		}
		s.ended = make(chan struct{})
		go func(cmd *exec.Cmd, ended chan<- struct{}) {
			cmd.Wait() // its error is in the log
			close(ended)
		}(s.cmd, s.ended)
		return nil
	}
	if err := start(); err != nil {
		return err
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := s.do("postgres", "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.ended: // processes of the one before were still there
			if err := start(); err != nil {
				return err
			}
		default:
		}
		if time.Now().After(end) {
			text, _ := os.ReadFile(log.Name()) // for the message
			return fmt.Errorf("postgres does not answer: %w\n%s", err, text)
		}
	}
}

// Kill ends the server, all its processes, without a warning (SIGKILL) and returns when it is gone.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGKILL)
	<-s.ended
	eventually(t, func() bool {
		c, err := net.Dial("tcp", s.Address)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

// Pause stops all processes of the server (SIGSTOP) until [Server.Resume]: it is there and does not answer.
func (s *Server) Pause(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGSTOP) }

// Resume is the end of [Server.Pause].
func (s *Server) Resume(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGCONT) }

// signal sends a signal to every process of the server. Each is the leader of a group of its own, but for the first.
func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	first := s.cmd.Process.Pid
	children, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(first)).Output()
	if err != nil {
		t.Fatalf("ps: %v", err)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(field); err == nil {
			_ = syscall.Kill(pid, sig) // may have ended
		}
	}
}

// Database makes an empty database, which belongs to merlon, and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("d%d", shared.n.Add(1))
	s.exec(t, "postgres", "CREATE DATABASE "+name+" OWNER merlon")
	s.exec(t, name, "ALTER SCHEMA public OWNER TO merlon")
	return s.URL("merlon", s.Password, name)
}

// URL returns the URL of a database of the server. It ends in a parameter.
func (s *Server) URL(user, password, database string) string {
	return "postgres://" + user + ":" + password + "@" + s.Address + "/" + database + "?sslmode=disable"
}

// exec runs statements as the superuser.
func (s *Server) exec(t testing.TB, database, statements string) {
	t.Helper()
	if err := s.do(database, statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

// Exec runs statements in the database of a URL, as the superuser.
func (s *Server) Exec(t testing.TB, url, statements string) {
	t.Helper()
	_, after, _ := strings.Cut(url, s.Address+"/")
	database, _, _ := strings.Cut(after, "?")
	s.exec(t, database, statements)
}

// Damage overwrites the first block of a table in the database of a URL, while the server is down.
func (s *Server) Damage(t testing.TB, url, table string) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var path string
	if err := db.QueryRow("SELECT pg_relation_filepath($1::regclass)", table).Scan(&path); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "postgres", "CHECKPOINT")
	s.Kill(t)
	f, err := os.OpenFile(filepath.Join(s.data(), path), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(strings.Repeat("damage ", 1000)), 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), s.Run()); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) do(database, statements string) error {
	db, err := sql.Open("pgx", s.URL("postgres", s.Password, database))
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = db.ExecContext(ctx, statements)
	return err
}

func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}
