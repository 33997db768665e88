//go:build unix

package sqlite_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/internal/uuid7"
	"github.com/merlonhq/merlon/server/internal/accounts"
	"github.com/merlonhq/merlon/server/internal/eventdb"
	"github.com/merlonhq/merlon/server/internal/sqlite"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// everything is what the service keeps in its database.
type everything struct {
	accounts *accounts.Store
	keys     *sqlstore.Keys
	sessions *sqlstore.Sessions
	events   *eventdb.Store
}

func everythingIn(db *sqlite.DB) (e everything, err error) {
	s, err := sqlstore.New(sqlstore.Config{Writer: db.Writer(), Reader: db.Reader(), Dialect: sqlstore.SQLite, Timeout: 30 * time.Second})
	if err != nil {
		return e, err
	}
	e.keys, e.sessions = s.Keys(), s.Sessions()
	if e.accounts, err = accounts.New(accounts.Config{DB: s}); err != nil {
		return e, err
	}
	e.events, err = eventdb.New(s)
	return e, err
}

// write adds one of each and returns their names.
func (e everything) write(ctx context.Context) (line string, err error) {
	now := time.Now()
	id := uuid7.New(now)
	u, err := e.accounts.Create(ctx, accounts.User{Username: id, Email: id + "@example.com", Role: "user"})
	if err != nil {
		return "", err
	}
	k := apikey.Record{ID: "key_" + id, Lookup: id, Env: apikey.Live, Owner: u.ID, Enabled: true, CreatedAt: now, Version: 1}
	if err := e.keys.Create(ctx, k, 10); err != nil {
		return "", err
	}
	s := session.Record{ID: "ses_" + id, UserID: u.ID, Hash: sha256.Sum256([]byte(id)), CreatedAt: now, LastSeenAt: now, Address: netip.IPv6Loopback()}
	if err := e.sessions.Create(ctx, s); err != nil {
		return "", err
	}
	batch := []audit.Event{{ID: "evt_" + id, Time: now, Type: audit.UserCreated, Principal: u.ID}}
	if err := e.events.Write(ctx, batch, [][]byte{audit.AppendJSON(nil, batch[0])}); err != nil {
		return "", err
	}
	return u.ID + " " + id, nil
}

// has returns an error unless what write named is there.
func (e everything) has(ctx context.Context, line string) error {
	user, id, _ := strings.Cut(line, " ")
	if u, err := e.accounts.ByID(ctx, user); err != nil || u.Username != id {
		return fmt.Errorf("account %s: %q, %v", user, u.Username, err)
	}
	if k, err := e.keys.Lookup(ctx, id); err != nil || k.Owner != user {
		return fmt.Errorf("key of %s: %q, %v", id, k.Owner, err)
	}
	if s, err := e.sessions.Lookup(ctx, sha256.Sum256([]byte(id))); err != nil || s.UserID != user {
		return fmt.Errorf("session of %s: %q, %v", id, s.UserID, err)
	}
	events, _, err := e.events.Query(ctx, eventdb.Filter{Subject: user}, "", 2)
	if err != nil || len(events) != 1 || !strings.Contains(string(events[0]), "evt_"+id) {
		return fmt.Errorf("event of %s: %s, %v", id, events, err)
	}
	return nil
}

// writeRole writes for ever, and prints what is acknowledged.
func writeRole(dir string) error {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "merlon.db")})
	if err != nil {
		return err
	}
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	e, err := everythingIn(db)
	if err != nil {
		return err
	}
	lines := make(chan string)
	for range 4 {
		go func() {
			for {
				line, err := e.write(ctx)
				if err != nil {
					line = "error: " + err.Error()
				}
				lines <- line
			}
		}()
	}
	for line := range lines {
		if _, err := os.Stdout.WriteString(line + "\n"); err != nil { // one write: it is printed or not
			return err
		}
	}
	return nil
}

func TestWhatWasAcknowledgedSurvivesKill9(t *testing.T) {
	path := file(t)
	var acknowledged []string
	for round := range 4 {
		p := start(t, "write", filepath.Dir(path))
		for i := 0; i < 10+7*round && p.lines.Scan(); i++ {
			acknowledged = append(acknowledged, p.lines.Text())
		}
		p.cmd.Process.Kill()
		for p.lines.Scan() { // what it had printed before it died
			acknowledged = append(acknowledged, p.lines.Text())
		}
		p.kill()
	}
	db := migrated(t, path)
	if len(acknowledged) < 4*10 {
		t.Fatalf("%d writes were acknowledged: %q", len(acknowledged), acknowledged)
	}
	e, err := everythingIn(db)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range acknowledged {
		if err := e.has(t.Context(), line); err != nil {
			t.Error(err)
		}
	}
	var verdict string
	if err := db.Reader().QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check: %q, %v", verdict, err)
	}
}

func TestManyWritersAndReadersInTwoProcessesNeverSeeABusyDatabase(t *testing.T) {
	path := file(t)
	db := migrated(t, path)
	other := start(t, "write", filepath.Dir(path))
	e, err := everythingIn(db)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for range 32 {
		go func() {
			for range 3 {
				line, err := e.write(t.Context())
				if err == nil {
					err = e.has(t.Context(), line)
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 5 {
		line := other.line()
		if err := e.has(t.Context(), line); err != nil {
			t.Errorf("what the other process wrote: %v", err)
		}
	}
	other.kill() // processes wait for each other in SQLite's sleeping loop: enough of it
	for range 32 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
