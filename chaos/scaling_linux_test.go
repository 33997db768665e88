package chaos_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // asks PostgreSQL who it is
)

// What one node carries, as `make scaling` measures it. It asserts no speed.
func TestScaling(t *testing.T) {
	if !*scaling {
		t.Skip("skipped: make scaling measures; it takes a minute and asserts nothing")
	}
	s := startSingle(t, false)
	const n = 20
	fmt.Printf("%s, %s/%s, %d processors, one node beside PostgreSQL, Redis and %d clients\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), clients)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| request\t| answers/s\t| p50\t| p99\t| CPU of the node\t| of PostgreSQL\t| of Redis\t|\n|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, k := range kinds(t, s.load, n) {
		switch k.name {
		case "refused by a limit", "an API key, first use", "rotate an API key", "revoke an API key", "refresh a token", "/health/ready":
			continue // its means are used up, or it is not what a node is for
		}
		before := s.cpu(t)
		took, elapsed := s.flood(t, k)
		after := s.cpu(t)
		p50, p99, _ := spread(took)
		each := func(i int) string { return fmt.Sprintf("%.0f µs", (after[i]-before[i])/float64(len(took))*1e6) }
		fmt.Fprintf(w, "| %s\t| %.0f\t| %s\t| %s\t| %s\t| %s\t| %s\t|\n", k.name, float64(len(took))/elapsed.Seconds(), ms(p50), ms(p99), each(0), each(1), each(2))
	}
	w.Flush() // of standard output
	s.rest(t)
}

// rest prints what a node holds, and what it costs when nobody asks.
func (s single) rest(t *testing.T) {
	t.Helper()
	const seconds = 10
	before := s.cpu(t)
	time.Sleep(seconds * time.Second)
	after := s.cpu(t)
	each := func(i int) string { return fmt.Sprintf("%.0f µs", (after[i]-before[i])/seconds*1e6) }
	fmt.Printf("at rest, each second: the node %s, PostgreSQL %s, Redis %s\n", each(0), each(1), each(2))
	g, err := s.node.gauges("process_resident_memory_bytes")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var size, rows float64
	if err := db.QueryRowContext(t.Context(), "SELECT pg_total_relation_size('events'), count(*) FROM events").Scan(&size, &rows); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("memory of the node: %.0f MiB; an event in PostgreSQL, with its indexes: %.0f bytes\n", g["process_resident_memory_bytes"]/(1<<20), size/rows)
}

// Clients ask at the same time, each as soon as it has its answer.
const (
	clients = 16
	asking  = 4 * time.Second
)

// flood asks for one kind of request for a while.
func (s single) flood(t *testing.T, k kind) (took []time.Duration, elapsed time.Duration) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	var number atomic.Int64
	number.Store(1000)
	start := time.Now()
	for range clients {
		all.Go(func() {
			var mine []time.Duration
			for time.Since(start) < asking {
				o := s.load.send(0, k.call(int(number.Add(1))))
				if o.err != nil || o.status != o.well[0] && o.code != "overloaded" {
					t.Errorf("%s: %v: %s", k.name, o, o.body)
					return
				}
				if o.code != "overloaded" {
					mine = append(mine, o.took())
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	all.Wait()
	return took, time.Since(start)
}

// cpu returns the seconds of processor that the node, PostgreSQL and Redis have used.
func (s single) cpu(t *testing.T) (used [3]float64) {
	t.Helper()
	g, err := s.node.gauges("process_cpu_seconds_total")
	if err != nil {
		t.Fatal(err)
	}
	used[0] = g["process_cpu_seconds_total"]
	used[1] = ticks(t, s.postmaster(t))
	for line := range strings.Lines(s.redis.Do("INFO", "cpu")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			f, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			used[2] += f
		}
	}
	return used
}

// postmaster returns the process that is the parent of those of PostgreSQL.
func (s single) postmaster(t *testing.T) string {
	t.Helper()
	db, err := sql.Open("pgx", s.postgres.URL("merlon", s.postgres.Password, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var pid int
	if err := conn.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return stat(t, fmt.Sprintf("/proc/%d/stat", pid))[1]
}

// ticks returns the seconds that a process and its children have used. Children that have ended are counted with it.
func ticks(t *testing.T, parent string) (seconds float64) {
	t.Helper()
	const perSecond = 100 // USER_HZ of Linux, see proc(5)
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		f := stat(t, file)
		self := file == "/proc/"+parent+"/stat"
		if len(f) < 15 || !self && f[1] != parent {
			continue
		}
		of := f[11:13] // utime, stime
		if self {
			of = f[11:15] // and cutime, cstime
		}
		for _, text := range of {
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			seconds += n / perSecond
		}
	}
	return seconds
}

// stat returns the fields of a process from the third on, or none when it is gone: its state, its parent, ….
func stat(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.Fields(rest)
}
