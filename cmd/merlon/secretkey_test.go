//go:build unix

package main_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
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
				if r := run(t, merlon("secrets", "adopt", "--config", one).in(dir)); r.code != 1 || !strings.Contains(complaint(t, r), "merlon.E140: ") {
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

// The steps of docs/operating.md for a secret key that has leaked, beside a server of production: without the former
// one at once it refuses, with it for the moment that the signing keys take it does not.
func TestASecretKeyThatLeakedIsReplacedInProduction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	former, next := rand.Text()+rand.Text(), rand.Text()+rand.Text()
	config := func(key, previous string) string {
		text := "listen: 127.0.0.1:0\nhosts: [api.example.com]\ntrusted_proxies: [127.0.0.1]\ndatabase_url: sqlite:data/merlon.db\naudit: {log: security.log}\nsecret_key: " + key + "\n"
		if previous != "" {
			text += "secret_key_previous: [" + previous + "]\n"
		}
		return write(t, dir, "merlon.yaml", text)
	}
	file := config(former, "")
	s := startService(t, merlon("--no-watch", "--config", file).in(dir))
	config(next, "")
	s.signal(syscall.SIGHUP)
	s.line(s.stderr, `time=\S+ level=ERROR msg="reload: the settings cannot be served: .*" error="merlon\.N140: .*`)
	config(next, former)
	s.signal(syscall.SIGHUP)
	s.line(s.stderr, `time=\S+ level=INFO msg="reload: other settings are in force" settings="secret_key secret_key_previous"`)
	if r := run(t, merlon("tokens", "rotate", "--leaked", "--config", file).in(dir)); r.code != 0 || !strings.Contains(r.stdout, "1 other keys are deleted") {
		t.Errorf("tokens rotate: exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	config(next, "")
	s.signal(syscall.SIGHUP)
	s.line(s.stderr, `time=\S+ level=INFO msg="reload: other settings are in force" settings=secret_key_previous`)
	s.stop()
	startService(t, merlon("--config", file).in(dir)).stop() // without the former one
}
