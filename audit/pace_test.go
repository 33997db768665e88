package audit_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
)

// 5,000 events a second on a real clock, to sinks that are dead, slow, hanging and
// flapping: what is for each is written, waits on its disk, or is counted as lost, and the
// events that tell of losses tell of all. The longer form is BenchmarkRefusals.
func TestLossesAreExactOnARealClock(t *testing.T) {
	const n = 7500
	well, dead, slow, flapping, hanging := &fakeSink{}, &fakeSink{err: errBroken}, &slowSink{}, &fakeSink{}, &fakeSink{hang: true}
	optional := func(name string, s audit.Sink) audit.Output { return audit.Output{Name: name, Sink: s, Optional: true} }
	spooled := optional("hanging", hanging)
	spooled.Spool = filepath.Join(t.TempDir(), "spool")
	p := open(t, audit.Config{Queue: 500, WriteTimeout: 200 * time.Millisecond},
		to(well), optional("dead", dead), optional("slow", slow), optional("flapping", flapping), spooled)
	stop := make(chan struct{})
	var flaps sync.WaitGroup
	flaps.Go(func() {
		for i := 0; ; i++ {
			flapping.set([]error{errBroken, nil}[i%2])
			select {
			case <-stop:
				return
			case <-time.After(70 * time.Millisecond):
			}
		}
	})
	begin := time.Now()
	for i := range n {
		if i%5 == 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(i/5) * time.Millisecond)))
		}
		p.Record(named(fmt.Sprint(i)))
	}
	close(stop)
	flaps.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}

	st := p.Stats()
	if st.Recorded+st.Dropped != n {
		t.Errorf("%d recorded and %d dropped of %d", st.Recorded, st.Dropped, n)
	}
	if got := without(well.ids()); uint64(len(got)) != st.Recorded || !slices.IsSortedFunc(got, byNumber) {
		t.Errorf("the sink that is well has %d events, %d were recorded", len(got), st.Recorded)
	}
	for i, sink := range []*fakeSink{well, dead, &slow.fakeSink, flapping, hanging} {
		s := st.Sinks[i]
		if s.Sent != s.Written+s.Failed+s.Spooled || s.Written != uint64(len(sink.ids())) {
			t.Errorf("%+v, and it has %d", s, len(sink.ids()))
		}
		if s.Sent != st.Sinks[0].Sent {
			t.Errorf("%s was sent %d events, the first %d", s.Name, s.Sent, st.Sinks[0].Sent)
		}
	}
	if s := st.Sinks[1]; s.Written != 0 || s.Failed != s.Sent {
		t.Errorf("the dead one: %+v", s)
	}
	if s := st.Sinks[4]; s.Failed != 0 || s.Spooled == 0 {
		t.Errorf("the hanging one, which has a disk: %+v", s)
	}
}

func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
