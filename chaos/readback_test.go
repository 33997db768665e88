//go:build unix

package chaos_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
)

// readBack reads everything that was acknowledged, and lists what is not there.
func (l *load) readBack() (read int, lost []string) {
	accounts, live, revoked, posts := l.ledger.snapshot()
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, 4) // at once
	check := func(do func() (ok bool, said string)) {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			ok, said := do()
			mu.Lock()
			defer mu.Unlock()
			read++
			if !ok {
				lost = append(lost, said)
			}
		})
	}
	for name, id := range accounts {
		check(func() (bool, string) {
			o := l.do(login(name, passphrase))
			var in struct{ User struct{ ID string } }
			return o.ok() && json.Unmarshal(o.body, &in) == nil && in.User.ID == id, "account " + name + ": " + o.String()
		})
	}
	for _, c := range live {
		check(func() (bool, string) { o := l.do(c.use); return o.ok(), c.kind + " " + c.id + ": " + o.String() })
	}
	for _, c := range revoked {
		check(func() (bool, string) {
			o := l.useRevoked(int(l.next.Add(1)%nodes), c)
			return slices.Contains(c.dead, o.status), "revocation of " + c.id + " (" + c.how + "): " + o.String()
		})
	}
	for id, p := range posts {
		check(func() (bool, string) {
			o := l.do(call{name: "read a post", method: "GET", path: "/api/v1/posts/" + id, well: []int{200}})
			content := o.text("content")
			return o.ok() && (content == p.acknowledged || p.possible[content]), fmt.Sprintf("post %s: %v: %q, want %q or one of %v", id, o, content, p.acknowledged, p.possible)
		})
	}
	all.Wait()
	return read, lost
}

// recorded finds the event of every key that was given out and of every revocation, as the API shows events.
func (l *load) recorded(reader string) (read int, lost []string) {
	_, live, revoked, _ := l.ledger.snapshot()
	made, ended := map[any]bool{}, map[any]bool{}
	for cursor := ""; ; {
		o := l.do(call{name: "read events", method: "GET", path: "/api/v1/events?category=api_key&limit=100&cursor=" + cursor, header: as(reader), well: []int{200}})
		var page struct {
			Items []struct {
				Type   string
				Detail map[string]any
			}
			NextCursor string `json:"next_cursor"`
		}
		if !o.ok() || json.Unmarshal(o.body, &page) != nil {
			return read, append(lost, "events: "+o.String())
		}
		for _, e := range page.Items {
			switch e.Type {
			case "apikey_created":
				made[e.Detail["key_id"]] = true
			case "apikey_rotated":
				made[e.Detail["key_id"]], ended[e.Detail["replaces"]] = true, true
			case "apikey_revoked", "apikey_updated":
				ended[e.Detail["key_id"]] = true
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	for _, c := range append(live, revoked...) {
		if c.kind != "key" {
			continue
		}
		read++
		if !made[c.id] {
			lost = append(lost, "no event of the making of "+c.id)
		}
		if c.how != "" {
			read++
			if !ended[c.id] {
				lost = append(lost, "no event of the end of "+c.id+" ("+c.how+")")
			}
		}
	}
	return read, lost
}

// verifyLog lets the command judge the event log of a node that has ended, which was killed before.
func (m *member) verifyLog() error {
	out, err := exec.Command(merlon, "events", "verify", filepath.Join(m.dir, "logs", "security.log")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("node %d: events verify: %w\n%s", m.n, err, out)
	}
	return nil
}
