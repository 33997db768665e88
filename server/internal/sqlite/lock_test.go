//go:build unix

package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/server/internal/sqlite"
)

func lockRole(dir string) error {
	lock, err := sqlite.Lock(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	fmt.Println("locked")
	select {} // until killed
}

func TestOneProcessServesFromADataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	other := start(t, "lock", dir)
	if got := other.line(); got != "locked" {
		t.Fatalf("the first process: %q, want it to lock", got)
	}
	_, err := sqlite.Lock(dir)
	if !errors.Is(err, sqlite.ErrLocked) {
		t.Fatalf("Lock of a directory that a process has: %v, want ErrLocked", err)
	}
	for _, want := range []string{dir, fmt.Sprintf("process %d", other.cmd.Process.Pid)} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %q, want it to name %q", err, want)
		}
	}
	t.Run("another directory is free", func(t *testing.T) {
		lock, err := sqlite.Lock(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		lock.Close()
	})
	t.Run("the database may be used meanwhile", func(t *testing.T) {
		migrated(t, filepath.Join(dir, "merlon.db"))
	})
	t.Run("a lock ends with its process", func(t *testing.T) {
		other.kill()
		lock, err := sqlite.Lock(dir)
		if err != nil {
			t.Fatalf("Lock after the holder was killed: %v", err)
		}
		if _, err := sqlite.Lock(dir); !errors.Is(err, sqlite.ErrLocked) {
			t.Errorf("a second Lock in this process: %v, want ErrLocked", err)
		}
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := sqlite.Lock(dir)
		if err != nil {
			t.Fatalf("Lock after Close: %v", err)
		}
		again.Close()
	})
}

func TestALockFileIsReadableByItsOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	lock, err := sqlite.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, filepath.Join(dir, "merlon.lock"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("mode of %s = %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
}
