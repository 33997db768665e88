package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/merlonhq/merlon/e2e/postgrestest"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// handle opens a SQLite database, with the tables of the stores in it, as a program that uses this library might.
func handle(t testing.TB, path, parameters string, connections int) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file://"+path+"?_busy_timeout=30000&_synchronous=OFF&"+parameters)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	t.Cleanup(func() { db.Close() })
	return db
}

func migrate(t testing.TB, db *sql.DB, dialect sqlstore.Dialect) {
	t.Helper()
	fsys := dialect.Select(sqlstore.Migrations())
	files, err := fs.Glob(fsys, "*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("migrations: %v, %v", files, err)
	}
	for _, name := range files {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(string(text)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// arrangements are ways to open a database.
var arrangements = map[string]func(t testing.TB) sqlstore.Config{
	"WAL with one writer and several readers": func(t testing.TB) sqlstore.Config {
		path := filepath.Join(t.TempDir(), "x.db")
		w := handle(t, path, "_journal_mode=WAL&_txlock=immediate", 1)
		migrate(t, w, sqlstore.SQLite)
		return sqlstore.Config{Writer: w, Reader: handle(t, path, "_query_only=1", 4), Dialect: sqlstore.SQLite, Timeout: 30 * time.Second}
	},
	"WAL with one handle of several connections and deferred transactions": func(t testing.TB) sqlstore.Config {
		w := handle(t, filepath.Join(t.TempDir(), "x.db"), "_journal_mode=WAL", 4)
		migrate(t, w, sqlstore.SQLite)
		return sqlstore.Config{Writer: w, Dialect: sqlstore.SQLite, Timeout: 30 * time.Second}
	},
	"a rollback journal and one connection": func(t testing.TB) sqlstore.Config {
		w := handle(t, filepath.Join(t.TempDir(), "x.db"), "", 1)
		migrate(t, w, sqlstore.SQLite)
		return sqlstore.Config{Writer: w, Dialect: sqlstore.SQLite, Timeout: 30 * time.Second}
	},
	"PostgreSQL": func(t testing.TB) sqlstore.Config {
		return sqlstore.Config{Writer: postgres(t, postgrestest.Schema(t)), Dialect: sqlstore.PostgreSQL, Timeout: 30 * time.Second}
	},
}

// postgres opens a PostgreSQL database, with the tables of the stores in it, as a program that uses this library might.
func postgres(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	t.Cleanup(func() { db.Close() })
	migrate(t, db, sqlstore.PostgreSQL)
	return db
}

func newDB(t testing.TB, cfg sqlstore.Config) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// usual returns a database opened in the usual way, and its writer.
func usual(t testing.TB) (*sqlstore.DB, *sql.DB) {
	t.Helper()
	cfg := arrangements["WAL with one writer and several readers"](t)
	return newDB(t, cfg), cfg.Writer
}

func TestEveryErrorOfTheConfigurationIsReported(t *testing.T) {
	db := handle(t, filepath.Join(t.TempDir(), "x.db"), "", 1)
	for _, tt := range []struct {
		cfg  sqlstore.Config
		want []string // nil: none
	}{
		{sqlstore.Config{}, []string{"Writer is nil", "Dialect is 0"}},
		{sqlstore.Config{Writer: db, Dialect: 3, Timeout: -1}, []string{"Dialect is 3", "Timeout is -1ns"}},
		{sqlstore.Config{Writer: db, Dialect: sqlstore.SQLite, Timeout: time.Minute + 1}, []string{"Timeout is 1m"}},
		{sqlstore.Config{Writer: db, Dialect: sqlstore.SQLite, Timeout: time.Minute}, nil},
		{sqlstore.Config{Writer: db, Dialect: sqlstore.SQLite, Timeout: 10 * time.Millisecond}, nil},
		{sqlstore.Config{Writer: db, Dialect: sqlstore.SQLite}, nil},
	} {
		_, err := sqlstore.New(tt.cfg)
		if (err == nil) != (tt.want == nil) {
			t.Errorf("New(%+v): %v, want %q", tt.cfg, err, tt.want)
		}
		for _, want := range tt.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("New(%+v): %q, want it to say %q", tt.cfg, err, want)
			}
		}
	}
}

func TestATransactionIsAllOrNothing(t *testing.T) {
	db, raw := usual(t)
	if _, err := raw.Exec("CREATE TABLE x (n BIGINT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	errOurs := errors.New("ours")
	for _, tt := range []struct {
		name  string
		after error
		want  int
	}{{"an error undoes it", errOurs, 0}, {"no error keeps it", nil, 2}} {
		err := db.Tx(t.Context(), func(tx *sqlstore.Tx) error {
			for n := range 2 {
				if _, err := tx.Exec("INSERT INTO x (n) VALUES ($1)", n); err != nil {
					return err
				}
			}
			var n int
			if found, err := tx.Get("SELECT count(*) FROM x", nil, &n); !found || err != nil || n != 2 {
				t.Errorf("%s: in it there are %d rows (%v, %v), want 2", tt.name, n, found, err)
			}
			return tt.after
		})
		if err != tt.after {
			t.Errorf("%s: Tx: %v, want %v", tt.name, err, tt.after)
		}
		var n int
		if _, err := db.Get(t.Context(), "SELECT count(*) FROM x", nil, &n); err != nil || n != tt.want {
			t.Errorf("%s: after it there are %d rows (%v), want %d", tt.name, n, err, tt.want)
		}
	}
}

func TestAPanicEndsTheTransaction(t *testing.T) {
	db, raw := usual(t)
	func() {
		defer func() { recover() }()
		db.Tx(t.Context(), func(tx *sqlstore.Tx) error {
			tx.Exec("UPDATE sessions SET user_id = $1", "x")
			panic("a bug")
		})
	}()
	if _, err := raw.ExecContext(t.Context(), "DELETE FROM sessions"); err != nil {
		t.Errorf("the next write: %v", err)
	}
	if _, err := db.Keys().Count(t.Context(), "usr_a"); err != nil {
		t.Errorf("the next read: %v", err)
	}
}

func TestRowsComeInOrderAndAnErrorEndsThem(t *testing.T) {
	db, raw := usual(t)
	if _, err := raw.Exec("CREATE TABLE x (n BIGINT PRIMARY KEY); INSERT INTO x VALUES (1), (2), (3)"); err != nil {
		t.Fatal(err)
	}
	errOurs := errors.New("ours")
	var got []int
	err := db.Each(t.Context(), "SELECT n FROM x WHERE n > $1 ORDER BY n DESC", []any{0}, func(r sqlstore.Row) error {
		var n int
		if err := r.Scan(&n); err != nil {
			return err
		}
		if got = append(got, n); n == 2 {
			return errOurs
		}
		return nil
	})
	if fmt.Sprint(got) != "[3 2]" || err != errOurs {
		t.Errorf("Each: %v, %v, want [3 2] and our error", got, err)
	}
}

func TestWhatTheDatabaseCannotDoIsUnavailable(t *testing.T) {
	db, raw := usual(t)
	check := func(t *testing.T, want error) {
		t.Helper()
		ctx := t.Context()
		_, errGet := db.Get(ctx, "SELECT id FROM missing", nil)
		_, errExec := db.Exec(ctx, "DELETE FROM missing")
		errEach := db.Each(ctx, "SELECT id FROM missing", nil, func(sqlstore.Row) error { return nil })
		errTx := db.Tx(ctx, func(tx *sqlstore.Tx) error {
			_, err := tx.Exec("DELETE FROM missing")
			return err
		})
		for what, err := range map[string]error{"Get": errGet, "Exec": errExec, "Each": errEach, "Tx": errTx} {
			if !errors.Is(err, sqlstore.ErrUnavailable) || want != nil && !errors.Is(err, want) {
				t.Errorf("%s: %v, want ErrUnavailable and %v", what, err, want)
			}
		}
	}
	t.Run("a table that is not there", func(t *testing.T) { check(t, nil) })
	t.Run("a wrong number of parameters", func(t *testing.T) {
		if _, err := db.Exec(t.Context(), "DELETE FROM sessions WHERE id = $1"); !errors.Is(err, sqlstore.ErrUnavailable) {
			t.Errorf("Exec: %v, want ErrUnavailable", err)
		}
	})
	t.Run("a closed database", func(t *testing.T) {
		raw.Close()
		_, err := db.Exec(t.Context(), "DELETE FROM sessions")
		if !errors.Is(err, sqlstore.ErrUnavailable) {
			t.Errorf("Exec: %v, want ErrUnavailable", err)
		}
	})
}

func TestNoCallOutlivesItsDeadline(t *testing.T) {
	cfg := arrangements["WAL with one writer and several readers"](t)
	cfg.Timeout = 30 * time.Millisecond
	db := newDB(t, cfg)
	tx, err := cfg.Writer.Begin() // somebody has the only connection
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // far beyond the deadline of the three calls
	defer cancel()
	_, errExec := db.Exec(ctx, "DELETE FROM sessions")
	errTx := db.Tx(ctx, func(*sqlstore.Tx) error { return nil })
	// A query that would run for hours.
	var n int
	_, errGet := db.Get(ctx, `WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c`, nil, &n)
	if ctx.Err() != nil {
		t.Error("the calls outlived their deadline")
	}
	for what, err := range map[string]error{"Exec": errExec, "Tx": errTx, "Get": errGet} {
		if !errors.Is(err, sqlstore.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want ErrUnavailable and the deadline", what, err)
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := newDB(t, sqlstore.Config{Writer: cfg.Writer, Dialect: sqlstore.SQLite}).Exec(t.Context(), "DELETE FROM sessions"); err != nil {
		t.Errorf("Exec after that: %v", err)
	}
}

func TestStatementsBeyondWhatIsKeptPreparedWorkToo(t *testing.T) {
	db, _ := usual(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 300 {
				var got int
				found, err := db.Get(t.Context(), fmt.Sprintf("SELECT %d + $1", n), []any{i}, &got)
				if !found || err != nil || got != n+i {
					t.Errorf("Get = %d, %v, %v, want %d", got, found, err, n+i)
					return
				}
			}
		})
	}
	wg.Wait()
	if changed, err := db.Exec(t.Context(), "DELETE FROM sessions WHERE id = $1", "x"); changed != 0 || err != nil {
		t.Errorf("Exec = %d, %v", changed, err)
	}
}
