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
