//go:build unix

package main_test

import (
	"strings"
	"testing"

	"github.com/merlonhq/merlon/e2e/postgrestest"
)

// An account that somebody else has: everything of it ends while the server runs, and
// its owner comes back with another password.
func TestAnAccountThatWasTakenOverIsTakenBack(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]func() string{
		"SQLite": func() string { return developmentConfig }, "PostgreSQL": func() string { return onPostgres(postgrestest.Database(t)) },
	} {
		t.Run(name, func(t *testing.T) { takeBack(t, settings()) })
	}
}

func takeBack(t *testing.T, settings string) {
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", settings)
	createUser(t, merlon("--config", config).in(dir), "ada", passphrase, "user")
	createUser(t, merlon("--config", config).in(dir), "warden", passphrase, "admin")
	s := startService(t, merlon("--config", config).in(dir))
	stolen := s.login(t, "ada", passphrase)
	tokens := decode[pair](t, s.call(t, 200, "POST", "/api/v1/auth/token", grant("ada", passphrase)))
	key := decode[members](t, stolen.call(t, 201, "POST", "/api/v1/api-keys", members{"name": "theirs", "scopes": []string{"keys:manage"}}))["key"].(string)
	other := s.login(t, "warden", passphrase)
	users := func(stdin string, args ...string) result {
		t.Helper()
		return run(t, merlon(append(append([]string{"users"}, args...), "--config", config)...).in(dir).reading(stdin))
	}

	if r := users("", "disable", "--username", "Ada"); r.code != 0 || r.stdout != "" {
		t.Fatalf("users disable: exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	eventually(t, "the session ends", func() bool {
		a, err := stolen.try("GET", "/api/v1/users/me", nil)
		return err == nil && a.status == 401
	})
	eventually(t, "the access token ends", func() bool {
		a, err := bearer(s, tokens.Access).try("GET", "/api/v1/users/me", nil)
		return err == nil && a.status == 401
	})
	eventually(t, "the key ends", func() bool {
		a, err := s.as("X-API-Key", key).try("GET", "/api/v1/api-keys", nil)
		return err == nil && a.status == 401
	})
	s.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/token", renewal(tokens.Refresh))
	s.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("ada", passphrase))
	other.call(t, 200, "GET", "/api/v1/users/me", nil) // nobody else is touched

	if r := users(passphrase+"\n", "enable", "--username", "ada", "--password-stdin"); r.code != 1 || !strings.Contains(r.stderr, "is the one that the account has") {
		t.Errorf("with the password that is known: exit %d: %s", r.code, r.stderr)
	}
	if r := users("password\n", "enable", "--username", "ada", "--password-stdin"); r.code != 1 {
		t.Errorf("with a password that is easy to guess: exit %d: %s", r.code, r.stderr)
	}
	s.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("ada", passphrase))
	const another = "machicolation bartizan 54 turret"
	if r := users(another+"\n", "enable", "--username", "ada", "--password-stdin"); r.code != 0 {
		t.Fatalf("users enable: exit %d: %s", r.code, r.stderr)
	}
	s.login(t, "ada", another)
	s.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("ada", passphrase))
	s.as("X-API-Key", key).call(t, 401, "GET", "/api/v1/api-keys", nil)
	stolen.call(t, 401, "GET", "/api/v1/users/me", nil)

	for _, args := range [][]string{{"disable", "--username", "nobody"}, {"enable", "--username", "nobody", "--password-stdin"}} {
		if r := users(another+"\n", args...); r.code != 1 || !strings.Contains(r.stderr, "there is no account with this username") {
			t.Errorf("users %q: exit %d: %s", args, r.code, r.stderr)
		}
	}
	changed := map[string]int{}
	for _, e := range events(t, s.login(t, "warden", passphrase), "type=user_updated") {
		changed[e.Detail["change"].(string)]++
	}
	if changed["disabled"] != 1 || changed["enabled, with another password"] != 1 {
		t.Errorf("the changes that are recorded: %v", changed)
	}
}
