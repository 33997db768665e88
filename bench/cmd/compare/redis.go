package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/merlonhq/merlon/bench"
)

// What a turn and a window of the Redis limiters last, on the clock on the wall: their work is in another process.
const (
	redisTurn   = 60 * time.Millisecond
	redisWindow = 4 * time.Second
)

// playRedis measures the limiters that count in Redis, on a server of its own.
func playRedis(rounds int) ([]bench.RedisResult, error) {
	addr, stop, err := bench.StartRedis()
	if errors.Is(err, bench.ErrNoRedis) {
		fmt.Printf("\n### Redis\n\nLeft out: %v.\n", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer stop()
	return bench.Redis(addr, rounds, redisTurn, redisWindow)
}

func findRedis(list []bench.RedisResult, name string) *bench.RedisResult {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// perSecond is the median of the rounds, and of the ratios to the other's within each round.
func perSecond(r, to *bench.RedisResult, callers int) (median, ratio float64) {
	var ratios []float64
	for i, n := range r.PerSecond[callers] {
		ratios = append(ratios, n/to.PerSecond[callers][i])
	}
	return middle(append([]float64(nil), r.PerSecond[callers]...)), middle(ratios)
}

func printRedis(list []bench.RedisResult) {
	if len(list) == 0 {
		return
	}
	to := findRedis(list, bench.RedisRate)
	fmt.Printf("\n### Redis, one decision that is allowed\n\nA thousand keys; client and server on this machine; turns of %v on the clock on the wall.\n\n"+
		"| | round trips | decisions/s at 1 / 16 / 128 goroutines | ÷ %s |\n|---|---|---|---|\n", redisTurn, bench.RedisRate)
	for i := range list {
		var speeds, ratios []string
		for _, callers := range bench.Callers {
			n, ratio := perSecond(&list[i], to, callers)
			speeds, ratios = append(speeds, fmt.Sprintf("%.1fk", n/1000)), append(ratios, fmt.Sprintf("%.2f", ratio))
		}
		fmt.Printf("| %s | %.0f | %s | %s |\n", list[i].Name, list[i].RoundTrips, strings.Join(speeds, " / "), strings.Join(ratios, " / "))
	}
	fmt.Printf("\n### Redis, a thousand callers at once, and the worst window, at limit 100\n\n"+
		"| | admitted, 1 instance | 4 instances | errors | most in one window of %v |\n|---|---|---|---|---|\n", redisWindow)
	for _, r := range list {
		fmt.Printf("| %s | %d | %d | %d / %d | %d |\n", r.Name, r.Admitted[1], r.Admitted[4], r.Errors[1], r.Errors[4], r.Worst)
	}
}

// ofRedis is a measure of our own store.
func ofRedis(f func(r *bench.RedisResult, list []bench.RedisResult) float64) func(results) (float64, bool) {
	return func(r results) (float64, bool) {
		ours := findRedis(r.redis, bench.RedisStore)
		if ours == nil {
			return 0, false
		}
		return f(ours, r.redis), true
	}
}

// redisSlower is how much of our speed redis_rate has.
func redisSlower(callers int) func(results) (float64, bool) {
	return ofRedis(func(r *bench.RedisResult, list []bench.RedisResult) float64 {
		_, ratio := perSecond(r, findRedis(list, bench.RedisRate), callers)
		return 1 / ratio
	})
}
