package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/store/redisstore"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/goredisstore.v9"
	ulule "github.com/ulule/limiter/v3"
	ululeredis "github.com/ulule/limiter/v3/drivers/store/redis"
)

// Names of the contestants that bars are about.
const (
	RedisStore = "redisstore.Store, through rueidis"
	RedisRate  = "redis_rate 10.0.1"
)

// A redisLimiter counts in a Redis server, each client with the pool that it has by default.
type redisLimiter struct {
	name string
	keys string // in the names of its keys, so that none meets the value of another
	open func(q redisQuota) (redisClient, error)
}

// redisQuota is what it is asked to hold, and where.
type redisQuota struct {
	addr   string
	prefix string // of keys
	max    int
	window time.Duration
	dial   func(network, addr string) (net.Conn, error)
}

// redisClient takes one unit for a key, from any number of goroutines.
type redisClient struct {
	take  func(key string) (bool, error)
	close func()
}

func redisLimiters() []redisLimiter {
	return []redisLimiter{
		{RedisStore, "merlon", openRedisStore},
		{RedisRate, "rate", openRedisRate},
		{"ulule/limiter 3.11.2", "ulule", openUluleRedis},
		{"throttled 2.15.0", "throttled", openThrottledRedis},
		{"four calls to a ZSET", "zset", openZSET},
	}
}

func openRedisStore(q redisQuota) (redisClient, error) {
	c, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{q.addr}, DisableCache: true,
		DialCtxFn: func(_ context.Context, addr string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return q.dial("tcp", addr)
		},
	})
	if err != nil {
		return redisClient{}, err
	}
	store, err := redisstore.New(redisstore.Config{Prefix: q.prefix, Eval: func(ctx context.Context, s *redisstore.Script, keys, args []string) ([]int64, error) {
		n := int64(len(keys))
		r := c.Do(ctx, c.B().Evalsha().Sha1(s.SHA1).Numkeys(n).Key(keys...).Arg(args...).Build())
		if err, ok := rueidis.IsRedisErr(r.Error()); ok && err.IsNoScript() {
			r = c.Do(ctx, c.B().Eval().Script(s.Source).Numkeys(n).Key(keys...).Arg(args...).Build())
		}
		return r.AsIntSlice()
	}})
	if err != nil {
		return redisClient{}, err
	}
	limit, rule := &ratelimit.Limit{Max: q.max, Window: q.window}, ratelimit.NewKey("default")
	return redisClient{
		take: func(key string) (bool, error) {
			reqs, res := []ratelimit.Request{{Key: rule, Limit: limit}}, make([]ratelimit.Result, 1)
			reqs[0].Key.Add(ratelimit.KindOther, key)
			err := store.Take(context.Background(), reqs, res)
			return res[0].Allowed, err
		},
		close: c.Close,
	}, nil
}

func goRedis(q redisQuota) (*redis.Client, func()) {
	c := redis.NewClient(&redis.Options{Addr: q.addr, Dialer: func(_ context.Context, network, addr string) (net.Conn, error) { return q.dial(network, addr) }})
	return c, func() { _ = c.Close() }
}

func openRedisRate(q redisQuota) (redisClient, error) {
	c, closing := goRedis(q)
	l, limit := redis_rate.NewLimiter(c), redis_rate.Limit{Rate: q.max, Burst: q.max, Period: q.window}
	return redisClient{close: closing, take: func(key string) (bool, error) {
		r, err := l.Allow(context.Background(), q.prefix+key, limit)
		return err == nil && r.Allowed > 0, err
	}}, nil
}

func openUluleRedis(q redisQuota) (redisClient, error) {
	c, closing := goRedis(q)
	store, err := ululeredis.NewStoreWithOptions(c, ulule.StoreOptions{Prefix: q.prefix})
	if err != nil {
		closing()
		return redisClient{}, err
	}
	l := ulule.New(store, ulule.Rate{Period: q.window, Limit: int64(q.max)})
	return redisClient{close: closing, take: func(key string) (bool, error) {
		r, err := l.Get(context.Background(), key)
		return err == nil && !r.Reached, err
	}}, nil
}

func openThrottledRedis(q redisQuota) (redisClient, error) {
	c, closing := goRedis(q)
	store, err := goredisstore.NewCtx(c, q.prefix)
	if err != nil {
		closing()
		return redisClient{}, err
	}
	l, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{MaxRate: throttled.PerDuration(q.max, q.window), MaxBurst: q.max - 1})
	return redisClient{close: closing, take: func(key string) (bool, error) {
		limited, _, err := l.RateLimitCtx(context.Background(), key, 1)
		return err == nil && !limited, err
	}}, err
}

// openZSET is the sliding window that tutorials teach, call by call: members are times in seconds, and nothing keeps
// others away between the count and the entry.
func openZSET(q redisQuota) (redisClient, error) {
	c, closing := goRedis(q)
	return redisClient{close: closing, take: func(key string) (bool, error) {
		ctx, now := context.Background(), time.Now().Unix()
		key = q.prefix + key
		start := now - int64(q.window/time.Second)
		if err := c.ZRemRangeByScore(ctx, key, "0", strconv.FormatInt(start, 10)).Err(); err != nil {
			return false, err
		}
		n, err := c.ZCard(ctx, key).Result()
		if err != nil || n >= int64(q.max) {
			return false, err
		}
		if err := c.ZAdd(ctx, key, redis.Z{Score: float64(now), Member: strconv.FormatInt(now, 10)}).Err(); err != nil {
			return false, err
		}
		return true, c.Expire(ctx, key, q.window).Err()
	}}, nil
}

// A RedisResult is what one limiter did.
type RedisResult struct {
	Name       string
	RoundTrips float64           // of a decision by one caller
	PerSecond  map[int][]float64 // by the number of goroutines: decisions a second in each round
	Admitted   map[int]int       // by the number of instances: of a thousand callers at once, at a limit of 100
	Errors     map[int]int       // and how many of them got an error
	Worst      int               // the most admitted in one window, at a limit of 100
}

// Redis measures all limiters on the server at addr, in turns of the given length. A window of [Worst] is window.
func Redis(addr string, rounds int, turn, window time.Duration) ([]RedisResult, error) {
	limiters := redisLimiters()
	results := make([]RedisResult, len(limiters))
	for i, l := range limiters {
		results[i] = RedisResult{Name: l.name, PerSecond: map[int][]float64{}, Admitted: map[int]int{}, Errors: map[int]int{}}
		for _, measure := range []func(string, redisLimiter, *RedisResult) error{countRoundTrips, rushes} {
			if err := measure(addr, l, &results[i]); err != nil {
				return nil, fmt.Errorf("bench: %s: %w", l.name, err)
			}
		}
	}
	if err := redisSpeed(addr, limiters, results, rounds, turn); err != nil {
		return nil, err
	}
	return results, redisWorst(addr, limiters, results, window)
}

// Callers are the numbers of goroutines that ask at the same time.
var Callers = []int{1, 16, 128}

func redisSpeed(addr string, limiters []redisLimiter, results []RedisResult, rounds int, turn time.Duration) error {
	clients := make([]redisClient, len(limiters))
	for i, l := range limiters {
		c, err := l.open(redisQuota{addr: addr, prefix: "speed-" + l.keys, max: 1 << 23, window: time.Minute, dial: net.Dial})
		if err != nil {
			return err
		}
		defer c.close()
		clients[i] = c
	}
	for _, callers := range Callers {
		for round := range rounds + 1 { // the first opens connections and is not counted
			for i, c := range clients {
				n, err := ask(c, callers, turn)
				if err != nil {
					return fmt.Errorf("bench: %s: %w", limiters[i].name, err)
				}
				if round > 0 {
					results[i].PerSecond[callers] = append(results[i].PerSecond[callers], n)
				}
			}
		}
	}
	return nil
}

// ask takes units for a thousand keys for a while, and returns how many decisions came of it in a second. Errors
// are no decisions.
func ask(c redisClient, callers int, turn time.Duration) (float64, error) {
	var decided, failed atomic.Int64
	var last atomic.Value
	var wg sync.WaitGroup
	start := time.Now()
	for w := range callers {
		wg.Go(func() {
			for next := scattered(w, 1000); time.Since(start) < turn; {
				if ok, err := c.take("user" + strconv.Itoa(next())); err != nil || !ok {
					failed.Add(1)
					last.Store(fmt.Errorf("refused: %w", err))
					continue
				}
				decided.Add(1)
			}
		})
	}
	wg.Wait()
	if decided.Load() == 0 {
		return 0, last.Load().(error)
	}
	return float64(decided.Load()) / time.Since(start).Seconds(), nil
}

// countRoundTrips counts what one caller sends: the next is sent when the answer to the one before has come.
func countRoundTrips(addr string, l redisLimiter, r *RedisResult) error {
	var sent atomic.Int64
	c, err := l.open(redisQuota{addr: addr, prefix: "trips-" + l.keys, max: 1 << 23, window: time.Minute, dial: func(network, addr string) (net.Conn, error) {
		conn, err := net.Dial(network, addr)
		return countingConn{conn, &sent}, err
	}})
	if err != nil {
		return err
	}
	defer c.close()
	const decisions = 200
	for i := range 2 * decisions {
		if i == decisions { // what connecting and loading scripts took is over
			sent.Store(0)
		}
		if ok, err := c.take("user"); err != nil || !ok {
			return fmt.Errorf("refused: %w", err)
		}
	}
	r.RoundTrips = float64(sent.Load()) / decisions
	return nil
}

type countingConn struct {
	net.Conn
	sent *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.sent.Add(1)
	return c.Conn.Write(p)
}

// rushes lets a thousand callers ask at once, through one instance and through four.
func rushes(addr string, l redisLimiter, r *RedisResult) error {
	for _, instances := range []int{1, 4} {
		clients := make([]redisClient, instances)
		for i := range clients {
			c, err := l.open(redisQuota{addr: addr, prefix: "rush-" + l.keys + strconv.Itoa(instances), max: worstLimit, window: time.Minute, dial: net.Dial})
			if err != nil {
				return err
			}
			defer c.close()
			clients[i] = c
		}
		var admitted, failed atomic.Int64
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for i := range 1000 {
			wg.Go(func() {
				<-begin
				switch ok, err := clients[i%instances].take(r.Name); {
				case err != nil:
					failed.Add(1)
				case ok:
					admitted.Add(1)
				}
			})
		}
		close(begin)
		wg.Wait()
		r.Admitted[instances], r.Errors[instances] = int(admitted.Load()), int(failed.Load())
	}
	return nil
}

// redisWorst is [Worst] for these limiters.
func redisWorst(addr string, limiters []redisLimiter, results []RedisResult, window time.Duration) error {
	var wg sync.WaitGroup
	for i, l := range limiters {
		c, err := l.open(redisQuota{addr: addr, prefix: "worst-" + l.keys, max: worstLimit, window: window, dial: net.Dial})
		if err != nil {
			return err
		}
		defer c.close()
		wg.Go(func() {
			results[i].Worst = mostInOneWindow(func(int) bool { ok, err := c.take("user"); return ok && err == nil }, window)
		})
	}
	wg.Wait()
	return nil
}
