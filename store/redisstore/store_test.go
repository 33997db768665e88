//go:build unix

package redisstore_test

import (
	"context"
	"runtime"
	"testing"

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
	store := newStore(t, redistest.Start(t).Addr)
	ratelimittest.RunLive(t, func(*testing.T) ratelimit.Store { return store })
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
