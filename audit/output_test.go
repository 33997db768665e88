package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
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

func TestHangingSinkHoldsTheOthersUpForItsTimeoutOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging, well := &fakeSink{hang: true}, &fakeSink{}
		p := open(t, audit.Config{WriteTimeout: time.Second}, audit.Output{Name: "hanging", Sink: hanging, Optional: true}, to(well))
		start := time.Now()
		if err := p.Commit(t.Context(), named("1")); err != nil {
			t.Errorf("a commit beside an optional sink that hangs: %v", err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("it took %v, want it not to wait for the optional sink", d)
		}
		if err := p.Commit(t.Context(), named("2")); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("the next came after %v, want the time-out of the sink", d)
		}
		closed(t, p)
		if got := without(well.ids()); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("the other sink has %v", got)
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
		if got := s.of(audit.SysRecovered); !slices.Equal(got, []string{`{"sink":"file","lost":71}`}) {
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
