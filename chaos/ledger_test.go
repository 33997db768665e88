//go:build unix

package chaos_test

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// bound is how long after its revocation a credential may still be taken.
const bound = time.Second

// A credential is a key or a session.
type credential struct {
	kind   string // "key", "session"
	id     string
	header []string
	use    call      // what it is for
	dead   []int     // what use answers when it is revoked
	at     time.Time // when its revocation was acknowledged; zero while it is good
	how    string    // how it was revoked
}

// A ledger is what the nodes have acknowledged: whoever got the answer relies on it.
type ledger struct {
	mu       sync.Mutex
	accounts map[string]string // name to id
	live     map[string]*credential
	revoked  []*credential
	posts    map[string]*written
	accepted []outcome // revoked credentials that were taken after their bound
	checks   int       // of revoked credentials after their bound
}

// A written post is what was acknowledged of it, and what may have been written beside that: a change that was
// answered 503 may yet be made, for the statement may have reached the database.
type written struct {
	acknowledged string
	possible     map[string]bool
}

func newLedger() *ledger {
	return &ledger{accounts: map[string]string{}, live: map[string]*credential{}, posts: map[string]*written{}}
}

func (l *ledger) note(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}

func (l *ledger) account(name, id string) { l.note(func() { l.accounts[name] = id }) }

// good keeps a credential that was given out.
func (l *ledger) good(c *credential) { l.note(func() { l.live[c.id] = c }) }

// limbo forgets a credential whose revocation was not acknowledged: it may be either.
func (l *ledger) limbo(c *credential) { l.note(func() { delete(l.live, c.id) }) }

// ended keeps a credential whose revocation was acknowledged at a time.
func (l *ledger) ended(c *credential, how string, at time.Time) {
	l.note(func() {
		delete(l.live, c.id)
		c.at, c.how = at, how
		l.revoked = append(l.revoked, c)
	})
}

// checked judges the use of a revoked credential.
func (l *ledger) checked(c *credential, o outcome) {
	if o.err != nil || o.sent.Before(c.at.Add(bound)) {
		return
	}
	l.note(func() {
		l.checks++
		if o.status < 300 {
			o.name += ", revoked (" + c.how + ") " + o.sent.Sub(c.at).Round(time.Millisecond).String() + " before"
			l.accepted = append(l.accepted, o)
		}
	})
}

func (l *ledger) wrote(id, content string) {
	l.note(func() {
		if l.posts[id] == nil {
			l.posts[id] = &written{possible: map[string]bool{}}
		}
		l.posts[id].acknowledged = content
	})
}

func (l *ledger) mayHaveWritten(id, content string) {
	l.note(func() { l.posts[id].possible[content] = true })
}

// snapshot returns what is to be read back.
func (l *ledger) snapshot() (accounts map[string]string, live []*credential, revoked []*credential, posts map[string]*written) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.accounts), slices.Collect(maps.Values(l.live)), slices.Clone(l.revoked), maps.Clone(l.posts)
}
