package bench_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/bench"
)

func BenchmarkLimiters(b *testing.B) {
	b.Run("1", func(b *testing.B) { run(b, bench.Limiters(1)) })
	b.Run("100000", func(b *testing.B) { run(b, bench.Limiters(100_000)) })
	b.Run("1000000", func(b *testing.B) { run(b, bench.Limiters(1_000_000)) })
}

// Merlon's limiter holds its limit in every window. That its peers do not is why
// the test can be trusted: the client that it plays finds the hole in each.
func TestOnlyMerlonHoldsAHundredInEveryWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worst, err := bench.Worst(time.Minute, false)
		if err != nil {
			t.Fatal(err)
		}
		for name, n := range worst {
			if name == bench.Memory {
				if n > 100 || n < 94 {
					t.Errorf("%s admitted %d; want 94 to 100", name, n)
				}
			} else if n <= 100 {
				t.Errorf("%s admitted %d: the client did not find out", name, n)
			}
			t.Log(n, name)
		}
		if len(worst) < 6 {
			t.Errorf("%d limiters took part", len(worst))
		}
	})
}
