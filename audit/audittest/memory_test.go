package audittest_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/audit/audittest"
)

func TestMemoryKeepsEventsComplete(t *testing.T) {
	var m audittest.Memory
	m.Record(audit.Event{Type: audit.MaliciousCSRF, Detail: []slog.Attr{slog.Int("n", 1)}})
	m.Record(audit.Event{})
	if err := m.Commit(t.Context(), audit.Event{Type: audit.APIKeyCreated}); err != nil {
		t.Fatal(err)
	}
	events := m.Events()
	if len(events) != 2 || !strings.HasPrefix(events[0].ID, "evt_") || events[0].Time.IsZero() || events[0].Severity != audit.High {
		t.Errorf("events %+v", events)
	}
	if only := m.Events(audit.APIKeyCreated); len(only) != 1 || only[0].ID != events[1].ID {
		t.Errorf("of one type %+v", only)
	}
	m.Reset()
	if n := len(m.Events()); n != 0 {
		t.Errorf("%d events after Reset", n)
	}
}

func TestMemoryRefusesCommits(t *testing.T) {
	var m audittest.Memory
	full := errors.New("full")
	m.Refuse(full)
	if err := m.Commit(t.Context(), audit.Event{Type: "x"}); !errors.Is(err, full) || !errors.Is(err, audit.ErrNotRecorded) {
		t.Errorf("Commit: %v", err)
	}
	m.Refuse(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Commit(ctx, audit.Event{Type: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit with a context that has ended: %v", err)
	}
	if err := m.Commit(t.Context(), audit.Event{}); !errors.Is(err, audit.ErrNotRecorded) {
		t.Errorf("Commit without a type: %v", err)
	}
	if n := len(m.Events()); n != 0 {
		t.Errorf("%d events, want none of the refused", n)
	}
}

func TestMemoryIsBoundedAndWaits(t *testing.T) {
	var m audittest.Memory
	var wg sync.WaitGroup
	for range 11 {
		wg.Go(func() {
			for range 1000 {
				m.Record(audit.Event{Type: "x"})
			}
		})
	}
	if n := len(m.Wait(t, 10_000, "x")); n != 10_000 {
		t.Errorf("%d events", n)
	}
	wg.Wait()
	if n := m.Dropped(); n != 1000 {
		t.Errorf("%d dropped, want 1000", n)
	}
}
