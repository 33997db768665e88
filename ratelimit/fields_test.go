package ratelimit_test

import (
	"testing"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
)

func TestAppendPolicy(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit ratelimit.Limit
		want  string
	}{
		{"default", ratelimit.Limit{Max: 100, Window: time.Minute}, `"default";q=100;w=60`},
		{"daily", ratelimit.Limit{Max: 1000, Window: 24 * time.Hour}, `"daily";q=1000;w=86400`},
		{`a"b\c`, ratelimit.Limit{Max: 1, Window: time.Second}, `"a\"b\\c";q=1;w=1`},
		{"a\nbé\x7f", ratelimit.Limit{Max: 1, Window: time.Second}, `"a?b???";q=1;w=1`},
	} {
		if got := string(ratelimit.AppendPolicy(nil, tt.name, &tt.limit)); got != tt.want {
			t.Errorf("AppendPolicy(%q) = %s; want %s", tt.name, got, tt.want)
		}
	}
}

func TestAppendRateLimit(t *testing.T) {
	for _, tt := range []struct {
		name string
		res  ratelimit.Result
		want string
	}{
		{"in seconds", ratelimit.Result{Limit: 100, Remaining: 50, Reset: 30 * time.Second}, `"default";r=50;t=30`},
		{"a second begun is a second", ratelimit.Result{Limit: 100, Remaining: 0, Reset: 29*time.Second + 1}, `"default";r=0;t=30`},
		{"a nanosecond is a second", ratelimit.Result{Limit: 100, Remaining: 99, Reset: 1}, `"default";r=99;t=1`},
		{"nothing in use", ratelimit.Result{Limit: 100, Remaining: 100}, `"default";r=100`},
		{"a bucket above its rate", ratelimit.Result{Limit: 10, Remaining: 25, Reset: time.Second}, `"default";r=10;t=1`},
	} {
		if got := string(ratelimit.AppendRateLimit(nil, "default", &tt.res)); got != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, got, tt.want)
		}
	}
}

func TestAppendReset(t *testing.T) {
	for _, tt := range []struct {
		now   time.Time
		reset time.Duration
		want  string
	}{
		{time.Unix(1_700_000_000, 0), 30 * time.Second, "1700000030"},
		{time.Unix(1_700_000_000, 1), 30 * time.Second, "1700000031"},
		{time.Unix(1_700_000_000, 999_999_999), 1, "1700000001"},
		{time.Unix(1_700_000_000, 0), 0, "1700000000"},
	} {
		if got := string(ratelimit.AppendReset(nil, tt.now, &ratelimit.Result{Reset: tt.reset})); got != tt.want {
			t.Errorf("%v + %v: %s; want %s", tt.now, tt.reset, got, tt.want)
		}
	}
}

func TestTheWritersAllocateNothing(t *testing.T) {
	buf := make([]byte, 0, 256)
	l := ratelimit.Limit{Max: 100, Window: time.Minute}
	r := ratelimit.Result{Limit: 100, Remaining: 50, Reset: time.Second}
	now := time.Unix(1_700_000_000, 0)
	if n := testing.AllocsPerRun(100, func() {
		b := ratelimit.AppendPolicy(buf[:0], "default", &l)
		b = ratelimit.AppendRateLimit(append(b, ", "...), "default", &r)
		b = ratelimit.AppendReset(b, now, &r)
		ratelimit.AppendRemaining(b, &r)
	}); n != 0 {
		t.Errorf("%v allocations; want 0", n)
	}
}
