//go:build unix

package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// The limited route, and its rule.
const (
	limitedTo     = 20
	limitedWithin = 5 * time.Second
)

// A load is what clients do all the while.
type load struct {
	*client
	ledger  *ledger
	seed    uint64
	limited string // the key that meets the limit
	done    chan struct{}
	workers sync.WaitGroup
	watches sync.WaitGroup // of revoked credentials
}

// A person has an account and a key that makes keys and writes.
type person struct {
	name, id string
	key      string // that makes keys and writes
	session  []string
}

func must(t *testing.T, o outcome, want int) outcome {
	t.Helper()
	if o.err != nil || o.status != want {
		t.Fatalf("%v; want %d: %s", o, want, o.body)
	}
	return o
}

func newLoad(c *cluster, seed uint64) *load {
	return &load{client: &client{c: c}, ledger: newLedger(), seed: seed, done: make(chan struct{})}
}

// enlist makes an account, with its session and its key.
func (l *load) enlist(t *testing.T, name string) person {
	t.Helper()
	p := person{name: name}
	p.id = must(t, l.do(register(name)), 201).text("id")
	l.ledger.account(name, p.id)
	p.session = sessionOf(must(t, l.do(login(name, passphrase)), 200))
	made := must(t, l.do(createKey(p.session, "keys:manage", "posts:read", "posts:write", "still:use")), 201)
	p.key = made.text("key")
	l.ledger.good(keyOf(made))
	return p
}

func register(name string) call {
	return call{name: "register", method: "POST", path: "/api/v1/users", well: []int{201},
		body: members{"username": name, "email": name + "@example.com", "password": passphrase}}
}

func login(name, password string) call {
	return call{name: "log in", method: "POST", path: "/api/v1/auth/login", well: []int{200}, body: members{"username": name, "password": password}}
}

func createKey(header []string, scopes ...string) call {
	return call{name: "create a key", method: "POST", path: "/api/v1/api-keys", header: header, well: []int{201},
		body: members{"name": "chaos", "scopes": scopes}}
}

// keyOf is the credential of an answer with a key of the scope still:use. Whether it is taken depends on nothing else.
func keyOf(o outcome) *credential {
	return &credential{kind: "key", id: o.text("id"), header: as(o.text("key")), dead: []int{401},
		use: call{name: "use a key", method: "GET", path: "/api/v1/still", header: as(o.text("key")), well: []int{200}}}
}

// run does one thing again and again, so often a second, until the load ends.
func (l *load) run(lot uint64, every time.Duration, do func(*rand.Rand)) {
	random := rand.New(rand.NewPCG(l.seed, lot))
	l.workers.Go(func() {
		for {
			select {
			case <-l.done:
				return
			case <-time.After(every/2 + time.Duration(random.Int64N(int64(every)))):
				do(random)
			}
		}
	})
}

// start starts all workers.
func (l *load) start(t *testing.T, f *forger) (people []person) {
	t.Helper()
	for i := range nodes {
		people = append(people, l.enlist(t, fmt.Sprintf("person%d", i)))
	}
	l.limited = must(t, l.do(createKey(people[0].session, "keys:manage")), 201).text("key")
	f.prepare(t, l, people)
	l.run(1, 700*time.Millisecond, l.newcomers())
	for i, p := range people {
		l.run(uint64(10+i), 250*time.Millisecond, func(r *rand.Rand) { l.keys(p, r) })
		l.run(uint64(20+i), 100*time.Millisecond, l.posts(p))
	}
	l.run(2, 100*time.Millisecond, func(*rand.Rand) {
		l.do(call{name: "a limited route", method: "GET", path: "/api/v1/api-keys?limit=1", header: as(l.limited), well: []int{200, 429}})
	})
	for n := range nodes {
		l.run(uint64(30+n), 60*time.Millisecond, func(r *rand.Rand) { f.forge(l, n, r) })
		l.run(uint64(40+n), 200*time.Millisecond, func(*rand.Rand) {
			l.to(n, call{name: "the document", method: "GET", path: "/openapi.json", well: []int{200}, noStore: true})
		})
	}
	return people
}

// stop ends the load and returns when the last answer is there.
func (l *load) stop() {
	close(l.done)
	l.workers.Wait()
	l.watches.Wait()
}

// newcomers registers, logs in, changes the profile and logs out.
func (l *load) newcomers() func(*rand.Rand) {
	n := 0
	return func(r *rand.Rand) {
		n++
		name := fmt.Sprintf("newcomer%d", n)
		made := l.do(register(name))
		if !made.ok() {
			return
		}
		l.ledger.account(name, made.text("id"))
		in := l.do(login(name, passphrase))
		header := sessionOf(in)
		if !in.ok() || header == nil {
			return
		}
		s := &credential{kind: "session", id: "session of " + name, header: header, dead: []int{401},
			use: call{name: "use a session", method: "GET", path: "/api/v1/still", header: header, well: []int{200}}}
		l.ledger.good(s)
		l.do(call{name: "change the profile", method: "PATCH", path: "/api/v1/users/me", header: header, well: []int{200}, body: members{"bio": "of " + name}})
		if r.IntN(2) == 0 {
			l.logout(s)
		}
	}
}

func (l *load) logout(s *credential) {
	l.end(s, call{name: "log out", method: "POST", path: "/api/v1/auth/logout", header: s.header, well: []int{204}}, "logout")
}

// keys makes a key, uses it everywhere, and mostly ends it in one of four ways.
func (l *load) keys(p person, r *rand.Rand) {
	made := l.do(createKey(as(p.key), "still:use", "posts:write"))
	if !made.ok() {
		return
	}
	k := keyOf(made)
	l.ledger.good(k)
	for n := range nodes {
		l.to(n, k.use)
	}
	if way := r.IntN(6); way < len(ways) {
		l.revoke(p, k, ways[way])
	}
}

// The ways in which a key ends or loses what it was for.
var ways = []string{"deleted", "disabled", "rotated", "scope taken"}

// revoke ends a key.
func (l *load) revoke(p person, k *credential, way string) {
	path := "/api/v1/api-keys/" + k.id
	switch way {
	case "deleted":
		l.end(k, call{name: "revoke a key", method: "DELETE", path: path, header: as(p.key), well: []int{204}}, way)
	case "disabled":
		l.end(k, call{name: "disable a key", method: "PATCH", path: path, header: as(p.key), body: members{"enabled": false}, well: []int{200}}, way)
	case "scope taken":
		k.dead = []int{403}
		l.end(k, call{name: "take a scope", method: "PATCH", path: path, header: as(p.key), body: members{"scopes": []string{"posts:write"}}, well: []int{200}}, way)
	case "rotated":
		o := l.end(k, call{name: "rotate a key", method: "POST", path: path + "/rotate", header: as(p.key), body: members{"overlap_seconds": 0}, well: []int{201}}, way)
		if o.ok() {
			l.ledger.good(keyOf(o))
		}
	}
}

// end sends a revocation, and keeps using what it ended, everywhere.
func (l *load) end(c *credential, how call, way string) outcome {
	l.ledger.limbo(c)
	o := l.do(how)
	if o.ok() {
		l.ledger.ended(c, way, o.received)
		l.watches.Go(func() { l.watch(c) })
	}
	return o
}

// watch uses a revoked credential on every node until well after its bound.
func (l *load) watch(c *credential) {
	for time.Since(c.at) < 3*bound {
		for n := range nodes {
			l.useRevoked(n, c)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (l *load) useRevoked(n int, c *credential) outcome {
	use := c.use
	use.name += " that was revoked"
	use.well = c.dead
	if time.Since(c.at) < bound {
		use.well = append([]int{200}, c.dead...)
	}
	o := l.to(n, use)
	l.ledger.checked(c, o)
	return o
}

// posts writes and changes posts, and reads them as anybody.
func (l *load) posts(p person) func(*rand.Rand) {
	var ids []string
	n := 0
	return func(r *rand.Rand) {
		n++
		content := fmt.Sprintf("<p>Line %d of %s.</p>", n, p.name)
		if len(ids) == 0 || r.IntN(3) == 0 {
			o := l.do(call{name: "write a post", method: "POST", path: "/api/v1/posts", header: as(p.key), well: []int{201}, body: members{"title": "Chaos", "content": content}})
			if o.ok() {
				ids = append(ids, o.text("id"))
				l.ledger.wrote(o.text("id"), content)
			}
			return
		}
		id := ids[r.IntN(len(ids))]
		if r.IntN(2) == 0 {
			l.do(call{name: "read a post", method: "GET", path: "/api/v1/posts/" + id, well: []int{200}})
			return
		}
		o := l.do(call{name: "change a post", method: "PATCH", path: "/api/v1/posts/" + id, header: as(p.key), well: []int{200}, body: members{"content": content}})
		if o.ok() {
			l.ledger.wrote(id, content)
		} else {
			l.ledger.mayHaveWritten(id, content)
		}
	}
}
