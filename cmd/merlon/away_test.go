//go:build unix

package main_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// prepared returns a service with an account, its session and a key of it.
func prepared(t *testing.T) (s service, admin, key client, dir string) {
	t.Helper()
	dir = t.TempDir()
	config := write(t, dir, "merlon.yaml", developmentConfig)
	createUser(t, merlon("--config", config).in(dir), "warden", passphrase, "admin")
	s = startService(t, merlon("--config", config).in(dir))
	admin = s.login(t, "warden", passphrase)
	made := decode[struct{ Key string }](t, admin.call(t, 201, "POST", "/api/v1/api-keys", members{"name": "probe", "scopes": []string{"events:read"}}))
	return s, admin, s.as("X-API-Key", made.Key), dir
}

// A probe is a request and the answer that it must get.
type probe struct {
	name         string
	client       client
	method, path string
	body         any
	status       int
	code         string
}

// away is the answer of what needs a database that is away: 503, never 401 and
// never 500.
func away(name string, c client, method, path string, body any) probe {
	return probe{name, c, method, path, body, 503, "store-unavailable"}
}

// ask makes all requests at once: nothing waits for another's turn.
func ask(t *testing.T, probes []probe) {
	t.Helper()
	var asked sync.WaitGroup
	for _, p := range probes {
		asked.Go(func() {
			a, err := p.client.try(p.method, p.path, p.body)
			if err != nil || a.status != p.status || a.code() != p.code {
				t.Errorf("%s: %v, status %d, want %d %s: %s", p.name, err, a.status, p.status, p.code, a.body)
			}
			if p.code != "store-unavailable" {
				return
			}
			if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 1 {
				t.Errorf("%s: Retry-After: %q, want seconds", p.name, a.header.Get("Retry-After"))
			}
		})
	}
	asked.Wait()
}

// health are the probes of an orchestrator: alive, but not ready.
func health(s service) []probe {
	return []probe{
		{"/health", s.client, "GET", "/health", nil, 200, ""},
		{"/health/ready", s.client, "GET", "/health/ready", nil, 503, ""},
	}
}

type readiness struct {
	Status string
	Checks struct{ Database string }
}

// Somebody else holds the write lock.
func TestDatabaseCannotBeWritten(t *testing.T) {
	t.Parallel()
	s, admin, key, dir := prepared(t)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "data", "merlon.db")+"?_txlock=exclusive&_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	probes := []probe{
		away("a login", s.client, "POST", "/api/v1/auth/login", credentials("warden", passphrase)),
		away("a registration", s.client, "POST", "/api/v1/users", newcomer("late")),
		away("a new key", admin, "POST", "/api/v1/api-keys", members{"name": "late", "scopes": []string{"events:read"}}),
		away("a change", admin, "PATCH", "/api/v1/users/me", members{"full_name": "Late"}),
		// Readers go on (SQLite's WAL).
		{"reading with a session", admin, "GET", "/api/v1/users/me", nil, 200, ""},
		{"reading with a key", key, "GET", "/api/v1/events", nil, 200, ""},
		{"a wrong password", s.client, "POST", "/api/v1/auth/login", credentials("warden", "not this one"), 401, "invalid-credentials"},
	}
	ask(t, append(probes, health(s)...))
	a := s.call(t, 503, "GET", "/health/ready", nil)
	if got := decode[readiness](t, a); got.Status == "ok" || got.Checks.Database == "ok" {
		t.Errorf("/health/ready: %s", a.body)
	}
	// The command gets this answer, and does not lose its patience before.
	if r := run(t, merlon("health", "--url", s.client.url)); r.code != 1 || !strings.Contains(complaint(t, r), "503") {
		t.Errorf("merlon health: exit %d, want 1 and the status: %s", r.code, r.stderr)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}

	recovers(t, s, admin)
	// What was refused has not happened behind the client's back.
	s.call(t, 201, "POST", "/api/v1/users", newcomer("late"))
	if me := get[members](t, admin, "/api/v1/users/me"); me["full_name"] != nil {
		t.Errorf("the refused change was made: %v", me)
	}
	// The trouble and what happened meanwhile are recorded, in both places.
	eventually(t, "the events of the trouble in the database", func() bool {
		all := events(t, admin, "")
		return count(all, "sys_degraded") > 0 && count(all, "sys_recovered") > 0 && count(all, "authn_login_fail") == 1
	})
	s.stop()
	inFile := logged(t, filepath.Join(dir, "logs", "security.log"))
	if count(inFile, "sys_degraded") == 0 || count(inFile, "sys_recovered") == 0 || count(inFile, "authn_login_fail") != 1 {
		t.Errorf("the file lacks events: %+v", inFile)
	}
	checkIntegrity(t, filepath.Join(dir, "data", "merlon.db"))
}

func recovers(t *testing.T, s service, admin client) {
	t.Helper()
	eventually(t, "it is ready again", func() bool {
		a, err := s.try("GET", "/health/ready", nil)
		return err == nil && a.status == 200
	})
	s.login(t, "warden", passphrase)
	// The event log takes a moment more: it is tried again at growing intervals.
	eventually(t, "a key can be made again", func() bool {
		time.Sleep(200 * time.Millisecond)
		a, err := admin.try("POST", "/api/v1/api-keys", members{"name": "again", "scopes": []string{"events:read"}})
		return err == nil && a.status == 201
	})
	if r := run(t, merlon("health", "--url", s.client.url)); r.code != 0 {
		t.Errorf("merlon health: exit %d, want 0", r.code)
	}
}

// Nobody can read: another process holds the locks that SQLite's readers take, bytes
// 123 to 127 of the shared memory (SQLite, "WAL-mode File Format", section 2.3).
func TestDatabaseCannotBeRead(t *testing.T) {
	t.Parallel()
	s, admin, key, dir := prepared(t)
	// As long as somebody has the database open, its shared memory is not removed
	// and made anew.
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "data", "merlon.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := db.QueryRow("SELECT count(*) FROM users").Scan(new(int)); err != nil {
		t.Fatal(err)
	}
	shm, err := os.OpenFile(filepath.Join(dir, "data", "merlon.db-shm"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer shm.Close()
	lock := func(kind int16) error {
		l := syscall.Flock_t{Type: kind, Start: 120, Len: 8}
		return syscall.FcntlFlock(shm.Fd(), syscall.F_SETLK, &l)
	}
	eventually(t, "the locks", func() bool { return lock(syscall.F_WRLCK) == nil })
	probes := []probe{
		away("a login", s.client, "POST", "/api/v1/auth/login", credentials("warden", passphrase)),
		away("a login of nobody", s.client, "POST", "/api/v1/auth/login", credentials("nobody", passphrase)),
		away("a registration", s.client, "POST", "/api/v1/users", newcomer("late")),
		away("events", key, "GET", "/api/v1/events", nil),
		away("the own account", admin, "GET", "/api/v1/users/me", nil),
		away("the own keys", admin, "GET", "/api/v1/api-keys", nil),
		// Nobody knows that this is none.
		away("another session", s.as("Cookie", cookieName+"=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "GET", "/api/v1/users/me", nil),
		// What needs no database goes on.
		{"the document", s.client, "GET", "/openapi.json", nil, 200, ""},
		{"no credential", s.client, "GET", "/api/v1/users/me", nil, 401, "unauthenticated"},
	}
	ask(t, append(probes, health(s)...))
	if err := lock(syscall.F_UNLCK); err != nil {
		t.Fatal(err)
	}
	recovers(t, s, admin)
	admin.call(t, 200, "GET", "/api/v1/users/me", nil)
	key.call(t, 200, "GET", "/api/v1/events", nil)
	s.stop()
}

// A server whose database is away ends in order all the same.
func TestOrderlyEndWithoutDatabase(t *testing.T) {
	t.Parallel()
	s, _, _, dir := prepared(t)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "data", "merlon.db")+"?_txlock=exclusive&_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	s.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", members{"username": "nobody", "password": "not this one"})
	s.signal(syscall.SIGTERM)
	r := s.wait(patience)
	// Some events are not in the database: that is no orderly end.
	if r.code != 1 {
		t.Errorf("exit %d, want 1 and what was lost:\n%s", r.code, r.stderr)
	}
	inFile := logged(t, filepath.Join(dir, "logs", "security.log"))
	if n := len(inFile); n == 0 || count(inFile, "authn_login_fail") != 1 || count(inFile, "sys_shutdown") != 1 {
		t.Errorf("the file lacks events: %+v", inFile)
	}
}
