package bench

import "fmt"

// A Contest is a list of contestants that do the same work.
type Contest struct {
	Name        string
	Contestants []Contestant
}

// A Contestant does the work in one way.
type Contestant struct {
	Name string
	// New makes an instance for the given number of goroutines.
	New func(workers int) (*Instance, error)
}

// An Instance is a contestant that is ready to run.
type Instance struct {
	// Loops has one function per goroutine, which does the work n times.
	Loops []func(n int)
	// BytesPerKey is what a key of state costs on the heap, where state has keys.
	BytesPerKey float64
	// WorstInsert is the most CPU time that one new key took, in nanoseconds.
	WorstInsert int64
}

// Contests returns all contests.
func Contests() []Contest {
	return []Contest{
		Middleware(false), Middleware(true),
		Stages(),
		APIKeys(100), APIKeys(1_000_000),
		Limiters(1), Limiters(100_000), Limiters(1_000_000),
	}
}

// Find returns the contestant of a contest.
func Find(contest, contestant string) (Contestant, error) {
	for _, c := range Contests() {
		for _, p := range c.Contestants {
			if c.Name == contest && p.Name == contestant {
				return p, nil
			}
		}
	}
	return Contestant{}, fmt.Errorf("bench: no contestant %q in %q", contestant, contest)
}

// alike makes an instance of loops that share nothing but what loop closes over.
func alike(workers int, loop func(worker int) (func(n int), error)) (*Instance, error) {
	in := &Instance{}
	for w := range workers {
		f, err := loop(w)
		if err != nil {
			return nil, err
		}
		in.Loops = append(in.Loops, f)
	}
	return in, nil
}
