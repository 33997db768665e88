package redisstore_test

import (
	"context"
	"log"
	"net/http"

	"github.com/redis/rueidis"

	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/store/redisstore"
)

// Limits that all instances of a service share, by the client rueidis. Others take as many lines.
func ExampleNew() {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}, DisableCache: true})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	store, err := redisstore.New(redisstore.Config{
		Cluster: client.Mode() == rueidis.ClientModeCluster,
		Eval: func(ctx context.Context, s *redisstore.Script, keys, args []string) ([]int64, error) {
			n := int64(len(keys))
			r := client.Do(ctx, client.B().Evalsha().Sha1(s.SHA1).Numkeys(n).Key(keys...).Arg(args...).Build())
			if refused, ok := rueidis.IsRedisErr(r.Error()); ok && refused.IsNoScript() {
				r = client.Do(ctx, client.B().Eval().Script(s.Source).Numkeys(n).Key(keys...).Arg(args...).Build())
			}
			return r.AsIntSlice()
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	breaker, err := ratelimit.NewBreaker(ratelimit.BreakerConfig{
		Store:    store,
		OnChange: func(o ratelimit.Outage) { log.Printf("rate limits: %+v", o) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer breaker.Close()
	limiter, err := ratelimit.New(ratelimit.Config{Store: breaker, OnStoreError: ratelimit.Local, ExpectedNodes: 4})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", limiter.Handler(http.NotFoundHandler())))
}
