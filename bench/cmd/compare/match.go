package main

import (
	"fmt"
	"slices"

	"github.com/merlonhq/merlon/bench"
)

// A match is a contest on a number of processors.
type match struct {
	contest   bench.Contest
	procs     int
	reference string   // whom the others are compared with
	added     bool     // each is the one before it and something more
	apart     bool     // each has a process of its own, because it holds much
	entrants  []string // nil is all
}

// played are the contestants of a match with their rounds.
type played []*contestant

func (m match) play(rounds int) (p played, err error) {
	var names []string
	for _, c := range m.contest.Contestants {
		if m.entrants == nil || slices.Contains(m.entrants, c.Name) {
			names = append(names, c.Name)
		}
	}
	groups := [][]string{names}
	if m.apart {
		groups = slices.Collect(slices.Chunk(names, 1))
	}
	for _, g := range groups {
		child, contestants, err := start(m.procs, m.contest.Name, g...)
		if err != nil {
			return nil, err
		}
		defer child.stop()
		p = append(p, contestants...)
	}
	for range rounds {
		for _, c := range p {
			c.rounds = append(c.rounds, bench.Round{})
		}
		for range turns {
			for _, c := range p {
				if err := c.turn(); err != nil {
					return nil, err
				}
			}
		}
	}
	return p, nil
}

func (p played) find(name string) *contestant {
	for _, c := range p {
		if c.name == name {
			return c
		}
	}
	return nil
}

// median of what f says of each round.
func (c *contestant) median(f func(bench.Round) float64) float64 {
	values := make([]float64, len(c.rounds))
	for i, r := range c.rounds {
		values[i] = f(r)
	}
	return middle(values)
}

func (c *contestant) cpu() float64    { return c.median(bench.Round.NanosPerOp) }
func (c *contestant) allocs() float64 { return c.median(bench.Round.AllocsPerOp) }

// ratio is the median of the ratios of rounds that were neighbours, and their
// quartiles.
func ratio(c, to *contestant) (mid, low, high float64) {
	values := make([]float64, len(c.rounds))
	for i := range values {
		values[i] = c.rounds[i].NanosPerOp() / to.rounds[i].NanosPerOp()
	}
	mid = middle(values)
	return mid, values[len(values)/4], values[len(values)*3/4]
}

// middle sorts values and returns their median.
func middle(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return 0
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}

func (m match) print(p played) {
	fmt.Printf("\n### %s, %d processor%s\n\n", m.contest.Name, m.procs, map[bool]string{true: "s"}[m.procs > 1])
	keys := slices.ContainsFunc(p, func(c *contestant) bool { return c.setUp.BytesPerKey > 0 })
	switch {
	case m.added:
		fmt.Println("| | CPU | in the best turn | more than before | allocs | bytes |\n|---|---|---|---|---|---|")
	case keys:
		fmt.Println("| | CPU | ÷ " + m.reference + " | quartiles | best turn ÷ best turn | allocs | bytes/key | worst insert |\n|---|---|---|---|---|---|---|---|")
	default:
		fmt.Println("| | CPU | ÷ " + m.reference + " | quartiles | best turn ÷ best turn | allocs | bytes |\n|---|---|---|---|---|---|---|")
	}
	reference := p.find(m.reference)
	for i, c := range p {
		bytes := c.median(bench.Round.BytesPerOp)
		if m.added {
			growth := "" // only the names with a plus stand for an addition
			if before := p[max(i-1, 0)]; c.name[0] == '+' {
				if before.name[0] != '+' {
					before = p.find(bench.NoStages)
				}
				growth = nanos(c.best - before.best)
			}
			fmt.Printf("| %s | %s | %s | %s | %.0f | %.0f |\n", c.name, nanos(c.cpu()), nanos(c.best), growth, c.allocs(), bytes)
			continue
		}
		mid, low, high := ratio(c, reference)
		fmt.Printf("| %s | %s | %.2f | %.2f–%.2f | %.2f | %.0f |", c.name, nanos(c.cpu()), mid, low, high, c.best/reference.best, c.allocs())
		if keys {
			fmt.Printf(" %.0f | %.2f ms |\n", c.setUp.BytesPerKey, float64(c.setUp.WorstInsert)/1e6)
		} else {
			fmt.Printf(" %.0f |\n", bytes)
		}
	}
}

func nanos(ns float64) string {
	if ns >= 1000 {
		return fmt.Sprintf("%.2f µs", ns/1000)
	}
	return fmt.Sprintf("%.0f ns", ns)
}
