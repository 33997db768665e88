//go:build unix

package main_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/internal/redistest"
)

// Redis ceases to take writes while the service runs: that is one outage with its reason, and it ends by itself.
func TestRedisTakesNoWrites(t *testing.T) {
	t.Parallel()
	for reason, trouble := range map[string]struct{ begin, end [][]string }{
		"full":      {[][]string{{"CONFIG", "SET", "maxmemory-policy", "noeviction"}, {"CONFIG", "SET", "maxmemory", "1"}}, [][]string{{"CONFIG", "SET", "maxmemory", "0"}}},
		"read_only": {[][]string{{"REPLICAOF", "127.0.0.1", "1"}}, [][]string{{"REPLICAOF", "NO", "ONE"}}},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			s, dir := startShared(t, sharedConfig("redis://"+redis.Addr, "deny", 1000, 1))
			s.ready(t, 200, "ok")
			for _, command := range trouble.begin {
				redis.Do(command...)
			}
			eventually(t, "the service gives Redis up", func() bool {
				a := mustTry(t, s.client, "GET", "/csrf/token")
				if a.status != 200 && a.code() != "store-unavailable" {
					t.Errorf("status %d: %s", a.status, a.body)
				}
				got := mustTry(t, s.client, "GET", "/health/ready")
				return got.status == 503 && decode[limitsReady](t, got).Checks.RateLimits == "unavailable"
			})
			s.refused(t, 503, "store-unavailable", "GET", "/csrf/token", nil)
			for _, command := range trouble.end {
				redis.Do(command...)
			}
			s.ready(t, 200, "ok")
			s.call(t, 200, "GET", "/csrf/token", nil)
			r := s.stop()
			if !strings.Contains(r.stderr, "reason="+reason) {
				t.Errorf("the reason is not told:\n%s", r.stderr)
			}
			all := logged(t, filepath.Join(dir, "logs", "security.log"))
			if count(all, "sys_degraded") != 1 || count(all, "sys_recovered") != 1 {
				t.Errorf("%d × sys_degraded, %d × sys_recovered; want one of each", count(all, "sys_degraded"), count(all, "sys_recovered"))
			}
		})
	}
}
