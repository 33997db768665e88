package coalesce_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/internal/coalesce"
)

type value struct{ key, n int }

// store is what values are written to.
type store struct {
	mu      sync.Mutex
	calls   int
	largest int
	err     error
	written map[int]int
	before  func() // a write
}

func (s *store) write(_ context.Context, all []value) error {
	if s.before != nil {
		s.before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.largest = s.calls+1, max(s.largest, len(all))
	if s.err != nil {
		return s.err
	}
	for _, v := range all {
		s.written[v.key] = v.n
	}
	return nil
}

func newWrites(max int) (*coalesce.Writes[int, value], *store) {
	s := &store{written: map[int]int{}}
	return coalesce.New[int](max, func(v, old value) bool { return v.n > old.n }, s.write), s
}

func flush(w *coalesce.Writes[int, value]) func(context.Context) error {
	return func(ctx context.Context) error { _, err := w.Flush(ctx); return err }
}

func TestTheNewestValueOfAKeyIsWrittenOnce(t *testing.T) {
	w, s := newWrites(10)
	if !w.Note(1, value{1, 5}) || w.Note(1, value{1, 7}) || w.Note(1, value{1, 6}) || !w.Note(2, value{2, 1}) {
		t.Error("Note does not tell which is the first of its key")
	}
	if v, ok := w.Get(1); !ok || v.n != 7 {
		t.Errorf("Get = %v, %v, want 7", v, ok)
	}
	if left, err := w.Flush(t.Context()); left != 0 || err != nil || s.calls != 1 || s.written[1] != 7 || s.written[2] != 1 {
		t.Errorf("Flush = %d, %v: %d writes, %v", left, err, s.calls, s.written)
	}
	if _, ok := w.Get(1); ok {
		t.Error("what was written is still pending")
	}
	if _, err := w.Flush(t.Context()); err != nil || s.calls != 1 {
		t.Errorf("nothing to write: %d writes, %v", s.calls, err)
	}
}

func TestWithoutRoomANewKeyIsDroppedAndAnOldOneIsNot(t *testing.T) {
	w, s := newWrites(2)
	for k := range 3 {
		w.Note(k, value{k, 1})
	}
	w.Note(0, value{0, 2})
	if _, ok := w.Get(2); ok {
		t.Error("a third is kept where there is room for two")
	}
	if _, err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Note(2, value{2, 1})
	if _, err := w.Flush(t.Context()); err != nil || len(s.written) != 3 || s.written[0] != 2 {
		t.Errorf("written %v, %v", s.written, err)
	}
}

func TestWhatIsNotWrittenStaysPending(t *testing.T) {
	w, s := newWrites(2000)
	for k := range 1100 {
		w.Note(k, value{k, 1})
	}
	s.err = errors.New("outage")
	if left, err := w.Flush(t.Context()); left != 1100 || !errors.Is(err, s.err) {
		t.Errorf("Flush = %d, %v, want 1100 left", left, err)
	}
	s.err, s.calls = nil, 0
	noted := false
	s.before = func() { // meanwhile one that is being written changes
		if v, _ := w.Get(0); !noted && v.n == 1 {
			noted = true
			w.Note(0, value{0, 2})
		}
	}
	if left, err := w.Flush(t.Context()); left != 0 || err != nil || s.calls != 3 || s.largest != 500 {
		t.Errorf("Flush = %d, %v in %d writes of at most %d, want 3 of at most 500", left, err, s.calls, s.largest)
	}
	if _, err := w.Flush(t.Context()); err != nil || len(s.written) != 1100 || s.written[0] != 2 {
		t.Errorf("%d are written, and the one that changed as %d (%v), want 1100 and 2", len(s.written), s.written[0], err)
	}
}

func TestRunWritesOnceAMinuteAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWrites(1000)
		var told []error
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx, flush(w), func(err error) { told = append(told, err) }) }()
		for n := range 150 {
			w.Note(1, value{1, n})
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if s.calls != 2 {
			t.Errorf("%d writes in two and a half minutes, want 2", s.calls)
		}
		outage := errors.New("outage")
		s.mu.Lock()
		s.err = outage
		s.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Equal(told, []error{outage}) {
			t.Errorf("told %v, want the outage once", told)
		}
		s.mu.Lock()
		s.err = nil
		s.mu.Unlock()
		cancel()
		if err := <-done; err != nil || s.written[1] != 149 {
			t.Errorf("Run: %v, written %v, want the last one", err, s.written)
		}
	})
}

func TestMoreThanHalfFullIsWrittenSooner(t *testing.T) {
	for _, tt := range []struct {
		keys  int
		wrote bool
	}{{5, false}, {6, true}} {
		synctest.Test(t, func(t *testing.T) {
			w, s := newWrites(10)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- w.Run(ctx, flush(w), nil) }()
			for k := range tt.keys {
				w.Note(k, value{k, 1})
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if (s.calls > 0) != tt.wrote {
				t.Errorf("%d of 10: %d writes in two seconds, want some: %v", tt.keys, s.calls, tt.wrote)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
