package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/merlonhq/merlon/e2e/postgrestest"
	"github.com/merlonhq/merlon/server/internal/postgres"
	"github.com/merlonhq/merlon/server/internal/schema"
)

// logged is the text of a log.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func open(t testing.TB, url string) (*postgres.DB, error) {
	t.Helper()
	db, err := postgres.New(postgres.Config{URL: url, Patience: 300 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { db.Close() })
	return db, db.Open(t.Context())
}

func migrated(t testing.TB, url string) *postgres.DB {
	t.Helper()
	db, err := open(t, url)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestWhatIsWrongWithADatabaseIsSaidAtOnce(t *testing.T) {
	s := postgrestest.Shared(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	free.Close()
	for _, tt := range []struct {
		name string
		url  func(t testing.TB) string
		want error
		says []string
	}{
		{"it is new", postgrestest.Database, nil, nil},
		{"it is ours", func(t testing.TB) string { u := postgrestest.Database(t); migrated(t, u); return u }, nil, nil},
		{"it has an extension", func(t testing.TB) string {
			u := postgrestest.Database(t)
			s.Exec(t, u, "CREATE TABLE e (n INT); CREATE EXTENSION IF NOT EXISTS plpgsql; ALTER EXTENSION plpgsql ADD TABLE e")
			return u
		}, nil, nil},
		{"a wrong password", func(t testing.TB) string {
			return strings.Replace(postgrestest.Database(t), s.Password, "wrong-one", 1)
		},
			postgres.ErrDenied, []string{s.Address + "/d", "database_url"}},
		{"a user that is not there", func(t testing.TB) string { return s.URL("mallory", s.Password, "postgres") }, postgres.ErrDenied, nil},
		{"a database that is not there", func(t testing.TB) string { return s.URL("merlon", s.Password, "nowhere") },
			postgres.ErrMissing, []string{"nowhere", "CREATE DATABASE"}},
		{"another program's", func(t testing.TB) string {
			u := postgrestest.Database(t)
			s.Exec(t, u, "CREATE TABLE orders (n INT)")
			return u
		}, postgres.ErrForeign, []string{"public", "search_path"}},
		{"no right to make tables", func(t testing.TB) string {
			u := postgrestest.Database(t)
			s.Exec(t, u, "ALTER SCHEMA public OWNER TO postgres; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
			return u
		}, postgres.ErrDenied, []string{"GRANT CREATE"}},
		{"a schema that is not there", func(t testing.TB) string { return postgrestest.Database(t) + "&search_path=nowhere" }, nil, []string{"search_path"}},
		{"read-only", func(t testing.TB) string {
			u := postgrestest.Database(t)
			migrated(t, u)
			s.Exec(t, u, `DO $$BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET default_transaction_read_only = on'; END$$`)
			return u
		}, postgres.ErrReadOnly, []string{"primary"}},
		{"not UTF-8", func(t testing.TB) string {
			s.Exec(t, s.URL("", "", "postgres"), "CREATE DATABASE latin ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'")
			return s.URL("merlon", s.Password, "latin")
		}, nil, []string{"SQL_ASCII", "UTF8"}},
		{"no TLS where there must be", func(t testing.TB) string {
			return strings.Replace(postgrestest.Database(t), "disable", "verify-full", 1)
		},
			postgres.ErrTLS, []string{"sslmode"}},
		{"nobody there", func(t testing.TB) string { return strings.Replace(postgrestest.Database(t), s.Address, nobody, 1) },
			postgres.ErrUnreachable, []string{nobody, "gave up after 300ms"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := open(t, tt.url(t))
			if tt.want == nil && tt.says == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %q, want it to say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), s.Password) || strings.Contains(err.Error(), "wrong-one") {
				t.Errorf("the error has lines, or a password: %q", err)
			}
		})
	}
}

// What the server says in trouble that a test cannot make.
func TestTroubleOfTheServerIsClassified(t *testing.T) {
	db, err := postgres.New(postgres.Config{URL: "postgres://merlon@127.0.0.1/m"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for state, want := range map[string]error{
		"53100": postgres.ErrFull, "XX001": postgres.ErrCorrupt, "XX002": postgres.ErrCorrupt, "25006": postgres.ErrReadOnly, "53300": postgres.ErrUnreachable,
		"57P03": postgres.ErrUnreachable, "42501": postgres.ErrDenied, "28000": postgres.ErrDenied,
	} {
		if err := db.Explain(&pgconn.PgError{Code: state, Message: "m"}); !errors.Is(err, want) || !strings.Contains(err.Error(), "127.0.0.1:5432/m") {
			t.Errorf("%s: %v, want %v", state, err, want)
		}
	}
	if err := db.Explain(&pgconn.PgError{Code: "42601", Message: "m"}); errors.Is(err, postgres.ErrFull) || !strings.Contains(err.Error(), "42601") {
		t.Errorf("another state: %v", err)
	}
}

func TestALostServerIsToldFromOneThatRefuses(t *testing.T) {
	state := func(code string) error { return fmt.Errorf("%w: %w", errors.New("x"), &pgconn.PgError{Code: code}) }
	timeout, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, tt := range []struct {
		name string
		err  error
		lost bool
	}{
		{"no error", nil, false},
		{"it is shutting down", state("57P01"), true},
		{"it crashed", state("57P02"), true},
		{"it is starting", state("57P03"), true},
		{"it has no connection left", state("53300"), true},
		{"a connection exception", state("08006"), true},
		{"its disk is full", state("53100"), false},
		{"a statement took too long", state("57014"), false},
		{"a lock was not to be had", state("55P03"), false},
		{"a unique violation", state("23505"), false},
		{"a deadlock", state("40P01"), false},
		{"no answer in time", timeout.Err(), true},
		{"the caller left", fmt.Errorf("x: %w", context.Canceled), false},
		{"the connection was closed", io.ErrUnexpectedEOF, true},
		{"nobody listens", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		{"the program's own error", errors.New("taken"), false},
	} {
		if got := postgres.Lost(tt.err); got != tt.lost {
			t.Errorf("%s: lost %v, want %v", tt.name, got, tt.lost)
		}
	}
}

func TestDamageIsSaid(t *testing.T) {
	s := postgrestest.Start(t)
	u := s.Database(t)
	db := migrated(t, u)
	if _, err := db.Writer().Exec("INSERT INTO token_keys VALUES ('a', 'b', 1, 1, 'c', 'd')"); err != nil {
		t.Fatal(err)
	}
	s.Damage(t, u, "merlon_schema")
	if err := db.Migrate(t.Context()); !errors.Is(err, postgres.ErrCorrupt) || !strings.Contains(err.Error(), "restore it from a backup") {
		t.Errorf("Migrate of a damaged database: %v, want ErrCorrupt", err)
	}
}

func TestStartUpWaitsForTheServer(t *testing.T) {
	s := postgrestest.Start(t)
	url := s.Database(t)
	s.Kill(t)
	log := &logged{}
	db, err := postgres.New(postgres.Config{URL: url, Patience: 30 * time.Second, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	opened := make(chan error, 1)
	go func() { opened <- db.Open(t.Context()) }()
	for !strings.Contains(log.String(), "waiting for the database") {
		time.Sleep(5 * time.Millisecond)
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("Open after the server came: %v", err)
	}
	if text := log.String(); !strings.Contains(text, "giving_up_after=30s") || !strings.Contains(text, s.Address) || strings.Contains(text, s.Password) {
		t.Errorf("the log says %q", text)
	}
	// Whoever asks it to end does not wait.
	s.Kill(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { opened <- db.Open(ctx) }()
	cancel()
	if err := <-opened; err == nil {
		t.Error("Open of a dead server: no error")
	}
}

func TestTheConnectionIsEncryptedOffThisMachine(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://m:p@127.0.0.1/d":                           "clear",
		"postgres://m:p@[::1]:6000/d":                          "clear",
		"postgres://m:p@localhost/d":                           "clear",
		"postgres://m@/d?host=%2Frun%2Fpostgresql":             "clear",
		"postgres://m:p@db.example.com/d":                      "db.example.com",
		"postgres://m:p@192.0.2.1/d":                           "192.0.2.1",
		"postgres://m:p@db.example.com/d?sslmode=verify-full":  "db.example.com",
		"postgres://m:p@localhost/d?sslmode=verify-full":       "localhost",
		"postgres://m:p@db.example.com/d?sslmode=require":      "anybody",
		"postgres://m:p@db.example.com/d?sslmode=disable":      "clear",
		"postgres://m:p@localhost.example.com:5432/d":          "localhost.example.com",
		"postgresql://m:p@db.example.com:5433/d?search_path=x": "db.example.com",
	} {
		db, err := postgres.New(postgres.Config{URL: text})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := db.Encryption(); got != want {
			t.Errorf("%s: verifies %s, want %s", text, got, want)
		}
		db.Close()
	}
}

func TestTheEnvironmentIsNotRead(t *testing.T) {
	t.Setenv("PGPASSWORD", "from-the-environment")
	t.Setenv("PGHOST", "elsewhere.example.com")
	t.Setenv("PGPORT", "1")
	t.Setenv("PGSSLMODE", "disable")
	t.Setenv("PGOPTIONS", "-c statement_timeout=0")
	for text, want := range map[string]string{
		"postgres://m@db.example.com/d":      "db.example.com 5432 m  db.example.com",
		"postgres://m:here@127.0.0.1:5433/d": "127.0.0.1 5433 m here clear",
	} {
		db, err := postgres.New(postgres.Config{URL: text})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if got := db.Target(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestNoErrorShowsTheURL(t *testing.T) {
	const secret = "hunter-and-gatherer-2"
	file := filepath.Join(t.TempDir(), "no.pem")
	for _, text := range []string{
		"", secret, "postgres://" + secret, "postgres://m:" + secret, "postgres://m:" + secret + "@h:port/d", "postgres://m:" + secret + "%@h/d", "mysql://m:" + secret + "@h/d",
		"postgres://m:" + secret + "@h/d?sslmode=" + secret, "postgres://m:" + secret + "@h/d?pool_max_conns=" + secret, "postgres://m:" + secret + "@h/d?pool_max_conns=0",
		"postgres://m:" + secret + "@h/d?sslrootcert=" + url.QueryEscape(file),
	} {
		db, err := postgres.New(postgres.Config{URL: text})
		if err == nil {
			db.Close()
			t.Errorf("%q is taken", text)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q: the error shows it: %v", text, err)
		}
		if strings.Contains(text, "sslrootcert") && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a missing file: %v", err)
		}
	}
}

// A connection has limits that the server holds it to, whatever the role and the database say.
func TestConnectionsHaveLimits(t *testing.T) {
	s := postgrestest.Shared(t)
	u := postgrestest.Database(t)
	s.Exec(t, u, `DO $$BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET default_transaction_isolation = ''serializable'''; END$$`)
	db := migrated(t, u+"&pool_max_conns=3")
	for name, want := range map[string]string{
		"statement_timeout": "10s", "lock_timeout": "1500ms", "idle_in_transaction_session_timeout": "10s", "transaction_isolation": "read committed",
		"client_encoding": "UTF8", "application_name": "merlon",
	} {
		var got string
		if err := db.Writer().QueryRow("SELECT current_setting($1)", name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %s", name, got, err, want)
		}
	}
	if got := db.Writer().Stats().MaxOpenConnections; got != 3 {
		t.Errorf("the pool has %d connections, want 3", got)
	}
	other, err := postgres.New(postgres.Config{URL: u})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if got := other.Writer().Stats().MaxOpenConnections; got != 16 {
		t.Errorf("the pool has %d connections, want 16", got)
	}
	// A lock that is not to be had is an error, soon.
	tx, err := db.Writer().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("LOCK TABLE users"); err != nil {
		t.Fatal(err)
	}
	var e *pgconn.PgError
	if _, err := db.Writer().ExecContext(t.Context(), "DELETE FROM users"); !errors.As(err, &e) || e.Code != "55P03" {
		t.Errorf("a statement behind a lock: %v, want lock_not_available", err)
	}
}

func TestCheckSaysWhetherTheDatabaseCanWork(t *testing.T) {
	s := postgrestest.Start(t)
	db := migrated(t, s.Database(t))
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := db.Check(ctx)
	s.Resume(t)
	if !errors.Is(err, postgres.ErrUnreachable) {
		t.Errorf("Check of a server that does not answer: %v, want ErrUnreachable", err)
	}
	s.Kill(t)
	if err := db.Check(t.Context()); err == nil {
		t.Error("Check of a dead server: no error")
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("Check after it came back: %v", err)
	}
	s.Exec(t, s.URL("", "", "postgres"), "ALTER ROLE merlon SET default_transaction_read_only = on")
	again, err := postgres.New(postgres.Config{URL: s.URL("merlon", s.Password, "postgres")})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.Check(t.Context()); !errors.Is(err, postgres.ErrReadOnly) {
		t.Errorf("Check of what cannot be written: %v, want ErrReadOnly", err)
	} else if errors.Is(err, postgres.ErrStandby) || !postgres.Reads(err) {
		t.Errorf("Check of what cannot be written: %v, want it to be read and no standby", err)
	}
	if _, err := again.Writer().ExecContext(t.Context(), "CREATE TABLE late (n BIGINT)"); !postgres.RefusesWrites(err) {
		t.Errorf("a write: %v, want it refused", err)
	}
	s.Exec(t, s.URL("", "", "postgres"), `ALTER ROLE merlon RESET ALL;
		DO $$BEGIN EXECUTE format('COPY (SELECT 1 WHERE false) TO %L', current_setting('data_directory') || '/standby.signal'); END$$`)
	s.Kill(t)
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if err := db.Check(t.Context()); !errors.Is(err, postgres.ErrStandby) || !errors.Is(err, postgres.ErrReadOnly) || postgres.Reads(err) {
		t.Errorf("Check of a standby: %v, want ErrStandby", err)
	}
}

// A failover takes the address away from a machine that is gone: what is sent on a connection to it is never answered.
func TestAProbeFindsTheOneThatTookOver(t *testing.T) {
	s := postgrestest.Start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	gone, never := make(chan struct{}), make(chan struct{})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			select {
			case <-gone: // another machine has the address
				go forward(c, s.Address, never)
			default:
				go forward(c, s.Address, gone)
			}
		}
	}()
	target := strings.Replace(s.Database(t), s.Address, l.Addr().String(), 1)
	db, err := postgres.New(postgres.Config{URL: target})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var conns []*sql.Conn
	for range 8 {
		c, err := db.Writer().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for _, c := range conns {
		c.Close()
	}
	close(gone)
	probe := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return db.Probe(ctx)
	}
	if err := probe(300 * time.Millisecond); !errors.Is(err, postgres.ErrUnreachable) {
		t.Fatalf("a probe on a connection to a machine that is gone: %v, want ErrUnreachable", err)
	}
	if err := probe(5 * time.Second); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// forward carries what is sent on c to the address and back, and from the end of gone on nothing more.
func forward(c net.Conn, address string, gone <-chan struct{}) {
	defer c.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	carry := func(to, from net.Conn, done chan<- struct{}) {
		defer close(done)
		b := make([]byte, 32<<10)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			select {
			case <-gone:
				continue
			default:
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
	}
	there, back := make(chan struct{}), make(chan struct{})
	go carry(to, c, there)
	go carry(c, to, back)
	select {
	case <-there:
	case <-back:
	}
}

// sqlFiles returns migrations by name.
func sqlFiles(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + text)}
	}
	return m
}

func TestManyNodesMayMigrateANewDatabaseTogether(t *testing.T) {
	u := postgrestest.Database(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			db, err := postgres.Open(t.Context(), postgres.Config{URL: u + "&pool_max_conns=2"})
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
	steps, err := migrated(t, u).Steps(t.Context(), schema.Core()...)
	if err != nil || len(steps) < 4 {
		t.Fatalf("%d steps, %v", len(steps), err)
	}
	for _, s := range steps {
		if !s.Applied {
			t.Errorf("%+v is not applied", s)
		}
	}
}

func TestStepsAreToldAndNotTaken(t *testing.T) {
	u := postgrestest.Database(t)
	db, err := open(t, u)
	if err != nil {
		t.Fatal(err)
	}
	pending := func() (n int) {
		steps, err := db.Steps(t.Context(), schema.Core()...)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if !s.Applied {
				n++
			}
		}
		return n
	}
	all := pending()
	if again := pending(); all < 4 || again != all {
		t.Errorf("%d steps are pending, then %d, want all, twice", all, again)
	}
	done, err := db.Up(t.Context(), schema.Core()...)
	if err != nil || len(done) != all || pending() != 0 {
		t.Errorf("Up took %d steps (%v), want %d", len(done), err, all)
	}
}

func TestANewerSchemaIsRefusedAndLeftAsItIs(t *testing.T) {
	for _, table := range []string{"merlon_schema", "merlon_schema_store"} {
		t.Run(table, func(t *testing.T) {
			u := postgrestest.Database(t)
			db := migrated(t, u)
			if _, err := db.Writer().Exec("INSERT INTO " + table + " (version_id, is_applied) VALUES (99, true)"); err != nil {
				t.Fatal(err)
			}
			_, stepsErr := db.Steps(t.Context(), schema.Core()...)
			for _, err := range []error{db.Migrate(t.Context()), stepsErr} {
				if !errors.Is(err, postgres.ErrNewer) || !strings.Contains(err.Error(), "99") || !strings.Contains(err.Error(), postgrestest.Shared(t).Address) {
					t.Errorf("error %v, want ErrNewer with the version and the database", err)
				}
			}
		})
	}
}

func TestAMigrationThatFailsLeavesNothingBehind(t *testing.T) {
	db := migrated(t, postgrestest.Database(t))
	broken := map[string]string{
		"00001_a.sql":          "CREATE TABLE a (x TEXT);",
		"postgres/00002_b.sql": "CREATE TABLE b (x TEXT); CREATE TABLE a (x TEXT);",
		"00002_b.sql":          "this is not for PostgreSQL;",
	}
	err := db.MigrateModule(t.Context(), "blog", sqlFiles(broken))
	if err == nil || !strings.Contains(err.Error(), "00002_b.sql") || !strings.Contains(err.Error(), "module blog") {
		t.Fatalf("MigrateModule: %v, want an error that names the module and the file", err)
	}
	var n int
	if err := db.Writer().QueryRow("SELECT count(*) FROM pg_tables WHERE tablename = 'b'").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d tables of the failed migration are there (%v), want none", n, err)
	}
	broken["postgres/00002_b.sql"] = "CREATE TABLE b (x TEXT);"
	if err := db.MigrateModule(t.Context(), "blog", sqlFiles(broken)); err != nil {
		t.Errorf("after the repair: %v", err)
	}
	if err := db.MigrateModule(t.Context(), "Bad name", sqlFiles(broken)); err == nil {
		t.Error("a bad name: no error")
	}
}

func TestMigrateWaitsForAnotherAndGivesUp(t *testing.T) {
	u := postgrestest.Database(t)
	log := &logged{}
	db, err := postgres.Open(t.Context(), postgres.Config{URL: u, MigrationPatience: 2 * time.Second, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Writer().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "SELECT pg_advisory_lock(x'4d524c4e'::int)"); err != nil {
		t.Fatal(err)
	}
	err = db.Migrate(t.Context())
	if err == nil || !strings.Contains(err.Error(), "another process is migrating it") || !strings.Contains(err.Error(), "gave up after 2s") {
		t.Errorf("Migrate while another one runs: %v", err)
	}
	if !strings.Contains(log.String(), "waiting while another process migrates") {
		t.Errorf("the log says %q", log)
	}
	if _, err := conn.ExecContext(t.Context(), "SELECT pg_advisory_unlock(x'4d524c4e'::int)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Errorf("Migrate after that: %v", err)
	}
}

// Nodes of the version before go on while a newer one migrates: what they write and read still works when the newer
// one has added what it needs.
func TestOlderNodesGoOnAfterAnExpansion(t *testing.T) {
	u := postgrestest.Database(t)
	old := migrated(t, u)
	insert := func(id string) error {
		_, err := old.Writer().Exec(`INSERT INTO sessions (id, user_id, hash, created_at, last_seen_at, address, user_agent) VALUES ($1, 'u', $1, 1, 1, '', '')`, id)
		return err
	}
	if err := insert("a"); err != nil {
		t.Fatal(err)
	}
	newer := sqlFiles(map[string]string{"00001_x.sql": "ALTER TABLE sessions ADD COLUMN device TEXT COLLATE \"C\" NOT NULL DEFAULT '';"})
	if err := migrated(t, u).MigrateModule(t.Context(), "next", newer); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := insert("b"); err != nil {
		t.Errorf("an insert of the older node: %v", err)
	}
	if err := old.Writer().QueryRow("SELECT count(*) FROM sessions").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d sessions (%v), want 2", n, err)
	}
}
