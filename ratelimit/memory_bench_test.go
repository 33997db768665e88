package ratelimit_test

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
)

// BenchmarkMemory is one decision at limit 100 per minute, keys in a scattered order.
func BenchmarkMemory(b *testing.B) {
	limit := &ratelimit.Limit{Max: 100, Window: time.Minute}
	for _, n := range []int{1, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			keys := make([]ratelimit.Key, n)
			for i := range keys {
				keys[i] = ratelimit.NewKey("address")
				keys[i].AddAddress(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), 32, 64)
			}
			before := heap()
			m, err := ratelimit.NewMemory(ratelimit.MemoryConfig{MaxKeys: max(n, 1024)})
			if err != nil {
				b.Fatal(err)
			}
			reqs := []ratelimit.Request{{Limit: limit}}
			res := make([]ratelimit.Result, 1)
			for i := range keys {
				reqs[0].Key = keys[i]
				if err := m.Take(context.Background(), reqs, res); err != nil || !res[0].Allowed {
					b.Fatalf("key %d is not counted apart: %+v, %v", i, res[0], err)
				}
			}
			perKey := float64(heap()-before) / float64(n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i = (i + 7919) % n
				reqs[0].Key = keys[i]
				if err := m.Take(context.Background(), reqs, res); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(perKey, "B/key")
			runtime.KeepAlive(m)
		})
	}
}

func heap() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
