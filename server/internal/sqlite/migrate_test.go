//go:build unix

package sqlite_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/merlonhq/merlon/server/internal/sqlite"
)

// sqlFiles returns migrations by name.
func sqlFiles(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + text)}
	}
	return m
}

func TestAModuleHasAVersionOfItsOwn(t *testing.T) {
	db := migrated(t, file(t))
	for _, step := range []map[string]string{
		{"00001_posts.sql": "CREATE TABLE posts (id TEXT PRIMARY KEY);"},
		{"00001_posts.sql": "CREATE TABLE posts (id TEXT PRIMARY KEY);"}, // again
		{"00001_posts.sql": "CREATE TABLE posts (id TEXT PRIMARY KEY);", "00002_title.sql": "ALTER TABLE posts ADD COLUMN title TEXT;"},
	} {
		if err := db.MigrateModule(t.Context(), "blog", sqlFiles(step)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.MigrateModule(t.Context(), "shop", sqlFiles(map[string]string{"00001_x.sql": "CREATE TABLE wares (id TEXT);"})); err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Errorf("Migrate of the service after its modules: %v", err)
	}
	if _, err := db.Writer().Exec("INSERT INTO posts (id, title) VALUES ('1', 'x')"); err != nil {
		t.Error(err)
	}
}

func TestAModuleNameIsAWord(t *testing.T) {
	db := open(t, file(t))
	for name, ok := range map[string]bool{
		"blog": true, "b2_c": true, strings.Repeat("a", 32): true,
		"": false, "Blog": false, "2b": false, "a-b": false, "a b": false, "a;DROP TABLE x": false, "é": false, "a\n": false,
		strings.Repeat("a", 33): false,
	} {
		err := db.MigrateModule(t.Context(), name, sqlFiles(map[string]string{"00001_x.sql": "CREATE TABLE IF NOT EXISTS y (z TEXT);"}))
		if (err == nil) != ok {
			t.Errorf("MigrateModule(%q): %v, want ok: %v", name, err, ok)
		}
	}
	if err := db.MigrateModule(t.Context(), "none", fstest.MapFS{}); err == nil {
		t.Error("a module without migrations: no error")
	}
}

func TestAMigrationThatFailsLeavesNothingBehind(t *testing.T) {
	db := migrated(t, file(t))
	broken := map[string]string{
		"00001_a.sql": "CREATE TABLE a (x TEXT);",
		"00002_b.sql": "CREATE TABLE b (x TEXT); CREATE TABLE a (x TEXT);",
	}
	err := db.MigrateModule(t.Context(), "blog", sqlFiles(broken))
	if err == nil || !strings.Contains(err.Error(), "00002_b.sql") || !strings.Contains(err.Error(), "blog") {
		t.Fatalf("MigrateModule: %v, want an error that names the module and the file", err)
	}
	var n int
	if err := db.Reader().QueryRow("SELECT count(*) FROM sqlite_schema WHERE name = 'b'").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d tables of the failed migration are there (%v), want none", n, err)
	}
	broken["00002_b.sql"] = "CREATE TABLE b (x TEXT);"
	if err := db.MigrateModule(t.Context(), "blog", sqlFiles(broken)); err != nil {
		t.Errorf("after the repair: %v", err)
	}
}

func TestANewerSchemaIsRefusedAndLeftAsItIs(t *testing.T) {
	for _, table := range []string{"merlon_schema", "merlon_schema_store"} {
		t.Run(table, func(t *testing.T) {
			path := file(t)
			db := migrated(t, path)
			if _, err := db.Writer().Exec("INSERT INTO " + table + " (version_id, is_applied) VALUES (99, 1)"); err != nil {
				t.Fatal(err)
			}
			err := open(t, path).Migrate(t.Context())
			if !errors.Is(err, sqlite.ErrNewer) {
				t.Fatalf("Migrate: %v, want ErrNewer", err)
			}
			for _, want := range []string{path, "99"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %q, want it to say %q", err, want)
				}
			}
		})
	}
}

func TestManyProcessesMayOpenAndMigrateANewDatabaseTogether(t *testing.T) {
	path := file(t)
	var others []*process
	for range 2 {
		others = append(others, start(t, "open", filepath.Dir(path)))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if err := db.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, p := range others {
		if got := p.line(); got != "" {
			t.Errorf("another process: %s", got)
		}
	}
	migrated(t, path)
}

func TestMigrateWaitsForAnotherUntilItsDeadline(t *testing.T) {
	path := file(t)
	db := migrated(t, path)
	held, err := sqlite.LockSetup(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := db.Migrate(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Migrate while another one runs: %v, want the deadline", err)
	}
	held()
	if err := db.Migrate(t.Context()); err != nil {
		t.Errorf("Migrate after that: %v", err)
	}
}
