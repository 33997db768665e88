//go:build unix

package chaos_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/merlonhq/merlon/internal/redistest"
)

// A cost is what a node has asked of its stores so far.
type cost struct {
	statements, trips, redis, events float64
	at                               time.Time
}

// spent returns what a node has asked of its stores. Events are written behind the answers, so it waits for them.
func spent(t *testing.T, m *member, pg *meter, redis *redistest.Server) cost {
	t.Helper()
	const recorded, written = "merlon_events_recorded_total", `merlon_event_sink_events_total{result="written",sink="database"}`
	var g map[string]float64
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if g, err = m.gauges(recorded, written); err != nil {
			t.Fatal(err)
		}
		if g[recorded] <= g[written] {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("events are not written: %v", g)
		}
	}
	return cost{float64(pg.statements.Load()), float64(pg.trips.Load()), calls(redis), g[recorded], time.Now()}
}

// per returns what each of n requests cost between two moments, without what the node asks when idle.
func per(n int, from, to, idle cost) cost {
	seconds := to.at.Sub(from.at).Seconds()
	each := func(from, to, idle float64) float64 { return max(0, to-from-idle*seconds) / float64(n) }
	return cost{
		statements: each(from.statements, to.statements, idle.statements), trips: each(from.trips, to.trips, idle.trips),
		redis: each(from.redis, to.redis, idle.redis), events: each(from.events, to.events, idle.events),
	}
}

// costs prints what each kind of request asks of the stores, and returns it by name. The row of an idle node is per
// second.
func costs(t *testing.T, l *load, m *member, pg *meter, redis *redistest.Server) map[string]cost {
	t.Helper()
	const n = 20
	const still = 3 * time.Second
	all := kinds(t, l, n)
	by := map[string]cost{}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	row := func(name string, c cost) {
		by[name] = c
		fmt.Fprintf(w, "| %s\t| %.1f\t| %.1f\t| %.1f\t| %.1f\t|\n", name, c.statements, c.trips, c.redis, c.events)
	}
	fmt.Fprintln(w, "| request\t| statements\t| round trips\t| Redis calls\t| events\t|\n|---\t|---\t|---\t|---\t|---\t|")
	// That of the limit comes first, since its window ends.
	measure := func(k kind, idle cost) {
		from := spent(t, m, pg, redis)
		for i := range n {
			if o := l.send(0, k.call(i)); len(o.well) != 1 || o.err != nil || o.status != o.well[0] {
				t.Fatalf("%s: %v: %s", k.name, o, o.body)
			}
		}
		row(k.name, per(n, from, spent(t, m, pg, redis), idle))
	}
	measure(all[0], cost{})
	from := spent(t, m, pg, redis)
	time.Sleep(still)
	to := spent(t, m, pg, redis)
	idle := per(1, from, to, cost{})
	seconds := to.at.Sub(from.at).Seconds()
	idle = cost{idle.statements / seconds, idle.trips / seconds, idle.redis / seconds, idle.events / seconds, time.Time{}}
	for _, k := range all[1:] {
		measure(k, idle)
	}
	row("a node at rest, each second", idle)
	w.Flush() // of standard output
	return by
}

// What a request costs each store: docs/scaling.md counts on it.
func TestTheCostOfARequest(t *testing.T) {
	s := startSingle(t, true)
	by := costs(t, s.load, s.node, s.meter, s.redis)
	doc, err := os.ReadFile("../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range by {
		if !strings.Contains(string(doc), "\n| "+name+" | ") {
			t.Errorf("docs/scaling.md has no row of %q", name)
		}
	}
	if c := by["no credential, no database"]; c.statements != 0 {
		t.Errorf("what needs no database asks it %.1f times", c.statements)
	}
	for name, c := range by {
		if c.redis > 3 {
			t.Errorf("%s: %.1f calls of Redis; want at most one for each of the three places that count", name, c.redis)
		}
	}
}
