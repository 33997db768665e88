package ratelimittest

import (
	"slices"
	"time"
)

// Log is the naive limiter that stores are compared with: it remembers every admitted unit for ever.
type Log struct {
	times []time.Duration
}

// Add notes weight units admitted at now.
func (l *Log) Add(now time.Duration, weight int) {
	for range weight {
		l.times = append(l.times, now)
	}
}

// Remove forgets weight units admitted at the time then: they were given back.
func (l *Log) Remove(then time.Duration, weight int) {
	if i, ok := slices.BinarySearch(l.times, then); ok {
		l.times = slices.Delete(l.times, i, i+weight)
	}
}

// In is how many units were admitted in the half-open window of the given length that ends with, and holds, now.
func (l *Log) In(now, length time.Duration) int {
	n := 0
	for i := len(l.times) - 1; i >= 0 && l.times[i] > now-length; i-- {
		n++
	}
	return n
}

// Fits is how long from now until weight more units make at most limit in a window of the given length, if
// nothing else is admitted. weight is at most limit.
func (l *Log) Fits(now, length time.Duration, limit, weight int) time.Duration {
	excess := l.In(now, length) + weight - limit
	if excess <= 0 {
		return 0
	}
	oldest := len(l.times) - l.In(now, length)
	return l.times[oldest+excess-1] + length - now
}
