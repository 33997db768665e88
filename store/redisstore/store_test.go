//go:build unix

package redisstore_test

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/merlonhq/merlon/internal/redistest"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/ratelimit/ratelimittest"
	"github.com/merlonhq/merlon/store/redisstore"
)

// eval runs scripts by rueidis.
func eval(c rueidis.Client) redisstore.Eval {
	return func(ctx context.Context, s *redisstore.Script, keys, args []string) ([]int64, error) {
		n := int64(len(keys))
		r := c.Do(ctx, c.B().Evalsha().Sha1(s.SHA1).Numkeys(n).Key(keys...).Arg(args...).Build())
		if err, ok := rueidis.IsRedisErr(r.Error()); ok && err.IsNoScript() {
			r = c.Do(ctx, c.B().Eval().Script(s.Source).Numkeys(n).Key(keys...).Arg(args...).Build())
		}
		return r.AsIntSlice()
	}
}

func connect(t testing.TB, addr string) rueidis.Client {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true,
		ReadBufferEachConn: 32 << 10, WriteBufferEachConn: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newStore(t testing.TB, addr string) *redisstore.Store {
	t.Helper()
	c := connect(t, addr)
	s, err := redisstore.New(redisstore.Config{Eval: eval(c), Cluster: c.Mode() == rueidis.ClientModeCluster})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreConforms(t *testing.T) {
	t.Parallel()
	store := newStore(t, redistest.Start(t).Addr)
	ratelimittest.RunLive(t, func(*testing.T) ratelimit.Store { return store })
}

func TestStoresShareTheirCounts(t *testing.T) {
	t.Parallel()
	addr := redistest.Start(t).Addr
	ratelimittest.RunShared(t, func(t *testing.T) ratelimit.Store { return newStore(t, addr) })
}

// watched counts the scripts that are run, and what they are about.
type watched struct {
	redisstore.Eval
	mu   sync.Mutex
	keys [][]string
}

func newWatched(t *testing.T, run redisstore.Eval, cluster bool) (*redisstore.Store, *watched) {
	t.Helper()
	w := &watched{Eval: run}
	s, err := redisstore.New(redisstore.Config{Cluster: cluster, Eval: func(ctx context.Context, s *redisstore.Script, keys, args []string) ([]int64, error) {
		w.mu.Lock()
		w.keys = append(w.keys, slices.Clone(keys))
		w.mu.Unlock()
		return w.Eval(ctx, s, keys, args)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s, w
}

func (w *watched) since() [][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := w.keys
	w.keys = nil
	return keys
}

// key makes a key of a rule and parts.
func key(rule string, parts ...any) ratelimit.Key {
	k := ratelimit.NewKey(rule)
	for i := 0; i < len(parts); i += 2 {
		if a, ok := parts[i+1].(netip.Addr); ok {
			k.AddAddress(a, 32, 64)
		} else {
			k.Add(parts[i].(ratelimit.Kind), parts[i+1].(string))
		}
	}
	return k
}

var minuteOf100 = ratelimit.Limit{Max: 100, Window: time.Minute}

func take(t *testing.T, s ratelimit.Store, reqs ...ratelimit.Request) []ratelimit.Result {
	t.Helper()
	res := make([]ratelimit.Result, len(reqs))
	if err := s.Take(t.Context(), reqs, res); err != nil {
		t.Fatal(err)
	}
	return res
}

func TestACallIsOneScript(t *testing.T) {
	store, w := newWatched(t, eval(connect(t, redistest.Start(t).Addr)), false)
	few := ratelimit.Limit{Max: 5, Window: time.Hour}
	reqs := []ratelimit.Request{
		{Key: key("address", nil, netip.MustParseAddr("192.0.2.1")), Limit: &minuteOf100},
		{Key: key("route", ratelimit.KindRoute, "GET /"), Limit: &few},
		{Key: key("who", ratelimit.KindPrincipal, "usr_1"), Limit: &minuteOf100, Peek: true},
	}
	for range 3 {
		res := take(t, store, reqs...)
		if err := store.GiveBack(t.Context(), reqs, res); err != nil {
			t.Fatal(err)
		}
		if keys := w.since(); len(keys) != 2 || len(keys[0]) != 3 || len(keys[1]) != 2 {
			t.Errorf("scripts for %q; want one for three keys, and one that gives back two", keys)
		}
	}
}

// What is secret, personal or long is not in the name of a key; the rule is, for whoever looks after the server.
func TestNamesOfKeys(t *testing.T) {
	srv := redistest.Start(t)
	store, w := newWatched(t, eval(connect(t, srv.Addr)), false)
	name := func(k ratelimit.Key, l ratelimit.Limit) string {
		take(t, store, ratelimit.Request{Key: k, Limit: &l})
		return w.since()[0][0]
	}
	shape := regexp.MustCompile(`^merlon:\{[\w-]{4}\}:([\w-]*):[\w-]{22}$`)
	seen := map[string]bool{}
	for _, tt := range []struct {
		key  ratelimit.Key
		rule string
	}{
		{key("login", ratelimit.KindAccount, "ada@example.com"), "login"},
		{key("login", ratelimit.KindAccount, "bob@example.com"), "login"},
		{key("login", ratelimit.KindPrincipal, "ada@example.com"), "login"},
		{key("tenant", ratelimit.KindHeader, "swordfish"), "tenant"},
		{key("address", nil, netip.MustParseAddr("192.0.2.77")), "address"},
		{key("address", nil, netip.MustParseAddr("2001:db8::1")), "address"},
		{key("key", ratelimit.KindAPIKey, strings.Repeat("k", 400)), "key"},
		{key("a}b{c:*"), ""},
		{key(strings.Repeat("r", 200)), ""},
		{ratelimit.Key{}, ""},
	} {
		got := name(tt.key, minuteOf100)
		m := shape.FindStringSubmatch(got)
		if m == nil || m[1] != tt.rule {
			t.Errorf("name %q; want the rule %q and nothing else that says something", got, tt.rule)
		}
		if seen[got] {
			t.Errorf("name %q is there twice", got)
		}
		seen[got] = true
	}
	// Each limit has a count of its own.
	k := key("x", ratelimit.KindPrincipal, "u")
	bucket := ratelimit.Limit{Max: 100, Window: time.Minute, Algorithm: ratelimit.TokenBucket, Burst: 5}
	other := bucket
	other.Burst = 6
	for _, l := range []ratelimit.Limit{minuteOf100, {Max: 101, Window: time.Minute}, {Max: 100, Window: time.Hour}, bucket, other} {
		got := name(k, l)
		if seen[got] {
			t.Errorf("limit %+v shares its count", l)
		}
		seen[got] = true
	}
	// Every one of them expires, some time after it holds nothing.
	for got := range seen {
		ttl, err := strconv.Atoi(strings.TrimPrefix(srv.Do("PTTL", got), ":"))
		if err != nil || ttl <= 0 || ttl > int((time.Hour*16/15).Milliseconds())+2 {
			t.Errorf("%s expires in %d ms", got, ttl)
		}
	}
}

func TestAnExpiryIsSetHoweverACountChanges(t *testing.T) {
	srv := redistest.Start(t)
	store := newStore(t, srv.Addr)
	bucket := ratelimit.Limit{Max: 100, Window: time.Second, Algorithm: ratelimit.TokenBucket, Burst: 5}
	for _, l := range []ratelimit.Limit{{Max: 5, Window: time.Second}, {Max: 50, Window: time.Second}, bucket} {
		q := ratelimit.Request{Key: key("expiry", ratelimit.KindOther, fmt.Sprint(l)), Limit: &l}
		for range 30 {
			res := take(t, store, q, q)
			if len(res) > 0 && res[0].Stamp%3 == 0 {
				if err := store.GiveBack(t.Context(), []ratelimit.Request{q}, res[:1]); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(1100 * time.Millisecond)
	}
	if keys := srv.Do("KEYS", "*"); keys != "*0" {
		t.Errorf("a second and a tenth after the last unit there are %q", keys)
	}
}

func TestAServerThatLostTheScriptsGetsThemAgain(t *testing.T) {
	srv := redistest.Start(t)
	store := newStore(t, srv.Addr)
	q := ratelimit.Request{Key: key("flush"), Limit: &minuteOf100}
	for i := range 3 {
		res := take(t, store, q)
		if res[0].Remaining != 99-i {
			t.Errorf("%d remaining; want %d", res[0].Remaining, 99-i)
		}
		srv.Do("SCRIPT", "FLUSH")
	}
	res := take(t, store, q)
	srv.Do("SCRIPT", "FLUSH")
	if err := store.GiveBack(t.Context(), []ratelimit.Request{q}, res); err != nil {
		t.Error(err)
	}
}

// Nothing is kept on disk here: a server that starts again has forgotten, and the limits begin anew.
func TestAServerThatStartsAgainHasForgotten(t *testing.T) {
	srv := redistest.Start(t)
	store := newStore(t, srv.Addr)
	l := ratelimit.Limit{Max: 1, Window: time.Minute}
	q := ratelimit.Request{Key: key("restart"), Limit: &l}
	take(t, store, q)
	if take(t, store, q)[0].Allowed {
		t.Fatal("two of one are admitted")
	}
	srv.Kill()
	if err := store.Take(t.Context(), []ratelimit.Request{q}, make([]ratelimit.Result, 1)); err == nil {
		t.Error("no error without a server")
	}
	srv.Restart()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		res := make([]ratelimit.Result, 1)
		err := store.Take(t.Context(), []ratelimit.Request{q}, res)
		if err == nil && res[0].Allowed {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v, %v", res, err)
		}
	}
}

func TestATypeOfAnotherProgramIsAnError(t *testing.T) {
	srv := redistest.Start(t)
	store, w := newWatched(t, eval(connect(t, srv.Addr)), false)
	a, b := ratelimit.Request{Key: key("a"), Limit: &minuteOf100}, ratelimit.Request{Key: key("b"), Limit: &minuteOf100}
	take(t, store, b)
	name := w.since()[0][0]
	srv.Do("DEL", name)
	srv.Do("LPUSH", name, "x")
	if err := store.Take(t.Context(), []ratelimit.Request{a, b}, make([]ratelimit.Result, 2)); err == nil {
		t.Error("no error")
	}
	if r := take(t, store, a)[0]; r.Remaining != 99 {
		t.Errorf("%d remaining; want 99, since the failed call counted nothing", r.Remaining)
	}
}

func TestANamespaceIsClaimedOnce(t *testing.T) {
	store, err := redisstore.New(redisstore.Config{Eval: func(context.Context, *redisstore.Script, []string, []string) ([]int64, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false} {
		if got := store.Claim("internal"); got != want {
			t.Errorf("claim %d: %v, want %v", i+1, got, want)
		}
	}
	if !store.Claim("") {
		t.Error("another namespace is taken")
	}
}

func TestNewRefuses(t *testing.T) {
	run := func(context.Context, *redisstore.Script, []string, []string) ([]int64, error) { return nil, nil }
	for _, tt := range []struct {
		c    redisstore.Config
		want []string
	}{
		{redisstore.Config{Eval: run}, nil},
		{redisstore.Config{Eval: run, Prefix: "shop-1:limits"}, nil},
		{redisstore.Config{Prefix: "{x}"}, []string{"Eval is nil", `Prefix "{x}"`}},
		{redisstore.Config{Eval: run, Prefix: strings.Repeat("x", 65)}, []string{"Prefix"}},
	} {
		_, err := redisstore.New(tt.c)
		if (err == nil) != (tt.want == nil) {
			t.Errorf("%+v: error %v", tt.c.Prefix, err)
		}
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: error %v; want %q", tt.c.Prefix, err, want)
			}
		}
	}
	store, err := redisstore.New(redisstore.Config{Eval: run})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Take(t.Context(), []ratelimit.Request{{Limit: &minuteOf100}}, make([]ratelimit.Result, 1)); err == nil {
		t.Error("a reply of the wrong length is no error")
	}
}

func BenchmarkTake(b *testing.B) {
	store := newStore(b, redistest.Start(b).Addr)
	k := ratelimit.NewKey("bench")
	k.Add(ratelimit.KindPrincipal, "usr_1")
	for _, tt := range []struct {
		name  string
		limit ratelimit.Limit
	}{
		{"slots", ratelimit.Limit{Max: 1 << 23, Window: 60e9}},
		{"stamps", ratelimit.Limit{Max: 20, Window: 1e9}},
		{"bucket", ratelimit.Limit{Max: 1 << 23, Window: 60e9, Algorithm: ratelimit.TokenBucket, Burst: 1 << 23}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.SetParallelism(128 / runtime.GOMAXPROCS(0))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				res := make([]ratelimit.Result, 1)
				for pb.Next() {
					if err := store.Take(context.Background(), []ratelimit.Request{{Key: k, Limit: &tt.limit}}, res); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
