package bench

import (
	"slices"
	"sync"
	"time"
)

// worstLimit is the limit of [Worst].
const worstLimit = 100

// Worst returns, for each limiter, the most that it admitted in one window of the
// given length at a limit of 100. The client takes one unit, waits until just
// before the window of that unit ends, and then takes all it can get for longer
// than a window. In a bubble of testing/synctest this takes no time, but go-limiter
// reads a clock that is not in the bubble: it is left out unless all is set.
func Worst(window time.Duration, all bool) (map[string]int, error) {
	worst := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, l := range limiters() {
		if l.realClock && !all || l.again {
			continue
		}
		a, err := l.make(quota{max: worstLimit, window: window, keys: 1, bubble: !all, name: func(int) string { return "010.000.000.001" }})
		if err != nil {
			return nil, err
		}
		wg.Go(func() {
			n := mostInOneWindow(a.take, window)
			mu.Lock()
			worst[l.name] = n
			mu.Unlock()
		})
	}
	wg.Wait()
	return worst, nil
}

// admission is when a unit was admitted: between these two instants.
type admission struct{ before, after time.Duration }

func mostInOneWindow(take func(int) bool, window time.Duration) int {
	start := time.Now()
	var admitted []admission
	try := func() bool {
		before := time.Since(start)
		ok := take(0)
		if ok {
			admitted = append(admitted, admission{before, time.Since(start)})
		}
		return ok
	}
	try()
	time.Sleep(window - window/64)
	for time.Since(start) < 2*window+window/4 {
		if !try() {
			time.Sleep(window / 2048)
		}
	}
	// Counted is what certainly lay in one window, however long a call took.
	most := 0
	for i, first := range admitted {
		end, _ := slices.BinarySearchFunc(admitted, first.before+window, func(a admission, t time.Duration) int {
			if a.after < t {
				return -1
			}
			return 1
		})
		most = max(most, end-i)
	}
	return most
}
