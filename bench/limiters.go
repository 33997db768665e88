package bench

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/httprate"
	"github.com/merlonhq/merlon/ratelimit"
	golimiter "github.com/sethvargo/go-limiter"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	ulule "github.com/ulule/limiter/v3"
	ululememory "github.com/ulule/limiter/v3/drivers/store/memory"
	"golang.org/x/time/rate"
)

// Names of the contestants that bars are about.
const (
	Memory        = "ratelimit.Memory"
	MemoryAddress = "ratelimit.Memory, asked by address"
	GoLimiter     = "sethvargo/go-limiter 0.7.1"
)

// A limiter is one way to count. It is made for a quota and a number of keys.
type limiter struct {
	name string
	make func(l quota) (allow, error)
	// realClock is set when it reads the clock behind the back of package time.
	realClock bool
	// again is set when it is one of the others, asked in another way.
	again bool
}

// quota is what limiters are asked to hold.
type quota struct {
	max    int
	window time.Duration
	keys   int
	name   func(i int) string // of the i-th key
	bubble bool               // start no goroutine that would outlive a test's bubble
}

// allow takes one unit for the i-th key. An instance of it is used by one
// goroutine at a time; fork makes one that shares the state, for another.
type allow struct {
	take func(i int) bool
	fork func() func(i int) bool
}

// shared is an allow whose function holds nothing of its own.
func shared(take func(i int) bool) allow {
	return allow{take: take, fork: func() func(int) bool { return take }}
}

func limiters() []limiter {
	return []limiter{
		{name: "floor: 64 maps with GCRA, no expiry, no bound", make: newFloor},
		{name: GoLimiter, make: newGoLimiter, realClock: true},
		{name: "ulule/limiter 3.11.2", make: newUlule},
		{name: "go-chi/httprate 0.16.1, with headers", make: newHTTPRate},
		{name: "throttled 2.15.0, map", make: newThrottled},
		{name: "x/time/rate 0.16.0 in a map", make: newTimeRate},
		{name: Memory, make: func(q quota) (allow, error) {
			return newMemory(q, func(k *ratelimit.Key, i int) { k.Add(ratelimit.KindOther, q.name(i)) })
		}},
		{name: MemoryAddress, make: func(q quota) (allow, error) {
			return newMemory(q, func(k *ratelimit.Key, i int) { k.AddAddress(address(i), 32, 64) })
		}, again: true},
	}
}

// Limiters is one decision about one of n keys, all of them known. With n = 1
// the key is replaced after a million decisions, so that no limit is reached.
func Limiters(n int) Contest {
	c := Contest{Name: fmt.Sprintf("limiters %d", n)}
	for _, l := range limiters() {
		c.Contestants = append(c.Contestants, Contestant{l.name, func(workers int) (*Instance, error) { return filled(l, workers, n) }})
	}
	return c
}

// filled makes a limiter and fills it with n keys, noting what a key costs.
func filled(l limiter, workers, n int) (*Instance, error) {
	const hot = 256 // keys that take turns where n is 1
	keys := n
	if n == 1 {
		keys = hot
	}
	name, filling := names(keys), true
	q := quota{max: most, window: time.Minute, keys: keys, name: func(i int) string {
		if filling {
			return strings.Clone(name(i)) // as a server's keys are: what is kept of them costs memory
		}
		return name(i)
	}}
	before := heap()
	a, err := l.make(q)
	if err != nil {
		return nil, err
	}
	in := &Instance{}
	runtime.LockOSThread()
	for i := range keys {
		start := threadCPU()
		ok := a.take(i)
		in.WorstInsert = max(in.WorstInsert, threadCPU()-start)
		if !ok {
			return nil, fmt.Errorf("bench: %s refused key %d at its first use", l.name, i)
		}
	}
	runtime.UnlockOSThread()
	filling = false
	in.BytesPerKey = float64(heap()-before) / float64(keys)
	runtime.KeepAlive(name) // else it would be missing from what was before
	for w := range workers {
		take, next := a.fork(), scattered(w, keys)
		if n == 1 {
			i := w << 20 // another key for each worker
			next = func() int { i++; return (i >> 20) % hot }
		}
		in.Loops = append(in.Loops, func(count int) {
			for range count {
				if !take(next()) {
					panic("bench: " + l.name + " refused; it was to measure what is allowed")
				}
			}
		})
	}
	return in, nil
}

// names are n keys of equal length in one piece of memory: addresses as text.
func names(n int) func(i int) string {
	var t texts
	for i := range n {
		t.add(fmt.Sprintf("010.%03d.%03d.%03d", i>>16&255, i>>8&255, i&255))
	}
	return t.strings()
}

func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func heap() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC() // twice: what finalizers and pools let go
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// newMemory is Merlon's store, sized for the keys. A key is the name of a rule and
// what part adds: the text that the others get as their key, or an address.
func newMemory(q quota, part func(k *ratelimit.Key, i int)) (allow, error) {
	m, err := ratelimit.NewMemory(ratelimit.MemoryConfig{MaxKeys: max(q.keys, 1024)})
	if err != nil {
		return allow{}, err
	}
	limit, ctx := &ratelimit.Limit{Max: q.max, Window: q.window}, context.Background()
	rule := ratelimit.NewKey("default")
	fork := func() func(int) bool {
		reqs, res := []ratelimit.Request{{Limit: limit}}, make([]ratelimit.Result, 1)
		return func(i int) bool {
			reqs[0].Key = rule
			part(&reqs[0].Key, i)
			return m.Take(ctx, reqs, res) == nil && res[0].Allowed
		}
	}
	return allow{take: fork(), fork: fork}, nil
}

func newGoLimiter(q quota) (allow, error) {
	var store golimiter.Store
	store, err := memorystore.New(&memorystore.Config{Tokens: uint64(q.max), Interval: q.window})
	ctx := context.Background()
	return shared(func(i int) bool {
		_, _, _, ok, err := store.Take(ctx, q.name(i))
		return ok && err == nil
	}), err
}

func newUlule(q quota) (allow, error) {
	options := ulule.StoreOptions{Prefix: ulule.DefaultPrefix, CleanUpInterval: ulule.DefaultCleanUpInterval}
	if q.bubble {
		options.CleanUpInterval = 0
	}
	l := ulule.New(ululememory.NewStoreWithOptions(options), ulule.Rate{Period: q.window, Limit: int64(q.max)})
	ctx := context.Background()
	return shared(func(i int) bool {
		c, err := l.Get(ctx, q.name(i))
		return !c.Reached && err == nil
	}), nil
}

// newHTTPRate asks as its middleware does, headers included.
func newHTTPRate(q quota) (allow, error) {
	l := httprate.NewRateLimiter(q.max, q.window)
	fork := func() func(int) bool {
		w, r := newDiscard(), newRequest(0, "", false)
		return func(i int) bool {
			w.begin()
			return !l.OnLimit(w, r, q.name(i))
		}
	}
	return allow{take: fork(), fork: fork}, nil
}

func newThrottled(q quota) (allow, error) {
	store, err := memstore.NewCtx(0)
	if err != nil {
		return allow{}, err
	}
	l, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{MaxRate: throttled.PerDuration(q.max, q.window), MaxBurst: q.max - 1})
	ctx := context.Background()
	return shared(func(i int) bool {
		limited, _, err := l.RateLimitCtx(ctx, q.name(i), 1)
		return !limited && err == nil
	}), err
}

func newTimeRate(q quota) (allow, error) {
	var mu sync.Mutex
	m := map[string]*rate.Limiter{}
	return shared(func(i int) bool {
		name := q.name(i)
		mu.Lock()
		l := m[name]
		if l == nil {
			l = rate.NewLimiter(rate.Limit(float64(q.max)/q.window.Seconds()), q.max)
			m[name] = l
		}
		mu.Unlock()
		return l.Allow()
	}), nil
}

// newFloor is the least that a sharded limiter in Go's maps can be.
func newFloor(q quota) (allow, error) {
	type shard struct {
		mu sync.Mutex
		at map[string]int64
		_  [40]byte
	}
	var shards [64]shard
	for i := range shards {
		shards[i].at = map[string]int64{}
	}
	seed, start := maphash.MakeSeed(), time.Now()
	interval := int64(q.window) / int64(q.max)
	return shared(func(i int) bool {
		name := q.name(i)
		s := &shards[maphash.String(seed, name)%uint64(len(shards))]
		now := int64(time.Since(start))
		s.mu.Lock()
		defer s.mu.Unlock()
		at := max(s.at[name], now) + interval
		if at-now > int64(q.window) {
			return false
		}
		s.at[name] = at
		return true
	}), nil
}
