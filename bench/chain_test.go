package bench_test

import (
	"testing"

	"github.com/merlonhq/merlon/bench"
)

func BenchmarkMiddleware(b *testing.B) {
	b.Run("program", func(b *testing.B) { run(b, bench.Middleware(false)) })
	b.Run("browser", func(b *testing.B) { run(b, bench.Middleware(true)) })
}

func BenchmarkStages(b *testing.B) { run(b, bench.Stages()) }

func BenchmarkAPIKeys(b *testing.B) {
	b.Run("100", func(b *testing.B) { run(b, bench.APIKeys(100)) })
	b.Run("1000000", func(b *testing.B) { run(b, bench.APIKeys(1_000_000)) })
}

// run measures each contestant alone. The command compare is the fairer judge:
// it interleaves them and counts CPU time.
func run(b *testing.B, c bench.Contest) {
	for _, p := range c.Contestants {
		b.Run(p.Name, func(b *testing.B) {
			in, err := p.New(1)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			in.Loops[0](b.N)
			b.StopTimer()
			if in.BytesPerKey > 0 {
				b.ReportMetric(in.BytesPerKey, "B/key")
			}
		})
	}
}
