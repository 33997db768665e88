//go:build unix

package main_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon/e2e/postgrestest"
	"github.com/merlonhq/merlon/internal/redistest"
)

// bound is within what time a revocation holds on every node.
const bound = time.Second

// eachOf runs do for 0 to n-1, many at a time.
func eachOf(n int, do func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range 50 {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// A key that is revoked on one node, or loses what it needs there, is refused by the other within the bound: 200 times
// of 200 with a Redis that tells of it, and 200 of 200 after that was killed.
func TestAKeyRevokedOnOneNodeIsRefusedByTheOther200TimesOf200(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	url := postgrestest.Database(t)
	startOne := func() node {
		dir := t.TempDir()
		config := write(t, dir, "merlon.yaml", strings.Replace(sharedConfig("redis://"+redis.Addr, "local", 1000000, 2), "sqlite:data/merlon.db", "\""+url+"\"", 1))
		return node{startService(t, merlon("--config", config).in(dir)), dir, config}
	}
	a, b := startOne(), startOne()
	createUser(t, merlon("--config", a.config).in(a.dir), "warden", passphrase, "admin")
	admin := a.login(t, "warden", passphrase)
	round := func(name string) {
		const n, path = 200, "/api/v1/events?limit=1"
		var mu sync.Mutex
		refused := 0
		eachOf(n, func(i int) {
			got, err := admin.try("POST", "/api/v1/api-keys", members{"name": fmt.Sprint(i), "scopes": []string{"events:read"}})
			if err != nil || got.status != 201 {
				t.Errorf("%s: a key is made: %v, status %d: %s", name, err, got.status, got.body)
				return
			}
			key := decode[struct{ ID, Key string }](t, got)
			use := func(n node, want int) bool {
				got, err := n.as("X-API-Key", key.Key).try("GET", path, nil)
				if err != nil || got.status != want {
					t.Errorf("%s: key %d: %v, status %d, want %d: %s", name, i, err, got.status, want, got.body)
				}
				return err == nil && got.status == want
			}
			for range 2 { // its verdict is kept there
				if !use(b, 200) {
					return
				}
			}
			method, at, body, done, want := "DELETE", "/api/v1/api-keys/"+key.ID, members(nil), 204, 401
			switch i % 4 {
			case 1:
				method, body, done = "PATCH", members{"enabled": false}, 200
			case 2:
				method, body, done, want = "PATCH", members{"scopes": []string{}}, 200, 403
			case 3:
				method, at, body, done = "POST", at+"/rotate", members{"overlap_seconds": 0}, 201
			}
			var sent any
			if body != nil {
				sent = body
			}
			if got, err := admin.try(method, at, sent); err != nil || got.status != done {
				t.Errorf("%s: %s %s: %v, status %d, want %d: %s", name, method, at, err, got.status, done, got.body)
				return
			}
			time.Sleep(bound)
			if use(b, want) {
				mu.Lock()
				refused++
				mu.Unlock()
			}
		})
		if refused != n {
			t.Errorf("%s: %d of %d are refused by the other node after %v", name, refused, n, bound)
		}
	}
	round("with Redis")
	redis.Kill()
	round("with Redis killed")
}

// A change of role counts on every node within the bound, also one that is made in the database itself; so does the end
// of an account.
func TestARoleThatIsTakenAwayIsGoneOnEveryNode(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	url := postgrestest.Database(t)
	nodes := []node{startNode(t, url), startNode(t, url)}
	createUser(t, merlon("--config", nodes[0].config).in(nodes[0].dir), "warden", passphrase, "admin")
	admin := nodes[0].login(t, "warden", passphrase)
	key := decode[struct{ Key string }](t, admin.call(t, 201, "POST", "/api/v1/api-keys", members{"name": "k", "scopes": []string{"events:read"}})).Key
	tokens := decode[pair](t, nodes[0].call(t, 200, "POST", "/api/v1/auth/token", grant("warden", passphrase)))
	all := func(status int) {
		t.Helper()
		for i, n := range nodes {
			for kind, c := range map[string]client{"session": n.as(admin.header...), "key": n.as("X-API-Key", key), "token": bearer(n.service, tokens.Access)} {
				if got, err := c.try("GET", "/api/v1/events?limit=1", nil); err != nil || got.status != status {
					t.Errorf("node %d, %s: %v, status %d, want %d: %s", i, kind, err, got.status, status, got.body)
				}
			}
		}
	}
	all(200)
	for _, change := range []struct {
		set    string
		status int
	}{{"role = 'user'", 403}, {"role = 'admin'", 200}, {"disabled = true", 401}, {"disabled = false", 200}} {
		server.Exec(t, url, "UPDATE users SET "+change.set+" WHERE username = 'warden'")
		time.Sleep(bound)
		all(change.status)
	}
	server.Exec(t, url, "DELETE FROM users WHERE username = 'warden'")
	time.Sleep(bound)
	all(401)
	for _, n := range nodes {
		n.kill()
	}
}

// A node that cannot look refuses with 503 when the bound is over, and never goes on with what it remembers.
func TestWhatIsRememberedIsNotUsedWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	db := postgrestest.Start(t)
	n := startNode(t, db.Database(t))
	createUser(t, merlon("--config", n.config).in(n.dir), "warden", passphrase, "admin")
	admin := n.login(t, "warden", passphrase)
	key := decode[struct{ Key string }](t, admin.call(t, 201, "POST", "/api/v1/api-keys", members{"name": "k", "scopes": []string{"events:read"}})).Key
	c := n.as("X-API-Key", key)
	c.call(t, 200, "GET", "/api/v1/events?limit=1", nil)
	db.Pause(t)
	time.Sleep(bound)
	for range 20 {
		c.refused(t, 503, "store-unavailable", "GET", "/api/v1/users/me", nil)
		c.refused(t, 503, "store-unavailable", "GET", "/api/v1/events?limit=1", nil)
	}
	db.Resume(t)
	recovers(t, n.service, admin)
	c.call(t, 200, "GET", "/api/v1/events?limit=1", nil)
	var all []event
	eventually(t, "the end of the outage is told of", func() bool {
		all = logged(t, filepath.Join(n.dir, "logs", "security.log"))
		return count(all, "sys_recovered") > 0
	})
	if n := count(all, "sys_degraded"); n == 0 || n >= 20 {
		t.Errorf("%d events of the outage for forty requests, want that it is told of, and not with each", n)
	}
	n.kill()
}
