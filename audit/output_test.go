package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/audit"
)

var errBroken = errors.New("disk on fire")

func numbered(from, to int) (ids []string) {
	for i := from; i < to; i++ {
		ids = append(ids, fmt.Sprint(i))
	}
	return ids
}

// without returns ids without those of the pipeline's own events.
func without(ids []string) []string {
	return slices.DeleteFunc(ids, func(id string) bool { return id == "" })
}

func TestDeadSinkDoesNotTouchTheOthersAndCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		dead, well := &fakeSink{err: errBroken}, &fakeSink{}
		p := open(t, audit.Config{ErrorLog: slog.New(slog.NewTextHandler(&log, nil))},
			audit.Output{Name: "dead", Sink: dead}, audit.Output{Name: "well", Sink: well})
		for i := range 100 {
			p.Record(named(fmt.Sprint(i)))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if got := without(well.ids()); !slices.Equal(got, numbered(0, 100)) {
			t.Errorf("the other sink has %v", got)
		}
		if got := well.of(audit.SysDegraded); !slices.Equal(got, []string{`{"sink":"dead"}`}) {
			t.Errorf("the other sink was told %v", got)
		}
		// 10 s of failure: after 100, 200, 400, 800 and then every 1000 ms.
		if dead.calls < 11 || dead.calls > 15 {
			t.Errorf("%d attempts in 10 s, want them at growing intervals", dead.calls)
		}
		if n := strings.Count(log.String(), "disk on fire"); n != 1 {
			t.Errorf("reported %d times: %s", n, log.String())
		}
		if st := p.Stats(); !st.Sinks[0].Down || st.Sinks[1].Down || st.Failed != 0 {
			t.Errorf("stats while down %+v", st)
		}

		dead.set(nil)
		time.Sleep(5 * time.Second) // nothing is recorded: it recovers by itself
		synctest.Wait()
		if got := without(dead.ids()); !slices.Equal(got, numbered(0, 100)) {
			t.Errorf("after recovery it has %v", got)
		}
		for i, e := range slices.Concat(dead.batches...) {
			if want := `{"id":"` + e.ID + `"`; !strings.HasPrefix(dead.lines[i], want) {
				t.Errorf("line %d is %s, want that of %s", i, dead.lines[i], e.ID)
			}
		}
		if got := well.of(audit.SysRecovered); !slices.Equal(got, []string{`{"sink":"dead","lost":0}`}) {
			t.Errorf("recovery was told %v", got)
		}
		if n := strings.Count(log.String(), "written again"); n != 1 {
			t.Errorf("recovery reported %d times: %s", n, log.String())
		}
		closed(t, p)
		if st := p.Stats(); st.Sinks[0].Down || st.Failed != 0 || st.Sinks[0].Written != 102 {
			t.Errorf("stats after recovery %+v", st)
		}
	})
}

func TestHangingSinkHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging, second, well := &fakeSink{hang: true}, &fakeSink{hang: true}, &fakeSink{}
		p := open(t, audit.Config{WriteTimeout: time.Second}, audit.Output{Name: "hanging", Sink: hanging, Optional: true}, to(well))
		start := time.Now()
		for i := range 50 {
			if err := p.Commit(t.Context(), named(fmt.Sprint(i))); err != nil {
				t.Fatalf("a commit beside an optional sink that hangs: %v", err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("it took %v, want it not to wait for the optional sink", d)
		}
		closed(t, p)
		if got := without(well.ids()); !slices.Equal(got, numbered(0, 50)) {
			t.Errorf("the other sink has %v", got)
		}

		// A required one holds up who waits for it, and nobody else.
		well = &fakeSink{}
		p = open(t, audit.Config{WriteTimeout: time.Second}, to(well), audit.Output{Name: "second", Sink: second})
		start = time.Now()
		go func() { _ = p.Commit(t.Context(), named("committed")) }()
		synctest.Wait()
		p.Record(named("1"))
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if got := without(well.ids()); !slices.Equal(got, []string{"committed", "1"}) {
			t.Errorf("after %v the first sink has %v", time.Since(start), got)
		}
		closed(t, p)
	})
}

func TestSinksThatAreDeadSlowAndFlappingAreCountedExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, flapping, well := &fakeSink{err: errBroken}, &fakeSink{}, &fakeSink{}
		slow := &slowSink{}
		p := open(t, audit.Config{Queue: 2000, WriteTimeout: time.Second}, to(well),
			audit.Output{Name: "required", Sink: &fakeSink{}}, audit.Output{Name: "dead", Sink: dead, Optional: true},
			audit.Output{Name: "slow", Sink: slow, Optional: true}, audit.Output{Name: "flapping", Sink: flapping, Optional: true})
		const n = 50_000 // 5,000 a second for ten seconds
		for i := range n {
			p.Record(named(fmt.Sprint(i)))
			if i%5 == 4 {
				time.Sleep(time.Millisecond)
			}
			if i%7000 == 0 {
				flapping.set([]error{errBroken, nil}[i/7000%2])
			}
		}
		flapping.set(nil)
		time.Sleep(5 * time.Second)
		closed(t, p)
		st := p.Stats()
		if st.Recorded != n || st.Dropped != 0 {
			t.Errorf("recorded %d, dropped %d", st.Recorded, st.Dropped)
		}
		if got := without(well.ids()); !slices.Equal(got, numbered(0, n)) {
			t.Errorf("the sink that is well has %d events", len(got))
		}
		own := uint64(len(well.ids()) - n) // the pipeline's about sinks that failed
		for _, s := range st.Sinks {
			if s.Written+s.Failed != n+own {
				t.Errorf("%s: %d written and %d failed are not %d and %d", s.Name, s.Written, s.Failed, n, own)
			}
		}
		for i, lossy := range []bool{false, false, true, true, false} {
			if got := st.Sinks[i].Failed > 0; got != lossy && i != 4 {
				t.Errorf("%s lost %d events", st.Sinks[i].Name, st.Sinks[i].Failed)
			}
		}
		for i, ids := range [][]string{well.ids(), nil, dead.ids(), slow.ids(), flapping.ids()} {
			s := st.Sinks[i]
			if s.Sent != s.Written+s.Failed || ids != nil && s.Written != uint64(len(ids)) {
				t.Errorf("%s: %d sent, %d written and %d lost, and it has %d", s.Name, s.Sent, s.Written, s.Failed, len(ids))
			}
		}
		if got := len(without(flapping.ids())); got == 0 || got == n {
			t.Errorf("the flapping sink has %d events", got)
		}
	})
}

// A slowSink takes half a second for a batch.
type slowSink struct{ fakeSink }

func (s *slowSink) Write(ctx context.Context, batch []audit.Event, lines [][]byte) error {
	time.Sleep(500 * time.Millisecond)
	return s.fakeSink.Write(ctx, batch, lines)
}

func TestAFilterKeepsRecordedEventsFromItsSinkAlone(t *testing.T) {
	all, some, first := &fakeSink{}, &fakeSink{}, &fakeSink{}
	odd := func(e audit.Event) bool { return e.RequestID == "1" }
	p := open(t, audit.Config{}, audit.Output{Name: "first", Sink: first, Filter: odd}, audit.Output{Name: "all", Sink: all},
		audit.Output{Name: "some", Sink: some, Optional: true, Filter: odd})
	for i := range 3 {
		p.Record(named(fmt.Sprint(i)))
	}
	if err := p.Commit(t.Context(), named("committed")); err != nil {
		t.Fatal(err)
	}
	closed(t, p)
	for _, c := range []struct {
		sink *fakeSink
		want []string
	}{{first, []string{"1", "committed"}}, {all, []string{"0", "1", "2", "committed"}}, {some, []string{"1", "committed"}}} {
		if got := c.sink.ids(); !slices.Equal(got, c.want) {
			t.Errorf("a sink has %v, want %v", got, c.want)
		}
	}
	if st := p.Stats(); st.Failed != 0 {
		t.Errorf("what a filter keeps out is not lost: %+v", st)
	}
}

func TestCheckpointsGoToEverySink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "security.log")
	second, optional := &fakeSink{}, &fakeSink{}
	p := open(t, audit.Config{}, to(chained(t, path)), audit.Output{Name: "second", Sink: second}, audit.Output{Name: "optional", Sink: optional, Optional: true})
	for i := range 1500 {
		p.Record(named(fmt.Sprint(i)))
	}
	closed(t, p)
	types, _ := members([]byte(contents(t, path)), "type")
	want := 0
	for _, typ := range types {
		if typ == "sys_log_checkpoint" {
			want++
		}
	}
	if want != 2 || types[len(types)-1] != "sys_log_checkpoint" {
		t.Errorf("%d checkpoints in the file, the last line is %s", want, types[len(types)-1])
	}
	for _, s := range []*fakeSink{second, optional} {
		var got []audit.Checkpoint
		for _, line := range s.lines {
			if c, ok := audit.ParseCheckpoint([]byte(line)); ok {
				got = append(got, c)
			}
		}
		v := verify(t, audit.VerifyConfig{Files: []string{path}, Keys: keysOf(t, path), Checkpoints: got})
		if len(got) != want || len(v.Breaks)+len(v.Notes) > 0 || v.Signed != want {
			t.Errorf("a sink has %d checkpoints; %+v", len(got), v)
		}
	}
}

func TestAFullQueueIsWaitedForByCategory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSink{gate: make(chan struct{})}
		p := open(t, audit.Config{Queue: 2, WriteTimeout: time.Minute, Wait: map[audit.Category]time.Duration{audit.Account: 50 * time.Millisecond}}, to(s))
		p.Record(named("under way"))
		time.Sleep(time.Second)
		p.Record(named("1"))
		p.Record(named("2"))
		start := time.Now()
		p.Record(named("dropped"))
		if d := time.Since(start); d != 0 {
			t.Errorf("a category without a wait waited %v", d)
		}
		p.Record(audit.Event{Type: audit.UserUpdated, RequestID: "in vain"})
		if d := time.Since(start); d != 50*time.Millisecond {
			t.Errorf("it waited %v, want 50ms", d)
		}
		go func() { time.Sleep(20 * time.Millisecond); close(s.gate) }()
		p.Record(audit.Event{Type: audit.UserUpdated, RequestID: "found room"})
		if d := time.Since(start); d != 70*time.Millisecond {
			t.Errorf("after %v, want it as soon as there is room", d)
		}
		closed(t, p)
		if got := without(s.ids()); !slices.Equal(got, []string{"under way", "1", "2", "found room"}) || p.Stats().Dropped != 2 {
			t.Errorf("has %v, stats %+v", got, p.Stats())
		}
	})
}

func TestCommitFailsWhenARequiredSinkFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, later, optional := &fakeSink{err: errBroken}, &fakeSink{}, &fakeSink{}
		p := open(t, audit.Config{}, audit.Output{Name: "broken", Sink: broken}, audit.Output{Name: "later", Sink: later},
			audit.Output{Name: "optional", Sink: optional, Optional: true})
		p.Record(named("recorded"))
		err := p.Commit(t.Context(), named("committed"))
		if !errors.Is(err, audit.ErrNotRecorded) || !errors.Is(err, errBroken) || !strings.Contains(err.Error(), `"broken"`) {
			t.Errorf("Commit: %v", err)
		}
		// While the sink is down a commit fails at once, without trying.
		calls := broken.calls
		if err := p.Commit(t.Context(), named("again")); !errors.Is(err, errBroken) || broken.calls != calls {
			t.Errorf("Commit to a sink that is down: %v after %d attempts", err, broken.calls-calls)
		}
		broken.set(nil)
		time.Sleep(time.Second)
		if err := p.Commit(t.Context(), named("works")); err != nil {
			t.Errorf("Commit after recovery: %v", err)
		}
		closed(t, p)
		// What was refused was not done: no sink tells of it.
		for _, s := range []*fakeSink{broken, later, optional} {
			if got := without(s.ids()); !slices.Equal(got, []string{"recorded", "works"}) {
				t.Errorf("a sink has %v", got)
			}
		}
		if st := p.Stats(); st.Failed != 6 { // two events, three sinks
			t.Errorf("stats %+v", st)
		}
	})
}

func TestWhatASinkMissesIsBoundedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSink{err: errBroken}
		p := open(t, audit.Config{Queue: 50}, to(s))
		for i := range 120 {
			p.Record(named(fmt.Sprint(i)))
			time.Sleep(30 * time.Millisecond)
		}
		st := p.Stats() // 49 events and one about the failure are kept
		if st.Recorded != 120 || st.Dropped != 0 || st.Failed != 71 {
			t.Errorf("stats %+v", st)
		}
		s.set(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := without(s.ids()); !slices.Equal(got, numbered(0, 49)) {
			t.Errorf("has %v, want the oldest", got)
		}
		if got := s.of(audit.SysRecovered); !slices.Equal(got, []string{`{"sink":"file","lost":71,"from":"2000-01-01T00:00:01.470000Z","to":"2000-01-01T00:00:03.570000Z"}`}) {
			t.Errorf("told %v", got)
		}
		closed(t, p)
	})
}

func TestCloseTriesASinkThatIsDownOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, well := range []bool{true, false} {
			s := &fakeSink{err: errBroken}
			p := open(t, audit.Config{}, to(s))
			p.Record(named("1"))
			time.Sleep(150 * time.Millisecond)
			if well {
				s.set(nil)
			}
			closed(t, p)
			st, ids := p.Stats(), without(s.ids())
			if well && (len(ids) != 1 || st.Failed != 0) || !well && (len(ids) != 0 || st.Failed != 2) {
				t.Errorf("well %v: has %v, stats %+v", well, ids, st)
			}
		}
	})
}

func TestCloseWaitsForASinkThatHangsOnce(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeSink{hang: true}
			p := open(t, audit.Config{WriteTimeout: time.Second}, to(s))
			p.Record(named("under way"))
			time.Sleep(500 * time.Millisecond)
			for i := range 2000 {
				p.Record(named(fmt.Sprint(i)))
			}
			start := time.Now()
			closed(t, p)
			// The rest of the write that was under way, and one attempt more.
			if d := time.Since(start); d > 1600*time.Millisecond {
				t.Errorf("Close took %v", d)
			}
			if st := p.Stats(); st.Failed != 2002 {
				t.Errorf("stats %+v, want everything and the event about the failure counted", st)
			}
		})
	}
}

// A sink that hangs for its whole time-out, while more comes than memory has room for, is
// no reason to lose anything that the disk has room for.
func TestWhatASinkMissesWhileItHangsWaitsOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "security.log.spool")
		hanging, well := &fakeSink{hang: true}, &fakeSink{}
		p := open(t, audit.Config{Queue: 600, WriteTimeout: time.Second}, to(well), audit.Output{Name: "hanging", Sink: hanging, Spool: path})
		const n = 4000
		record(p, 0, n) // all in the one second of the first write
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		st := p.Stats().Sinks[1]
		if st.Down || st.Failed != 0 || st.Spooled == 0 {
			t.Errorf("while it hangs: %+v, want it to miss nothing, and not to be known as down yet", st)
		}
		time.Sleep(2 * time.Second)
		hanging.mend()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := without(hanging.ids()); len(got) != n {
			t.Errorf("it has %d events, want %d", len(got), n)
		}
		closed(t, p)
		if st := p.Stats().Sinks[1]; st.Failed != 0 || st.Spooled != 0 || st.Sent != st.Written || int(st.Written) != len(hanging.ids()) {
			t.Errorf("in the end %+v", st)
		}
		if got := without(well.ids()); !slices.Equal(got, numbered(0, n)) {
			t.Errorf("the sink that is well has %d events", len(got))
		}
	})
}

// record records events at 5,000 a second.
func record(p *audit.Pipeline, from, to int) {
	for i := from; i < to; i++ {
		p.Record(named(fmt.Sprint(i)))
		if i%5 == 4 {
			time.Sleep(time.Millisecond)
		}
	}
}

func TestWhatASlowSinkLosesIsCountedAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, well := &slowSink{}, &fakeSink{}
		p := open(t, audit.Config{Queue: 1000}, to(well), audit.Output{Name: "slow", Sink: slow, Optional: true})
		const n = 20_000
		record(p, 0, n)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		st := p.Stats().Sinks[1]
		told := well.of(audit.SysDegraded)
		var lost uint64
		last := "2000-01-01T00:00:00.000000Z"
		for _, d := range told {
			var k uint64
			var from, to string
			if _, err := fmt.Sscanf(d, `{"sink":"slow","lost":%d,"from":%q,"to":%q}`, &k, &from, &to); err != nil {
				t.Fatalf("%v: %s", err, d)
			}
			if from < last || to < from || to > "2000-01-01T00:00:04.000000Z" {
				t.Errorf("told of %s to %s after %s", from, to, last)
			}
			lost, last = lost+k, to
		}
		if st.Down || lost == 0 || lost != st.Failed || len(told) > 14 {
			t.Errorf("%d events tell of %d lost ones, and it is %+v", len(told), lost, st)
		}
		if got := uint64(len(slow.ids())); got != st.Written || st.Sent != st.Written+st.Failed || st.Sent != uint64(n+len(told)) {
			t.Errorf("it has %d events: %+v", got, st)
		}
		closed(t, p)
	})
}

func TestTheSpoolIsForItsCategories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, well := &fakeSink{err: errBroken}, &fakeSink{}
		p := open(t, audit.Config{Queue: 100}, to(well), audit.Output{Name: "dead", Sink: dead,
			Spool: filepath.Join(t.TempDir(), "spool"), SpoolOnly: []audit.Category{audit.Account}})
		for i := range 300 {
			p.Record(audit.AccountUpdated(fmt.Sprint(i)))
			p.Record(audit.LoginFailed(fmt.Sprint(i), "wrong_password"))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		st := p.Stats().Sinks[1] // 99 of 600 are in memory, with the event about the failure
		if st.Spooled < 200 || st.Spooled > 251 || st.Failed != 501-st.Spooled || st.Sent != 601 {
			t.Errorf("while it is down: %+v", st)
		}
		dead.set(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := len(dead.of(audit.UserUpdated)); got != 300 {
			t.Errorf("it has %d events of the category, want all", got)
		}
		if got := uint64(len(dead.of(audit.AuthnLoginFail))); got+st.Failed != 300 {
			t.Errorf("it has %d events of another, and lost %d", got, st.Failed)
		}
		if got := dead.of(audit.SysRecovered); len(got) != 1 || !strings.HasPrefix(got[0], fmt.Sprintf(`{"sink":"dead","lost":%d,"from":`, st.Failed)) {
			t.Errorf("told %v", got)
		}
		closed(t, p)
	})
}
