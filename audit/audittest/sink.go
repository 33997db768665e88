package audittest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
)

// RunSink checks that a sink does what [audit.Sink] asks for. For each check
// it calls open, which returns an empty sink and a function that returns the ids
// of the events that it holds, oldest first, read from where they would survive
// a crash. open leaves to t.Cleanup what Close does not clean up.
func RunSink(t *testing.T, open func(t *testing.T) (sink audit.Sink, ids func() ([]string, error))) {
	t.Helper()
	check := func(name string, f func(t *testing.T, k kit)) {
		t.Run(name, func(t *testing.T) {
			sink, ids := open(t)
			t.Cleanup(func() { _ = sink.Close() }) // a second time in some checks
			f(t, kit{sink, func() []string {
				t.Helper()
				list, err := ids()
				if err != nil {
					t.Fatalf("read what the sink holds: %v", err)
				}
				return list
			}})
		})
	}

	check("an empty batch is no error", func(t *testing.T, k kit) {
		if err := k.sink.Write(t.Context(), nil, nil); err != nil {
			t.Errorf("Write of nothing: %v", err)
		}
		k.holds(t)
	})
	check("what was written is there at once and in order", func(t *testing.T, k kit) {
		k.write(t, event(1), event(2), event(3))
		k.holds(t, 1, 2, 3)
		k.write(t, event(4))
		k.holds(t, 1, 2, 3, 4)
	})
	check("an event older than the one before is kept too", func(t *testing.T, k kit) {
		early, late := event(1), event(2)
		early.Time = late.Time.Add(-time.Hour)
		k.write(t, late)
		k.write(t, early)
		if got := k.ids(); len(got) != 2 {
			t.Errorf("holds %v, want both", got)
		}
	})
	check("a large batch is kept whole", func(t *testing.T, k kit) {
		var batch []audit.Event
		var want []int
		for i := range 1000 {
			batch, want = append(batch, event(i)), append(want, i)
		}
		k.write(t, batch...)
		k.holds(t, want...)
	})
	check("what attackers send is kept and spoils nothing", func(t *testing.T, k kit) {
		hostile := event(1)
		hostile.Principal = "usr_\r\n\x1b[2J\u2028\u202e'; DROP TABLE events; --\\"
		hostile.Path = "/\"},\n{\"id\":\"evt_forged\"}"
		hostile.UserAgent = strings.Repeat("a", 256)
		hostile.Detail = []slog.Attr{slog.String("note", "a\tb\u0085"), slog.Any("list", []string{"a\nb"})}
		k.write(t, hostile, event(2))
		k.holds(t, 1, 2)
	})
	check("memory of the batch is the caller's again after Write", func(t *testing.T, k kit) {
		batch := []audit.Event{event(1), event(2)}
		lines := encode(batch)
		if err := k.sink.Write(t.Context(), batch, lines); err != nil {
			t.Fatal(err)
		}
		for i := range batch {
			batch[i] = audit.Event{}
			for j := range lines[i] {
				lines[i][j] = 'x'
			}
		}
		k.write(t, event(3))
		k.holds(t, 1, 2, 3)
	})
	check("a context that has ended keeps the batch out", func(t *testing.T, k kit) {
		k.write(t, event(1))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		batch := []audit.Event{event(2)}
		if err := k.sink.Write(ctx, batch, encode(batch)); err == nil {
			t.Error("Write with a context that has ended: no error")
		}
		k.holds(t, 1)
		k.write(t, event(3))
		k.holds(t, 1, 3)
	})
	check("an event that comes again is no error", func(t *testing.T, k kit) {
		k.write(t, event(1))
		k.write(t, event(1), event(2))
		k.write(t, event(3))
		if got := slices.Compact(k.ids()); !slices.Equal(got, names(1, 2, 3)) {
			t.Errorf("holds %v, want each of the three once or twice", got)
		}
	})
	check("what was written survives Close, and Write is an error after it", func(t *testing.T, k kit) {
		k.write(t, event(1))
		if err := k.sink.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		batch := []audit.Event{event(2)}
		if err := k.sink.Write(t.Context(), batch, encode(batch)); err == nil {
			t.Error("Write after Close: no error")
		}
		k.holds(t, 1)
	})
}

type kit struct {
	sink audit.Sink
	ids  func() []string
}

func (k kit) write(t *testing.T, batch ...audit.Event) {
	t.Helper()
	if err := k.sink.Write(t.Context(), batch, encode(batch)); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

func (k kit) holds(t *testing.T, numbers ...int) {
	t.Helper()
	if got, want := k.ids(), names(numbers...); !slices.Equal(got, want) {
		t.Errorf("holds %d events %.200q, want %d %.200q", len(got), got, len(want), want)
	}
}

func event(n int) audit.Event {
	e := audit.LoginFailed("usr_1", "wrong_password").With(slog.Int("n", n)).Complete()
	e.ID = names(n)[0]
	e.Time = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
	e.RequestID, e.Address, e.Route = "req", "192.0.2.7", "POST /api/v1/auth/login"
	return e
}

func names(numbers ...int) []string {
	var list []string
	for _, n := range numbers {
		list = append(list, fmt.Sprintf("evt_01890000-0000-7000-8000-%012d", n))
	}
	return list
}

func encode(batch []audit.Event) [][]byte {
	var lines [][]byte
	for _, e := range batch {
		lines = append(lines, audit.AppendJSON(nil, e))
	}
	return lines
}
