//go:build unix

package chaos_test

import (
	"slices"
	"testing"
	"time"
)

// A fault takes something away and gives it back.
type fault struct {
	name  string
	what  string // database, limits or process; "" for none
	nodes []int  // that it touches; none: all
	short bool   // part of the short form
	red   bool   // readiness must tell of it
	// hold is how long it lasts in the long form; in the short one a fraction, which is more than twice the bound.
	hold time.Duration
	// inject returns when the fault is there, and heal when what was taken answers again.
	inject, heal func(*testing.T, *cluster)
}

func (f fault) holds() time.Duration {
	if !*full {
		return max(f.hold*3/10, 2*bound+bound/5)
	}
	return f.hold
}

// served is the fault of PostgreSQL that is within the deadlines: requests are slow, and a node is ready.
const served = "PostgreSQL 300 ms late"

// faults returns all of them in the order in which they come.
func faults() []fault {
	const long, usual = 10 * time.Second, 6 * time.Second
	none := func(*testing.T, *cluster) {}
	all := []fault{
		{name: "all is well", short: true, hold: usual, inject: none, heal: none},
		{name: "kill -9 of a node", what: process, nodes: []int{0}, short: true, hold: usual,
			inject: func(_ *testing.T, c *cluster) { c.nodes[0].kill() }, heal: func(t *testing.T, c *cluster) { c.nodes[0].restart(t) }},
		{name: "kill -9 of Redis", what: limits, short: true, hold: usual,
			inject: func(_ *testing.T, c *cluster) { c.redis.Kill() }, heal: func(_ *testing.T, c *cluster) { c.redis.Restart() }},
		{name: "kill -9 of PostgreSQL", what: database, short: true, hold: usual,
			inject: func(t *testing.T, c *cluster) { c.postgres.Kill(t) }, heal: func(t *testing.T, c *cluster) {
				if err := c.postgres.Run(); err != nil {
					t.Fatal(err)
				}
			}},
		{name: "SIGSTOP of Redis", what: limits, short: true, hold: long,
			inject: func(_ *testing.T, c *cluster) { c.redis.Stop() }, heal: func(_ *testing.T, c *cluster) { c.redis.Continue() }},
		{name: "SIGSTOP of PostgreSQL", what: database, short: true, hold: long,
			inject: func(t *testing.T, c *cluster) { c.postgres.Pause(t) }, heal: func(t *testing.T, c *cluster) { c.postgres.Resume(t) }},
		toxic("Redis 300 ms late", limits, false, "latency", "latency", 300),
		toxic(served, database, true, "latency", "latency", 300),
		toxic("Redis 5 s late", limits, false, "latency", "latency", 5000),
		toxic("PostgreSQL 5 s late", database, false, "latency", "latency", 5000),
		toxic("Redis in a black hole", limits, false, "timeout", "timeout", 0),
		toxic("PostgreSQL in a black hole", database, true, "timeout", "timeout", 0),
		toxic("Redis resets", limits, false, "reset_peer", "timeout", 0),
		toxic("PostgreSQL resets", database, false, "reset_peer", "timeout", 0),
		onLinks("Redis cut off", limits, nil, false, func(_ *testing.T, l *link) { l.cut() }),
		onLinks("PostgreSQL cut off", database, nil, false, func(_ *testing.T, l *link) { l.cut() }),
		onLinks("one node without PostgreSQL", database, []int{1}, true, func(_ *testing.T, l *link) { l.cut() }),
		onLinks("one node without Redis", limits, []int{2}, false, func(_ *testing.T, l *link) { l.cut() }),
	}
	for i := range all {
		if all[i].hold == 0 {
			all[i].hold = usual
		}
		all[i].red = all[i].what == database && all[i].name != served
	}
	return all
}

// toxic is a fault of all links to a store.
func toxic(name, what string, short bool, kind, attribute string, ms int) fault {
	return onLinks(name, what, nil, short, func(t *testing.T, l *link) { l.toxic(t, kind, attribute, ms) })
}

// onLinks is a fault of the links from some nodes to a store.
func onLinks(name, what string, nodes []int, short bool, inject func(*testing.T, *link)) fault {
	links := func(c *cluster) (out []*link) {
		for _, m := range c.nodes {
			switch {
			case len(nodes) > 0 && !slices.Contains(nodes, m.n):
			case what == database:
				out = append(out, m.postgres)
			default:
				out = append(out, m.redis)
			}
		}
		return out
	}
	return fault{name: name, what: what, nodes: nodes, short: short,
		inject: func(t *testing.T, c *cluster) {
			for _, l := range links(c) {
				inject(t, l)
			}
		},
		heal: func(t *testing.T, c *cluster) {
			for _, l := range links(c) {
				l.heal(t)
			}
		}}
}
