package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/e2e/postgrestest"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// onPostgres returns two handles on one database, as two nodes have them, and its URL.
func onPostgres(t testing.TB) (a, b *sqlstore.DB, raw *sql.DB) {
	t.Helper()
	url := postgrestest.Schema(t)
	raw = postgres(t, url)
	other, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	cfg := sqlstore.Config{Writer: raw, Dialect: sqlstore.PostgreSQL, Timeout: 30 * time.Second}
	a = newDB(t, cfg)
	cfg.Writer = other
	return a, newDB(t, cfg), raw
}

// sqlstates are errors of a database that count how often they are asked for.
type sqlstate string

func (s sqlstate) Error() string    { return "state " + string(s) }
func (s sqlstate) SQLState() string { return string(s) }

func TestATransactionIsTriedAgainOnlyWhenOthersEndedIt(t *testing.T) {
	db, _, _ := onPostgres(t)
	lite, _ := usual(t)
	for _, tt := range []struct {
		name  string
		db    *sqlstore.DB
		err   error
		again bool
	}{
		{"a failure to serialise", db, fmt.Errorf("%w: %w", sqlstore.ErrUnavailable, sqlstate("40001")), true},
		{"a deadlock", db, sqlstate("40P01"), true},
		{"a unique violation", db, sqlstate("23505"), false},
		{"a lock that was not to be had", db, sqlstate("55P03"), false},
		{"a deadline", db, context.DeadlineExceeded, false},
		{"SQLite", lite, sqlstate("40001"), false},
	} {
		calls := 0
		err := tt.db.Tx(t.Context(), func(*sqlstore.Tx) error {
			if calls++; calls < 3 {
				return tt.err
			}
			return nil
		})
		if want := map[bool]int{true: 3, false: 1}[tt.again]; calls != want || (err == nil) != tt.again {
			t.Errorf("%s: %d calls and %v, want %d", tt.name, calls, err, want)
		}
	}
	calls := 0
	if err := db.Tx(t.Context(), func(*sqlstore.Tx) error { calls++; return sqlstate("40001") }); calls < 2 || calls > 20 || !errors.Is(err, sqlstate("40001")) {
		t.Errorf("one that never succeeds: %d calls, %v", calls, err)
	}
}

func TestADeadlockEndsInSuccess(t *testing.T) {
	a, b, raw := onPostgres(t)
	if _, err := raw.Exec("CREATE TABLE x (n BIGINT PRIMARY KEY, m BIGINT); INSERT INTO x VALUES (1, 0), (2, 0)"); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Add(2)
	var met [2]sync.Once
	var done sync.WaitGroup
	for i, db := range []*sqlstore.DB{a, b} {
		done.Go(func() {
			err := db.Tx(t.Context(), func(tx *sqlstore.Tx) error {
				if _, err := tx.Exec("UPDATE x SET m = m + 1 WHERE n = $1", 1+i); err != nil {
					return err
				}
				met[i].Do(func() { both.Done(); both.Wait() }) // each has one row and wants the other's
				_, err := tx.Exec("UPDATE x SET m = m + 1 WHERE n = $1", 2-i)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	var m int
	if _, err := a.Get(t.Context(), "SELECT min(m) FROM x", nil, &m); err != nil || m != 2 {
		t.Errorf("min(m) = %d, %v, want 2: both transactions, each once", m, err)
	}
}

func TestTransactionsThatLockANameFollowEachOther(t *testing.T) {
	a, b, raw := onPostgres(t)
	if _, err := raw.Exec("CREATE TABLE x (n BIGINT)"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, db := range []*sqlstore.DB{a, b} {
		for range 8 {
			wg.Go(func() {
				err := db.Tx(t.Context(), func(tx *sqlstore.Tx) error {
					if err := tx.Lock("x"); err != nil {
						return err
					}
					var n int
					if _, err := tx.Get("SELECT count(*) FROM x", nil, &n); err != nil {
						return err
					}
					_, err := tx.Exec("INSERT INTO x VALUES ($1)", n)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	var distinct int
	if _, err := a.Get(t.Context(), "SELECT count(DISTINCT n) FROM x", nil, &distinct); err != nil || distinct != 16 {
		t.Errorf("%d different counts were seen (%v), want 16", distinct, err)
	}
	// Another name is another lock.
	err := a.Tx(t.Context(), func(tx *sqlstore.Tx) error {
		if err := tx.Lock("x"); err != nil {
			return err
		}
		return b.Tx(t.Context(), func(tx *sqlstore.Tx) error { return tx.Lock("y") })
	})
	if err != nil {
		t.Error(err)
	}
}

// A node ends all sessions, grants and keys of somebody while another one replaces one of them: nothing new survives.
func TestNothingThatIsReplacedEscapesTheEndOfAll(t *testing.T) {
	a, b, _ := onPostgres(t)
	for n := range 40 {
		s, next := login(2*n), login(2*n+1)
		if err := a.Sessions().Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		k, rotated := key(2*n), key(2*n+1)
		k.Hash, rotated.Hash = s.Hash, next.Hash
		if err := a.Keys().Create(t.Context(), k, 1000); err != nil {
			t.Fatal(err)
		}
		k.RotatedTo, k.ReplacedAt = rotated.ID, &epoch
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := a.Sessions().Replace(t.Context(), s.ID, next); err != nil && !errors.Is(err, session.ErrNotFound) {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := a.Keys().Rotate(t.Context(), k, rotated); err != nil && !errors.Is(err, apikey.ErrNotFound) {
				t.Error(err)
			}
		})
		var err1, err2 error
		wg.Go(func() { _, err1 = b.Sessions().DeleteUser(t.Context(), "usr_a", "") })
		wg.Go(func() { _, err2 = b.Keys().RevokeOwner(t.Context(), "usr_a", epoch) })
		wg.Wait()
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		// What came after the end of all found nothing to replace; what came before it ended with the rest.
		left, err := b.Sessions().List(t.Context(), "usr_a", 10)
		if err != nil || len(left) != 0 {
			t.Fatalf("%d sessions are left (%v)", len(left), err)
		}
		keys, err := b.Keys().List(t.Context(), "usr_a", "", 10)
		if err != nil || len(keys) != 0 {
			t.Fatalf("%d keys are left (%v)", len(keys), err)
		}
	}
}

// The nodes of a service make keys and grants for one account at once.
func TestLimitsHoldAcrossNodes(t *testing.T) {
	a, b, _ := onPostgres(t)
	var made atomic.Int64
	var wg sync.WaitGroup
	for n := range 30 {
		db := []*sqlstore.DB{a, b}[n%2]
		wg.Go(func() {
			switch err := db.Keys().Create(t.Context(), key(n), 5); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, apikey.ErrTooMany):
				t.Error(err)
			}
			if err := db.Grants().Create(t.Context(), grant(n), 5); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	grants, err := a.Grants().List(t.Context(), "usr_a", 100)
	if made.Load() != 5 || err != nil || len(grants) != 5 {
		t.Errorf("%d keys and %d grants (%v), want 5 of each", made.Load(), len(grants), err)
	}
}

func TestTextThatPostgreSQLCannotHoldIsNoOutage(t *testing.T) {
	db, _, _ := onPostgres(t)
	for _, tt := range []struct{ text, want string }{
		{"plain", "plain"}, {"é\U0001F3F0", "é\U0001F3F0"}, {"a\x00b", "a\uFFFDb"}, {"a\xffb", "a\uFFFDb"}, {"\xed\xa0\x80", "\uFFFD"},
	} {
		args := []any{tt.text, &tt.text}
		given := tt.text
		var got, pointed string
		if found, err := db.Get(t.Context(), "SELECT $1::text, $2::text", args, &got, &pointed); !found || err != nil || got != tt.want || pointed != tt.want {
			t.Errorf("%q came back as %q and %q (%v), want %q", tt.text, got, pointed, err, tt.want)
		}
		if args[0] != given || tt.text != given {
			t.Errorf("the arguments were changed: %q", args)
		}
	}
	if _, err := db.Keys().Lookup(t.Context(), "\x00\xff"); !errors.Is(err, apikey.ErrNotFound) {
		t.Errorf("Lookup of what cannot be there: %v, want ErrNotFound", err)
	}
	var none *string
	if n, err := db.Exec(t.Context(), "UPDATE api_keys SET name = $1 WHERE id = $2", none, "x"); n != 0 || err != nil {
		t.Errorf("NULL: %d, %v", n, err)
	}
}

// Ids are compared as bytes on every engine, whatever the language of the database is.
func TestTextIsOrderedAsBytes(t *testing.T) {
	_, _, raw := onPostgres(t)
	rows, err := raw.Query(`SELECT table_name, column_name, coalesce(collation_name, 'none') FROM information_schema.columns
		WHERE table_schema = current_schema() AND data_type = 'text'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var table, column, collation string
		if err := rows.Scan(&table, &column, &collation); err != nil {
			t.Fatal(err)
		}
		if n++; collation != "C" {
			t.Errorf("%s.%s has the collation %s, want C: write TEXT COLLATE \"C\" in migrations/postgres", table, column, collation)
		}
	}
	if n < 20 {
		t.Errorf("%d columns were looked at", n)
	}
}

// The tables of both engines have the same columns.
func TestTheEnginesHaveTheSameTables(t *testing.T) {
	_, _, raw := onPostgres(t)
	_, lite := usual(t)
	columns := func(db *sql.DB, query string) []string {
		rows, err := db.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var list []string
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			list = append(list, line)
		}
		slices.Sort(list)
		return list
	}
	want := columns(lite, `SELECT m.name || '.' || c.name || ' ' || lower(c.type) || CASE WHEN c."notnull" OR c.pk THEN ' not null' ELSE '' END
		FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'`)
	got := columns(raw, `SELECT table_name || '.' || column_name || ' ' || data_type || CASE WHEN is_nullable = 'NO' THEN ' not null' ELSE '' END
		FROM information_schema.columns WHERE table_schema = current_schema()`)
	if !slices.Equal(got, want) || len(want) < 30 {
		t.Errorf("PostgreSQL has\n%q\nand SQLite\n%q", got, want)
	}
	want = columns(lite, `SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`)
	got = columns(raw, `SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND indexname NOT LIKE '%\_pkey'`)
	if !slices.Equal(got, want) || len(want) < 10 {
		t.Errorf("PostgreSQL has the indexes\n%q\nand SQLite\n%q", got, want)
	}
}

func TestMigrationsAreSelectedByEngine(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	fsys := fstest.MapFS{
		"00001_a.sql": file("root a"), "00002_b.sql": file("root b"), "00003_c.sql": file("root c"),
		"postgres/00001_a.sql": file("postgres a"), "sqlite/00003_c.sql": file("sqlite c"), "postgres/00009_more.sql": file("alone"),
	}
	for _, tt := range []struct {
		dialect sqlstore.Dialect
		want    []string
	}{
		{sqlstore.SQLite, []string{"root a", "root b", "sqlite c"}},
		{sqlstore.PostgreSQL, []string{"postgres a", "root b", "root c"}},
	} {
		selected := tt.dialect.Select(fsys)
		names, err := fs.Glob(selected, "*.sql")
		var got []string
		for _, name := range names {
			text, err := fs.ReadFile(selected, name)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(text))
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("dialect %d: %q (%v), want %q", tt.dialect, got, err, tt.want)
		}
	}
}
