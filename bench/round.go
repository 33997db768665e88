package bench

import (
	"runtime"
	"sync"
)

// A Round is what some operations of an instance cost.
type Round struct {
	Ops    int
	CPU    int64  // nanoseconds of all processors
	Allocs uint64 // allocations
	Bytes  uint64 // allocated
}

// Add adds what other operations cost.
func (r *Round) Add(o Round) {
	r.Ops += o.Ops
	r.CPU += o.CPU
	r.Allocs += o.Allocs
	r.Bytes += o.Bytes
}

// NanosPerOp is the CPU time of one operation.
func (r Round) NanosPerOp() float64 { return float64(r.CPU) / float64(r.Ops) }

// AllocsPerOp is the number of allocations of one operation.
func (r Round) AllocsPerOp() float64 { return float64(r.Allocs) / float64(r.Ops) }

// BytesPerOp is what one operation allocates.
func (r Round) BytesPerOp() float64 { return float64(r.Bytes) / float64(r.Ops) }

// Run does n operations in each loop of in at the same time and counts what they
// cost, garbage collection included.
func (in *Instance) Run(n int) Round {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := CPUTime()
	if len(in.Loops) == 1 {
		in.Loops[0](n)
	} else {
		var wg sync.WaitGroup
		for _, loop := range in.Loops {
			wg.Go(func() { loop(n) })
		}
		wg.Wait()
	}
	cpu := CPUTime() - start
	runtime.ReadMemStats(&after)
	return Round{
		Ops: n * len(in.Loops), CPU: cpu,
		Allocs: after.Mallocs - before.Mallocs,
		Bytes:  after.TotalAlloc - before.TotalAlloc,
	}
}

// Size returns how many operations in each loop take about cpu nanoseconds, and
// warms in up by finding out.
func (in *Instance) Size(cpu int64) int {
	for n := 64; ; n *= 2 {
		if r := in.Run(n); r.CPU > cpu/8 {
			return max(1, int(float64(n)*float64(cpu)/float64(r.CPU)))
		}
	}
}
