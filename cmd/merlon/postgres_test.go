//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/merlonhq/merlon/e2e/postgrestest"
)

// onPostgres is developmentConfig with a PostgreSQL database.
func onPostgres(url string) string {
	return strings.Replace(developmentConfig, "sqlite:data/merlon.db", "\""+url+"\"", 1)
}

// A node is a service among others on one database, in a directory of its own.
type node struct {
	service
	dir    string
	config string
}

func startNode(t *testing.T, url string) node {
	t.Helper()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", onPostgres(url))
	return node{startService(t, merlon("--config", config).in(dir)), dir, config}
}

func bearer(s service, token string) client { return s.as("Authorization", "Bearer "+token) }

type pair struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func grant(username, password string) members {
	return members{"grant_type": "password", "username": username, "password": password}
}

func renewal(refresh string) members {
	return members{"grant_type": "refresh_token", "refresh_token": refresh}
}

// The whole of the service on PostgreSQL: accounts, sessions, tokens, keys and events.
func TestServeOnPostgreSQL(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", onPostgres(url))
	createUser(t, merlon("--config", config).in(dir), "warden", passphrase, "admin")
	s := startService(t, merlon("--config", config).in(dir))
	s.call(t, 201, "POST", "/api/v1/users", newcomer("ada"))
	s.refused(t, 409, "account-exists", "POST", "/api/v1/users", newcomer("ada"))
	s.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("ada", "not this one"))
	// What PostgreSQL cannot hold is no outage.
	s.call(t, 200, "POST", "/api/v1/auth/login", credentials("ada", passphrase), "User-Agent", "not \xff UTF-8")
	ada := s.login(t, "ada", passphrase)
	ada.call(t, 200, "PATCH", "/api/v1/users/me", members{"full_name": "Ada \U0001F3F0"})
	if me := get[members](t, ada, "/api/v1/users/me"); me["full_name"] != "Ada \U0001F3F0" {
		t.Errorf("the account is %v", me)
	}
	admin := s.login(t, "warden", passphrase)
	key := decode[struct{ ID, Key string }](t, admin.call(t, 201, "POST", "/api/v1/api-keys", members{"name": "one", "scopes": []string{"events:read"}}))
	s.as("X-API-Key", key.Key).call(t, 200, "GET", "/api/v1/events", nil)
	next := decode[struct{ ID, Key string }](t, admin.call(t, 201, "POST", "/api/v1/api-keys/"+key.ID+"/rotate", members{"overlap_seconds": 0}))
	s.as("X-API-Key", next.Key).call(t, 200, "GET", "/api/v1/events", nil)
	first := decode[pair](t, s.call(t, 200, "POST", "/api/v1/auth/token", grant("ada", passphrase)))
	bearer(s, first.Access).call(t, 200, "GET", "/api/v1/users/me", nil)
	second := decode[pair](t, s.call(t, 200, "POST", "/api/v1/auth/token", renewal(first.Refresh)))
	// A refresh token that comes twice ends the family.
	s.call(t, 401, "POST", "/api/v1/auth/token", renewal(first.Refresh))
	s.call(t, 401, "POST", "/api/v1/auth/token", renewal(second.Refresh))
	bearer(s, second.Access).call(t, 401, "GET", "/api/v1/users/me", nil)
	eventually(t, "the events", func() bool {
		all := events(t, admin, "")
		return count(all, "user_created") == 2 && count(all, "authn_login_fail") == 1 && count(all, "sys_startup") == 1
	})
	ada.call(t, 204, "POST", "/api/v1/auth/logout", nil)
	ada.call(t, 401, "GET", "/api/v1/users/me", nil)
	s.call(t, 200, "GET", "/health/ready", nil)
	s.stop()
	if made := names(t, dir); fmt.Sprint(made) != "[logs merlon.yaml]" {
		t.Errorf("the directory holds %v", made)
	}
	// It is all there after a restart.
	s = startService(t, merlon("--config", config).in(dir))
	admin.url = s.url
	s.as(admin.header...).call(t, 200, "GET", "/api/v1/users/me", nil)
	s.as("X-API-Key", next.Key).call(t, 200, "GET", "/api/v1/events", nil)
	s.stop()
}

// What is ended on one node is refused by the other within its bound, a second.
func TestWhatOneNodeEndsTheOtherRefuses(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	a, b := startNode(t, url), startNode(t, url)
	createUser(t, merlon("--config", a.config).in(a.dir), "warden", passphrase, "admin")
	admin := a.login(t, "warden", passphrase)
	const n = 20
	type made struct{ ID, Key string }
	var keys [n]made
	for i := range n {
		keys[i] = decode[made](t, admin.call(t, 201, "POST", "/api/v1/api-keys", members{"name": "k", "scopes": []string{"events:read"}}))
	}
	a.call(t, 201, "POST", "/api/v1/users", newcomer("ada"))
	session := a.login(t, "ada", passphrase)
	elsewhere := b.as(session.header...)
	tokens := decode[pair](t, a.call(t, 200, "POST", "/api/v1/auth/token", grant("ada", passphrase)))
	elsewhere.call(t, 200, "GET", "/api/v1/users/me", nil)
	bearer(b.service, tokens.Access).call(t, 200, "GET", "/api/v1/users/me", nil)
	for _, k := range keys { // the other has a verdict on each in its cache
		b.as("X-API-Key", k.Key).call(t, 200, "GET", "/api/v1/events?limit=1", nil)
	}
	for _, k := range keys {
		admin.call(t, 204, "DELETE", "/api/v1/api-keys/"+k.ID, nil)
	}
	session.call(t, 204, "POST", "/api/v1/users/me/password", members{"current_password": passphrase, "new_password": passphrase + " and more"})
	time.Sleep(time.Second) // the bound
	for i, k := range keys {
		if got, err := b.as("X-API-Key", k.Key).try("GET", "/api/v1/events?limit=1", nil); err != nil || got.status != 401 {
			t.Errorf("key %d that the other node revoked: status %d (%v), want 401", i, got.status, err)
		}
	}
	bearer(b.service, tokens.Access).call(t, 401, "GET", "/api/v1/users/me", nil)
	b.call(t, 401, "POST", "/api/v1/auth/token", renewal(tokens.Refresh))
	b.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("ada", passphrase))
	b.login(t, "ada", passphrase+" and more")
	// Each has an event log of its own, and both write to the one database.
	eventually(t, "the events of both nodes", func() bool {
		return count(events(t, admin, "type=sys_startup"), "sys_startup") == 2
	})
	for _, one := range []node{a, b} {
		one.stop()
		if n := count(logged(t, filepath.Join(one.dir, "logs", "security.log")), "sys_startup"); n != 1 {
			t.Errorf("%d starts in the log of a node, want 1", n)
		}
	}
}

// A node with another secret key says so, and neither takes the other's tokens for its own.
func TestANodeWithAnotherSecretSaysSo(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	a := startNode(t, url)
	a.call(t, 201, "POST", "/api/v1/users", newcomer("ada"))
	tokens := decode[pair](t, a.call(t, 200, "POST", "/api/v1/auth/token", grant("ada", passphrase)))
	dir := t.TempDir()
	other := strings.Replace(onPostgres(url), "3f9b2c71d84e60a5f7c1290eb46d8a53", "81b4f9e2a6d03c57e1f8a2946b7d05c3", 1)
	b := startService(t, merlon("--config", write(t, dir, "merlon.yaml", other)).in(dir))
	b.line(b.stderr, `time=\S+ level=WARN msg="tokens: signing keys" error=.*`)
	bearer(b, tokens.Access).call(t, 401, "GET", "/api/v1/users/me", nil)
	bearer(a.service, tokens.Access).call(t, 200, "GET", "/api/v1/users/me", nil)
	// Sessions are in the database; only what the key signs differs.
	ada := a.login(t, "ada", passphrase)
	b.as(ada.header...).call(t, 200, "GET", "/api/v1/users/me", nil)
	b.as(ada.header...).refused(t, 403, "csrf-token-invalid", "POST", "/api/v1/auth/logout", nil)
	b.stop()
	a.stop()
}

// Two nodes are asked for the same thing at once.
func TestOfTwoNodesOneSucceeds(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	nodes := []node{startNode(t, url), startNode(t, url)}
	both := func(method, path string, body any) (statuses map[int]int) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		statuses = map[int]int{}
		for i := range 4 {
			wg.Go(func() {
				got, err := nodes[i%2].try(method, path, body)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				statuses[got.status]++
			})
		}
		wg.Wait()
		return statuses
	}
	for i := range 6 {
		name := fmt.Sprintf("racer%d", i)
		if got := both("POST", "/api/v1/users", newcomer(name)); got[201] != 1 || got[409] != 3 {
			t.Errorf("registrations of one name: %v, want one 201 and three 409", got)
		}
		login := decode[pair](t, nodes[0].call(t, 200, "POST", "/api/v1/auth/token", grant(name, passphrase)))
		if got := both("POST", "/api/v1/auth/token", renewal(login.Refresh)); got[200] > 1 || got[200]+got[401] != 4 {
			t.Errorf("uses of one refresh token: %v, want one 200 at most and else 401", got)
		}
		// It came more than once, so whoever has it is out.
		bearer(nodes[1].service, login.Access).call(t, 401, "GET", "/api/v1/users/me", nil)
	}
	for _, n := range nodes {
		n.stop()
	}
}

// The server of the database dies, and comes back.
func TestPostgreSQLDiesAndComesBack(t *testing.T) {
	t.Parallel()
	db := postgrestest.Start(t)
	url := db.Database(t)
	n := startNode(t, url)
	createUser(t, merlon("--config", n.config).in(n.dir), "warden", passphrase, "admin")
	admin := n.login(t, "warden", passphrase)
	made := decode[struct{ Key string }](t, admin.call(t, 201, "POST", "/api/v1/api-keys", members{"name": "probe", "scopes": []string{"events:read"}}))
	key := n.as("X-API-Key", made.Key)
	key.call(t, 200, "GET", "/api/v1/events", nil)
	away := []probe{
		away("a login", n.client, "POST", "/api/v1/auth/login", credentials("warden", passphrase)),
		away("a wrong password", n.client, "POST", "/api/v1/auth/login", credentials("warden", "not this one")),
		away("a registration", n.client, "POST", "/api/v1/users", newcomer("late")),
		away("a session", admin, "GET", "/api/v1/users/me", nil),
		away("another session", n.as("Cookie", cookieName+"=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "GET", "/api/v1/users/me", nil),
		away("a key", key, "GET", "/api/v1/events", nil),
		away("a refresh token", n.client, "POST", "/api/v1/auth/token", renewal("mrt_"+strings.Repeat("A", 86))),
		{"the document", n.client, "GET", "/openapi.json", nil, 200, ""},
		{"no credential", n.client, "GET", "/api/v1/users/me", nil, 401, "unauthenticated"},
	}
	away[6].status, away[6].code = 401, n.call(t, 401, "POST", "/api/v1/auth/token", away[6].body).code() // malformed: known without a store
	red := func() bool {
		got, err := n.try("GET", "/health/ready", nil)
		return err == nil && got.status == 503 && decode[readiness](t, got).Checks.Database != "ok"
	}

	db.Kill(t)
	time.Sleep(time.Second) // the verdict on the key
	eventually(t, "it is not ready", red)
	ask(t, away)
	if err := db.Run(); err != nil {
		t.Fatal(err)
	}
	recovers(t, n.service, admin)
	key.call(t, 200, "GET", "/api/v1/events", nil)
	n.call(t, 201, "POST", "/api/v1/users", newcomer("late"))

	// It is there, and does not answer.
	db.Pause(t)
	time.Sleep(time.Second)
	eventually(t, "it is not ready", red)
	ask(t, away[:6])
	db.Resume(t)
	recovers(t, n.service, admin)
	eventually(t, "the events of the trouble", func() bool {
		all := events(t, admin, "")
		return count(all, "sys_degraded") > 0 && count(all, "sys_recovered") > 0 && count(all, "user_created") >= 2
	})
	n.stop()
}

// The database ceases to take writes while the service runs: it says so, reads on, and recovers by itself.
func TestPostgreSQLTakesNoWrites(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]struct{ begin, end []string }{
		"it becomes read-only": {
			[]string{"ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"},
			[]string{"ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"},
		},
		"the right to write is taken away": {
			[]string{"REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public FROM merlon"},
			[]string{"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO merlon"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := postgrestest.Start(t)
			url := db.Database(t)
			n := startNode(t, url)
			createUser(t, merlon("--config", n.config).in(n.dir), "warden", passphrase, "admin")
			admin := n.login(t, "warden", passphrase)
			made := decode[struct{ Key string }](t, admin.call(t, 201, "POST", "/api/v1/api-keys", members{"name": "probe", "scopes": []string{"events:read"}}))
			for _, statement := range trouble.begin {
				db.Exec(t, url, statement)
			}
			eventually(t, "it is not ready", func() bool {
				got, err := n.try("GET", "/health/ready", nil)
				return err == nil && got.status == 503 && decode[readiness](t, got).Checks.Database != "ok"
			})
			ask(t, []probe{
				away("a login", n.client, "POST", "/api/v1/auth/login", credentials("warden", passphrase)),
				away("a registration", n.client, "POST", "/api/v1/users", newcomer("late")),
				away("a new key", admin, "POST", "/api/v1/api-keys", members{"name": "late", "scopes": []string{"events:read"}}),
				away("a change", admin, "PATCH", "/api/v1/users/me", members{"full_name": "Late"}),
				{"reading with a session", admin, "GET", "/api/v1/users/me", nil, 200, ""},
				{"reading with a key", n.as("X-API-Key", made.Key), "GET", "/api/v1/events", nil, 200, ""},
				{"a wrong password", n.client, "POST", "/api/v1/auth/login", credentials("warden", "not this one"), 401, "invalid-credentials"},
			})
			for _, statement := range trouble.end {
				db.Exec(t, url, statement)
			}
			recovers(t, n.service, admin)
			n.call(t, 201, "POST", "/api/v1/users", newcomer("late"))
			if me := get[members](t, admin, "/api/v1/users/me"); me["full_name"] != nil {
				t.Errorf("the refused change was made: %v", me)
			}
			n.stop()
		})
	}
}

func TestWhatIsWrongWithPostgreSQLStopsTheStart(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	newer := postgrestest.Database(t)
	dir := t.TempDir()
	createUser(t, merlon("--config", write(t, dir, "a.yaml", onPostgres(newer))).in(dir), "ada", passphrase, "user")
	server.Exec(t, newer, "INSERT INTO merlon_schema (version_id, is_applied) VALUES (99, true)")
	readOnly, denied := postgrestest.Database(t), postgrestest.Database(t)
	server.Exec(t, readOnly, `DO $$BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET default_transaction_read_only = on'; END$$`)
	server.Exec(t, denied, "ALTER SCHEMA public OWNER TO postgres; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	foreign := postgrestest.Database(t)
	server.Exec(t, foreign, "CREATE TABLE orders (n INT)")
	for _, tt := range []struct{ name, url, says string }{
		{"a wrong password", strings.Replace(newer, server.Password, "wrong-hunter2", 1), "merlon.E142: "},
		{"no such database", server.URL("merlon", server.Password, "nowhere"), "merlon.E143: "},
		{"a newer schema", newer, "merlon.E145: "},
		{"another program's", foreign, "merlon.E144: "},
		{"a read-only one", readOnly, "merlon.E146: "},
		{"a user without rights", denied, "merlon.E142: "},
		{"no TLS", strings.Replace(newer, "disable", "require", 1), "merlon.E149: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			config := write(t, dir, "merlon.yaml", onPostgres(tt.url))
			for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"migrate", "up"}, {"migrate", "status"}} {
				if tt.says == "merlon.E146: " && args[1] == "status" {
					continue // it reads
				}
				r := run(t, merlon(append(args, "--config", config)...).in(dir))
				line := complaint(t, r)
				if r.code != 1 || !strings.Contains(line, tt.says) || !strings.Contains(line, server.Address) {
					t.Errorf("%v: exit %d, want 1 and a line that says %q:\n%s", args, r.code, tt.says, r.stderr)
				}
				if strings.Contains(r.stderr, server.Password) || strings.Contains(r.stderr, "hunter2") {
					t.Errorf("%v: a password is shown:\n%s", args, r.stderr)
				}
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		nobody := l.Addr().String()
		l.Close()
		dir := t.TempDir()
		config := write(t, dir, "merlon.yaml", onPostgres(strings.Replace(newer, server.Address, nobody, 1)))
		p := start(t, merlon("serve", "--config", config, "--listen", "127.0.0.1:0").in(dir))
		p.line(p.stderr, `time=\S+ level=WARN msg="waiting for the database" database=`+nobody+`\S* error=.*giving_up_after=1m0s`)
		p.signal(syscall.SIGTERM)
		if r := p.wait(patience); r.code != 1 || strings.Contains(r.stderr, server.Password) {
			t.Errorf("exit %d, want 1 and no password:\n%s", r.code, r.stderr)
		}
	})
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{"SQLite": developmentConfig, "PostgreSQL": onPostgres(postgrestest.Database(t))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := write(t, dir, "merlon.yaml", config)
			do := func(code int, args ...string) string {
				t.Helper()
				r := run(t, merlon(append(append([]string{"migrate"}, args...), "--config", file)...).in(dir))
				if r.code != code || r.stderr != "" {
					t.Errorf("migrate %v: exit %d, want %d:\n%s%s", args, r.code, code, r.stdout, r.stderr)
				}
				return r.stdout
			}
			status := do(1, "status")
			n := strings.Count(status, "pending  ")
			if n < 4 || strings.Contains(status, "applied") || !strings.Contains(status, "merlon           00001_core.sql") {
				t.Errorf("status of a new database:\n%s", status)
			}
			if dry := do(0, "up", "--dry-run"); dry != status {
				t.Errorf("up --dry-run:\n%s", dry)
			}
			if again := do(1, "status"); again != status {
				t.Errorf("status after it:\n%s", again)
			}
			if made := names(t, dir); len(made) != 1 {
				t.Errorf("what changes nothing made %v", made)
			}
			if up := do(0, "up"); up != strings.ReplaceAll(status, "pending", "applied") {
				t.Errorf("up:\n%s", up)
			}
			for _, args := range [][]string{{"up"}, {"up", "--dry-run"}} {
				if got := do(0, args...); got != "nothing is pending\n" {
					t.Errorf("%v after it: %q", args, got)
				}
			}
			if got := do(0, "up", "--json"); got != "{\n  \"migrations\": []\n}\n" {
				t.Errorf("up --json: %q", got)
			}
			var all struct {
				Migrations []struct {
					Set, File string
					Version   int
					Applied   bool
				}
			}
			if err := json.Unmarshal([]byte(do(0, "status", "--json")), &all); err != nil || len(all.Migrations) != n {
				t.Fatalf("status --json: %d, %v", len(all.Migrations), err)
			}
			for _, m := range all.Migrations {
				if !m.Applied || m.Version < 1 || m.Set == "" || m.File == "" {
					t.Errorf("status --json: %+v", m)
				}
			}
			s := startService(t, merlon("--config", file).in(dir))
			do(0, "up") // beside a server that runs
			s.call(t, 200, "GET", "/health/ready", nil)
			s.stop()
		})
	}
}
