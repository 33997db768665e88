package ratelimit_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/ratelimit/ratelimittest"
)

func newMemory(t testing.TB, maxKeys int) *ratelimit.Memory {
	t.Helper()
	m, err := ratelimit.NewMemory(ratelimit.MemoryConfig{MaxKeys: maxKeys})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestNewMemoryRange(t *testing.T) {
	for _, tt := range []struct {
		maxKeys int
		ok      bool
	}{{0, true}, {1023, false}, {1024, true}, {-1, false}, {1<<28 + 1, false}} {
		if _, err := ratelimit.NewMemory(ratelimit.MemoryConfig{MaxKeys: tt.maxKeys}); (err == nil) != tt.ok {
			t.Errorf("MaxKeys %d: error %v; want ok %v", tt.maxKeys, err, tt.ok)
		}
	}
}

// An arrival is a request that comes a while after the one before it.
type arrival struct {
	wait   time.Duration
	weight int
	back   int // before it, the units of the back-th last admission are given back; zero for none
}

// The whole promise of the sliding window, against a log of every admission.
func TestSlidingWindowAgainstALog(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := ratelimit.Limit{
			Max:    rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(33, 2000)).Draw(rt, "max"),
			Window: time.Duration(rapid.IntRange(1, 600).Draw(rt, "seconds")) * time.Second,
		}
		// Waits from bursts to whole windows, many of them at the edges of slots and windows.
		w := limit.Window
		waits := rapid.OneOf(
			rapid.Just(time.Duration(0)),
			rapid.SampledFrom([]time.Duration{1, w / 15, w/15 + 1, w/15 - 1, w, w - 1, w + 1, w * 16 / 15, w * 2}),
			rapid.Map(rapid.Int64Range(0, int64(3*w)/int64(limit.Max)), func(n int64) time.Duration { return time.Duration(n) }),
			rapid.Map(rapid.Int64Range(0, int64(w)), func(n int64) time.Duration { return time.Duration(n) }),
		)
		weights := rapid.OneOf(rapid.Just(1), rapid.IntRange(1, limit.Max))
		arrivals := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) arrival {
			return arrival{waits.Draw(rt, "wait"), weights.Draw(rt, "weight"), max(0, rapid.IntRange(-8, 4).Draw(rt, "back"))}
		}), 1, 120).Draw(rt, "arrivals")

		problem := ""
		synctest.Test(t, func(t *testing.T) { problem = compare(limit, arrivals) })
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

// compare runs arrivals against a Memory and the log, and says what is wrong, if anything.
func compare(limit ratelimit.Limit, arrivals []arrival) string {
	m, err := ratelimit.NewMemory(ratelimit.MemoryConfig{MaxKeys: 1024})
	if err != nil {
		return err.Error()
	}
	// How much longer than the window a unit may count: a slot, or a step of the clock of exact limits.
	// A slot is rounded up to a nanosecond, sixteen of them count.
	late := 16*((limit.Window+14)/15) - limit.Window
	if limit.Max <= 32 {
		late = limit.Window / 2048
	}
	if limit.Max <= 8 {
		late = 0
	}
	var log ratelimittest.Log
	type admission struct {
		at     time.Duration
		weight int
		res    ratelimit.Result
	}
	var admitted []admission // and not given back
	start := time.Now()
	reqs := []ratelimit.Request{{Key: ratelimit.NewKey("test"), Limit: &limit}}
	res := make([]ratelimit.Result, 1)
	for i, a := range arrivals {
		time.Sleep(a.wait)
		now := time.Since(start)
		if i := len(admitted) - a.back; a.back > 0 && i >= 0 {
			back := admitted[i]
			admitted = slices.Delete(admitted, i, i+1)
			reqs[0].Weight = uint32(back.weight)
			if err := m.GiveBack(context.Background(), reqs, []ratelimit.Result{back.res}); err != nil {
				return err.Error()
			}
			log.Remove(back.at, back.weight)
		}
		reqs[0].Weight = uint32(a.weight)
		if err := m.Take(context.Background(), reqs, res); err != nil {
			return err.Error()
		}
		r := res[0]
		if !r.Allowed {
			if n := log.In(now, limit.Window+late); n+a.weight <= limit.Max {
				return fmt.Sprintf("arrival %d: %d refused at %d of %d in the window", i, a.weight, n, limit.Max)
			}
			earliest := log.Fits(now, limit.Window, limit.Max, a.weight)
			latest := log.Fits(now, limit.Window+late, limit.Max, a.weight)
			if r.RetryAfter < earliest || r.RetryAfter > latest || r.RetryAfter < r.Reset {
				return fmt.Sprintf("arrival %d: retry after %v, reset %v; the log says %v to %v", i, r.RetryAfter, r.Reset, earliest, latest)
			}
			continue
		}
		log.Add(now, a.weight)
		admitted = append(admitted, admission{now, a.weight, r})
		if n := log.In(now, limit.Window); n > limit.Max {
			return fmt.Sprintf("arrival %d: %d in one window of limit %d", i, n, limit.Max)
		}
		most, least := limit.Max-log.In(now, limit.Window), limit.Max-log.In(now, limit.Window+late)
		if r.Remaining < least || r.Remaining > most {
			return fmt.Sprintf("arrival %d: %d remaining; the log says %d to %d", i, r.Remaining, least, most)
		}
		if r.Reset <= 0 || r.Reset > limit.Window+late {
			return fmt.Sprintf("arrival %d: reset %v", i, r.Reset)
		}
	}
	// Whoever waits as told is admitted.
	reqs[0].Weight = uint32(limit.Max)
	for range 2 {
		if err := m.Take(context.Background(), reqs, res); err != nil {
			return err.Error()
		}
		time.Sleep(res[0].RetryAfter)
	}
	if !res[0].Allowed {
		return fmt.Sprintf("refused after waiting as told: %+v", res[0])
	}
	return ""
}

// Never above burst plus rate, and nothing refused that the bucket holds.
func TestTokenBucketAgainstAnExactBucket(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// The interval is whole nanoseconds, so that an integer model is exact.
		limit := ratelimit.Limit{
			Max: rapid.SampledFrom([]int{1, 2, 5, 10, 100, 1000}).Draw(rt, "max"), Window: time.Minute,
			Algorithm: ratelimit.TokenBucket, Burst: rapid.IntRange(1, 50).Draw(rt, "burst"),
		}
		interval := int64(limit.Window) / int64(limit.Max)
		waits := rapid.SliceOfN(rapid.Int64Range(0, 3*interval), 1, 80).Draw(rt, "waits")
		weights := rapid.SliceOfN(rapid.IntRange(1, limit.Burst), len(waits), len(waits)).Draw(rt, "weights")
		problem := ""
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(t, 1024)
			level := int64(limit.Burst) * interval // in nanoseconds of rate
			res := make([]ratelimit.Result, 1)
			for i, wait := range waits {
				time.Sleep(time.Duration(wait))
				level = min(level+wait, int64(limit.Burst)*interval)
				reqs := []ratelimit.Request{{Key: ratelimit.NewKey("test"), Limit: &limit, Weight: uint32(weights[i])}}
				if err := m.Take(context.Background(), reqs, res); err != nil {
					problem = err.Error()
					return
				}
				cost := int64(weights[i]) * interval
				retry := max(0, cost-level)
				allowed := cost <= level
				if allowed {
					level -= cost
				}
				if res[0].Allowed != allowed || int64(res[0].Remaining) != level/interval || int64(res[0].RetryAfter) != retry {
					problem = fmt.Sprintf("arrival %d: %+v; want allowed %v, %d remaining, retry %d", i, res[0], allowed, level/interval, retry)
					return
				}
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

func addressRequest(l *ratelimit.Limit, a netip.Addr) []ratelimit.Request {
	k := ratelimit.NewKey("address")
	k.AddAddress(a, 32, 64)
	return []ratelimit.Request{{Key: k, Limit: l}}
}

func peek(reqs []ratelimit.Request) []ratelimit.Request {
	reqs = slices.Clone(reqs)
	for i := range reqs {
		reqs[i].Peek = true
	}
	return reqs
}

func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(10 + i>>24), byte(i >> 16), byte(i >> 8), byte(i)})
}

func TestAFloodOfAddressesNeitherGrowsTheHeapNorFreesAnOffender(t *testing.T) {
	flood := 300_000
	if raceEnabled {
		flood = 100_000 // a third of the work, at five times the price
	}
	limit := &ratelimit.Limit{Max: 20, Window: time.Minute}
	m := newMemory(t, 4096)
	ctx := context.Background()
	res := make([]ratelimit.Result, 1)
	offender := addressRequest(limit, netip.MustParseAddr("192.0.2.1"))
	for range 21 {
		_ = m.Take(ctx, offender, res)
	}
	if res[0].Allowed {
		t.Fatal("the offender is not limited before the flood")
	}
	before := heap()
	admitted := 0
	for i := range flood {
		_ = m.Take(ctx, addressRequest(limit, address(i)), res)
		if res[0].Allowed {
			admitted++
		}
	}
	after := heap()
	if grown := int64(after) - int64(before); grown > 64<<10 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	// What has a place of its own, and a quota for each /16 of the rest.
	if most := 4096*2 + (flood>>16+1)*limit.Max; admitted > most || admitted < 4096 {
		t.Errorf("%d of the flood admitted; want %d to %d", admitted, 4096, most)
	}
	if _ = m.Take(ctx, offender, res); res[0].Allowed {
		t.Error("the flood freed the offender")
	}
	runtime.KeepAlive(m)
}

// A flood of ten million addresses against a budget of a hundred thousand keys: the heap stays where it was, nobody
// works behind the scenes, and who was limited before is limited after it.
func TestTenMillionAddressesAgainstABudgetOfAHundredThousandKeys(t *testing.T) {
	flood := 10_000_000
	if raceEnabled || testing.Short() {
		flood = 500_000 // five times the budget is enough to fill it
	}
	const budget, bytesPerKey = 100_000, 96
	before, goroutines := heap(), runtime.NumGoroutine()
	m := newMemory(t, budget)
	limit := &ratelimit.Limit{Max: 50, Window: time.Hour}
	ctx, res := context.Background(), make([]ratelimit.Result, 1)
	offender := addressRequest(limit, netip.MustParseAddr("192.0.2.1"))
	for range 51 {
		_ = m.Take(ctx, offender, res)
	}
	if res[0].Allowed {
		t.Fatal("the offender is not limited before the flood")
	}
	reqs := []ratelimit.Request{{Limit: limit}}
	for i := range flood {
		reqs[0].Key = ratelimit.NewKey("address")
		reqs[0].Key.AddAddress(address(i), 32, 64)
		_ = m.Take(ctx, reqs, res)
		if i%(flood/4) == 0 || i == flood-1 {
			if grown := int64(heap()) - int64(before); grown > budget*bytesPerKey {
				t.Fatalf("after %d addresses the heap has grown by %d bytes; want at most %d", i+1, grown, budget*bytesPerKey)
			}
		}
	}
	if _ = m.Take(ctx, offender, res); res[0].Allowed {
		t.Error("the flood freed the offender")
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	runtime.KeepAlive(m)
}

// The store is right while the wall clock is set: it measures time from its start by the monotonic clock alone. Whoever
// adds another way of reading the clock, or strips the monotonic reading, fails here.
func TestMemoryReadsTheMonotonicClockAlone(t *testing.T) {
	allowed := map[string]int{"memory.go time.Now": 1, "memory.go time.Since": 3}
	found := map[string]int{}
	for _, file := range []string{"memory.go", "cell.go", "slots.go", "stamps.go", "bucket.go", "table.go", "sharing.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
				switch name := sel.Sel.Name; name {
				case "Now", "Since", "Until", "Unix", "UnixNano", "UnixMilli", "Round", "Truncate", "Sub", "UTC", "Local", "In":
					base := "."
					if id, ok := sel.X.(*ast.Ident); ok {
						base = id.Name + "."
					}
					found[file+" "+base+name]++
				}
			}
			return true
		})
	}
	if !maps.Equal(found, allowed) {
		t.Errorf("the clock is read by %v; want %v", found, allowed)
	}
	// And Since goes by the monotonic reading: a start whose wall clock is an hour off makes no difference.
	if start := time.Now(); strings.Contains(start.String(), " m=") == strings.Contains(start.Round(0).String(), " m=") {
		t.Error("times have no monotonic reading here")
	}
}

func TestAFullTableServesNewcomersTogetherUntilRoomAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := &ratelimit.Limit{Max: 40, Window: time.Minute}
		m := newMemory(t, 1024)
		ctx := context.Background()
		res := make([]ratelimit.Result, 1)
		n := 0
		for i := range 8192 { // from 10.0.0.0/16: no room after some 1,200
			if _ = m.Take(ctx, addressRequest(limit, address(i)), res); res[0].Allowed {
				n++
			}
		}
		if n < 1024+40 || n > 1400+40 {
			t.Fatalf("%d admitted; want the table's keys and 40 together", n)
		}
		newcomer := addressRequest(limit, address(9000))
		if _ = m.Take(ctx, newcomer, res); res[0].Allowed {
			t.Error("a newcomer of a saturated network is admitted")
		}
		if _ = m.Take(ctx, peek(newcomer), res); res[0].Allowed {
			t.Error("peek does not agree with take")
		}
		elsewhere := addressRequest(limit, netip.MustParseAddr("198.51.100.7"))
		for i := range 40 {
			if _ = m.Take(ctx, elsewhere, res); !res[0].Allowed {
				t.Fatalf("a newcomer of another network is refused at its request %d", i+1)
			}
		}
		if _ = m.GiveBack(ctx, elsewhere, res); true {
			_ = m.Take(ctx, elsewhere, res)
		}
		if !res[0].Allowed {
			t.Error("a shared unit that was given back cannot be taken again")
		}
		if _ = m.Take(ctx, elsewhere, res); res[0].Allowed {
			t.Error("41 of 40 admitted")
		}

		// Half a window later the table's keys still count; later they make room, but what the newcomer used
		// while it shared a count still counts for it.
		time.Sleep(30 * time.Second)
		if _ = m.Take(ctx, elsewhere, res); res[0].Allowed {
			t.Error("half a window later the newcomer is admitted")
		}
		time.Sleep(35 * time.Second)
		if _ = m.Take(ctx, elsewhere, res); !res[0].Allowed {
			t.Error("after the window the newcomer is refused")
		}
	})
}

// A key counted with others that then finds room must not get a second quota in the same window.
func TestRoomThatAppearsDoesNotRenewAQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short := &ratelimit.Limit{Max: 40, Window: 10 * time.Second}
		long := &ratelimit.Limit{Max: 40, Window: time.Hour}
		m := newMemory(t, 1024)
		ctx := context.Background()
		res := make([]ratelimit.Result, 1)
		for i := range 8192 {
			_ = m.Take(ctx, addressRequest(short, address(i)), res)
		}
		client := addressRequest(long, netip.MustParseAddr("203.0.113.9"))
		for range 40 {
			if _ = m.Take(ctx, client, res); !res[0].Allowed {
				t.Fatal("refused before its quota is used")
			}
		}
		time.Sleep(time.Minute) // the flood is gone: there is room
		if _ = m.Take(ctx, peek(client), res); res[0].Allowed {
			t.Error("peek: the quota was renewed")
		}
		if _ = m.Take(ctx, client, res); res[0].Allowed {
			t.Error("the quota was renewed")
		}
		other := addressRequest(long, netip.MustParseAddr("198.51.100.1"))
		if _ = m.Take(ctx, other, res); !res[0].Allowed || res[0].Remaining != 39 {
			t.Errorf("a client of another network: %+v; want 39 remaining", res[0])
		}
	})
}

// The same where not even its network had room, and a place for the network appears first.
func TestRoomForANetworkDoesNotRenewAQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short := &ratelimit.Limit{Max: 40, Window: 10 * time.Second}
		long := &ratelimit.Limit{Max: 40, Window: time.Hour}
		m := newMemory(t, 1024)
		ctx := context.Background()
		res := make([]ratelimit.Result, 1)
		for i := range 16384 { // one network fills the table
			_ = m.Take(ctx, addressRequest(long, address(i)), res)
		}
		for i := range 8192 { // many networks fill the table of networks
			_ = m.Take(ctx, addressRequest(short, address(i<<16)), res)
		}
		client := addressRequest(long, netip.MustParseAddr("203.0.113.9"))
		for range 40 {
			if _ = m.Take(ctx, client, res); !res[0].Allowed {
				t.Fatal("refused before its quota is used")
			}
		}
		time.Sleep(time.Minute)
		if _ = m.Take(ctx, client, res); res[0].Allowed {
			t.Error("the quota was renewed")
		}
	})
}

// Making room for one key of a call must not take the place of another key of the same call.
func TestKeysOfOneCallKeepTheirPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := &ratelimit.Limit{Max: 1, Window: time.Minute}
		m := newMemory(t, 1024)
		ctx := context.Background()
		res := make([]ratelimit.Result, 8)
		for i := range 8192 {
			_ = m.Take(ctx, addressRequest(limit, address(i)), res)
		}
		time.Sleep(time.Hour)
		for round := range 100 {
			var reqs []ratelimit.Request
			for i := range 4 { // an idle key of the table, and a new one
				reqs = append(reqs, addressRequest(limit, address(round*4+i))...)
				reqs = append(reqs, addressRequest(limit, address(1<<20+round*4+i))...)
			}
			_ = m.Take(ctx, reqs, res)
			for i := range reqs {
				if _ = m.Take(ctx, peek(reqs[i:i+1]), res); res[0].Allowed {
					t.Fatalf("round %d: the count of key %d is lost", round, i)
				}
			}
		}
	})
}

func TestTakeAllocatesNothing(t *testing.T) {
	m := newMemory(t, 1024)
	for _, max := range []int{5, 100} {
		l := &ratelimit.Limit{Max: max, Window: time.Minute}
		reqs := append(addressRequest(l, address(1)), addressRequest(l, address(2))...)
		res := make([]ratelimit.Result, 2)
		i := 0
		if n := testing.AllocsPerRun(200, func() {
			i++
			reqs[0].Key = ratelimit.NewKey("address")
			reqs[0].Key.AddAddress(address(i), 32, 64)
			reqs[1].Peek = i%2 == 0
			_ = m.Take(context.Background(), reqs, res)
			_ = m.GiveBack(context.Background(), reqs, res)
		}); n != 0 {
			t.Errorf("limit %d: %v allocations; want 0", max, n)
		}
	}
}

func BenchmarkFullTable(b *testing.B) {
	m := newMemory(b, 4096)
	l := &ratelimit.Limit{Max: 100, Window: time.Hour}
	res := make([]ratelimit.Result, 1)
	for i := 0; b.Loop(); i++ {
		_ = m.Take(context.Background(), addressRequest(l, address(i)), res)
	}
}

// A key whose units were all given back is like one that was never counted: nothing in an answer tells that, say,
// somebody logged in to the account a minute ago.
func TestWhatWasGivenBackLeavesNoTrace(t *testing.T) {
	for _, max := range []int{5, 50} {
		synctest.Test(t, func(t *testing.T) {
			m, err := ratelimit.NewMemory(ratelimit.MemoryConfig{})
			if err != nil {
				t.Fatal(err)
			}
			limit := ratelimit.Limit{Max: max, Window: time.Hour}
			take := func(name string) ratelimit.Result {
				key := ratelimit.NewKey("login-account")
				key.Add(ratelimit.KindAccount, name)
				reqs, res := []ratelimit.Request{{Key: key, Limit: &limit, Weight: 1}}, []ratelimit.Result{{}}
				if err := m.Take(t.Context(), reqs, res); err != nil {
					t.Fatal(err)
				}
				got := res[0]
				if err := m.GiveBack(t.Context(), reqs, res); err != nil {
					t.Fatal(err)
				}
				got.Stamp = 0
				return got
			}
			take("known")
			time.Sleep(2 * time.Second)
			if known, unknown := take("known"), take("unknown"); known != unknown {
				t.Errorf("limit %d: %+v tells what %+v does not", max, known, unknown)
			}
		})
	}
}

func TestMemoryIsShared(t *testing.T) {
	store := newMemory(t, 1024)
	ratelimittest.RunShared(t, func(*testing.T) ratelimit.Store { return store })
}
