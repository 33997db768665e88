//go:build unix

package main_test

import (
	"crypto/rand"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/e2e/postgrestest"
)

// In production a node does not start with another secret key than the others', and one that is lost is replaced by a
// command and not by accident.
func TestAnotherSecretKeyStopsTheStartInProduction(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]string{"SQLite": "sqlite:data/merlon.db", "PostgreSQL": postgrestest.Database(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			keys := map[string]string{"one": rand.Text() + rand.Text(), "other": rand.Text() + rand.Text()}
			config := func(name, key, previous string) string {
				text := fmt.Sprintf("hosts: [api.example.com]\ntrusted_proxies: [127.0.0.1]\nsecret_key: %s\ndatabase_url: %q\naudit: {log: %s.log}\n", keys[key], database, name)
				if previous != "" {
					text += "secret_key_previous: [" + keys[previous] + "]\n"
				}
				return write(t, dir, name+".yaml", text)
			}
			one, other, rotated := config("one", "one", ""), config("other", "other", ""), config("rotated", "other", "one")
			starts := func(file string) { t.Helper(); startService(t, merlon("--config", file).in(dir)).stop() }
			refuses := func(file string) {
				t.Helper()
				r := run(t, merlon("serve", "--listen", "127.0.0.1:0", "--config", file).in(dir))
				line := complaint(t, r)
				if r.code != 1 || !strings.Contains(line, "merlon.N140") || !strings.Contains(line, "secret_key_previous") || !strings.Contains(line, "merlon secrets adopt") {
					t.Errorf("exit %d, want 1 and what to do:\n%s", r.code, r.stderr)
				}
				for _, key := range keys {
					if strings.Contains(r.stderr, key) {
						t.Errorf("a key is shown:\n%s", r.stderr)
					}
				}
			}
			adopts := func(file, want string) {
				t.Helper()
				r := run(t, merlon("secrets", "adopt", "--config", file).in(dir))
				if r.code != 0 || r.stdout != want {
					t.Errorf("secrets adopt: exit %d, %q, want %q:\n%s", r.code, r.stdout, want, r.stderr)
				}
			}
			starts(one)
			refuses(other)
			refuses(other) // it has changed nothing
			starts(one)
			starts(rotated)
			starts(other) // the rotation is over
			refuses(one)
			adopts(other, "every signing key is of this secret_key already\n")
			if name == "SQLite" {
				s := startService(t, merlon("--config", other).in(dir))
				if r := run(t, merlon("secrets", "adopt", "--config", one).in(dir)); r.code != 1 || !strings.Contains(complaint(t, r), "in use by another merlon process") {
					t.Errorf("secrets adopt beside a server: exit %d:\n%s", r.code, r.stderr)
				}
				s.stop()
			}
			adopts(one, "deleted 1 signing keys of another secret_key\n")
			starts(one)
			refuses(other)
			if n := count(logged(t, filepath.Join(dir, "one.log")), "sys_config_changed"); n != 1 {
				t.Errorf("the adoption is recorded %d times, want 1", n)
			}
		})
	}
}

// In development a node starts with another key, and says what that means.
func TestAnotherSecretKeyIsToldOfInDevelopment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "merlon.yaml", developmentConfig)
	startService(t, merlon("--config", file).in(dir)).stop()
	file = write(t, dir, "merlon.yaml", strings.Replace(developmentConfig, "3f9b2c71d84e60a5f7c1290eb46d8a53", rand.Text()+rand.Text(), 1))
	s := startService(t, merlon("--config", file).in(dir))
	s.line(s.stderr, `time=\S+ level=WARN msg="tokens: signing keys" error=.* id=merlon.N140 fix=.*`)
	s.stop()
	found := 0
	for _, e := range logged(t, filepath.Join(dir, "logs", "security.log")) {
		if e.Type == "sys_misconfigured" && e.Detail["id"] == "merlon.N140" {
			found++
		}
	}
	if found != 1 {
		t.Errorf("%d events, want 1", found)
	}
	startService(t, merlon("--config", file).in(dir)).stop()
	if n := count(logged(t, filepath.Join(dir, "logs", "security.log")), "sys_misconfigured"); n != 1 {
		t.Errorf("%d events after a start with the same key, want 1", n)
	}
}

// The clock of the database is ten minutes behind: its schema has a clock of its own.
func TestADatabaseWithAnotherClockIsToldOf(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	postgrestest.Shared(t).Exec(t, url, `CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() - interval '10 minutes' $$`)
	for _, tt := range []struct {
		name, url string
		events    int
		ahead     float64 // seconds
	}{
		{"the same clock", url, 0, 0},
		{"another clock", url + "&search_path=public,pg_catalog", 1, 600},
	} {
		dir := t.TempDir()
		file := write(t, dir, "merlon.yaml", onPostgres(tt.url)+"operations_listen: \"127.0.0.1:0\"\n")
		s := startService(t, merlon("--config", file).in(dir))
		if tt.events > 0 {
			s.line(s.stderr, `time=\S+ level=WARN msg="this clock and the database's differ.*" id=merlon.N141 ahead_by=10m0s`)
		}
		metrics := newClient(t, "http://"+s.line(s.stderr, `time=\S+ level=INFO msg="serving metrics" address=(\S+)`)[1])
		text := string(metrics.call(t, 200, "GET", "/metrics", nil).body)
		_, value, _ := strings.Cut(text, "\nmerlon_clock_offset_seconds ")
		value, _, _ = strings.Cut(value, "\n")
		var offset float64
		if _, err := fmt.Sscan(value, &offset); err != nil || math.Abs(offset-tt.ahead) > 5 {
			t.Errorf("%s: merlon_clock_offset_seconds is %q, want about %v", tt.name, value, tt.ahead)
		}
		s.stop()
		found := 0
		for _, e := range logged(t, filepath.Join(dir, "logs", "security.log")) {
			if e.Type == "sys_misconfigured" && e.Detail["id"] == "merlon.N141" && e.Severity == "high" {
				found++
			}
		}
		if found != tt.events {
			t.Errorf("%s: %d events, want %d", tt.name, found, tt.events)
		}
	}
}

// Processes that start at once on a new database: one migrates, the others wait for it.
func TestProcessesStartAtOnceOnANewDatabase(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]string{"SQLite": developmentConfig, "PostgreSQL": onPostgres(postgrestest.Database(t))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := write(t, dir, "merlon.yaml", database)
			all := run(t, merlon("migrate", "status", "--config", file).in(dir))
			want := lines(strings.ReplaceAll(all.stdout, "pending", "applied"))
			var processes []*process
			for range 4 {
				processes = append(processes, start(t, merlon("migrate", "up", "--config", file).in(dir)))
			}
			applied := map[string]int{}
			for _, p := range processes {
				r := p.wait(patience)
				if r.code != 0 {
					t.Errorf("exit %d:\n%s", r.code, r.stderr)
				}
				for _, l := range lines(r.stdout) {
					applied[l]++
				}
			}
			for _, l := range want {
				if applied[l] != 1 {
					t.Errorf("%q was told %d times, want by one process: %v", l, applied[l], applied)
				}
			}
			if r := run(t, merlon("migrate", "status", "--config", file).in(dir)); r.code != 0 || len(want) == 0 {
				t.Errorf("status: exit %d:\n%s", r.code, r.stdout)
			}
		})
	}
	t.Run("services", func(t *testing.T) {
		t.Parallel()
		url := postgrestest.Database(t)
		var nodes []*process
		for range 3 {
			dir := t.TempDir()
			file := write(t, dir, "merlon.yaml", onPostgres(url))
			nodes = append(nodes, start(t, merlon("serve", "--listen", "127.0.0.1:0", "--config", file).in(dir)))
		}
		for _, p := range nodes {
			address := p.line(p.stderr, `time=\S+ level=INFO msg=serving .*address=(\S+).*`)[1]
			newClient(t, "http://"+address).call(t, 200, "GET", "/health/ready", nil)
		}
		for _, p := range nodes {
			p.stop()
		}
	})
}
