package audit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/audit"
)

// A fakeSink keeps batches as long as it is well.
type fakeSink struct {
	mu      sync.Mutex
	batches [][]audit.Event
	lines   []string
	err     error
	hang    bool          // until ctx ends
	gate    chan struct{} // one write per element, when set
	calls   int
	closed  int
}

func (s *fakeSink) Write(ctx context.Context, batch []audit.Event, lines [][]byte) error {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.hang {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return ctx.Err()
	}
	if s.err != nil {
		return s.err
	}
	s.batches = append(s.batches, slices.Clone(batch))
	for _, l := range lines {
		s.lines = append(s.lines, string(l))
	}
	return nil
}

func (s *fakeSink) Close() error { s.closed++; return nil }

func (s *fakeSink) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// mend ends its hanging.
func (s *fakeSink) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang = false
}

// ids returns the request ids of the events, which tests use as names.
func (s *fakeSink) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, e := range slices.Concat(s.batches...) {
		ids = append(ids, e.RequestID)
	}
	return ids
}

// of returns the details of the events of type typ.
func (s *fakeSink) of(typ audit.Type) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var details []string
	for _, e := range slices.Concat(s.batches...) {
		if e.Type == typ {
			details = append(details, string(audit.AppendDetail(nil, e.Detail)))
		}
	}
	return details
}

func quiet(cfg audit.Config) audit.Config {
	cfg.ErrorLog = slog.New(slog.DiscardHandler)
	return cfg
}

func open(t *testing.T, cfg audit.Config, sinks ...audit.Output) *audit.Pipeline {
	t.Helper()
	cfg.Sinks = sinks
	if cfg.ErrorLog == nil {
		cfg = quiet(cfg)
	}
	p, err := audit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) }) // again, in tests that close it
	return p
}

func to(s audit.Sink) audit.Output { return audit.Output{Name: "file", Sink: s} }

func named(id string) audit.Event { return audit.Event{Type: audit.AuthnLoginFail, RequestID: id} }

func closed(t *testing.T, p *audit.Pipeline) {
	t.Helper()
	if err := p.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func TestNewReportsEverythingThatIsWrong(t *testing.T) {
	_, err := audit.New(audit.Config{Queue: -1, FlushInterval: time.Second, WriteTimeout: time.Hour,
		Sinks: []audit.Output{{Optional: true}, {Name: "a", Sink: &fakeSink{}, Optional: true}, {Name: "a", Sink: &fakeSink{}, Optional: true}}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Queue is -1", "FlushInterval is 1s", "WriteTimeout is 1h0m0s", "Sinks[0] has no Name", "Sinks[0].Sink is nil", `Sinks[2].Name is "a"`, "not Optional"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	if _, err := audit.New(audit.Config{}); err == nil {
		t.Error("the zero Config keeps nothing and is no error")
	}
}

func TestRecordedEventIsWrittenCompleteAndSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSink{}
		p := open(t, audit.Config{}, to(s))
		before := time.Now()
		p.Record(audit.Event{Type: audit.MaliciousCSRF, Detail: []slog.Attr{slog.Int("n", 1)}})
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if len(s.batches) != 1 || len(s.batches[0]) != 1 {
			t.Fatalf("batches %v 50 ms later, want one of one event", s.batches)
		}
		e := s.batches[0][0]
		if !strings.HasPrefix(e.ID, "evt_") || len(e.ID) != 40 || !e.Time.Equal(before) || e.Severity != audit.High || e.Category != audit.SuspiciousActivity {
			t.Errorf("event %+v", e)
		}
		if want := `{"id":"` + e.ID + `",`; !strings.HasPrefix(s.lines[0], want) || strings.Contains(s.lines[0], "\n") {
			t.Errorf("line %q, want it to begin %s and hold no newline", s.lines[0], want)
		}
		closed(t, p)
	})
}

func TestEventWithoutTypeIsNotRecorded(t *testing.T) {
	s := &fakeSink{}
	p := open(t, audit.Config{}, to(s))
	p.Record(audit.Event{RequestID: "1"})
	if err := p.Commit(t.Context(), audit.Event{}); !errors.Is(err, audit.ErrNotRecorded) {
		t.Errorf("Commit: %v", err)
	}
	closed(t, p)
	if st := p.Stats(); st.Recorded != 0 || st.Dropped != 0 || len(s.batches) != 0 {
		t.Errorf("stats %+v, batches %v", st, s.batches)
	}
}

func TestConfiguredClockAndIDs(t *testing.T) {
	s := &fakeSink{}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC)
	p := open(t, audit.Config{Now: func() time.Time { return at }, NewID: func(t time.Time) string { return t.Format("evt_2006") }}, to(s))
	p.Record(named("1"))
	p.Record(audit.Event{ID: "evt_own", Type: audit.SysStartup, Time: at.Add(-time.Hour)})
	closed(t, p)
	got := slices.Concat(s.batches...)
	if len(got) != 2 || got[0].ID != "evt_2026" || !got[0].Time.Equal(at.Truncate(time.Microsecond)) || got[1].ID != "evt_own" {
		t.Errorf("events %+v", got)
	}
}

func TestEventsOfOneGoroutineStayInOrder(t *testing.T) {
	s := &fakeSink{}
	p := open(t, audit.Config{}, to(s))
	const writers, each = 4, 1000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				e := named(fmt.Sprintf("%d:%05d", w, i))
				if i%100 == 0 {
					if err := p.Commit(t.Context(), e); err != nil {
						t.Error(err)
					}
				} else {
					p.Record(e)
				}
			}
		})
	}
	wg.Wait()
	closed(t, p)
	ids := s.ids()
	if len(ids) != writers*each {
		t.Fatalf("%d events, want %d", len(ids), writers*each)
	}
	slices.SortStableFunc(ids, func(a, b string) int { return strings.Compare(a[:1], b[:1]) })
	if !slices.IsSorted(ids) {
		t.Error("the events of one goroutine are out of order")
	}
}

func TestCommitsOfManyShareAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSink{gate: make(chan struct{})}
		p := open(t, audit.Config{}, to(s))
		var wg sync.WaitGroup
		commit := func(id string) {
			wg.Go(func() {
				if err := p.Commit(t.Context(), named(id)); err != nil {
					t.Error(err)
				}
			})
		}
		commit("first")
		synctest.Wait() // the first is being written
		for i := range 50 {
			commit(fmt.Sprint(i))
		}
		synctest.Wait()
		s.gate <- struct{}{}
		s.gate <- struct{}{}
		wg.Wait()
		if len(s.batches) != 2 || len(s.batches[1]) != 50 {
			t.Errorf("%d batches, want the first alone and the 50 others together", len(s.batches))
		}
		closed(t, p)
	})
}

func TestCommitDoesNotWaitForTheBatchToGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSink{}
		p := open(t, audit.Config{FlushInterval: 500 * time.Millisecond}, to(s))
		p.Record(named("1"))
		synctest.Wait()
		start := time.Now()
		if err := p.Commit(t.Context(), named("2")); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("Commit took %v", d)
		}
		if got := s.ids(); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("holds %v, want what was recorded before too", got)
		}
		closed(t, p)
	})
}

func TestDropsAreCountedAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSink{gate: make(chan struct{})}
		p := open(t, audit.Config{Queue: 100, WriteTimeout: time.Minute}, to(s))
		p.Record(named("under way"))
		time.Sleep(time.Second) // the sink has it, and blocks
		for i := range 250 {
			p.Record(named(fmt.Sprint(i)))
		}
		if st := p.Stats(); st.Recorded != 101 || st.Dropped != 150 {
			t.Fatalf("stats %+v, want 1+100 recorded and 150 dropped", st)
		}
		close(s.gate)
		time.Sleep(time.Second)
		if got := s.of(audit.SysDegraded); !slices.Equal(got, []string{`{"dropped":150,"from":"2000-01-01T00:00:01.000000Z","to":"2000-01-01T00:00:01.000000Z"}`}) {
			t.Errorf("told %v, want once of 150", got)
		}
		ids := s.ids()
		if len(ids) != 102 || ids[100] != "99" || ids[101] != "" {
			t.Errorf("%d events, the last %v: want what fitted, in order, and after it the event about the loss", len(ids), ids[99:])
		}
		// With room again nothing is lost, and nothing told.
		p.Record(named("after"))
		closed(t, p)
		st := p.Stats()
		if st.Recorded != 102 || st.Dropped != 150 || st.Failed != 0 || st.Sinks[0].Written != 103 || len(s.of(audit.SysDegraded)) != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestDropsUnderLoadAreCountedExactly(t *testing.T) {
	s := &fakeSink{gate: make(chan struct{})}
	p := open(t, audit.Config{Queue: 16}, to(s))
	stop := make(chan struct{})
	go func() { // a slow sink
		for {
			select {
			case s.gate <- struct{}{}:
			case <-stop:
				close(s.gate)
				return
			}
			time.Sleep(100 * time.Microsecond)
		}
	}()
	const writers, each = 8, 2000
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				p.Record(named("x"))
			}
		})
	}
	wg.Wait()
	close(stop)
	closed(t, p)
	st := p.Stats()
	written := len(s.ids()) - len(s.of(audit.SysDegraded))
	var told uint64
	for _, d := range s.of(audit.SysDegraded) {
		var n uint64
		if _, err := fmt.Sscanf(d, `{"dropped":%d,`, &n); err != nil {
			t.Fatal(err)
		}
		told += n
	}
	if st.Dropped == 0 || st.Recorded+st.Dropped != writers*each || uint64(written) != st.Recorded || told != st.Dropped {
		t.Errorf("stats %+v, %d written, %d told lost, of %d", st, written, told, writers*each)
	}
}

func TestCommitsMayUseTwiceTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSink{gate: make(chan struct{})}
		p := open(t, audit.Config{Queue: 2, WriteTimeout: time.Minute}, to(s))
		p.Record(named("under way"))
		time.Sleep(time.Second)
		for range 5 {
			p.Record(named("flood"))
		}
		var accepted, refused atomic.Int32
		for range 3 {
			go func() {
				switch err := p.Commit(t.Context(), named("admin")); {
				case err == nil:
					accepted.Add(1)
				case errors.Is(err, audit.ErrNotRecorded):
					refused.Add(1)
				}
			}()
		}
		synctest.Wait()
		close(s.gate)
		closed(t, p)
		synctest.Wait()
		if accepted.Load() != 2 || refused.Load() != 1 {
			t.Errorf("%d commits accepted and %d refused beside a full queue of 2, want 2 and 1", accepted.Load(), refused.Load())
		}
	})
}

func TestCommitHonoursItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSink{gate: make(chan struct{})}
		p := open(t, audit.Config{WriteTimeout: time.Minute}, to(s))
		p.Record(named("under way"))
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := p.Commit(ctx, named("given up"))
		if !errors.Is(err, audit.ErrNotRecorded) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Commit: %v", err)
		}
		if err := p.Commit(ctx, named("too late")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Commit with a context that has ended: %v", err)
		}
		close(s.gate)
		closed(t, p)
		if got := s.ids(); !slices.Equal(got, []string{"under way"}) {
			t.Errorf("holds %v: an event whose caller was told no must not appear", got)
		}
		if st := p.Stats(); st.Recorded != 1 || st.Dropped != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestCloseWritesEverythingThenClosesTheSinks(t *testing.T) {
	s, second := &fakeSink{}, &fakeSink{}
	p := open(t, audit.Config{FlushInterval: 500 * time.Millisecond}, to(s), audit.Output{Name: "second", Sink: second, Optional: true})
	for i := range 2000 {
		p.Record(named(fmt.Sprint(i)))
	}
	closed(t, p)
	if len(s.ids()) != 2000 || len(second.ids()) != 2000 || s.closed != 1 || second.closed != 1 {
		t.Errorf("%d and %d events, closed %d and %d times", len(s.ids()), len(second.ids()), s.closed, second.closed)
	}
	p.Record(named("late"))
	if err := p.Commit(t.Context(), named("late")); !errors.Is(err, audit.ErrNotRecorded) {
		t.Errorf("Commit after Close: %v", err)
	}
	if st := p.Stats(); st.Dropped != 2 || st.Recorded != 2000 {
		t.Errorf("stats %+v, want the two late ones dropped", st)
	}
	closed(t, p) // again: nothing happens
}

func TestCloseGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails when a goroutine is left
		s := &fakeSink{hang: true}
		p := open(t, audit.Config{WriteTimeout: time.Minute}, to(s))
		for i := range 1000 {
			p.Record(named(fmt.Sprint(i)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("Close took %v", d)
		}
		synctest.Wait()
		if st := p.Stats(); st.Failed < 1000 || s.closed != 1 {
			t.Errorf("stats %+v, closed %d times: want all counted as failed", st, s.closed)
		}
	})
}

func TestRecordKeepsNoMemoryOfTheEvent(t *testing.T) {
	s := &fakeSink{}
	p := open(t, audit.Config{FlushInterval: 500 * time.Millisecond}, to(s))
	detail := []slog.Attr{slog.String("a", "b"), slog.Any("l", []string{"c"})}
	p.Record(audit.Event{Type: "x", Detail: detail})
	detail[1].Value.Any().([]string)[0] = "changed"
	detail[0] = slog.String("a", "changed")
	closed(t, p)
	if got := s.of("x"); !slices.Equal(got, []string{`{"a":"b","l":["c"]}`}) {
		t.Errorf("detail %v", got)
	}
}

func TestSinksGetBoundedValidStrings(t *testing.T) {
	s := &fakeSink{}
	p := open(t, audit.Config{}, to(s))
	bad := strings.Repeat("a\xff\x00", 1000)
	p.Record(audit.Event{ID: bad, Type: "x", RequestID: bad, Address: bad, Principal: bad, Route: bad, Method: bad, Host: bad,
		Path: "/?" + bad, UserAgent: bad, Detail: []slog.Attr{slog.String(bad, bad), slog.Group("g", slog.Any("l", []string{bad}))}})
	closed(t, p)
	e := s.batches[0][0]
	all := []string{e.ID, e.RequestID, e.Address, e.Principal, e.Route, e.Method, e.Host, e.Path, e.UserAgent, e.Detail[0].Key,
		e.Detail[0].Value.String(), e.Detail[1].Value.Group()[0].Value.Any().([]string)[0]}
	for i, got := range all {
		if len(got) > 512 || !strings.HasSuffix(got, "…") || strings.ContainsAny(got, "\x00") || strings.ToValidUTF8(got, "") != got {
			t.Errorf("string %d is %q", i, got)
		}
	}
	if e.Path != "/?…" {
		t.Errorf("path %q", e.Path)
	}
	// The line of the copy is the line of the original.
	if !strings.Contains(s.lines[0], `"request_uri":"/?…"`) {
		t.Errorf("line %s", s.lines[0])
	}
}

// What strangers can cause at will does not push out what it may be meant to hide.
func TestAFloodLeavesRoomForWhatMatters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSink{gate: make(chan struct{})}
		p := open(t, audit.Config{Queue: 100, WriteTimeout: time.Minute}, to(s))
		p.Record(named("under way"))
		time.Sleep(time.Second) // the sink has it, and blocks
		for range 1000 {
			p.Record(audit.Event{Type: audit.InputValidationFail})
			p.Record(audit.Event{Type: audit.ExcessRateLimitExceeded})
			p.Record(audit.Event{Type: audit.AuthzFail, Outcome: audit.WouldRefuse})
		}
		if st := p.Stats(); st.Recorded != 51 || st.Dropped != 2950 {
			t.Errorf("stats %+v; want half the queue of noise", st)
		}
		p.Record(audit.Event{Type: audit.AuthnPasswordChangeFail})
		if st := p.Stats(); st.Recorded != 52 {
			t.Errorf("a failed password change was dropped: %+v", st)
		}
		close(s.gate)
		closed(t, p)
		if n := len(s.of(audit.AuthnPasswordChangeFail)); n != 1 {
			t.Errorf("%d failed password changes are written; want 1", n)
		}
	})
}
