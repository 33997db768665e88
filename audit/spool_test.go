package audit_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/audit"
)

func spooled(s audit.Sink, path string) audit.Output {
	return audit.Output{Name: "spooled", Sink: s, Optional: true, Spool: path}
}

func TestASinkGetsFromDiskWhatMemoryHadNoRoomFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	synctest.Test(t, func(t *testing.T) {
		s, well := &fakeSink{err: errBroken}, &fakeSink{}
		p := open(t, audit.Config{Queue: 50}, to(well), spooled(s, path))
		for i := range 1500 {
			p.Record(named(fmt.Sprint(i)))
			time.Sleep(10 * time.Millisecond)
		}
		if err := p.Commit(t.Context(), named("committed")); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if st := p.Stats(); st.Failed != 0 || st.Sinks[1].Spooled < 1400 {
			t.Errorf("while down: %+v", st)
		}
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 || fi.Size() == 0 {
			t.Errorf("spool %v, %v", fi, err)
		}
		s.set(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		got := without(s.ids())
		if want := append(numbered(0, 1500), "committed"); !slices.Equal(got, want) {
			t.Errorf("has %d events, want %d in order", len(got), len(want))
		}
		for i, e := range slices.Concat(s.batches...) {
			if line := string(audit.AppendJSON(nil, e)); line != s.lines[i] {
				t.Fatalf("the event of line %d is %s, the line %s", i, line, s.lines[i])
			}
		}
		closed(t, p)
		if st := p.Stats(); st.Failed != 0 || st.Sinks[1].Spooled != 0 || st.Sinks[1].Written != st.Sinks[0].Written {
			t.Errorf("after recovery: %+v", st)
		}
		if fi, err := os.Stat(path); err != nil || fi.Size() != 0 {
			t.Errorf("the spool is not empty: %v, %v", fi, err)
		}
	})
}

func TestASpoolIsKeptOverRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	p := open(t, audit.Config{Queue: 20}, to(&fakeSink{}), spooled(&fakeSink{err: errBroken}, path))
	for i := range 10 { // fewer than memory has room for
		p.Record(named(fmt.Sprint(i)))
	}
	closed(t, p)
	if st := p.Stats(); st.Failed != 0 || st.Sinks[1].Spooled < 10 { // one about the failure may be beside them
		t.Errorf("at the end: %+v", st)
	}
	// A crash may have torn a line, and somebody may have written nonsense.
	text := contents(t, path)
	if err := os.WriteFile(path, []byte("nonsense\n"+text+`{"id":"evt_`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &fakeSink{}
	p = open(t, audit.Config{Queue: 20}, to(&fakeSink{}), spooled(s, path))
	for deadline := time.Now().Add(10 * time.Second); len(without(s.ids())) < 10 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // it needs no event to begin
	}
	closed(t, p)
	if got := without(s.ids()); !slices.Equal(got, numbered(0, 10)) || p.Stats().Sinks[1].Spooled != 0 {
		t.Errorf("has %v; %+v", got, p.Stats())
	}
}

// Who needs room on a disk that is full cuts what is large.
func TestASpoolThatSomebodyCutsShortIsALoss(t *testing.T) {
	for name, left := range map[string]int64{"to nothing": 0, "to a part": 2000} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "spool")
			synctest.Test(t, func(t *testing.T) {
				s := &fakeSink{err: errBroken}
				p := open(t, audit.Config{Queue: 50}, to(&fakeSink{}), spooled(s, path))
				some := func(from, to int) {
					for i := from; i < to; i++ {
						p.Record(named(fmt.Sprint(i)))
						time.Sleep(10 * time.Millisecond)
					}
				}
				some(0, 500)
				synctest.Wait() // nothing is written beside what follows
				waiting := p.Stats().Sinks[1].Spooled
				if err := os.Truncate(path, left); err != nil {
					t.Fatal(err)
				}
				kept := uint64(strings.Count(contents(t, path), "\n"))
				some(500, 600)
				s.set(nil)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				st := p.Stats().Sinks[1]
				if got := without(s.ids()); len(got) == 0 || got[len(got)-1] != "599" {
					t.Errorf("what came after it is not there: %d events", len(got))
				}
				if lost := waiting - kept; st.Spooled != 0 || st.Failed < lost || st.Failed > lost+1 || st.Written+st.Failed != st.Sent {
					t.Errorf("%d of %d were taken away: %+v", lost, waiting, st)
				}
				closed(t, p)
			})
		})
	}
}

func TestASpoolThatCannotBeIsAnErrorAndALoss(t *testing.T) {
	dir := t.TempDir()
	if _, err := audit.New(quiet(audit.Config{Sinks: []audit.Output{to(&fakeSink{}), spooled(&fakeSink{}, dir)}})); err == nil {
		t.Error("a spool that is a directory is no error")
	}
	p := open(t, audit.Config{Queue: 1}, to(&fakeSink{}), spooled(&fakeSink{err: errBroken}, filepath.Join(dir, "missing", "spool")))
	p.Record(named("1"))
	closed(t, p)
	if st := p.Stats(); st.Sinks[1].Failed == 0 || st.Sinks[1].Spooled != 0 {
		t.Errorf("what cannot be kept is not counted: %+v", st)
	}
}

func TestParseJSONIsTheInverse(t *testing.T) {
	e := typical()
	e.ID, e.Host = "evt_1", "[2001:db8::1]:8443"
	e.Detail = []slog.Attr{slog.String("z", "a\nb"), slog.Int("n", -7), slog.Uint64("u", 1<<40), slog.Bool("b", true), slog.Any("list", []string{"x", "y"}),
		slog.Group("g", slog.String("in", "side")), slog.Any("nil", nil)}
	line := string(audit.AppendJSON(nil, e))
	got, err := audit.ParseJSON([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if again := string(audit.AppendJSON(nil, got)); again != line {
		t.Errorf("%s became\n%s", line, again)
	}
	for _, bad := range []string{"", "{}", "null", `{"id":"evt_1"}`, `{"id":"evt_1","type":"x","detail":[]}`, `{"id":"evt_1","type":"x","detail":{"a":[1]}}`,
		`{"id":"evt_1","type":"x","detail":` + strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 10)} {
		if _, err := audit.ParseJSON([]byte(bad)); err == nil {
			t.Errorf("%s is an event", bad)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"id":"evt_1","time":"2026-01-02T15:04:05.000000Z","type":"x","detail":{"a":{"b":["c"]},"n":1e400}}`))
	f.Add(audit.AppendJSON(nil, typical()))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := audit.ParseJSON(line)
		if err != nil {
			return
		}
		// What was read is written within the limits, and reads the same.
		written := audit.AppendJSON(nil, e)
		again, err := audit.ParseJSON(written)
		if err != nil {
			t.Fatalf("%q became %q: %v", line, written, err)
		}
		if third := audit.AppendJSON(nil, again); string(third) != string(written) {
			t.Errorf("%q became %q and then %q", line, written, third)
		}
	})
}
