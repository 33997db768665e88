package linear_test

import (
	"cmp"
	"database/sql"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/merlonhq/merlon/e2e/postgrestest"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// engines open one new database twice, as two nodes do: nothing but the database is between them.
var engines = map[string]func(t *testing.T) (a, b *sqlstore.DB){
	"SQLite": func(t *testing.T) (a, b *sqlstore.DB) {
		dsn := "file://" + filepath.Join(t.TempDir(), "test.db") + "?_txlock=immediate&_busy_timeout=30000&_synchronous=FULL&_foreign_keys=1&_journal_mode=WAL"
		return nodes(t, "sqlite", dsn, sqlstore.SQLite)
	},
	"PostgreSQL": func(t *testing.T) (a, b *sqlstore.DB) {
		return nodes(t, "pgx", postgrestest.Schema(t), sqlstore.PostgreSQL)
	},
}

func nodes(t *testing.T, driver, dsn string, dialect sqlstore.Dialect) (a, b *sqlstore.DB) {
	t.Helper()
	var both []*sqlstore.DB
	for i := range 2 {
		writer := open(t, driver, dsn)
		reader := writer
		if dialect == sqlstore.SQLite {
			writer.SetMaxOpenConns(1)
			reader = open(t, driver, dsn)
		}
		if i == 0 {
			migrate(t, writer, dialect)
		}
		db, err := sqlstore.New(sqlstore.Config{Writer: writer, Reader: reader, Dialect: dialect, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, db)
	}
	return both[0], both[1]
}

func open(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	db.SetMaxOpenConns(8)
	return db
}

// migrate makes the tables, as a program without goose does: by the files in the order of their names.
func migrate(t *testing.T, db *sql.DB, dialect sqlstore.Dialect) {
	t.Helper()
	files := dialect.Select(sqlstore.Migrations())
	names, err := fs.Glob(sqlstore.Migrations(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(names, cmp.Compare)
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		if _, err := db.Exec(up); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}
