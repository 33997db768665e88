//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package audit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
)

// childDir names the variable that makes the test program the child of a test.
const childDir = "MERLON_AUDIT_TEST_CHILD_DIR"

// child returns the command that runs the test t again, as its child.
func child(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestAcknowledgedEventsSurviveKill(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		commitForever(t, filepath.Join(dir, "security.log"))
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "security.log")
	var acknowledged []string
	for range 3 {
		after := 150 + rand.IntN(200) // the kill comes at no particular point
		cmd := child(t, dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if id, ok := strings.CutPrefix(lines.Text(), "acknowledged "); ok {
				acknowledged = append(acknowledged, id)
			}
			if n == after {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
	}
	intact := func(when string) {
		t.Helper()
		v := verify(t, audit.VerifyConfig{Files: []string{path}, Keys: keysOf(t, path)})
		for _, b := range v.Breaks {
			t.Errorf("%s: %v", when, b)
		}
		for _, n := range v.Notes {
			if !strings.Contains(n.Why, "torn") && !strings.Contains(n.Why, "not covered by a checkpoint yet") {
				t.Errorf("%s: %v", when, n)
			}
		}
	}
	intact("after the last kill")
	f := chained(t, path) // the lock died with the child
	write(t, f, `{"request_id":"last"}`)
	intact("after the next start")
	got, broken := members([]byte(contents(t, path)), "request_id")
	if broken > 3 {
		t.Errorf("%d broken lines after three kills", broken)
	}
	if len(acknowledged) < 450 {
		t.Fatalf("%d acknowledged events", len(acknowledged))
	}
	for _, id := range acknowledged {
		if !slices.Contains(got, id) {
			t.Errorf("event %s was acknowledged and is not there", id)
		}
	}
	if got[len(got)-1] != "last" {
		t.Errorf("the line after the crash is spoiled: %v", got[len(got)-1])
	}
}

func commitForever(t *testing.T, path string) {
	f := chained(t, path)
	p, err := audit.New(audit.Config{Sinks: []audit.Output{to(f)}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d:%d:%d", os.Getpid(), w, i)
				p.Record(named("beside"))
				if err := p.Commit(context.Background(), named(id)); err != nil {
					panic(err)
				}
				fmt.Println("acknowledged " + id)
			}
		})
	}
	wg.Wait()
}

// The limit on the size of files stands in for a full disk: the write that hits
// it is cut short and fails.
func TestFullDiskLeavesNoHalfLine(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		signal.Ignore(syscall.SIGXFSZ)
		var limit syscall.Rlimit
		err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit)
		limit.Cur = 1000
		if err := errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)); err != nil {
			fmt.Println("no limit:", err)
			return
		}
		f := newFile(t, audit.FileConfig{Path: filepath.Join(dir, "security.log")})
		write(t, f, strings.Repeat("a", 499))
		if err := tryWrite(t, f, strings.Repeat("b", 300), strings.Repeat("c", 300)); err == nil || !strings.Contains(err.Error(), "file too large") {
			t.Errorf("Write beyond the limit: %v", err)
		}
		write(t, f, strings.Repeat("d", 499)) // what fits is written again
		return
	}
	dir := t.TempDir()
	out, err := child(t, dir).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if strings.Contains(string(out), "no limit") {
		t.Skipf("the size of files cannot be limited here: %s", out)
	}
	got := contents(t, filepath.Join(dir, "security.log"))
	if want := strings.Repeat("a", 499) + "\n" + strings.Repeat("d", 499) + "\n"; got != want {
		t.Errorf("holds %d bytes %.20q…, want the batch that failed gone and the others whole", len(got), got)
	}
}

// A disk that fills while the log is written, and is emptied again: told, counted, caught up
// with, and no break in the chain.
func TestAFullDiskIsToldCountedAndRecoveredFrom(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		fillAndEmpty(t, filepath.Join(dir, "security.log"))
		return
	}
	dir := t.TempDir()
	out, err := child(t, dir).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if strings.Contains(string(out), "no limit") {
		t.Skipf("the size of files cannot be limited here: %s", out)
	}
	path := filepath.Join(dir, "security.log")
	v := verify(t, audit.VerifyConfig{Files: []string{path}, Keys: keysOf(t, path)})
	if len(v.Breaks) > 0 || len(v.Notes) > 0 {
		t.Errorf("%+v", v)
	}
	got, broken := members([]byte(contents(t, path)), "request_id")
	if want := append(numbered(0, fullDisk), "committed"); broken > 0 || !slices.Equal(without(got), want) {
		t.Errorf("%d broken lines, and %d whole ones, want %d", broken, len(without(got)), len(want))
	}
}

// fullDisk is how many events are recorded, of which the disk has room for some.
const fullDisk = 200

func fillAndEmpty(t *testing.T, path string) {
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit)
	roomy := limit.Cur
	limit.Cur = 30_000
	if err := errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)); err != nil {
		fmt.Println("no limit:", err)
		return
	}
	second := &fakeSink{}
	p := open(t, audit.Config{}, to(chained(t, path)), audit.Output{Name: "second", Sink: second})
	for i := range fullDisk {
		p.Record(named(fmt.Sprint(i)))
	}
	until(t, "the file is down", func() bool { return p.Stats().Sinks[0].Down })
	if err := p.Commit(t.Context(), named("refused")); !errors.Is(err, audit.ErrNotRecorded) || !strings.Contains(err.Error(), "file too large") {
		t.Errorf("Commit to a full disk: %v", err)
	}
	limit.Cur = roomy
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	until(t, "the file works again", func() bool { return !p.Stats().Sinks[0].Down })
	if err := p.Commit(t.Context(), named("committed")); err != nil {
		t.Errorf("Commit with room again: %v", err)
	}
	closed(t, p)
	for _, s := range p.Stats().Sinks {
		if s.Failed != 1 || s.Sent != s.Written+s.Failed { // the commit that was refused
			t.Errorf("%+v", s)
		}
	}
	if got := second.of(audit.SysDegraded); !slices.Equal(got, []string{`{"sink":"file"}`}) {
		t.Errorf("the other sink was told %v", got)
	}
	if got := second.of(audit.SysRecovered); !slices.Equal(got, []string{`{"sink":"file","lost":0}`}) {
		t.Errorf("the other sink was told %v", got)
	}
}

// until waits until ok is true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// A directory that nobody may write to is an error at the start, and at a rotation; neither
// needs a restart when it is mended.
func TestALogDirectoryThatIsReadOnly(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		dir = t.TempDir()
		if os.Getuid() == 0 { // whom no mode keeps out: the child is nobody
			out, err := child(t, dir).Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if strings.Contains(string(out), "no way") {
				t.Skipf("nobody cannot reach the temporary directory: %s", out)
			}
			return
		}
	} else {
		const nobody = 65534
		for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Chown(dir, nobody, nobody), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); err != nil {
			fmt.Println("no way:", err)
			return
		}
	}
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o500); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(logs, "security.log")
	if _, err := audit.NewFile(audit.FileConfig{Path: path}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a start: %v", err)
	}
	chmod := func(mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(logs, mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(0o700)
	defer chmod(0o700)
	f := newFile(t, audit.FileConfig{Path: path, MaxSizeMiB: 1})
	whole := strings.Repeat("x", 1<<20-1)
	write(t, f, whole)
	chmod(0o500)
	for range 2 {
		if err := tryWrite(t, f, "after"); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("a write that rotates: %v", err)
		}
	}
	if got := contents(t, path); got != whole+"\n" {
		t.Errorf("the log holds %d bytes", len(got))
	}
	chmod(0o700)
	write(t, f, "after")
	if got := contents(t, path); got != "after\n" {
		t.Errorf("the log holds %d bytes", len(got))
	}
}
