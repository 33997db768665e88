package ratelimit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
)

func TestLimitValidate(t *testing.T) {
	const bucket = ratelimit.TokenBucket
	for _, tt := range []struct {
		name  string
		limit ratelimit.Limit
		want  []string // parts of the error; none means valid
	}{
		{"100 per minute", ratelimit.Limit{Max: 100, Window: time.Minute}, nil},
		{"the smallest", ratelimit.Limit{Max: 1, Window: time.Second}, nil},
		{"the largest", ratelimit.Limit{Max: 16777215, Window: 366 * 24 * time.Hour}, nil},
		{"the zero limit", ratelimit.Limit{}, []string{"limit 0", "window 0s"}},
		{"a limit too large", ratelimit.Limit{Max: 16777216, Window: time.Second}, []string{"limit 16777216"}},
		{"a negative limit", ratelimit.Limit{Max: -1, Window: time.Second}, []string{"limit -1"}},
		{"a window too short", ratelimit.Limit{Max: 1, Window: time.Millisecond}, []string{"window 1ms"}},
		{"a window too long", ratelimit.Limit{Max: 1, Window: 367 * 24 * time.Hour}, []string{"window 8808h"}},
		{"a window of parts of a second", ratelimit.Limit{Max: 1, Window: 1500 * time.Millisecond}, []string{"window 1.5s"}},
		{"a window with a burst", ratelimit.Limit{Max: 1, Window: time.Second, Burst: 1}, []string{"burst 1 "}},
		{"a bucket", ratelimit.Limit{Max: 10, Window: time.Second, Algorithm: bucket, Burst: 20}, nil},
		{"a bucket without a burst", ratelimit.Limit{Max: 10, Window: time.Second, Algorithm: bucket}, []string{"burst 0 "}},
		{"a bucket with a burst too large", ratelimit.Limit{Max: 10, Window: time.Second, Algorithm: bucket, Burst: 1 << 24}, []string{"burst 16777216 "}},
		{"a bucket that takes two years to fill", ratelimit.Limit{Max: 1, Window: 24 * time.Hour, Algorithm: bucket, Burst: 732}, []string{"longer than"}},
		{"a bucket that takes a year to fill", ratelimit.Limit{Max: 1, Window: 24 * time.Hour, Algorithm: bucket, Burst: 366}, nil},
		{"an unknown algorithm", ratelimit.Limit{Max: 1, Window: time.Second, Algorithm: 2}, []string{"algorithm 2"}},
		{"all at once", ratelimit.Limit{Max: 0, Window: time.Nanosecond, Burst: -3}, []string{"limit 0", "window 1ns", "burst -3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.limit.Validate()
			if (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("error %v; want %q", err, tt.want)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}
