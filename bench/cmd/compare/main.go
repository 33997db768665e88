// Command compare runs Merlon beside its peers and prints, in Markdown, what each
// costs and which bars are met.
//
//	cd bench && go run ./cmd/compare            # all of it, four to five minutes
//	cd bench && go run ./cmd/compare -only limiters
//
// Contestants take turns of equal CPU time; some turns make a round. A figure is
// the median of the rounds, a ratio the median of the ratios within each round.
// Contestants that hold little share a process, so that they meet the same heap
// and the same neighbours; those that hold a million keys have one each. CPU time
// is what the kernel says the whole process used, garbage collection included, so
// that other programs on the machine disturb it little; the ratios are what to quote.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/merlonhq/merlon/bench"
)

const (
	childArg = "contestant" // the first argument of a child

	// A turn is short, so that what else runs on the machine meets all alike; a
	// round is long enough to hold its share of garbage collection.
	turnCPU = 4 * time.Millisecond
	turns   = 8 // in a round
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 3 && args[0] == childArg {
		procs, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return serveChild(procs, args[2], args[3:])
	}
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	rounds := flags.Int("rounds", 21, "how many rounds")
	only := flags.String("only", "", "run only the contests whose name begins with this")
	if err := flags.Parse(args); err != nil {
		return err
	}

	began := time.Now()
	fmt.Printf("%s, %s/%s, %d processors, %d rounds of %d turns of %v CPU time.\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), *rounds, turns, turnCPU)
	r := results{played: map[key]played{}}
	for _, m := range matches {
		if !strings.HasPrefix(m.contest.Name, *only) {
			continue
		}
		played, err := m.play(*rounds)
		if err != nil {
			return err
		}
		r.played[key{m.contest.Name, m.procs}] = played
		m.print(played)
	}
	if strings.HasPrefix("limiters", *only) {
		const window = 4 * time.Second
		worst, err := bench.Worst(window, true)
		if err != nil {
			return err
		}
		r.worst = worst
		printWorst(worst, window)
	}
	if strings.HasPrefix("redis", *only) {
		redis, err := playRedis(*rounds)
		if err != nil {
			return err
		}
		r.redis = redis
		printRedis(redis)
	}
	r.printBars()
	fmt.Printf("\nTook %v.\n", time.Since(began).Round(time.Second))
	return nil
}

// matches are the contests and on how many processors they are run.
var matches = []match{
	{contest: bench.Middleware(false), procs: 1, reference: bench.LeanStack},
	{contest: bench.Middleware(false), procs: 2, reference: bench.LeanStack,
		entrants: []string{bench.LeanStack, bench.Chain, bench.ChainShared}},
	{contest: bench.Middleware(true), procs: 1, reference: bench.LeanStack,
		entrants: []string{bench.LeanStack, bench.Chain}},
	{contest: bench.Stages(), procs: 1, added: true},
	{contest: bench.APIKeys(100), procs: 1, apart: true, reference: bench.KeyFloor},
	{contest: bench.APIKeys(1_000_000), procs: 1, apart: true, reference: bench.KeyFloor},
	{contest: bench.Limiters(1), procs: 1, apart: true, reference: bench.GoLimiter},
	{contest: bench.Limiters(100_000), procs: 1, apart: true, reference: bench.GoLimiter},
	{contest: bench.Limiters(1_000_000), procs: 1, apart: true, reference: bench.GoLimiter},
	{contest: bench.Limiters(100_000), procs: 2, apart: true, reference: bench.GoLimiter,
		entrants: []string{bench.GoLimiter, bench.Memory}},
}
