//go:build unix

package main_test

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // both engines are read as they are
	_ "modernc.org/sqlite"

	"github.com/merlonhq/merlon/e2e/postgrestest"
)

// testdata/schema/1 holds the tables of the first version as the engines dump them. They
// stay as they are, whatever becomes of the migrations: what is out there has these tables.
const firstSchema = "testdata/schema/1/"

// The tables of the first version. That of a module has migrations of its own.
var firstTables = []string{"users", "events", "api_keys", "sessions", "token_grants", "token_keys"}

func openDatabase(t *testing.T, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// copyRows fills a table with the rows of another database, as far as the table has
// their columns, and returns how many these were.
func copyRows(t *testing.T, from, to *sql.DB, table string) int {
	t.Helper()
	rows, err := to.Query("SELECT * FROM " + table)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := rows.Columns()
	if err := firstError(err, rows.Close()); err != nil {
		t.Fatal(err)
	}
	if rows, err = from.Query("SELECT " + strings.Join(columns, ", ") + " FROM " + table); err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	marks := make([]string, len(columns))
	for i := range marks {
		marks[i] = fmt.Sprintf("$%d", i+1)
	}
	insert := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ")"
	n := 0
	for rows.Next() {
		values := make([]any, len(columns))
		at := make([]any, len(columns))
		for i := range values {
			at[i] = &values[i]
		}
		if err := rows.Scan(at...); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Exec(insert, values...); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		n++
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

func firstError(errs ...error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return errs[i]
}

// A database with the tables of the first version and everything in it that a service
// writes: the program brings it up to date, and all of it is good.
func TestTheFirstSchemaIsUpgraded(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		now, old := t.TempDir(), t.TempDir()
		path := filepath.Join(old, "data", "merlon.db")
		if err := os.Mkdir(filepath.Join(old, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		isUpgraded(t, upgrade{
			now: now, nowConfig: developmentConfig, old: old, oldConfig: developmentConfig, dump: "sqlite.sql",
			open: func() (from, to *sql.DB) {
				return openDatabase(t, "sqlite", filepath.Join(now, "data", "merlon.db")), openDatabase(t, "sqlite", path)
			},
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		from, to := postgrestest.Database(t), postgrestest.Database(t)
		isUpgraded(t, upgrade{
			now: t.TempDir(), nowConfig: onPostgres(from), old: t.TempDir(), oldConfig: onPostgres(to), dump: "postgres.sql",
			open: func() (*sql.DB, *sql.DB) { return openDatabase(t, "pgx", from), openDatabase(t, "pgx", to) },
		})
	})
}

type upgrade struct {
	now, nowConfig string // a service of this version, whose rows are taken
	old, oldConfig string // the database of the first version
	dump           string
	open           func() (from, to *sql.DB)
}

func isUpgraded(t *testing.T, u upgrade) {
	const issuer = "tokens: {issuer: \"https://merlon.example.com\"}\n" // on another port it would be another
	config := write(t, u.now, "merlon.yaml", u.nowConfig+issuer)
	createUser(t, merlon("--config", config).in(u.now), "warden", passphrase, "admin")
	s := startService(t, merlon("--config", config).in(u.now))
	admin := s.login(t, "warden", passphrase)
	key := decode[members](t, admin.call(t, 201, "POST", "/api/v1/api-keys", members{"name": "old", "scopes": []string{"keys:manage"}}))["key"].(string)
	tokens := decode[pair](t, s.call(t, 200, "POST", "/api/v1/auth/token", grant("warden", passphrase)))
	s.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("nobody", passphrase)) // an event
	const failed = "type=authn_login_fail"
	eventually(t, "the failed login is recorded", func() bool { return len(events(t, admin, failed)) == 1 })
	cookie := admin.header
	s.stop()

	from, to := u.open()
	dump, err := os.ReadFile(firstSchema + u.dump)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.Exec(string(dump)); err != nil {
		t.Fatal(err)
	}
	for _, table := range firstTables {
		if n := copyRows(t, from, to, table); n == 0 {
			t.Errorf("the table %s is empty: nothing is shown of it", table)
		}
	}
	if err := firstError(from.Close(), to.Close()); err != nil {
		t.Fatal(err)
	}

	config = write(t, u.old, "merlon.yaml", u.oldConfig+issuer)
	// Whether what is to be applied is an exit code of its own is not asked here.
	status := func() string { return run(t, merlon("migrate", "status", "--config", config).in(u.old)).stdout }
	for _, first := range []string{"00001_core.sql", "00001_api_keys.sql", "00002_sessions.sql", "00003_tokens.sql"} {
		if out := status(); !regexp.MustCompile(`(?m)^applied .*` + regexp.QuoteMeta(first) + `$`).MatchString(out) {
			t.Errorf("%s is of the first version, and not applied:\n%s", first, out)
		}
	}
	s = startService(t, merlon("--config", config).in(u.old))
	for line := range strings.Lines(status()) {
		if !strings.HasPrefix(line, "applied") {
			t.Errorf("not applied after a start: %s", line)
		}
	}
	admin = s.as(cookie...)
	if me := get[members](t, admin, "/api/v1/users/me"); me["username"] != "warden" || me["role"] != "admin" {
		t.Errorf("by the session: %v", me)
	}
	s.as("X-API-Key", key).call(t, 200, "GET", "/api/v1/api-keys", nil)
	bearer(s, tokens.Access).call(t, 200, "GET", "/api/v1/users/me", nil)
	s.call(t, 200, "POST", "/api/v1/auth/token", renewal(tokens.Refresh))
	if n := len(events(t, admin, failed)); n != 1 {
		t.Errorf("%d failed logins are recorded, want the one of before", n)
	}
	s.login(t, "warden", passphrase)
	s.call(t, 201, "POST", "/api/v1/users", newcomer("after"))
}

// Accounts are made all the time; a backup is made as the documentation tells; what was
// acknowledged before it began is in it, and it is whole.
func TestABackupHasWhatWasAcknowledgedBeforeIt(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		dir, other := t.TempDir(), t.TempDir()
		copied := filepath.Join(t.TempDir(), "merlon.db")
		restored := filepath.Join(other, "data", "merlon.db")
		isBackedUp(t, backup{
			dir: dir, config: developmentConfig, other: other, otherConfig: developmentConfig,
			make: func() {
				db := openDatabase(t, "sqlite", filepath.Join(dir, "data", "merlon.db"))
				if _, err := db.Exec("VACUUM INTO '" + copied + "'"); err != nil {
					t.Error(err)
				}
			},
			restore: func() *sql.DB {
				text, err := os.ReadFile(copied)
				if err != nil {
					t.Fatal(err)
				}
				write(t, other, "data/merlon.db", string(text))
				db := openDatabase(t, "sqlite", restored)
				var verdict string
				if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
					t.Errorf("the backup: %v, %s", err, verdict)
				}
				return db
			},
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		from, to := postgrestest.Database(t), postgrestest.Database(t)
		dump := filepath.Join(t.TempDir(), "merlon.dump")
		isBackedUp(t, backup{
			dir: t.TempDir(), config: onPostgres(from), other: t.TempDir(), otherConfig: onPostgres(to),
			make: func() { postgresProgram(t, "pg_dump", "--format=custom", "--file="+dump, "--dbname="+from) },
			restore: func() *sql.DB {
				postgresProgram(t, "pg_restore", "--clean", "--if-exists", "--no-owner", "--exit-on-error", "--dbname="+to, dump)
				return openDatabase(t, "pgx", to)
			},
		})
	})
}

// postgresProgram runs a program of PostgreSQL to its end.
func postgresProgram(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // where Debian puts them
		if err != nil || len(found) == 0 {
			t.Fatalf("there is no %s: %v", name, err)
		}
		path = found[len(found)-1]
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

type backup struct {
	dir, config        string // the service that goes on
	other, otherConfig string // the one that is restored
	make               func()
	restore            func() *sql.DB
}

func isBackedUp(t *testing.T, b backup) {
	config := write(t, b.dir, "merlon.yaml", b.config)
	s := startService(t, merlon("--config", config).in(b.dir))
	s.call(t, 201, "POST", "/api/v1/users", newcomer("first"))
	var made atomic.Int64
	var stop atomic.Bool
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := 0; !stop.Load(); i++ {
				a, err := s.try("POST", "/api/v1/users", newcomer(fmt.Sprintf("w%d-%d", w, i)))
				if err != nil || a.status != 201 {
					t.Errorf("an account while a backup is made: %v, status %d", err, a.status)
					return
				}
				made.Add(1)
			}
		})
	}
	enough := func(n int64) func() bool { return func() bool { return made.Load() >= n || t.Failed() } }
	eventually(t, "accounts are made", enough(10))
	before := made.Load()
	b.make()
	eventually(t, "more accounts are made", enough(made.Load()+5))
	stop.Store(true)
	writers.Wait()
	s.stop()

	restored := b.restore()
	var users int64
	if err := restored.QueryRow("SELECT count(*) - 1 FROM users").Scan(&users); err != nil || users < before || users >= made.Load() {
		t.Errorf("%v: the backup has %d accounts, want at least the %d that were acknowledged before it, and not all %d", err, users, before, made.Load())
	}
	if err := restored.Close(); err != nil {
		t.Fatal(err)
	}
	config = write(t, b.other, "merlon.yaml", b.otherConfig)
	s = startService(t, merlon("--config", config).in(b.other))
	s.call(t, 200, "GET", "/health/ready", nil)
	s.call(t, 200, "POST", "/api/v1/auth/login", credentials("first", passphrase))
	s.call(t, 201, "POST", "/api/v1/users", newcomer("after-the-restore"))
}
