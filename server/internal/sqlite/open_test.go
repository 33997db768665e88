//go:build unix

package sqlite_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server/internal/sqlite"
)

func TestFilesAndDirectoryAreForTheirOwnerWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o277} {
		t.Run(fmt.Sprintf("umask %03o", umask), func(t *testing.T) {
			path := file(t)
			if umask == 0o277 { // it would make a directory that nobody can use
				if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			old := syscall.Umask(umask)
			db := migrated(t, path)
			syscall.Umask(old)
			if _, err := db.Writer().Exec("CREATE TABLE x (x TEXT)"); err != nil {
				t.Fatal(err)
			}
			mode(t, filepath.Dir(path), 0o700|os.ModeDir)
			for _, suffix := range []string{"", "-wal", "-shm"} {
				mode(t, path+suffix, 0o600)
			}
		})
	}
}

func mode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != want {
		t.Errorf("mode of %s = %v, want %v", filepath.Base(path), info.Mode(), want)
	}
}

func TestAFileThatOthersCanReadIsTakenAwayFromThem(t *testing.T) {
	path := file(t)
	first := migrated(t, path)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Chmod(path+suffix, 0o664); err != nil {
			t.Fatal(err)
		}
	}
	migrated(t, path)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		mode(t, path+suffix, 0o600)
	}
	if err := first.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEveryConnectionIsSetUpAsPromised(t *testing.T) {
	db := migrated(t, file(t))
	for name, handle := range map[string]*sql.DB{"writer": db.Writer(), "reader": db.Reader()} {
		for pragma, want := range map[string]string{
			"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "trusted_schema": "0", "busy_timeout": "5000",
			"application_id": "1297239118", // the letters MRLN as a number
			"query_only":     map[string]string{"writer": "0", "reader": "1"}[name],
		} {
			var got string
			if err := handle.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s: PRAGMA %s = %q, %v, want %q", name, pragma, got, err, want)
			}
		}
	}
	if _, err := db.Reader().Exec("DELETE FROM users"); err == nil {
		t.Error("the reader wrote")
	}
	if _, err := db.Writer().Exec("DELETE FROM users"); err != nil {
		t.Errorf("the writer did not: %v", err)
	}
	if n := db.Writer().Stats().MaxOpenConnections; n != 1 {
		t.Errorf("the writer has %d connections, want 1", n)
	}
}

// Writers that never rest, and readers that come and go, do not keep SQLite from moving the log into the file.
func TestTheLogIsMovedIntoTheFileUnderLoad(t *testing.T) {
	path := file(t)
	db := migrated(t, path)
	if _, err := db.Writer().Exec("CREATE TABLE x (n INTEGER PRIMARY KEY, text TEXT)"); err != nil {
		t.Fatal(err)
	}
	const row, rows = 8 << 10, 2000
	text := strings.Repeat("x", row)
	written := make(chan error)
	go func() {
		var err error
		for n := 0; n < rows && err == nil; n++ {
			_, err = db.Writer().Exec("INSERT INTO x (text) VALUES ($1)", text)
		}
		written <- err
	}()
	for done := false; !done; {
		var n int
		if err := db.Reader().QueryRow("SELECT count(*) FROM x").Scan(&n); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-written:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		case <-time.After(time.Millisecond): // readers that are always there would keep the log
		}
	}
	log, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", log.Size())
	// All of it would be more than 16 MiB. SQLite begins anew after 4 MiB, and a little later when somebody reads.
	if all := int64(row * rows); log.Size() > all/2 {
		t.Errorf("the log has %d bytes after %d were written", log.Size(), all)
	}
}

func TestAnyPathIsAPath(t *testing.T) {
	for _, name := range []string{"merlon.db", "a b.db", "a%20b.db", "100%.db", "what?mode=memory.db", "no#fragment.db", "é&=;.db", "-x.db"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db := migrated(t, filepath.Join(dir, name))
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if e.Name() != name && e.Name() != name+".lock" {
					t.Errorf("%q was made", e.Name())
				}
			}
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
				t.Errorf("%q: %v, want a database", name, err)
			}
		})
	}
	t.Run("a relative one", func(t *testing.T) {
		t.Chdir(t.TempDir())
		migrated(t, "merlon.db")
		if _, err := os.Stat("merlon.db"); err != nil {
			t.Error(err)
		}
	})
}

func TestEveryErrorOfTheConfigurationIsReported(t *testing.T) {
	for _, tt := range []struct {
		cfg  sqlite.Config
		want []string // nil: none
	}{
		{sqlite.Config{}, []string{"Path is empty"}},
		{sqlite.Config{Path: ":memory:", Readers: 65, BusyTimeout: time.Millisecond}, []string{`Path is ":memory:"`, "Readers is 65", "BusyTimeout is 1ms"}},
		{sqlite.Config{Path: "file:x?mode=memory", Readers: -1, BusyTimeout: time.Hour}, []string{"must be the path", "Readers is -1", "BusyTimeout is 1h"}},
		{sqlite.Config{Path: "a\x00b"}, []string{"NUL"}},
		{sqlite.Config{Path: "x", Readers: 64, BusyTimeout: time.Minute}, nil},
		{sqlite.Config{Path: "y", Readers: 1, BusyTimeout: 10 * time.Millisecond}, nil},
	} {
		t.Chdir(t.TempDir())
		db, err := sqlite.Open(t.Context(), tt.cfg)
		if (err == nil) != (tt.want == nil) {
			t.Errorf("Open(%+v): %v, want %q", tt.cfg, err, tt.want)
		}
		for _, want := range tt.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("Open(%+v): %q, want it to say %q", tt.cfg, err, want)
			}
		}
		if err == nil {
			db.Close()
		}
	}
}

// raw makes a database as another program would.
func raw(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file://"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatIsNotOursIsRefusedAndLeftAsItIs(t *testing.T) {
	ours := func(t *testing.T, path string) {
		db := migrated(t, path)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		make func(t *testing.T, path string)
		want error
		says string
	}{
		{"text", func(t *testing.T, path string) { write(t, path, []byte(strings.Repeat("dear diary\n", 500))) }, sqlite.ErrNotDatabase, "not a SQLite database"},
		{"a short text", func(t *testing.T, path string) { write(t, path, []byte("hello\n")) }, sqlite.ErrNotDatabase, "name another path"},
		{"a directory", func(t *testing.T, path string) { os.Mkdir(path, 0o700) }, sqlite.ErrNotDatabase, "not a regular file"},
		{"a database with another id", func(t *testing.T, path string) { raw(t, path, "PRAGMA application_id = 7", "CREATE TABLE x (x)") }, sqlite.ErrForeign, "0x00000007"},
		{"an empty database with another id", func(t *testing.T, path string) { raw(t, path, "PRAGMA application_id = -7", "VACUUM") }, sqlite.ErrForeign, "0xfffffff9"},
		{"a database without an id but with a table", func(t *testing.T, path string) { raw(t, path, "CREATE TABLE users (x)") }, sqlite.ErrForeign, "another program"},
		{"half of our database", func(t *testing.T, path string) {
			ours(t, path)
			info, _ := os.Stat(path)
			os.Truncate(path, info.Size()/2/4096*4096)
		}, sqlite.ErrCorrupt, "restore it"},
		{"our database with a page overwritten", func(t *testing.T, path string) {
			ours(t, path)
			b, _ := os.ReadFile(path)
			copy(b[100:], strings.Repeat("\xff", 4096-100)) // the table of tables
			write(t, path, b)
		}, sqlite.ErrCorrupt, "damaged"},

		{"an empty file", func(t *testing.T, path string) { write(t, path, nil) }, nil, ""},
		{"an empty database without an id", func(t *testing.T, path string) { raw(t, path, "VACUUM") }, nil, ""},
		{"our database", ours, nil, ""},
		{"nothing", func(*testing.T, string) {}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "merlon.db")
			tt.make(t, path)
			before := digest(path)
			db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
			if err == nil {
				err = db.Migrate(t.Context())
				db.Close()
			}
			if !errors.Is(err, tt.want) {
				t.Fatalf("Open: %v, want %v", err, tt.want)
			}
			if err == nil {
				return
			}
			for _, want := range []string{path, tt.says} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %q, want it to say %q", err, want)
				}
			}
			if digest(path) != before {
				t.Error("the file was changed")
			}
		})
	}
}

// digest returns a digest of the file and its mode.
func digest(path string) string {
	b, _ := os.ReadFile(path)
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x %v", sha256.Sum256(b), info.Mode())
}

// openAsNobodyRole opens the database as a user without rights on it: to root nothing is read-only.
func openAsNobodyRole(dir string) error {
	if os.Geteuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
			return err
		}
	}
	db, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(dir, "merlon.db")})
	if err == nil {
		return errors.Join(errors.New("it was opened"), db.Close())
	}
	fmt.Printf("read-only: %t: %v\n", errors.Is(err, sqlite.ErrReadOnly), err)
	return nil
}

func TestWhatCannotBeWrittenIsReadOnly(t *testing.T) {
	dir, err := os.MkdirTemp("", "merlon-readonly-") // nobody can reach t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		os.Chmod(dir, 0o700)
		os.RemoveAll(dir)
	})
	check := func(t *testing.T) {
		t.Helper()
		if got := start(t, "open-as-nobody", dir).line(); !strings.HasPrefix(got, "read-only: true: ") {
			t.Errorf("%s, want ErrReadOnly", got)
		}
	}
	chmod := func(path string, mode os.FileMode) {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "merlon.db")
	t.Run("a directory without a database", func(t *testing.T) {
		chmod(dir, 0o555)
		check(t)
		chmod(dir, 0o755)
	})
	db := migrated(t, path)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("a directory with a database", func(t *testing.T) {
		chmod(path, 0o444)
		chmod(path+".lock", 0o666)
		chmod(dir, 0o555)
		check(t)
	})
	t.Run("a database in a directory that can be written", func(t *testing.T) {
		chmod(dir, 0o777)
		check(t)
	})
}

func TestCheckKnowsWhetherTheDatabaseCanBeWritten(t *testing.T) {
	db := migrated(t, file(t))
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Writer().Begin()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := db.Check(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Check while somebody holds the write lock: %v, want the deadline", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("Check after that: %v", err)
	}
	db.Close()
	if err := db.Check(t.Context()); err == nil {
		t.Error("Check of a closed database: no error")
	}
}
