//go:build unix

package main_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// A ledger is what the server has acknowledged: whoever got the answer relies on it.
type ledger struct {
	mu       sync.Mutex
	accounts []acknowledged
	sessions []session
	keys     []acknowledged // text is the key
	events   map[string]bool
	settled  []acknowledged // accounts whose event must be there
}

type acknowledged struct {
	id, text string
	at       time.Time
}

// since returns what is in l and not in before, with all events.
func (l *ledger) since(before *ledger) *ledger {
	return &ledger{accounts: l.accounts[len(before.accounts):], sessions: l.sessions[len(before.sessions):],
		keys: l.keys[len(before.keys):], settled: l.settled[len(before.settled):], events: l.events}
}

func (l *ledger) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// rounds is how often TestKill kills: a hundred times by make crash.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("MERLON_CRASH_ROUNDS")
	if text == "" {
		return 10
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 5 {
		t.Fatalf("MERLON_CRASH_ROUNDS is %q: want a number from 5 on", text)
	}
	return n
}

// What was acknowledged survives kill -9 in the middle of writes.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds := rounds(t)
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", developmentConfig)
	serve := merlon("--config", config).in(dir)
	createUser(t, serve, "warden", passphrase, "admin")
	log := filepath.Join(dir, "logs", "security.log")

	l := &ledger{events: map[string]bool{}}
	torn := 0
	var checked ledger // what was there after its crash is looked for again at the end
	for round := range rounds {
		began := time.Now()
		s := startService(t, serve)
		admin := s.login(t, "warden", passphrase)
		l.since(&checked).check(t, s.client, admin, 2)
		checkIntegrity(t, filepath.Join(dir, "data", "merlon.db"))
		inAPI := events(t, admin, "since="+url.QueryEscape(began.UTC().Format(time.RFC3339)))
		inFile := checkLog(t, log, torn)
		for _, e := range inAPI {
			// The file is written first: what the API shows is in it.
			// (But for those of a command beside the server.)
			if !inFile[e.ID] && e.Detail["by"] != "command line" {
				t.Errorf("round %d: event %s (%s) is in the API and not in the file", round, e.ID, e.Type)
			}
		}

		checked = ledger{accounts: l.accounts, sessions: l.sessions, keys: l.keys, settled: l.settled}
		before, keys, seen := len(l.accounts), len(l.keys), len(l.events)
		done := make(chan struct{})
		var writers sync.WaitGroup
		for n := range 4 {
			writers.Go(func() { l.write(s.client, admin, fmt.Sprintf("r%dw%d", round, n), done) })
		}
		eventually(t, "writes are under way", func() (some bool) {
			l.note(func() { some = len(l.keys) > keys && len(l.events) > seen })
			return some
		})
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		if round%10 == 1 {
			time.Sleep(time.Second) // so that recorded events are due
		}
		s.kill()
		died := time.Now()
		close(done)
		writers.Wait()
		for _, a := range l.accounts[before:] {
			if a.at.Before(died.Add(-time.Second)) { // an event is in file and API within one second
				l.settled = append(l.settled, a)
			}
		}
		if round%2 == 1 { // as if the machine had died within a write
			tear(t, log)
			torn++
		}
	}

	s := startService(t, serve)
	admin := s.login(t, "warden", passphrase)
	l.check(t, s.client, admin, 12)
	checkLog(t, log, torn)
	s.call(t, 200, "GET", "/health/ready", nil)
	if len(l.accounts) < rounds || len(l.keys) < rounds || len(l.events) < rounds || len(l.settled) == 0 {
		t.Errorf("only %d accounts, %d keys, %d events and %d settled ones were acknowledged", len(l.accounts), len(l.keys), len(l.events), len(l.settled))
	}
	t.Logf("%d accounts, %d sessions, %d keys, %d events", len(l.accounts), len(l.sessions), len(l.keys), len(l.events))
	s.stop()
	checkIntegrity(t, filepath.Join(dir, "data", "merlon.db"))
}

// write makes accounts, sessions and keys and reads events until the server is gone.
func (l *ledger) write(c, admin client, prefix string, done <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		default:
		}
		l.make(c, fmt.Sprintf("%s-%d", prefix, n))
		a, err := admin.try("GET", "/api/v1/events?limit=100", nil)
		var page struct{ Items []struct{ ID string } }
		if err != nil || a.status != 200 || json.Unmarshal(a.body, &page) != nil {
			continue
		}
		l.note(func() {
			for _, e := range page.Items {
				l.events[e.ID] = true
			}
		})
	}
}

// make makes an account, a session and keys, as far as it gets.
func (l *ledger) make(c client, name string) {
	a, err := c.try("POST", "/api/v1/users", newcomer(name))
	var made struct{ ID string }
	if err != nil || a.status != 201 || json.Unmarshal(a.body, &made) != nil {
		return
	}
	l.note(func() { l.accounts = append(l.accounts, acknowledged{made.ID, name, time.Now()}) })
	a, err = c.try("POST", "/api/v1/auth/login", credentials(name, passphrase))
	if err != nil {
		return
	}
	s, err := sessionOf(a)
	if err != nil {
		return
	}
	l.note(func() { l.sessions = append(l.sessions, s) })
	for range 3 {
		a, err = c.try("POST", "/api/v1/api-keys", members{"name": name, "scopes": []string{"keys:manage"}}, s.headers()...)
		var key struct{ ID, Key string }
		if err != nil || a.status != 201 || json.Unmarshal(a.body, &key) != nil {
			continue
		}
		l.note(func() { l.keys = append(l.keys, acknowledged{key.ID, key.Key, time.Now()}) })
	}
}

// check finds everything that was acknowledged, and logs in to some of the accounts, which is slow on purpose.
func (l *ledger) check(t *testing.T, c, admin client, logins int) {
	t.Helper()
	all := events(t, admin, "")
	ids, byKey, byAccount := map[string]bool{}, map[any]bool{}, map[string]bool{}
	for _, e := range all {
		ids[e.ID] = true
		switch e.Type {
		case "apikey_created":
			byKey[e.Detail["key_id"]] = true
		case "user_created":
			byAccount[e.Principal] = true
		}
	}
	for id := range l.events {
		if !ids[id] {
			t.Errorf("event %s was shown and is gone", id)
		}
	}
	for _, s := range l.sessions {
		c.as(s.headers()...).call(t, 200, "GET", "/api/v1/users/me", nil)
	}
	for _, k := range l.keys {
		c.as("X-API-Key", k.text).call(t, 200, "GET", "/api/v1/api-keys/"+k.id, nil)
		// A key is not given away before its making is recorded.
		if !byKey[k.id] {
			t.Errorf("key %s has no apikey_created", k.id)
		}
	}
	for i, a := range l.accounts {
		if i >= len(l.accounts)-logins {
			c.login(t, a.text, passphrase)
		}
	}
	for _, a := range l.settled {
		if !byAccount[a.id] {
			t.Errorf("account %s has no user_created, though it was answered a second before the end", a.id)
		}
	}
	late := 0
	for _, a := range l.accounts {
		if !byAccount[a.id] {
			late++
		}
	}
	if late > 0 {
		t.Logf("%d of %d user_created were not flushed at the end", late, len(l.accounts))
	}
}

const tornLine = `{"id":"evt_00000000-0000-7000-8000-000000000000","time":"20`

func tear(t *testing.T, log string) {
	t.Helper()
	f, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(tornLine); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkLog reads the log of a running server: whole lines but for the torn ones
// that a start has closed. It returns the ids of the events.
func checkLog(t *testing.T, log string, torn int) map[string]bool {
	t.Helper()
	var all []string
	eventually(t, "a log with a start in it", func() bool {
		text, err := os.ReadFile(log)
		all = lines(string(text))
		return err == nil && strings.HasSuffix(string(text), "\n") && len(all) > 0
	})
	ids, found := map[string]bool{}, 0
	for i, line := range all {
		var e event
		switch err := json.Unmarshal([]byte(line), &e); {
		case line == tornLine:
			found++
		case err != nil || e.ID == "" || e.Type == "" || e.Severity == "":
			t.Errorf("%s:%d: %v: %q", log, i+1, err, line)
		case ids[e.ID]:
			t.Errorf("%s:%d: event %s is there twice", log, i+1, e.ID)
		default:
			ids[e.ID] = true
		}
	}
	if found != torn {
		t.Errorf("%d torn lines, closed and alone, want %d", found, torn)
	}
	return ids
}

// checkIntegrity asks SQLite itself.
func checkIntegrity(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	var dangling int
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check: %q, %v", verdict, err)
	}
	if err := db.QueryRow("SELECT count(*) FROM pragma_foreign_key_check").Scan(&dangling); err != nil || dangling != 0 {
		t.Errorf("foreign_key_check: %d, %v", dangling, err)
	}
}
