//go:build unix

package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/server/internal/sqlite"
)

// TestMain lets the test binary be another process: with the variable set it plays a role and ends.
func TestMain(m *testing.M) {
	role, dir, _ := strings.Cut(os.Getenv("MERLON_TEST_ROLE"), ":")
	play := map[string]func(dir string) error{
		"lock": lockRole, "write": writeRole, "open": openRole, "open-as-nobody": openAsNobodyRole,
	}[role]
	if play == nil {
		os.Exit(m.Run())
	}
	if err := play(dir); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// A process is a run of this test binary in a role.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func start(t *testing.T, role, dir string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe)}
	p.cmd.Env = append(os.Environ(), "MERLON_TEST_ROLE="+role+":"+dir)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// kill ends p with SIGKILL and returns when it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// line returns the next line that p prints, or "" at the end.
func (p *process) line() string {
	p.lines.Scan()
	return p.lines.Text()
}

func open(t testing.TB, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func migrated(t testing.TB, path string) *sqlite.DB {
	t.Helper()
	db := open(t, path)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "data", "merlon.db") }

func openRole(dir string) error {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "merlon.db")})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx)
}
