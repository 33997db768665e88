//go:build unix

package chaos_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A verdict is a count and what it may be.
type verdict struct {
	what  string
	count int
	of    string
	max   int
	said  []string // the requests that it is about
}

func (v verdict) bad() bool { return v.count > v.max }

// table prints the phases.
func table(phases []phase, outcomes []outcome) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "fault\theld\tred after\tback after\trequests\t2xx\t4xx\t503\tlost\tp50\tp99\tmax")
	for i, p := range phases {
		until := time.Now()
		if i+1 < len(phases) {
			until = phases[i+1].from
		}
		var took []time.Duration
		var n [4]int
		for _, o := range outcomes {
			if o.sent.Before(p.from) || !o.sent.Before(until) {
				continue
			}
			switch {
			case o.err != nil:
				n[3]++
				continue
			case o.status < 300:
				n[0]++
			case o.status < 500:
				n[1]++
			default:
				n[2]++
			}
			took = append(took, o.took())
		}
		red, back := "-", "-"
		if p.red != ([nodes]time.Duration{}) {
			red = slowest(p.red).Round(10 * time.Millisecond).String()
		}
		if p.what != "" {
			back = slowest(p.back).Round(10 * time.Millisecond).String()
		}
		p50, p99, most := spread(took)
		fmt.Fprintf(w, "%s\t%v\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", p.name, p.healed.Sub(p.from).Round(100*time.Millisecond), red, back,
			len(took)+n[3], n[0], n[1], n[2], n[3], ms(p50), ms(p99), ms(most))
	}
	w.Flush() // of standard output
}

func spread(took []time.Duration) (p50, p99, most time.Duration) {
	if len(took) == 0 {
		return 0, 0, 0
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

// verdicts prints the counts.
func verdicts(all []verdict) {
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, v := range all {
		said := "ok"
		if v.bad() {
			said = "WRONG"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", v.what, v.count, v.of, said)
	}
	w.Flush()
	for _, v := range all {
		if !v.bad() {
			continue
		}
		fmt.Printf("\n%s:\n", v.what)
		for i, line := range v.said {
			if i == 40 {
				fmt.Printf("  and %d more\n", len(v.said)-i)
				break
			}
			fmt.Println("  " + line)
		}
	}
}

// tally lists what is wrong with outcomes: kinds first, then the requests themselves.
func tally(outcomes []outcome, troubles []trouble) (n int, said []string) {
	kinds := map[string]int{}
	var lines []string
	for _, o := range outcomes {
		why := wrong(o, troubles)
		if why == "" {
			continue
		}
		n++
		kinds[fmt.Sprintf("%s: %s: %d %s, want %v", why, o.name, o.status, o.code, o.well)]++
		lines = append(lines, fmt.Sprint(o, " ", strings.TrimSpace(string(o.body))))
	}
	for kind, times := range kinds {
		said = append(said, fmt.Sprintf("%d × %s", times, kind))
	}
	slices.Sort(said)
	return n, append(said, lines...)
}
