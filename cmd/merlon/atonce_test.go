//go:build unix

package main_test

import (
	"strings"
	"testing"

	"github.com/merlonhq/merlon/e2e/postgrestest"
)

// Processes that start at once on a new database: one migrates, the others wait for it.
func TestProcessesStartAtOnceOnANewDatabase(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]string{"SQLite": developmentConfig, "PostgreSQL": onPostgres(postgrestest.Database(t))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := write(t, dir, "merlon.yaml", database)
			all := run(t, merlon("migrate", "status", "--config", file).in(dir))
			want := lines(strings.ReplaceAll(all.stdout, "pending", "applied"))
			var processes []*process
			for range 4 {
				processes = append(processes, start(t, merlon("migrate", "up", "--config", file).in(dir)))
			}
			applied := map[string]int{}
			for _, p := range processes {
				r := p.wait(patience)
				if r.code != 0 {
					t.Errorf("exit %d:\n%s", r.code, r.stderr)
				}
				for _, l := range lines(r.stdout) {
					applied[l]++
				}
			}
			for _, l := range want {
				if applied[l] != 1 {
					t.Errorf("%q was told %d times, want by one process: %v", l, applied[l], applied)
				}
			}
			if r := run(t, merlon("migrate", "status", "--config", file).in(dir)); r.code != 0 || len(want) == 0 {
				t.Errorf("status: exit %d:\n%s", r.code, r.stdout)
			}
		})
	}
	t.Run("services", func(t *testing.T) {
		t.Parallel()
		url := postgrestest.Database(t)
		var nodes []*process
		for range 3 {
			dir := t.TempDir()
			file := write(t, dir, "merlon.yaml", onPostgres(url))
			nodes = append(nodes, start(t, merlon("serve", "--listen", "127.0.0.1:0", "--config", file).in(dir)))
		}
		for _, p := range nodes {
			address := p.line(p.stderr, `time=\S+ level=INFO msg=serving .*address=(\S+).*`)[1]
			newClient(t, "http://"+address).call(t, 200, "GET", "/health/ready", nil)
		}
		for _, p := range nodes {
			p.stop()
		}
	})
}
