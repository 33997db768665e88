package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/merlonhq/merlon/bench"
)

type key struct {
	contest string
	procs   int
}

// results are all that was measured.
type results struct {
	played map[key]played
	worst  map[string]int // most admitted in one window, by limiter
	redis  []bench.RedisResult
}

// A bar is what Merlon shall reach.
type bar struct {
	what    string
	atMost  float64
	unit    string
	measure func(r results) (value float64, measured bool)
}

var bars = []bar{
	{"whole chain, CPU ÷ lean stack, one processor", 0.40, "", quotient(bench.Program, 1, bench.Chain, bench.LeanStack)},
	{"the same, a browser's request", 0.40, "", quotient(bench.Browser, 1, bench.Chain, bench.LeanStack)},
	{"whole chain, CPU ÷ lean stack, two processors", 0.50, "", quotient(bench.Program, 2, bench.Chain, bench.LeanStack)},
	{"whole chain, allocations", 6, "", allocations(bench.Program, bench.Chain)},
	{"headers stage, CPU ÷ as many constant headers", 1.50, "", stageQuotient(bench.HeadersAlone, bench.SevenHeaders)},
	{"headers stage, allocations", 0, "", stageAllocations(bench.HeadersAlone)},
	{"cors stage, CPU ÷ rs/cors", 1.00, "", stageQuotient(bench.CORSAlone, bench.RSCors)},
	{"hot API key, CPU ÷ floor, 100 keys", 2.00, "", quotient("api keys 100", 1, bench.KeyVerify, bench.KeyFloor)},
	{"hot API key, CPU ÷ floor, 1M keys", 2.00, "", quotient("api keys 1000000", 1, bench.KeyVerify, bench.KeyFloor)},
	{"memory limiter, CPU ÷ go-limiter, hot key", 0.70, "", quotient("limiters 1", 1, bench.Memory, bench.GoLimiter)},
	{"memory limiter, CPU ÷ go-limiter, 100k keys", 0.70, "", quotient("limiters 100000", 1, bench.Memory, bench.GoLimiter)},
	{"memory limiter, CPU ÷ go-limiter, 1M keys", 0.85, "", quotient("limiters 1000000", 1, bench.Memory, bench.GoLimiter)},
	{"memory limiter, allocations", 0, "", allocations("limiters 100000", bench.Memory)},
	{"memory limiter, bytes per key, 1M keys, full", 96, "", func(r results) (float64, bool) {
		c := r.find("limiters 1000000", 1, bench.Memory)
		if c == nil {
			return 0, false
		}
		return c.setUp.BytesPerKey, true
	}},
	{"memory limiter, worst insert of 1M, CPU time", 2, " ms", func(r results) (float64, bool) {
		c := r.find("limiters 1000000", 1, bench.Memory)
		if c == nil {
			return 0, false
		}
		return float64(c.setUp.WorstInsert) / 1e6, true
	}},
	{"memory limiter, most admitted in one window at limit 100", 100, "", func(r results) (float64, bool) {
		n, ok := r.worst[bench.Memory]
		return float64(n), ok
	}},
	{"Redis, round trips of a decision", 1, "", ofRedis(func(r *bench.RedisResult, _ []bench.RedisResult) float64 { return r.RoundTrips })},
	{"Redis, admitted of 1,000 at once at limit 100, 1 instance", 100, "", ofRedis(func(r *bench.RedisResult, _ []bench.RedisResult) float64 { return float64(r.Admitted[1]) })},
	{"Redis, the same, 4 instances", 100, "", ofRedis(func(r *bench.RedisResult, _ []bench.RedisResult) float64 { return float64(r.Admitted[4]) })},
	{"Redis, most admitted in one window at limit 100", 100, "", ofRedis(func(r *bench.RedisResult, _ []bench.RedisResult) float64 { return float64(r.Worst) })},
	{"Redis, decisions/s of redis_rate ÷ ours, 128 goroutines", 1 / 2.2, "", redisSlower(128)},
}

func (r results) find(contest string, procs int, name string) *contestant {
	return r.played[key{contest, procs}].find(name)
}

func quotient(contest string, procs int, name, reference string) func(results) (float64, bool) {
	return func(r results) (float64, bool) {
		c, to := r.find(contest, procs, name), r.find(contest, procs, reference)
		if c == nil || to == nil {
			return 0, false
		}
		mid, _, _ := ratio(c, to)
		return mid, true
	}
}

func allocations(contest, name string) func(results) (float64, bool) {
	return func(r results) (float64, bool) {
		c := r.find(contest, 1, name)
		if c == nil {
			return 0, false
		}
		return round(c.allocs()), true
	}
}

// stageQuotient compares what a stage adds to a chain with what a peer adds to a
// bare handler. It takes the best turns: differences of disturbed ones say little.
func stageQuotient(stage, peer string) func(results) (float64, bool) {
	return func(r results) (float64, bool) {
		c, before := r.find("stages", 1, stage), r.find("stages", 1, bench.NoStages)
		p, bare := r.find("stages", 1, peer), r.find("stages", 1, bench.Bare)
		if c == nil || p == nil || bare == nil {
			return 0, false
		}
		return (c.best - before.best) / (p.best - bare.best), true
	}
}

func stageAllocations(stage string) func(results) (float64, bool) {
	return func(r results) (float64, bool) {
		c, before := r.find("stages", 1, stage), r.find("stages", 1, bench.NoStages)
		if c == nil {
			return 0, false
		}
		return round(c.allocs() - before.allocs()), true
	}
}

// round drops what the program itself allocates beside the work.
func round(n float64) float64 { return float64(int(n + 0.05)) }

func (r results) printBars() {
	fmt.Print("\n### Bars\n\n| | bar | measured | |\n|---|---|---|---|\n")
	for _, b := range bars {
		value, ok := b.measure(r)
		if !ok {
			continue
		}
		verdict := "met"
		if value > b.atMost {
			verdict = "**missed**"
		}
		fmt.Printf("| %s | ≤ %.4g%s | %.3g%s | %s |\n", b.what, b.atMost, b.unit, value, b.unit, verdict)
	}
}

func printWorst(worst map[string]int, window time.Duration) {
	fmt.Printf("\n### Most admitted in one window at limit 100\n\nWindows of %v on the real clock; `go test` does it with 60 s in a bubble.\n\n| | most |\n|---|---|\n", window)
	for _, name := range slices.Sorted(maps.Keys(worst)) {
		fmt.Printf("| %s | %d |\n", name, worst[name])
	}
}
