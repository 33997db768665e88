//go:build unix

package redisstore_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/rueidis"

	"github.com/merlonhq/merlon/internal/redistest"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/ratelimit/ratelimittest"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	servers := redistest.StartCluster(t, 3)
	t.Run("conforms", func(t *testing.T) {
		store := newStore(t, servers[0].Addr)
		ratelimittest.RunLive(t, func(*testing.T) ratelimit.Store { return inOneSlot{store} })
	})
	t.Run("is shared", func(t *testing.T) {
		var n atomic.Int64
		ratelimittest.RunShared(t, func(t *testing.T) ratelimit.Store {
			return newStore(t, servers[n.Add(1)%3].Addr)
		})
	})
	t.Run("several slots", func(t *testing.T) { testSlotsGiveBack(t, servers) })
	t.Run("several slots under load", func(t *testing.T) { testSlotsUnderLoad(t, servers) })
	t.Run("each server holds some of it", func(t *testing.T) {
		store := newStore(t, servers[0].Addr)
		for i := range 60 {
			take(t, store, ratelimit.Request{Key: key("spread", ratelimit.KindOther, fmt.Sprint(i)), Limit: &minuteOf100})
		}
		for _, s := range servers {
			if n, err := strconv.Atoi(strings.TrimPrefix(s.Do("DBSIZE"), ":")); err != nil || n == 0 {
				t.Errorf("%s holds %d keys (%v); want some on each", s.Addr, n, err)
			}
		}
	})
}

// inOneSlot gives all keys a part in common, so that calls are as atomic as the suite wants them.
type inOneSlot struct{ ratelimit.Store }

func (s inOneSlot) Take(ctx context.Context, reqs []ratelimit.Request, res []ratelimit.Result) error {
	return s.Store.Take(ctx, s.move(reqs), res)
}

func (s inOneSlot) GiveBack(ctx context.Context, reqs []ratelimit.Request, res []ratelimit.Result) error {
	return s.Store.GiveBack(ctx, s.move(reqs), res)
}

func (inOneSlot) move(reqs []ratelimit.Request) []ratelimit.Request {
	reqs = slices.Clone(reqs)
	for i := range reqs {
		raw, _ := reqs[i].Key.AppendBinary(nil) // never fails
		reqs[i].Key = key("moved", ratelimit.KindPrincipal, "all", ratelimit.KindOther, string(raw))
	}
	return reqs
}

// crc16 is CRC-16/XMODEM, by which a cluster finds the slot of a key (Redis Cluster specification, appendix A).
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// slot is that of a key: of what is in its first braces, if something is.
func slot(key string) uint16 {
	if _, after, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			key = tag
		}
	}
	return crc16(key) % 16384
}

// The counts that one call of a limiter needs are in one slot, but for those of different callers.
func TestTheCountsOfACallAreInOneSlot(t *testing.T) {
	if got := crc16("123456789"); got != 0x31c3 { // the vector of the specification
		t.Fatalf("crc16 is %#x", got)
	}
	store, w := newWatched(t, eval(connect(t, redistest.Start(t).Addr)), true)
	ann, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	const route, header, principal, apiKey, account = ratelimit.KindRoute, ratelimit.KindHeader, ratelimit.KindPrincipal, ratelimit.KindAPIKey, ratelimit.KindAccount
	for _, tt := range []struct {
		name string
		keys []ratelimit.Key
		want int // scripts
	}{
		{"before authentication", []ratelimit.Key{key("address", nil, ann), key("bad_credentials", nil, ann), key("default", nil, ann, route, "GET /"),
			key("tenant", header, "acme", nil, ann), key("tenant", nil, ann, header, "acme")}, 1},
		{"before authentication, IPv6", []ratelimit.Key{key("address", nil, there), key("default", nil, there, route, "GET /")}, 1},
		{"behind authentication", []ratelimit.Key{key("default", principal, "usr_1", route, "GET /"), key("search", route, "GET /", principal, "usr_1"),
			key("from", principal, "usr_1", nil, ann), key("tenant", header, "acme", principal, "usr_1")}, 1},
		{"and the limit of the API key", []ratelimit.Key{key("default", principal, "usr_1"), key("key", apiKey, "key_1")}, 2},
		{"by account", []ratelimit.Key{key("login-account", account, "ada"), key("both", nil, ann, account, "ada")}, 1},
		{"two clients", []ratelimit.Key{key("address", nil, ann), key("address", nil, there)}, 2},
		{"an address and all of a route", []ratelimit.Key{key("address", nil, ann), key("all", route, "GET /")}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.since()
			var reqs []ratelimit.Request
			for _, k := range tt.keys {
				reqs = append(reqs, ratelimit.Request{Key: k, Limit: &minuteOf100})
			}
			take(t, store, reqs...)
			scripts := w.since()
			if len(scripts) != tt.want {
				t.Errorf("%d scripts, for %q; want %d", len(scripts), scripts, tt.want)
			}
			for _, keys := range scripts {
				for _, k := range keys {
					if slot(k) != slot(keys[0]) {
						t.Errorf("%q and %q are in one script and in different slots", k, keys[0])
					}
				}
			}
		})
	}
}

// A call over several slots counts all or nothing too, when it is over.
func testSlotsGiveBack(t *testing.T, servers []*redistest.Server) {
	c := connect(t, servers[0].Addr)
	if c.Mode() != rueidis.ClientModeCluster {
		t.Fatalf("mode %v", c.Mode())
	}
	store, w := newWatched(t, eval(c), true)
	one := ratelimit.Limit{Max: 1, Window: minuteOf100.Window}
	a := ratelimit.Request{Key: key("a", ratelimit.KindPrincipal, "ann"), Limit: &minuteOf100, Weight: 2}
	b := ratelimit.Request{Key: key("b", ratelimit.KindAPIKey, "key"), Limit: &one}
	look := ratelimit.Request{Key: key("c", ratelimit.KindSession, "s"), Limit: &minuteOf100, Peek: true}
	res := take(t, store, a, b, look)
	if !res[0].Allowed || !res[1].Allowed || !res[2].Allowed || res[0].Remaining != 98 || len(w.since()) != 3 {
		t.Fatalf("%+v", res)
	}
	for range 3 {
		res = take(t, store, a, b, look)
		if !res[0].Allowed || res[1].Allowed || !res[2].Allowed || res[1].RetryAfter <= 0 || res[0].Remaining != 98 || res[0].Stamp != 0 {
			t.Errorf("refused: %+v; want the first given back", res)
		}
		if n := len(w.since()); n != 4 {
			t.Errorf("%d scripts; want three and one that gives back", n)
		}
	}
	if r := take(t, store, a)[0]; r.Remaining != 96 {
		t.Errorf("%d remaining; want 96", r.Remaining)
	}
}

// Under a load that is refused in one slot, the other never admits more than its limit, and loses nothing for good.
func testSlotsUnderLoad(t *testing.T, servers []*redistest.Server) {
	stores := []ratelimit.Store{newStore(t, servers[0].Addr), newStore(t, servers[1].Addr)}
	few := ratelimit.Limit{Max: 40, Window: minuteOf100.Window}
	a := ratelimit.Request{Key: key("load", ratelimit.KindPrincipal, "ann"), Limit: &minuteOf100}
	b := ratelimit.Request{Key: key("load", ratelimit.KindAPIKey, "key"), Limit: &few}
	var wg sync.WaitGroup
	var both atomic.Int64
	for i := range 64 {
		wg.Go(func() {
			for range 10 {
				res := make([]ratelimit.Result, 2)
				if err := stores[i%2].Take(t.Context(), []ratelimit.Request{a, b}, res); err != nil {
					t.Error(err)
				} else if res[0].Allowed && res[1].Allowed {
					both.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := both.Load(); n > 40 {
		t.Errorf("%d admitted; want at most 40", n)
	}
	a.Peek = true
	if r := take(t, stores[0], a)[0]; int64(r.Remaining) != 100-both.Load() {
		t.Errorf("%d remaining after %d were admitted", r.Remaining, both.Load())
	}
}
