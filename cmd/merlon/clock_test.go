//go:build unix

package main_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/e2e/postgrestest"
)

// The clock of the database is ten minutes behind: its schema has a clock of its own.
func TestADatabaseWithAnotherClockIsToldOf(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	postgrestest.Shared(t).Exec(t, url, `CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() - interval '10 minutes' $$`)
	for _, tt := range []struct {
		name, url string
		events    int
		ahead     float64 // seconds
	}{
		{"the same clock", url, 0, 0},
		{"another clock", url + "&search_path=public,pg_catalog", 1, 600},
	} {
		dir := t.TempDir()
		file := write(t, dir, "merlon.yaml", onPostgres(tt.url)+"operations_listen: \"127.0.0.1:0\"\n")
		s := startService(t, merlon("--config", file).in(dir))
		if tt.events > 0 {
			s.line(s.stderr, `time=\S+ level=WARN msg="this clock and the database's differ.*" id=merlon.N141 ahead_by=10m0s`)
		}
		metrics := newClient(t, "http://"+s.line(s.stderr, `time=\S+ level=INFO msg="serving metrics" address=(\S+)`)[1])
		text := string(metrics.call(t, 200, "GET", "/metrics", nil).body)
		_, value, _ := strings.Cut(text, "\nmerlon_clock_offset_seconds ")
		value, _, _ = strings.Cut(value, "\n")
		var offset float64
		if _, err := fmt.Sscan(value, &offset); err != nil || math.Abs(offset-tt.ahead) > 5 {
			t.Errorf("%s: merlon_clock_offset_seconds is %q, want about %v", tt.name, value, tt.ahead)
		}
		s.stop()
		found := 0
		for _, e := range logged(t, filepath.Join(dir, "logs", "security.log")) {
			if e.Type == "sys_misconfigured" && e.Detail["id"] == "merlon.N141" && e.Severity == "high" {
				found++
			}
		}
		if found != tt.events {
			t.Errorf("%s: %d events, want %d", tt.name, found, tt.events)
		}
	}
}
