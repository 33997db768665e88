//go:build unix

package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestEventsVerify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", developmentConfig)
	cmd := func(args ...string) result { return run(t, merlon(append([]string{"events"}, args...)...).in(dir)) }
	if r := cmd("public-key", "--config", config); r.code != 1 || !strings.Contains(r.stderr, "before its first start") {
		t.Errorf("public-key before a start: exit %d\n%s", r.code, r.stderr)
	}
	createUser(t, merlon("--config", config).in(dir), "ada", passphrase, "admin")
	// What the command wrote is signed, before a server ever ran.
	if r := cmd("verify", filepath.Join(dir, "logs", "security.log")); r.code != 0 || !strings.Contains(r.stderr, "signatures of 1 checkpoints are unchecked") || strings.Contains(r.stderr, "not covered") {
		t.Errorf("after users create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	s := startService(t, merlon("--config", config).in(dir))
	admin := s.login(t, "ada", passphrase)
	for range 5 {
		admin.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("ada", "wrong "+passphrase))
	}

	r := cmd("public-key", "--config", config)
	if r.code != 0 || !regexp.MustCompile(`^# node_[A-Z2-7]{26} key [A-Za-z0-9_-]{16}\n-----BEGIN PUBLIC KEY-----\n`).MatchString(r.stdout) {
		t.Fatalf("public-key: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	key := write(t, dir, "node.pem", r.stdout)
	// While it runs, and after its end.
	log := filepath.Join(dir, "logs", "security.log")
	if r := cmd("verify", "--public-key", key, log); r.code != 0 || !strings.Contains(r.stdout, "intact") {
		t.Errorf("of a running server: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	s.stop()
	r = cmd("verify", "--public-key", key, log)
	if r.code != 0 || r.stderr != "" || !regexp.MustCompile(`^intact: lines 1 to \d+, \d+ checkpoints with a good signature\n$`).MatchString(r.stdout) {
		t.Errorf("of an orderly end: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := cmd("verify", log); r.code != 0 || !strings.Contains(r.stderr, "unchecked") {
		t.Errorf("without a key: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}

	// The copies of checkpoints that the database has.
	r = cmd("query", "--config", config, "--type", "sys_log_checkpoint", "--json")
	elsewhere := write(t, dir, "elsewhere.jsonl", r.stdout)
	if r.code != 0 || strings.Count(r.stdout, "\n") < 1 {
		t.Fatalf("query: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
	lines[len(lines)-1] += "\n"
	n := len(lines)
	changed := filepath.Join(dir, "changed.log")
	at := func(line int, why string) string {
		return "^" + regexp.QuoteMeta(changed+":"+strconv.Itoa(line)+": ") + ".*" + why
	}
	for _, c := range []struct {
		name, text string
		args       []string
		code       int
		want       string // of the first line of output, or of standard error
	}{
		{"edited", strings.Replace(string(text), `"type":"authn_login_fail"`, `"type":"authn_login_pass"`, 1), nil, 1, ":\\d+: the line was edited"},
		{"removed", strings.Join(lines[:2], "") + strings.Join(lines[3:], ""), nil, 1, at(3, "missing")},
		{"cut", strings.Join(lines[:n-2], ""), nil, 0, "^intact"},
		{"cut, with a checkpoint from elsewhere", strings.Join(lines[:n-2], ""), []string{"--checkpoint", elsewhere}, 1, at(n-2, "cut off")},
		{"whole, with a checkpoint from elsewhere", string(text), []string{"--checkpoint", elsewhere}, 0, "^intact"},
		{"torn", string(text) + `{"id":"evt_`, nil, 0, "note: " + regexp.QuoteMeta(changed) + `:\d+: the last line is torn`},
	} {
		write(t, dir, "changed.log", c.text)
		r := cmd(append(append([]string{"verify", "--public-key", key}, c.args...), changed)...)
		if r.code != c.code || !regexp.MustCompile(c.want).MatchString(r.stdout) && !regexp.MustCompile(c.want).MatchString(r.stderr) {
			t.Errorf("%s: exit %d, want %d and %s\n%s%s", c.name, r.code, c.code, c.want, r.stdout, r.stderr)
		}
	}
	for name, args := range map[string][]string{
		"no file":                     {"verify"},
		"a file that is missing":      {"verify", filepath.Join(dir, "none.log")},
		"a key that is none":          {"verify", "--public-key", config, log},
		"checkpoints that are none":   {"verify", "--checkpoint", config, log},
		"a key file that is missing":  {"verify", "--public-key", filepath.Join(dir, "none.pem"), log},
		"a directory":                 {"verify", dir},
		"a compressed file that lies": {"verify", write(t, dir, "lie.log.gz", "text")},
	} {
		if r := cmd(args...); r.code != 2 || r.stderr == "" {
			t.Errorf("%s: exit %d, want 2 and why\n%s%s", name, r.code, r.stdout, r.stderr)
		}
	}
	// Killed, the next start names what is torn; here half a line that a kill may leave.
	s = startService(t, merlon("--config", config).in(dir))
	s.kill()
	tear(t, log)
	s = startService(t, merlon("--config", config).in(dir))
	s.stop()
	if r := cmd("verify", "--public-key", key, log); r.code != 0 || !strings.Contains(r.stderr, "torn by a crash") {
		t.Errorf("after a kill: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

func TestEventsOnTheCommandLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", strings.Replace(developmentConfig, "security.log}", "security.log, addresses: hashed, names: hashed}", 1))
	cmd := func(args ...string) result {
		return run(t, merlon(append(append([]string{"events"}, args...), "--config", config)...).in(dir))
	}
	if r := cmd("query"); r.code != 1 || !strings.Contains(r.stderr, "no events to read") {
		t.Errorf("query before there is a database: exit %d\n%s", r.code, r.stderr)
	}
	createUser(t, merlon("--config", config).in(dir), "ada", passphrase, "admin")
	s := startService(t, merlon("--config", config).in(dir))
	admin := s.login(t, "ada", passphrase)
	admin.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("ada", "wrong "+passphrase))
	deadline := time.Now().Add(patience)
	for len(events(t, admin, "type=authn_login_fail")) == 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}

	t.Run("query", func(t *testing.T) {
		r := cmd("query", "--type", "authn_login_fail")
		if r.code != 0 || strings.Contains(r.stdout, "\x1b") || !regexp.MustCompile(`^\d{4}-\d\d-\d\dT[\d:]+  low +authn_login_fail +failure +hmac_\S+  hmac_\S+  POST /api/v1/auth/login  \{"reason":"wrong_password","session_id":"ses_[0-9a-f-]+"}\n$`).MatchString(r.stdout) {
			t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		// The address is given whole, and finds what is recorded of it.
		r = cmd("query", "--address", "127.0.0.1", "--since", "1h", "--limit", "1", "--json")
		var e event
		if r.code != 0 || json.Unmarshal([]byte(r.stdout), &e) != nil || strings.Contains(r.stdout, "127.0.0.1") || !strings.HasPrefix(r.stderr, "more: --cursor ") {
			t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		if got := events(t, admin, "address=127.0.0.1&type="+e.Type); len(got) == 0 {
			t.Error("the API does not find the address")
		}
		cursor := strings.TrimSpace(strings.TrimPrefix(r.stderr, "more: --cursor "))
		if next := cmd("query", "--address", "127.0.0.1", "--limit", "1", "--json", "--cursor", cursor); next.code != 0 || next.stdout == r.stdout {
			t.Errorf("the next page: exit %d\n%s%s", next.code, next.stdout, next.stderr)
		}
	})
	t.Run("stats", func(t *testing.T) {
		r := cmd("stats", "--json")
		var found bool
		for line := range strings.Lines(r.stdout) {
			var n struct {
				Start time.Time
				Type  string
				Count int
			}
			if err := json.Unmarshal([]byte(line), &n); err != nil || n.Start.Minute() != 0 {
				t.Fatalf("%v: %s", err, line)
			}
			found = found || n.Type == "authn_login_fail" && n.Count == 1
		}
		if r.code != 0 || !found {
			t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		if r := cmd("stats"); r.code != 0 || !strings.Contains(r.stdout, "authn_login_fail                     1  #") {
			t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
	})
	t.Run("tail", func(t *testing.T) {
		r := cmd("tail", "-n", "1000")
		if r.code != 0 || strings.Count(r.stdout, " sys_startup ") != 1 || strings.Contains(r.stdout, "127.0.0.1") || strings.Contains(r.stdout, "usr_") {
			t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		if r := cmd("tail", "-n", "1", "--json"); strings.Count(r.stdout, "\n") != 1 || !json.Valid([]byte(r.stdout)) {
			t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		p := start(t, merlon("events", "tail", "-n", "1", "--follow", "--config", config).in(dir))
		waitFor(t, func() bool { return p.stdout.String() != "" }) // it has read to the end
		admin.call(t, 204, "POST", "/api/v1/auth/logout", nil)
		waitFor(t, func() bool { return strings.Contains(p.stdout.String(), "session_logout") })
		// Over a rotation by somebody else.
		log := filepath.Join(dir, "logs", "security.log")
		if err := os.Rename(log, log+".1"); err != nil {
			t.Fatal(err)
		}
		before := strings.Count(p.stdout.String(), "session_created")
		s.login(t, "ada", passphrase)
		waitFor(t, func() bool { return strings.Count(p.stdout.String(), "session_created") > before })
		if r := p.stop(); r.code != 0 {
			t.Errorf("interrupted: exit %d\n%s", r.code, r.stderr)
		}
	})
	for _, args := range [][]string{{"query", "--limit", "0"}, {"query", "--since", "yesterday"}, {"query", "--cursor", "forged"}, {"stats", "--every", "1ms"}, {"tail", "-n", "-1"}} {
		if r := cmd(args...); r.code != 2 || r.stderr == "" {
			t.Errorf("%v: exit %d, want 2 and why\n%s", args, r.code, r.stderr)
		}
	}
}

func TestPatternsOfAttacksAreRecorded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", strings.Replace(developmentConfig, "security.log}", "security.log, canaries: [backup, /.env]}", 1))
	createUser(t, merlon("--config", config).in(dir), "ada", passphrase, "admin")
	s := startService(t, merlon("--config", config).in(dir))
	admin := s.login(t, "ada", passphrase)
	seen := func(kind string) func() bool { return func() bool { return len(events(t, admin, "type="+kind)) > 0 } }
	for i := range 40 {
		s.refused(t, 404, "not-found", "GET", "/wp-"+strconv.Itoa(i), nil)
	}
	waitFor(t, seen("malicious_excess_404"))
	for i := range 25 {
		n := strconv.Itoa(i)
		s.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("leaked"+n, "the password of "+n))
	}
	waitFor(t, seen("suspicious_credential_stuffing"))
	if got := events(t, admin, "type=suspicious_canary"); len(got) > 0 {
		t.Errorf("a canary that nobody touched: %+v", got)
	}
	s.refused(t, 404, "not-found", "GET", "/.env", nil)
	s.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("backup", "anything at all"))
	waitFor(t, func() bool { return len(events(t, admin, "type=suspicious_canary")) == 2 })
	for _, e := range events(t, admin, "category=suspicious_activity") {
		if e.Address != "127.0.0.1" || e.Detail["prefix"] != "127.0.0.0/24" {
			t.Errorf("event %+v", e)
		}
	}
}

func waitFor(t *testing.T, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come")
		}
	}
}
