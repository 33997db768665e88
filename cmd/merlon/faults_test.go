//go:build linux

package main_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A fault is what system calls of a running process on some files end with.
type fault struct {
	calls string // as strace knows them
	errno string
}

var (
	diskFull  = fault{"write,pwrite64,pwritev,fallocate", "ENOSPC"}
	syncFails = fault{"fsync,fdatasync", "EIO"}
)

// strace returns the path of strace, and the arguments that make calls fail, on the files or everywhere.
func (f fault) strace(t *testing.T, files []string) (path string, args []string) {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		const missing = "strace is not installed: apt-get install strace"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip("skipped: " + missing)
	}
	args = []string{"-f", "-o", "/dev/null", "-e", "trace=" + f.calls, "-e", "inject=" + f.calls + ":error=" + f.errno}
	for _, file := range files {
		args = append(args, "-P", file)
	}
	return path, args
}

// inject makes calls of p fail, on the files or everywhere, until the function that it returns is called.
func (f fault) inject(t *testing.T, p *process, files ...string) (end func()) {
	t.Helper()
	path, args := f.strace(t, files)
	cmd := exec.Command(path, append(args, "-p", strconv.Itoa(p.cmd.Process.Pid))...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(stderr)
	attached := false
	for !attached && said.Scan() {
		attached = strings.Contains(said.Text(), " attached")
		if strings.Contains(said.Text(), "not permitted") {
			cmd.Wait() // it has said why
			t.Skip("skipped: this machine lets nobody trace a process: " + said.Text())
		}
	}
	if !attached {
		t.Fatalf("strace: %s, %v", said.Text(), cmd.Wait())
	}
	go func() {
		for said.Scan() { // more threads
		}
	}()
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		cmd.Process.Signal(syscall.SIGTERM) // it lets go of the process
		var killed *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &killed) {
			t.Error(err)
		}
	}
	t.Cleanup(end)
	return end
}

// A disk that is full, and one that does not sync: what cannot be kept is refused with 503, what can be read is read,
// and it all ends with the trouble. What was acknowledged before, meanwhile and after is there, in a whole database.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault fault
		files []string // below the directory
	}{
		{"a full disk below the database", diskFull, []string{"data/merlon.db", "data/merlon.db-wal"}},
		{"a database that cannot be synced", syncFails, []string{"data/merlon.db", "data/merlon.db-wal"}},
		{"a full disk below everything", diskFull, []string{"data/merlon.db", "data/merlon.db-wal", "logs/security.log", "logs/security.log.spool"}},
		{"nothing can be synced", syncFails, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, admin, key, dir := prepared(t)
			l := &ledger{events: map[string]bool{}}
			l.make(s.client, "before")
			var files []string
			for _, file := range tt.files {
				files = append(files, filepath.Join(dir, file))
			}
			end := tt.fault.inject(t, s.process, files...)
			probes := []probe{
				away("a login", s.client, "POST", "/api/v1/auth/login", credentials("warden", passphrase)),
				away("a registration", s.client, "POST", "/api/v1/users", newcomer("late")),
				away("a new key", admin, "POST", "/api/v1/api-keys", members{"name": "late", "scopes": []string{"events:read"}}),
				away("a change", admin, "PATCH", "/api/v1/users/me", members{"full_name": "Late"}),
				{"reading with a session", admin, "GET", "/api/v1/users/me", nil, 200, ""},
				{"reading with a key", key, "GET", "/api/v1/events", nil, 200, ""},
				{"a wrong password", s.client, "POST", "/api/v1/auth/login", credentials("warden", "not this one"), 401, "invalid-credentials"},
			}
			for range 3 { // what failed once fails again
				ask(t, probes)
			}
			eventually(t, "it is not ready", func() bool {
				a, err := s.try("GET", "/health/ready", nil)
				return err == nil && a.status == 503 && decode[readiness](t, a).Checks.Database != "ok"
			})
			l.make(s.client, "meanwhile")
			if n := len(l.accounts); n != 1 {
				t.Errorf("%d accounts were acknowledged, want the one before", n)
			}
			end()

			recovers(t, s, admin)
			s.call(t, 201, "POST", "/api/v1/users", newcomer("late"))
			if me := get[members](t, admin, "/api/v1/users/me"); me["full_name"] != nil {
				t.Errorf("the refused change was made: %v", me)
			}
			l.make(s.client, "after")
			l.check(t, s.client, admin, 2)
			eventually(t, "the events of the trouble", func() bool {
				all := events(t, admin, "")
				return count(all, "sys_degraded") > 0 && count(all, "sys_recovered") > 0 && count(all, "authn_login_fail") == 3
			})
			// And without an orderly end: what the disk has is what was acknowledged.
			s.kill()
			again := startService(t, merlon("--config", filepath.Join(dir, "merlon.yaml")).in(dir))
			admin.url = again.url
			l.check(t, again.client, admin, 2)
			again.stop()
			checkIntegrity(t, filepath.Join(dir, "data", "merlon.db"))
			r := run(t, merlon("events", "verify", filepath.Join(dir, "logs", "security.log")).in(dir))
			if r.code != 0 {
				t.Errorf("events verify: exit %d:\n%s%s", r.code, r.stdout, r.stderr)
			}
			if inFile := logged(t, filepath.Join(dir, "logs", "security.log")); count(inFile, "authn_login_fail") != 3 {
				t.Errorf("%d failed logins in the log, want 3", count(inFile, "authn_login_fail"))
			}
		})
	}
}

// A disk that is full, or fails, from the beginning.
func TestADiskThatFailsStopsTheStart(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault fault
		says  string
	}{
		"full":           {diskFull, "merlon.E147: database "},
		"not to be kept": {syncFails, "the disk failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			config := write(t, dir, "merlon.yaml", developmentConfig)
			file := filepath.Join(dir, "data", "merlon.db")
			path, args := tt.fault.strace(t, []string{file, file + "-wal"})
			cmd := exec.Command(path, append(args, binary, "serve", "--listen", "127.0.0.1:0", "--config", config)...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if strings.Contains(string(out), "not permitted") {
				t.Skipf("skipped: this machine lets nobody trace a process: %s", out)
			}
			var failed *exec.ExitError
			if !errors.As(err, &failed) || failed.ExitCode() != 1 || !strings.Contains(string(out), tt.says) || !strings.Contains(string(out), file) {
				t.Errorf("%v, want exit 1 and %q:\n%s", err, tt.says, out)
			}
			startService(t, merlon("--config", config).in(dir)).stop() // nothing is left of it
			checkIntegrity(t, file)
		})
	}
}
