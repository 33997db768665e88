package eventdb_test

import (
	"cmp"
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server/internal/eventdb"
)

// manyVariable is how many events TestManyEvents fills a database with, instead of few:
// make events-10m.
const manyVariable = "MERLON_EVENTS"

// The events are of thirty days. Of the addresses and accounts one has a large part, as an
// attacker and a service have; the others have few each.
const (
	fillEvents = `
WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2),
random(i, a, b, c) AS (SELECT i, (i * 2654435761) % 4294967296 % 1000, (i * 2246822519) % 4294967296, (i * 3266489917) % 4294967296 FROM n),
named(i, type, category, outcome, b, c) AS (SELECT i,
	CASE WHEN a < 500 THEN 'authn_login_fail' WHEN a < 800 THEN 'excess_rate_limit_exceeded' WHEN a < 950 THEN 'authn_login_success'
		WHEN a < 990 THEN 'malicious_csrf' WHEN a < 999 THEN 'apikey_rejected' ELSE 'sys_degraded' END,
	CASE WHEN a < 500 THEN 'authentication' WHEN a < 800 THEN 'rate_limit' WHEN a < 950 THEN 'authentication'
		WHEN a < 990 THEN 'suspicious_activity' WHEN a < 999 THEN 'api_key' ELSE 'system' END,
	CASE WHEN a < 500 THEN 'failure' WHEN a < 795 THEN 'refused' WHEN a < 800 THEN 'would_refuse' WHEN a < 950 THEN 'success'
		WHEN a < 999 THEN 'refused' ELSE 'failure' END, b, c FROM random),
whole AS (SELECT 'evt_' || substr('000000000000' || i, -12) || '-7000-8000-000000000000' AS id, 1764000000000000 + i * $3 AS time, type, category, outcome,
	CASE WHEN b % 10 = 0 THEN 'usr_busy' WHEN b % 10 < 6 THEN 'usr_' || (b % 50000) ELSE '' END AS principal,
	CASE WHEN c % 5 = 0 THEN '192.0.2.7' ELSE '10.' || (c % 4) || '.' || (c / 7 % 250) || '.' || (c / 11 % 250) END AS address FROM named)
INSERT INTO events (id, time, type, category, outcome, principal, address, body)
SELECT id, time, type, category, outcome, principal, address,
	'{"id":"' || id || '","time":"2025-11-24T16:00:00.000000Z","type":"' || type || '","category":"' || category || '","severity":"low","outcome":"' || outcome
	|| '","request_id":"0195512c-7a00-7000-8000-000000000001","address":"' || address || '","principal":"' || principal
	|| '","route":"POST /api/v1/auth/login","detail":{"reason":"wrong_password"}}' FROM whole`
	firstMicro = 1764000000000000
	spanMicro  = 30 * 24 * int64(time.Hour/time.Microsecond)
)

// fill fills the database with n events: without its indexes, which are made after.
func fill(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatalf("%.80s: %v", query, err)
		}
	}
	for _, pragma := range []string{"synchronous = OFF", "cache_size = -1000000"} { // it is thrown away
		exec("PRAGMA " + pragma)
	}
	rows, err := db.QueryContext(t.Context(), "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'events' AND sql IS NOT NULL")
	if err != nil {
		t.Fatal(err)
	}
	indexes := map[string]string{}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			t.Fatal(err)
		}
		indexes[name] = text
	}
	if err := rows.Err(); err != nil || len(indexes) != 6 {
		t.Fatalf("the indexes are %v, %v", indexes, err)
	}
	for name := range indexes {
		exec("DROP INDEX " + name)
	}
	const part = 250_000
	for from := 0; from < n; from += part {
		exec(fillEvents, from, min(from+part, n), spanMicro/int64(n))
	}
	for _, text := range indexes {
		exec(text)
	}
}

// everyFilter returns each combination of the fields, with values that many events have and,
// where it makes a difference, ones that never come together.
func everyFilter() (names []string, filters map[string]eventdb.Filter) {
	filters = map[string]eventdb.Filter{}
	half := time.UnixMicro(firstMicro + spanMicro/2).UTC()
	for mask := range 1 << 6 {
		var f eventdb.Filter
		var parts []string
		for bit, set := range []struct {
			name string
			do   func()
		}{
			{"subject", func() { f.Subject = "usr_busy" }},
			{"address", func() { f.Address = "192.0.2.7" }},
			{"type", func() { f.Type = "authn_login_fail" }},
			{"category", func() { f.Category = "authentication" }},
			{"outcome", func() { f.Outcome = "failure" }},
			{"time", func() { f.Since, f.Until = half.Add(-7*24*time.Hour), half }},
		} {
			if mask&(1<<bit) != 0 {
				set.do()
				parts = append(parts, set.name)
			}
		}
		filters[cmp.Or(strings.Join(parts, " "), "nothing")] = f
	}
	filters["type outcome, none"] = eventdb.Filter{Type: "authn_login_fail", Outcome: "success"}
	filters["type category, none"] = eventdb.Filter{Type: "authn_login_fail", Category: "system"}
	filters["category outcome, none"] = eventdb.Filter{Category: "authentication", Outcome: "would_refuse"}
	filters["address type, few"] = eventdb.Filter{Address: "192.0.2.7", Type: "sys_degraded"}
	filters["subject address, few"] = eventdb.Filter{Subject: "usr_7", Address: "192.0.2.7"}
	filters["subject, few"] = eventdb.Filter{Subject: "usr_7"}
	filters["type, few"] = eventdb.Filter{Type: "sys_degraded"}
	filters["type, none"] = eventdb.Filter{Type: "sys_crash"}
	for name := range filters {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, filters
}

// Each combination of filters, on the first page and on deep ones, in a database of many
// events. By default it has few, and what is found is compared to a plain count; with
// MERLON_EVENTS it has as many as that says, and the times are printed.
func TestManyEvents(t *testing.T) {
	n, many := 6_000, false
	if text := os.Getenv(manyVariable); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1000 {
			t.Fatalf("%s is %q: must be a number from 1000", manyVariable, text)
		}
		many = true
	}
	s, file := setUp(t)
	start := time.Now()
	fill(t, file.Writer(), n)
	t.Logf("%d events in %v", n, time.Since(start).Round(time.Second))
	names, filters := everyFilter()
	const limit = 100
	type row struct {
		name                                string
		first, middle, deepest, slowest     time.Duration
		firstEvents, middleEvents, deepEnds int
	}
	var table []row
	for _, name := range names {
		f := filters[name]
		r := row{name: name}
		for i, part := range []int64{0, 2, 20} { // the first page, one from the middle, one from the last twentieth
			cursor := ""
			if part > 0 {
				cursor = position(firstMicro + spanMicro/part)
			}
			var times []time.Duration
			var found int
			for range map[bool]int{true: 7, false: 1}[many] {
				began := time.Now()
				events, _, err := s.Query(t.Context(), f, cursor, limit)
				times = append(times, time.Since(began))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				found = len(events)
			}
			slices.Sort(times)
			median := times[len(times)/2]
			r.slowest = max(r.slowest, times[len(times)-1])
			switch i {
			case 0:
				r.first, r.firstEvents = median, found
			case 1:
				r.middle, r.middleEvents = median, found
			default:
				r.deepest, r.deepEnds = median, found
			}
		}
		table = append(table, r)
	}
	if !many {
		s.Look(500)
		for _, name := range []string{"type outcome, none", "address type, few", "subject address, few", "subject address type category outcome time", "subject, few"} {
			if got, want := len(pages(t, s, filters[name], 1000)), plainCount(t, file.Reader(), filters[name]); got != want {
				t.Errorf("%s: %d events, want %d", name, got, want)
			}
		}
		return
	}
	slices.SortFunc(table, func(a, b row) int { return cmp.Compare(b.slowest, a.slowest) })
	var out strings.Builder
	fmt.Fprintf(&out, "| filter | first page | from the middle | from the last twentieth | slowest of 21 | events |\n|---|---|---|---|---|---|\n")
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
	for _, r := range table {
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %d, %d, %d |\n", r.name, ms(r.first), ms(r.middle), ms(r.deepest), ms(r.slowest), r.firstEvents, r.middleEvents, r.deepEnds)
	}
	t.Log("\n" + out.String())
	end := time.UnixMicro(firstMicro + spanMicro).UTC()
	for _, days := range []time.Duration{1, 30} {
		began := time.Now()
		counts, err := s.Stats(t.Context(), end.Add(-days*24*time.Hour), end, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("counts of %d days by the hour: %s, %d of them", days, ms(time.Since(began)), len(counts))
	}
	var times []time.Duration
	for range 10 {
		began := time.Now()
		if got, err := s.Sweep(t.Context(), time.UnixMicro(firstMicro+spanMicro/10), 1000); got != 1000 || err != nil {
			t.Fatal(got, err)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	t.Logf("a sweep of 1000: median %s, slowest %s", ms(times[5]), ms(times[9]))
}

// position returns the cursor of a place in the list that no event has.
func position(micro int64) string {
	b := []byte{1, byte(micro >> 56), byte(micro >> 48), byte(micro >> 40), byte(micro >> 32), byte(micro >> 24), byte(micro >> 16), byte(micro >> 8), byte(micro)}
	return b64(string(b) + "evt_")
}

// plainCount counts what matches f without an index.
func plainCount(t *testing.T, db *sql.DB, f eventdb.Filter) (n int) {
	t.Helper()
	where, args := []string{"1 = 1"}, []any{}
	for column, value := range map[string]string{"type": f.Type, "category": f.Category, "outcome": f.Outcome, "principal": f.Subject, "address": f.Address} {
		if value != "" {
			args = append(args, value)
			where = append(where, fmt.Sprintf("%s = $%d", column, len(args)))
		}
	}
	if !f.Since.IsZero() {
		args = append(args, f.Since.UnixMicro(), f.Until.UnixMicro())
		where = append(where, fmt.Sprintf("time >= $%d AND time < $%d", len(args)-1, len(args)))
	}
	if err := db.QueryRow("SELECT COUNT(*) FROM events NOT INDEXED WHERE "+strings.Join(where, " AND "), args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// On PostgreSQL no filter reads the whole table, nor sorts what many match.
func TestFiltersOnPostgreSQLUseTheirIndexes(t *testing.T) {
	s, db := setUpOn(t, true)
	for _, query := range []string{`INSERT INTO events (id, time, type, category, outcome, principal, address, body)
		SELECT 'evt_' || lpad(i::text, 12, '0'), 1764000000000000 + i * 43200000::bigint,
			CASE WHEN i % 100 < 50 THEN 'authn_login_fail' WHEN i % 100 < 99 THEN 'malicious_csrf' ELSE 'sys_degraded' END,
			CASE WHEN i % 100 < 50 THEN 'authentication' WHEN i % 100 < 99 THEN 'suspicious_activity' ELSE 'system' END,
			CASE WHEN i % 100 < 50 THEN 'failure' ELSE 'refused' END,
			CASE WHEN i % 7 = 0 THEN 'usr_busy' ELSE 'usr_' || i % 5000 END,
			CASE WHEN i % 5 = 0 THEN '192.0.2.7' ELSE '10.0.' || i % 200 || '.' || i % 250 END,
			'{"id":"evt_","detail":{"reason":"wrong_password"}}' FROM generate_series(0, 59999) AS i`, `ANALYZE events`} {
		if _, err := db.Writer().Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	names, filters := everyFilter()
	for _, name := range names {
		f := filters[name]
		for _, cursor := range []string{"", position(firstMicro + spanMicro/2)} {
			text, args := eventdb.Statement(f, cursor, 20)
			steps := postgresPlan(t, db, text, args...)
			if strings.Contains(steps, "Seq Scan") || !strings.Contains(steps, "events_") {
				t.Errorf("%s:\n%s", name, steps)
			}
		}
	}
	if steps := postgresPlan(t, db, eventdb.CountStatement, int64(3600e6), int64(firstMicro), int64(firstMicro+spanMicro/100)); strings.Contains(steps, "Seq Scan on events") {
		t.Errorf("counts:\n%s", steps)
	}
	s.Look(5000)
	for _, name := range []string{"type outcome, none", "subject address type category outcome time", "address outcome"} {
		var want int
		f := filters[name]
		if err := db.Reader().QueryRow(`SELECT COUNT(*) FROM events WHERE ($1 = '' OR type = $1) AND ($2 = '' OR outcome = $2) AND ($3 = '' OR address = $3) AND ($4 = '' OR principal = $4)
			AND ($5::bigint = 0 OR time >= $5) AND ($6::bigint = 0 OR time < $6)`, f.Type, f.Outcome, f.Address, f.Subject, micros(f.Since), micros(f.Until)).Scan(&want); err != nil {
			t.Fatal(err)
		}
		if got := len(pages(t, s, f, 1000)); got != want {
			t.Errorf("%s: %d events, want %d", name, got, want)
		}
	}
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func postgresPlan(t *testing.T, db database, query string, args ...any) string {
	t.Helper()
	rows, err := db.Reader().Query("EXPLAIN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var step string
		if err := rows.Scan(&step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "\n")
}
