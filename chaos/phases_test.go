//go:build unix

package chaos_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// within is how soon every part must be back when its store is.
const within = 5 * time.Second

// told is how soon readiness tells that PostgreSQL is away.
const told = 2 * time.Second

// A phase is a fault and what came of it.
type phase struct {
	fault
	from, healed, to time.Time
	back             [nodes]time.Duration // of each node, after its store
	red              [nodes]time.Duration // how soon readiness told of it; only of what it must tell of
}

// trouble is the time in which the fault excuses answers.
func (p phase) trouble() trouble {
	to := p.from
	for _, back := range p.back {
		if at := p.healed.Add(min(back, within)); at.After(to) {
			to = at
		}
	}
	return trouble{what: p.what, nodes: p.nodes, from: p.from, to: to}
}

// slowest returns the longest of the times of the nodes.
func slowest(of [nodes]time.Duration) (d time.Duration) {
	for _, b := range of {
		d = max(d, b)
	}
	return d
}

// through runs one fault under the load.
func (l *load) through(t *testing.T, f fault, people []person) phase {
	hot := l.heat(t, people)
	if f.what == database && len(f.nodes) == 0 {
		l.endAll(hot, people) // while it can still be acknowledged
	}
	p := phase{fault: f, from: time.Now()}
	f.inject(t, l.c)
	if f.what != database || len(f.nodes) > 0 {
		l.endAll(hot, people) // what a node that is cut off cannot learn of
	}
	if f.red {
		p.red = l.waitForRed(f, p.from)
	}
	time.Sleep(time.Until(p.from.Add(f.holds())))
	if f.what == process {
		p.healed = time.Now() // it has its stores, and starts
		f.heal(t, l.c)
	} else {
		f.heal(t, l.c)
		p.healed = time.Now()
	}
	if f.what != "" {
		p.back = l.waitForAll(t, people[0], p.healed)
	}
	p.to = time.Now()
	time.Sleep(time.Second / 2) // of calm, in which nothing is excused
	return p
}

// heat makes credentials that every node has just taken, so that a node that keeps verdicts has one on each.
func (l *load) heat(t *testing.T, people []person) (hot []*credential) {
	t.Helper()
	for _, p := range people {
		k := keyOf(must(t, l.do(createKey(as(p.key), "still:use", "posts:write")), 201))
		hot = append(hot, k)
	}
	for range 2 {
		for n := range nodes {
			for _, k := range hot {
				l.to(n, k.use)
			}
		}
	}
	return hot
}

// endAll ends them through the nodes in turn. One whose end is not acknowledged is not counted on.
func (l *load) endAll(hot []*credential, people []person) {
	var all sync.WaitGroup
	for i, k := range hot {
		all.Go(func() { l.revoke(people[i], k, ways[i%len(ways)]) })
	}
	all.Wait()
}

// waitForAll waits until every node does everything again, and returns how long each took.
func (l *load) waitForAll(t *testing.T, p person, since time.Time) (back [nodes]time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	for n := range nodes {
		all.Go(func() {
			why := ""
			for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(25 * time.Millisecond) {
				if why = l.works(n, p); why == "" {
					back[n] = time.Since(since)
					return
				}
			}
			back[n] = time.Since(since)
			t.Errorf("node %d is not back after %v: %s", n, patience, why)
		})
	}
	all.Wait()
	return back
}

// waitForRed waits until the nodes without PostgreSQL say that they are not ready, and returns how long each took.
func (l *load) waitForRed(f fault, since time.Time) (red [nodes]time.Duration) {
	var all sync.WaitGroup
	for n := range nodes {
		if len(f.nodes) > 0 && !slices.Contains(f.nodes, n) {
			continue
		}
		all.Go(func() {
			for red[n] = patience; time.Since(since) < patience; time.Sleep(25 * time.Millisecond) {
				if o := l.send(n, call{name: "ready", method: "GET", path: "/health/ready"}); o.status == 503 {
					red[n] = time.Since(since)
					return
				}
			}
		})
	}
	all.Wait()
	return red
}

// works says why a node does not do everything, or nothing: it is ready, its limits are shared, it takes a key, and
// it makes one.
func (l *load) works(n int, p person) string {
	o := l.send(n, call{name: "ready", method: "GET", path: "/health/ready"})
	var ready struct{ Checks map[string]string }
	if o.err != nil || o.status != 200 || json.Unmarshal(o.body, &ready) != nil || ready.Checks["rate_limits"] != "ok" || ready.Checks["database"] != "ok" {
		return fmt.Sprint(o, string(o.body))
	}
	made := l.send(n, createKey(as(p.key), "still:use"))
	if made.err != nil || made.status != 201 {
		return fmt.Sprint(made, string(made.body))
	}
	k := keyOf(made)
	l.ledger.good(k)
	if o := l.send(n, k.use); !o.ok() {
		return o.String()
	}
	return ""
}

// counts are what a node holds open.
type counts struct{ goroutines, descriptors int }

// fill brings a node to the state in which it is compared with itself: every connection to its stores is open, and no
// client is connected. The links are slow meanwhile, so that each of many requests needs a connection of its own. A
// request that fails has closed one.
func (l *load) fill(t *testing.T, m *member) {
	t.Helper()
	m.postgres.toxic(t, "latency", "latency", 50)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		var all sync.WaitGroup
		var failed atomic.Bool
		for range 2 * pool {
			all.Go(func() {
				for range 3 {
					if o := l.send(m.n, call{method: "GET", path: "/api/v1/posts"}); !o.ok() {
						failed.Store(true)
					}
				}
			})
		}
		all.Wait()
		if !failed.Load() {
			break
		}
	}
	m.postgres.heal(t)
	m.transport.CloseIdleConnections()
}

// hold returns what a node holds once that has not become less for a while.
func (l *load) hold(t *testing.T, m *member, enough counts) (c counts) {
	t.Helper()
	best := counts{1 << 30, 1 << 30}
	last := time.Now()
	for end := time.Now().Add(patience); time.Now().Before(end) && time.Since(last) < 4*time.Second; time.Sleep(100 * time.Millisecond) {
		m.transport.CloseIdleConnections()
		// The metric go_goroutines counts those that gather the metrics too, which are not the same each time.
		var now counts
		if _, err := fmt.Sscanf(m.stacks(t), "goroutine profile: total %d", &now.goroutines); err != nil {
			t.Errorf("node %d: its goroutines: %v", m.n, err)
			return best
		}
		g, err := m.gauges("process_open_fds")
		if err != nil {
			t.Error(err)
			return best
		}
		now.descriptors = int(g["process_open_fds"])
		if now.goroutines < best.goroutines || now.descriptors < best.descriptors {
			best = counts{min(best.goroutines, now.goroutines), min(best.descriptors, now.descriptors)}
			last = time.Now()
		}
		if best.goroutines <= enough.goroutines && best.descriptors <= enough.descriptors {
			break
		}
	}
	return best
}

// chosen returns the faults of this run.
func chosen() (out []fault) {
	for _, f := range faults() {
		if (*full || f.short) && strings.Contains(f.name, *only) {
			out = append(out, f)
		}
	}
	return out
}
