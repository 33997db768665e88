package merlon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/audit"
)

// BenchmarkRefusals refuses 5,000 requests a second and prints the CPU time that the thread
// of the requests takes for each, beside sinks that are well, dead, slow and flapping:
//
//	go test . -run xxx -bench Refusals -benchtime 10000x
func BenchmarkRefusals(b *testing.B) {
	for _, c := range []struct {
		name string
		sink audit.Sink // nil: no log
	}{{"no log", nil}, {"well", &ill{}}, {"dead", &ill{dead: true}}, {"slow", &ill{slow: 500 * time.Millisecond}}, {"flapping", &ill{flaps: true}}} {
		b.Run(c.name, func(b *testing.B) {
			var recorder audit.Recorder = audit.Discard{}
			var p *audit.Pipeline
			if c.sink != nil {
				var err error
				p, err = audit.New(audit.Config{ErrorLog: slog.New(slog.DiscardHandler), Sinks: []audit.Output{
					{Name: "file", Sink: audit.NewWriterSink(io.Discard)}, {Name: "ill", Sink: c.sink, Optional: true}}})
				if err != nil {
					b.Fatal(err)
				}
				recorder = p
			}
			g, err := merlon.New(merlon.Config{
				Environment: merlon.Development, ErrorLog: slog.New(slog.DiscardHandler), Recorder: recorder, Secret: make([]byte, 32), Hosts: []string{"example.com"},
				Origins: []string{"https://app.example.com"}, Routes: []merlon.Route{{Pattern: "POST /open", Public: true}},
			})
			if err != nil {
				b.Fatal(err)
			}
			h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			begin, cpu := time.Now(), threadTime()
			n := 0
			for b.Loop() {
				if n%5 == 0 {
					time.Sleep(time.Until(begin.Add(time.Duration(n/5) * time.Millisecond)))
				}
				n++
				r := httptest.NewRequest("POST", "https://example.com/open", nil)
				r.RemoteAddr = fmt.Sprintf("[2001:db8:%x::1]:1", n%65536) // one address would meet the limit of what is told
				r.Header.Set("Origin", "https://evil.example")
				r.Header.Set("Sec-Fetch-Site", "cross-site")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusForbidden {
					b.Fatalf("status %d: %s", w.Code, w.Body)
				}
			}
			b.ReportMetric(float64(threadTime()-cpu)/float64(n), "cpu-ns/op")
			if p == nil {
				return
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := p.Close(ctx); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(p.Stats().Recorded)/float64(n), "events/op")
			for _, s := range p.Stats().Sinks {
				if s.Sent != s.Written+s.Failed {
					b.Errorf("%+v", s)
				}
				b.ReportMetric(float64(s.Failed), s.Name+"-lost")
			}
		})
	}
}

// threadTime returns the CPU time of this thread.
func threadTime() time.Duration {
	const thisThread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if syscall.Getrusage(thisThread, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ill is a sink that may be dead, slow or change its mind from batch to batch.
type ill struct {
	dead, flaps bool
	slow        time.Duration
	calls       atomic.Uint64
}

func (s *ill) Write(context.Context, []audit.Event, [][]byte) error {
	time.Sleep(s.slow)
	if s.dead || s.flaps && s.calls.Add(1)/8%2 == 0 {
		return errors.New("ill")
	}
	return nil
}

func (s *ill) Close() error { return nil }
