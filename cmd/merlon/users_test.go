//go:build unix

package main_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func create(username, email string, more ...string) invocation {
	return merlon(append([]string{"users", "create", "--username", username, "--email", email, "--password-stdin"}, more...)...)
}

func TestUsersCreate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", developmentConfig)
	with := func(i invocation) invocation {
		i.args = append(i.args, "--config", config)
		return i.in(dir)
	}
	made := func(t *testing.T, i invocation) {
		t.Helper()
		r := run(t, with(i))
		if r.code != 0 || r.stderr != "" || !regexp.MustCompile(`^usr_[0-9a-f-]{36}\n$`).MatchString(r.stdout) {
			t.Errorf("exit %d, want 0 and an id:\n%s%s", r.code, r.stdout, r.stderr)
		}
	}

	// While no server runs, before one ever has.
	made(t, create("ada", "ada@example.com", "--role", "admin").reading(passphrase+"\n"))
	for _, name := range names(t, filepath.Join(dir, "data")) {
		if got := mode(t, filepath.Join(dir, "data", name)); got&0o077 != 0 {
			t.Errorf("%s has mode %o, want nothing for others", name, got)
		}
	}
	s := startService(t, merlon("--config", config).in(dir))
	admin := s.login(t, "ada", passphrase)
	me := get[members](t, admin, "/api/v1/users/me")
	if me["role"] != "admin" || me["email"] != "ada@example.com" {
		t.Errorf("the account is %v", me)
	}
	t.Run("is recorded", func(t *testing.T) {
		made := events(t, admin, "type=user_created")
		if len(made) != 1 || made[0].Principal != me["id"] || made[0].Severity == "" || made[0].Outcome != "success" {
			t.Errorf("in the API: %+v", made)
		}
		// Nobody held the file.
		if n := count(logged(t, filepath.Join(dir, "logs", "security.log")), "user_created"); n != 1 {
			t.Errorf("%d times in the file, want once", n)
		}
		createUser(t, merlon("--config", config).in(dir), "second", passphrase, "user")
		if n := len(events(t, admin, "type=user_created")); n != 2 {
			t.Errorf("%d in the API after another account, want 2", n)
		}
	})

	// While one runs: the login works at once.
	for _, tt := range []struct{ name, username, stdin, password string }{
		{"a line", "grace", passphrase + "\n", passphrase},
		{"a line of Windows", "grace2", passphrase + "\r\n", passphrase},
		{"a line without an end", "grace3", passphrase, passphrase},
		{"the first of two lines", "grace4", passphrase + "\nanother line\n", passphrase},
		{"spaces at both ends", "grace5", "  " + passphrase + " \n", "  " + passphrase + " "},
		{"not ASCII", "grace6", "Zinne und Lücke ⚔ 71\n", "Zinne und Lücke ⚔ 71"},
		{"128 code points", "grace7", strings.Repeat("Zinn⚔ lück", 12) + "31415926\n", strings.Repeat("Zinn⚔ lück", 12) + "31415926"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			made(t, create(tt.username, tt.username+"@example.com").reading(tt.stdin))
			if me := get[members](t, s.login(t, tt.username, tt.password), "/api/v1/users/me"); me["role"] != "user" {
				t.Errorf("without --role the account is %v", me)
			}
		})
	}
	t.Run("a name in capitals is lower-cased", func(t *testing.T) {
		made(t, create("Hopper", "hopper@example.com").reading(passphrase))
		s.login(t, "hopper", passphrase)
	})
	t.Run("an operator may use reserved names", func(t *testing.T) {
		made(t, create("support", "support@example.com").reading(passphrase))
	})

	for _, tt := range []struct {
		name string
		i    invocation
		want []string // one line each
	}{
		{"a taken name", create("ada", "other@example.com").reading(passphrase), []string{"there is an account"}},
		{"a taken name in capitals", create("ADA", "other@example.com").reading(passphrase), []string{"there is an account"}},
		{"a taken address", create("other", "ada@example.com").reading(passphrase), []string{"there is an account"}},
		{"everything at once", create("a", "nobody").reading("short"), []string{"username", "e-mail", "password"}},
		{"a name that is too long", create(strings.Repeat("a", 51), "long@example.com").reading(passphrase), []string{"username"}},
		{"a name with markup", create("<b>ada</b>", "markup@example.com").reading(passphrase), []string{"username"}},
		{"two addresses", create("twice", "a@example.com, b@example.com").reading(passphrase), []string{"e-mail"}},
		{"a common password", create("common", "common@example.com").reading("password1\n"), []string{"password"}},
		{"a password of its own name", create("embrasureking", "m@example.com").reading("embrasureking\n"), []string{"password"}},
		{"a password of 129 code points", create("long", "long@example.com").reading(strings.Repeat("Zinn⚔ lück", 12) + "314159265\n"), []string{"password"}},
		{"a password of a megabyte", create("huge", "huge@example.com").reading(strings.Repeat("Zinn⚔ lück", 80_000)), []string{"password"}},
		{"a password that is not UTF-8", create("latin", "latin@example.com").reading("L\xfccke und Zinne 71\n"), []string{"password"}},
		{"an empty line", create("empty", "empty@example.com").reading("\n" + passphrase + "\n"), []string{"password"}},
		{"nothing on standard input", create("empty", "empty@example.com"), []string{"password"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, with(tt.i))
			got := lines(r.stderr)
			if r.code != 1 || r.stdout != "" || len(got) != len(tt.want) {
				t.Errorf("exit %d, want 1, nothing on standard output and %d lines:\n%s%s", r.code, len(tt.want), r.stdout, r.stderr)
				return
			}
			for i, want := range tt.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("line %d is %q, want it to speak of %q", i+1, got[i], want)
				}
			}
			if first := strings.TrimSuffix(strings.SplitN(tt.i.stdin, "\n", 2)[0], "\r"); len(first) > 4 && first != "embrasureking" && strings.Contains(r.stderr, first) {
				t.Errorf("the password is shown:\n%.200s", r.stderr)
			}
		})
	}
	t.Run("what was refused left nothing", func(t *testing.T) {
		made(t, create("other", "other@example.com").reading(passphrase))
	})
	s.stop()
	checkIntegrity(t, filepath.Join(dir, "data", "merlon.db"))
}

// A password on the command line would be in the list of processes.
func TestUsersCreateUsage(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"a password on the command line":   {"--username", "ada", "--email", "a@example.com", "--password-stdin", "--password", hidden},
		"the same with an equals sign":     {"--username", "ada", "--email", "a@example.com", "--password-stdin", "--password=" + hidden},
		"a password for --password-stdin":  {"--username", "ada", "--email", "a@example.com", "--password-stdin=" + hidden},
		"a password after everything":      {"--username", "ada", "--email", "a@example.com", "--password-stdin", hidden},
		"a role that there is not":         {"--username", "ada", "--email", "a@example.com", "--password-stdin", "--role", "root"},
		"no username":                      {"--email", "a@example.com", "--password-stdin"},
		"no e-mail address":                {"--username", "ada", "--password-stdin"},
		"nowhere to read a password":       {"--username", "ada", "--email", "a@example.com"},
		"a configuration that is not good": {"--username", "ada", "--email", "a@example.com", "--password-stdin", "--config", "missing.yaml"},
		"no configuration":                 {"--username", "ada", "--email", "a@example.com", "--password-stdin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := run(t, merlon(append([]string{"users", "create"}, args...)...).in(dir).reading(passphrase))
			if r.code != 2 || r.stdout != "" || r.stderr == "" {
				t.Errorf("exit %d, want 2 and an explanation:\n%s%s", r.code, r.stdout, r.stderr)
			}
			if strings.Contains(r.stderr, hidden) || strings.Contains(r.stderr, passphrase) {
				t.Errorf("the password is shown:\n%s", r.stderr)
			}
			if made := names(t, dir); len(made) > 0 {
				t.Errorf("it made %v", made)
			}
		})
	}
}

// Many operators, one server, one database.
func TestUsersCreateAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", developmentConfig)
	var all []*process
	for _, name := range []string{"a-one", "a-two", "a-three", "a-four", "a-five", "a-six"} {
		i := create(name, name+"@example.com", "--config", config).in(dir).reading(passphrase)
		all = append(all, start(t, i))
	}
	s := startService(t, merlon("--config", config).in(dir))
	for _, p := range all {
		if r := p.wait(patience); r.code != 0 {
			t.Errorf("%v: exit %d:\n%s", p.cmd.Args, r.code, r.stderr)
		}
	}
	for _, name := range []string{"a-one", "a-six"} {
		s.login(t, name, passphrase)
	}
	// The same name from two sides: one of them has it.
	first := start(t, create("both", "both1@example.com", "--config", config).in(dir).reading(passphrase))
	second := start(t, create("both", "both2@example.com", "--config", config).in(dir).reading(passphrase))
	if a, b := first.wait(patience).code, second.wait(patience).code; a+b != 1 {
		t.Errorf("exits %d and %d, want one 0 and one 1", a, b)
	}
	s.stop()
}
