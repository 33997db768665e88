package eventdb_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/eventdb"
)

func TestStatsCountByTypeAndSpan(t *testing.T) {
	s, _ := setUp(t)
	hour := epoch.Truncate(time.Hour)
	n := 0
	add := func(at time.Time, kind audit.Type) {
		n++
		write(t, s, audit.Event{ID: fmt.Sprintf("evt_%d", n), Time: at, Type: kind})
	}
	add(hour.Add(-time.Microsecond), audit.SysStartup)
	add(hour, audit.AuthnLoginFail)
	add(hour.Add(time.Hour-time.Microsecond), audit.AuthnLoginFail)
	add(hour.Add(time.Minute), audit.AuthzFail)
	add(hour.Add(2*time.Hour), audit.AuthnLoginFail)
	add(hour.Add(3*time.Hour), audit.AuthnLoginFail)
	got, err := s.Stats(t.Context(), hour, hour.Add(3*time.Hour), time.Hour)
	want := []eventdb.Count{{hour, "authn_login_fail", 2}, {hour, "authz_fail", 1}, {hour.Add(2 * time.Hour), "authn_login_fail", 1}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v\nwant %v", got, err, want)
	}
	if got, err := s.Stats(t.Context(), hour, hour, time.Hour); err != nil || len(got) != 0 {
		t.Errorf("of no time: %v, %v", got, err)
	}
	// Counted in steps of an hour and a fraction, a span is in several of them.
	long := []eventdb.Count{{hour.Truncate(24 * time.Hour), "authn_login_fail", 4}, {hour.Truncate(24 * time.Hour), "authz_fail", 1}}
	if got, err := s.Stats(t.Context(), hour, hour.Add(1001*time.Hour), 24*time.Hour); err != nil || !slices.Equal(got, long) {
		t.Errorf("by the day: %v, %v\nwant %v", got, err, long)
	}
	for _, c := range []struct {
		until time.Time
		span  time.Duration
		ok    bool
	}{
		{hour.Add(10_000 * time.Second), time.Second, true},
		{hour.Add(10_001 * time.Second), time.Second, false},
		{hour.Add(time.Second), time.Second - 1, false},
		{hour, 0, false},
	} {
		if _, err := s.Stats(t.Context(), hour, c.until, c.span); errors.Is(err, eventdb.ErrSpan) == c.ok {
			t.Errorf("until %v by %v: %v", c.until, c.span, err)
		}
	}
}

// What is counted is all in one index: the events are not read.
func TestStatsReadAnIndexAlone(t *testing.T) {
	_, file := setUp(t)
	steps := plan(t, file, eventdb.CountStatement, 1, 2, 3)
	steps = slices.DeleteFunc(steps, func(step string) bool { return !strings.Contains(step, " events ") })
	if n := len(steps); n == 0 || !strings.Contains(steps[n-1], "SEARCH events USING COVERING INDEX events_type (type=? AND time>? AND time<?)") ||
		slices.ContainsFunc(steps, func(step string) bool { return !strings.Contains(step, "COVERING INDEX events_type") }) {
		t.Errorf("plan %q", steps)
	}
}
