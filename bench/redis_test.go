package bench_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/merlonhq/merlon/bench"
)

// One decision of Merlon's store is one round trip, of a thousand callers at once a hundred get through, by one
// instance and by four, and no window holds more. That others fail at this is why the measurement can be trusted.
func TestRedisContestants(t *testing.T) {
	addr, stop, err := bench.StartRedis()
	if errors.Is(err, bench.ErrNoRedis) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	results, err := bench.Redis(addr, 1, 20*time.Millisecond, 4*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	over := 0
	for _, r := range results {
		t.Logf("%+v", r)
		if r.Worst > 100 {
			over++
		}
		for _, callers := range bench.Callers {
			if len(r.PerSecond[callers]) != 1 || r.PerSecond[callers][0] <= 0 {
				t.Errorf("%s: %d callers: %v", r.Name, callers, r.PerSecond[callers])
			}
		}
		if r.Name != bench.RedisStore {
			continue
		}
		if r.RoundTrips != 1 || r.Admitted[1] != 100 || r.Admitted[4] != 100 || r.Errors[1]+r.Errors[4] > 0 || r.Worst > 100 || r.Worst < 90 {
			t.Errorf("%+v; want one round trip, 100 and 100 admitted, no more in a window", r)
		}
	}
	if len(results) != 5 || over < 3 {
		t.Errorf("%d took part, %d admitted more than the limit in a window: the client did not find out", len(results), over)
	}
}
