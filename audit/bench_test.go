package audit_test

import (
	"context"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
)

func BenchmarkAppendJSON(b *testing.B) {
	e, buf := typical(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = audit.AppendJSON(buf[:0], e)
	}
}

func BenchmarkRecord(b *testing.B) {
	for _, c := range []struct {
		name string
		e    audit.Event
	}{{"typical", typical()}, {"bare", audit.Event{Type: audit.SysStartup}}} {
		b.Run(c.name, func(b *testing.B) {
			p, err := audit.New(quiet(audit.Config{Sinks: []audit.Output{to(audit.NewWriterSink(io.Discard))}, Queue: 1 << 20}))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.Record(c.e)
			}
			b.StopTimer()
			st := p.Stats()
			b.ReportMetric(float64(st.Dropped)/float64(b.N), "dropped/op")
			if err := p.Close(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// What a request pays for an event: all that is done before the writer has it. The
// writer works while the clock stands.
func BenchmarkRecordBeforeTheQueue(b *testing.B) {
	hashed, err := audit.NewPrivacy(audit.PrivacyConfig{Addresses: audit.Hashed, Names: audit.Hashed, Secret: chainSecret()})
	if err != nil {
		b.Fatal(err)
	}
	optional := func(name string, s audit.Sink) audit.Output { return audit.Output{Name: name, Sink: s, Optional: true} }
	for _, c := range []struct {
		name   string
		beside []audit.Output
	}{
		{"alone", nil},
		{"beside sinks that are dead, slow and hanging", []audit.Output{optional("dead", &fakeSink{err: errBroken}), optional("slow", &slowSink{}), optional("hanging", &fakeSink{hang: true})}},
	} {
		b.Run(c.name, func(b *testing.B) {
			sinks := append([]audit.Output{to(audit.NewWriterSink(io.Discard))}, c.beside...)
			p, err := audit.New(quiet(audit.Config{Sinks: sinks, FlushInterval: 500 * time.Millisecond, Privacy: hashed}))
			if err != nil {
				b.Fatal(err)
			}
			e := typical()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				p.Record(e)
				if n++; n%256 == 0 { // before the batch that wakes the writer is full
					b.StopTimer()
					if err := p.Commit(b.Context(), e); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(p.Stats().Dropped)/float64(b.N), "dropped/op")
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = p.Close(ctx) // a sink hangs
		})
	}
}

func BenchmarkRecordFull(b *testing.B) {
	s := &fakeSink{gate: make(chan struct{})}
	p, err := audit.New(quiet(audit.Config{Sinks: []audit.Output{to(s)}, Queue: 1}))
	if err != nil {
		b.Fatal(err)
	}
	e := typical()
	b.ReportAllocs()
	for b.Loop() {
		p.Record(e)
	}
	close(s.gate)
	if err := p.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkCommitToFile(b *testing.B) {
	f, err := audit.NewFile(audit.FileConfig{Path: filepath.Join(b.TempDir(), "security.log")})
	if err != nil {
		b.Fatal(err)
	}
	p, err := audit.New(quiet(audit.Config{Sinks: []audit.Output{to(f)}}))
	if err != nil {
		b.Fatal(err)
	}
	e := typical()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := p.Commit(b.Context(), e); err != nil {
				b.Error(err)
			}
		}
	})
	if err := p.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
