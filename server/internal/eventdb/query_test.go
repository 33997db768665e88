package eventdb_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/eventdb"
	"github.com/merlonhq/merlon/server/internal/sqlite"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// sample returns events that differ in everything that can be asked for, several of them in one microsecond.
func sample() []audit.Event {
	var list []audit.Event
	for n := range 120 {
		list = append(list, audit.Event{
			ID:        fmt.Sprintf("evt_%08d", n*7919%120), // in no order
			Time:      epoch.Add(time.Duration(n/4) * time.Minute),
			Type:      []audit.Type{audit.AuthnLoginFail, audit.AuthnLoginSuccess, audit.MaliciousCSRF}[n%3],
			Outcome:   []audit.Outcome{audit.Failure, audit.Success, audit.Refused}[n%3],
			Principal: []string{"", "usr_1", "usr_2", "USR_1", "usr_1 "}[n%5],
			Address:   []string{"192.0.2.7", "2001:db8::7"}[n/2%2],
		}.Complete())
	}
	return list
}

// matching returns the ids of those events that match f, newest first: the oracle.
func matching(events []audit.Event, f eventdb.Filter) []string {
	events = slices.Clone(events)
	slices.SortFunc(events, func(a, b audit.Event) int {
		if c := b.Time.Compare(a.Time); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	list := []string{}
	for _, e := range events {
		if (f.Type == "" || f.Type == string(e.Type)) && (f.Category == "" || f.Category == string(e.Category)) &&
			(f.Outcome == "" || f.Outcome == string(e.Outcome)) && (f.Subject == "" || f.Subject == e.Principal) &&
			(f.Address == "" || f.Address == e.Address) &&
			(f.Since.IsZero() || !e.Time.Before(f.Since)) && (f.Until.IsZero() || e.Time.Before(f.Until)) {
			list = append(list, e.ID)
		}
	}
	return list
}

// pages returns the ids of all pages.
func pages(t *testing.T, s *eventdb.Store, f eventdb.Filter, limit int) []string {
	t.Helper()
	list, cursor := []string{}, ""
	for range 1000 {
		events, next, err := s.Query(context.Background(), f, cursor, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) > limit {
			t.Fatalf("a page of %d events with the limit %d, next %q", len(events), limit, next)
		}
		list = append(list, ids(t, events)...)
		if cursor = next; cursor == "" {
			return list
		}
	}
	t.Fatal("the pages have no end")
	return nil
}

func TestEveryFilterReturnsWhatMatchesInPages(t *testing.T) {
	s, _ := setUp(t)
	events := sample()
	write(t, s, events...)
	for name, f := range map[string]eventdb.Filter{
		"none":               {},
		"type":               {Type: "authn_login_fail"},
		"category":           {Category: "suspicious_activity"},
		"outcome":            {Outcome: "refused"},
		"subject":            {Subject: "usr_1"},
		"address":            {Address: "2001:db8::7"},
		"since":              {Since: epoch.Add(10 * time.Minute)},
		"until":              {Until: epoch.Add(10 * time.Minute)},
		"everything":         {Type: "authn_login_success", Category: "authentication", Outcome: "success", Subject: "usr_2", Address: "192.0.2.7", Since: epoch.Add(time.Minute), Until: epoch.Add(29 * time.Minute)},
		"what contradicts":   {Type: "authn_login_fail", Outcome: "success"},
		"what is not there":  {Subject: "usr_9"},
		"a pattern":          {Subject: "usr_%"},
		"SQL":                {Address: "' OR '1'='1"},
		"an empty time span": {Since: epoch.Add(time.Minute), Until: epoch.Add(time.Minute)},
	} {
		want := matching(events, f)
		if got := pages(t, s, f, 7); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if n := len(matching(events, eventdb.Filter{Subject: "usr_1"})); n != 24 {
		t.Errorf("the oracle finds %d events of usr_1, want 24", n)
	}
}

func TestAnyFilterAndLimitReturnWhatMatches(t *testing.T) {
	s, _ := setUp(t)
	events := sample()
	write(t, s, events...)
	rapid.Check(t, func(r *rapid.T) {
		s.Look(rapid.IntRange(1, 130).Draw(r, "looked at"))
		one := func(label string, values ...string) string {
			return rapid.SampledFrom(append(values, "")).Draw(r, label)
		}
		f := eventdb.Filter{
			Type:     one("type", "authn_login_fail", "malicious_csrf"),
			Category: one("category", "authentication", "suspicious_activity"),
			Outcome:  one("outcome", "success", "failure"),
			Subject:  one("subject", "usr_1", "usr_2"),
			Address:  one("address", "192.0.2.7"),
		}
		if n := rapid.IntRange(-1, 31).Draw(r, "since"); n >= 0 {
			f.Since = epoch.Add(time.Duration(n) * time.Minute)
		}
		if n := rapid.IntRange(-1, 31).Draw(r, "until"); n >= 0 {
			f.Until = epoch.Add(time.Duration(n) * time.Minute)
		}
		limit := rapid.IntRange(20, 130).Draw(r, "limit")
		if got, want := pages(t, s, f, limit), matching(events, f); !slices.Equal(got, want) {
			r.Errorf("%+v: %v, want %v", f, got, want)
		}
	})
}

// A page that looks at no more than it may goes on after what it looked at, also where it found nothing.
func TestPagesThatFindNothingGoOn(t *testing.T) {
	s, _ := setUp(t)
	s.Look(10)
	events := sample()
	write(t, s, events...)
	f := eventdb.Filter{Address: "192.0.2.7", Type: "malicious_csrf", Subject: "usr_2"}
	if got, want := pages(t, s, f, 7), matching(events, f); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("%v, want %v", got, want)
	}
	f = eventdb.Filter{Type: "authn_login_fail", Outcome: "success"} // of 40 events none
	empty, cursor := 0, ""
	for {
		found, next, err := s.Query(t.Context(), f, cursor, 7)
		if err != nil || len(found) > 0 {
			t.Fatalf("%s, %v", found, err)
		}
		empty++
		if cursor = next; cursor == "" {
			break
		}
	}
	if empty != 5 { // the fifth finds that there are no more
		t.Errorf("%d pages", empty)
	}
}

func TestEventsThatComeInBetweenDoNotShiftThePages(t *testing.T) {
	s, _ := setUp(t)
	event := func(n int) audit.Event {
		return audit.Event{ID: fmt.Sprintf("evt_%d", n), Time: epoch.Add(time.Duration(n) * time.Second), Type: audit.SysStartup}
	}
	write(t, s, event(1), event(2), event(3), event(4))
	first, next, err := s.Query(t.Context(), eventdb.Filter{}, "", 2)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, event(5), event(6))
	second, end, err := s.Query(t.Context(), eventdb.Filter{}, next, 2)
	if err != nil {
		t.Fatal(err)
	}
	got := append(ids(t, first), ids(t, second)...)
	if want := []string{"evt_4", "evt_3", "evt_2", "evt_1"}; !slices.Equal(got, want) || end != "" {
		t.Errorf("pages: %v, %q, want %v", got, end, want)
	}
}

func TestALimitHasItsRange(t *testing.T) {
	s, _ := setUp(t)
	for limit, ok := range map[int]bool{-1: false, 0: false, 1: true, 1000: true, 1001: false} {
		if _, _, err := s.Query(t.Context(), eventdb.Filter{}, "", limit); (err == nil) != ok {
			t.Errorf("Query with the limit %d: %v, want ok: %v", limit, err, ok)
		}
	}
}

var cursors = []struct {
	name, cursor string
	ok           bool
}{
	{"a position", b64("\x01\x00\x06\x4c\x00\x00\x00\x00\x00evt_1"), true},
	{"the first of all", b64("\x01\x80\x00\x00\x00\x00\x00\x00\x00!"), true},
	{"the longest id", b64("\x01\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("~", 64)), true},

	{"an id that is longer", b64("\x01\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("~", 65)), false},
	{"another version", b64("\x02\x00\x06\x4c\x00\x00\x00\x00\x00evt_1"), false},
	{"no id", b64("\x01\x00\x06\x4c\x00\x00\x00\x00\x00"), false},
	{"half a time", b64("\x01\x00\x06"), false},
	{"a space in the id", b64("\x01\x00\x06\x4c\x00\x00\x00\x00\x00evt 1"), false},
	{"a NUL in the id", b64("\x01\x00\x06\x4c\x00\x00\x00\x00\x00evt\x00"), false},
	{"no UTF-8 in the id", b64("\x01\x00\x06\x4c\x00\x00\x00\x00\x00\xff\xfe"), false},
	{"padding", b64("\x01\x00\x06\x4c\x00\x00\x00\x00\x00evt_1") + "=", false},
	{"a line break", b64("\x01\x00\x06\x4c\x00\x00\x00\x00\x00evt_1")[:8] + "\n" + b64("\x01\x00\x06\x4c\x00\x00\x00\x00\x00evt_1")[8:], false},
	{"bits that are not used", b64("\x01\x00\x06\x4c\x00\x00\x00\x00\x00evt_1")[:18] + "R", false},
	{"an event id", "evt_0195512c-7a00-7000-8000-000000000001", false},
	{"SQL", "' OR 1=1 --", false},
	{"a number", "20", false},
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestACursorThatNobodyReturnedIsRefused(t *testing.T) {
	s, _ := setUp(t)
	for _, tt := range cursors {
		events, next, err := s.Query(t.Context(), eventdb.Filter{}, tt.cursor, 10)
		if errors.Is(err, eventdb.ErrCursor) == tt.ok || tt.ok && err != nil {
			t.Errorf("%s (%q): %v, want ok: %v", tt.name, tt.cursor, err, tt.ok)
		}
		if len(events) != 0 || next != "" {
			t.Errorf("%s: %s, %q", tt.name, events, next)
		}
	}
}

func FuzzCursor(f *testing.F) {
	for _, tt := range cursors {
		f.Add(tt.cursor)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		again, err := eventdb.Reparse(cursor)
		if err == nil && again != cursor {
			t.Errorf("%q and %q are one position", cursor, again)
		}
		if err != nil && !errors.Is(err, eventdb.ErrCursor) {
			t.Errorf("%q: %v, want ErrCursor", cursor, err)
		}
	})
}

func FuzzBody(f *testing.F) {
	for _, line := range []string{
		`{"id":"evt_1","detail":{}}`, `{"id":"evt_1","detail":{"a":"}"},"appid":"merlon"}`, `{"a":",\"detail\":{","detail":{"b":{"c":"\\"}}}`, `,"detail":{`, `{"a":{"b":1,"detail":{}}}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		got := eventdb.Body(audit.Event{ID: "evt_1", Type: audit.SysStartup}, line)
		if !json.Valid([]byte(got)) || !strings.Contains(got, `"detail":{`) {
			t.Errorf("%q became %q", line, got)
		}
	})
}

// Every filter is answered from an index in the order of the list, with no sorting and no reading of the whole table,
// and the more selective column leads.
func TestEveryFilterUsesItsIndex(t *testing.T) {
	_, file := setUp(t)
	all := eventdb.Filter{Type: "a", Category: "b", Outcome: "c", Subject: "d", Address: "e", Since: epoch, Until: epoch}
	for _, tt := range []struct {
		f     eventdb.Filter
		index string
	}{
		{eventdb.Filter{}, "events_time"},
		{eventdb.Filter{Since: epoch, Until: epoch}, "events_time"},
		{eventdb.Filter{Type: "a"}, "events_type"},
		{eventdb.Filter{Category: "a"}, "events_category"},
		{eventdb.Filter{Outcome: "a"}, "events_outcome"},
		{eventdb.Filter{Subject: "a"}, "events_principal"},
		{eventdb.Filter{Address: "a"}, "events_address"},
		{eventdb.Filter{Address: "a", Outcome: "b", Type: "c"}, "events_address"},
		{eventdb.Filter{Category: "a", Outcome: "b", Type: "c"}, "events_type"},
		{all, "events_principal"},
	} {
		for _, cursor := range []string{"", b64("\x01\x00\x06\x4c\x00\x00\x00\x00\x00evt_1")} {
			query, args := eventdb.Statement(tt.f, cursor, 20)
			plan := plan(t, file, query, args...)
			// Of several fields the others are compared to what the index gave, in its order.
			plan = slices.DeleteFunc(plan, func(step string) bool { return step == "CO-ROUTINE looked" || step == "SCAN looked" })
			if len(plan) != 1 || !strings.Contains(plan[0], " "+tt.index+" ") && !strings.HasSuffix(plan[0], " "+tt.index) {
				t.Errorf("%s:\n%q, want %s alone", query, plan, tt.index)
			}
			if cursor != "" && !strings.Contains(plan[0], "time") {
				t.Errorf("%s:\n%q, want the page found in the index", query, plan)
			}
		}
	}
}

// plan returns the steps in which SQLite answers a query.
func plan(t *testing.T, file database, query string, args ...any) (steps []string) {
	t.Helper()
	rows, err := file.Reader().Query("EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// With two ends a database may begin at the one that is further away, and read up to the
// page again each time.
func TestADeepPageBeginsAtTheNearerEnd(t *testing.T) {
	const of = 1000 // microseconds
	cursor := position(of)
	for until, want := range map[int64]string{of + 1: "cursor", of: "until", of - 1: "until"} {
		query, _ := eventdb.Statement(eventdb.Filter{Type: "a", Until: time.UnixMicro(until)}, cursor, 20)
		if strings.Contains(query, "time < $") != (want == "until") || strings.Contains(query, "(time, id) < ") != (want == "cursor") {
			t.Errorf("until %d from %d: %s, want %s alone", until, of, query, want)
		}
	}
}

func BenchmarkQuery(b *testing.B) {
	s, _ := setUp(b)
	for n := range 40 {
		var batch []audit.Event
		for i := range 512 {
			batch = append(batch, audit.Event{
				ID: fmt.Sprintf("evt_%08d", n*512+i), Time: epoch.Add(time.Duration(n*512+i) * time.Second), Type: audit.AuthnLoginFail,
				Outcome: audit.Failure, Principal: fmt.Sprintf("usr_%d", i), Address: "192.0.2.7",
			})
		}
		write(b, s, batch...)
	}
	for name, f := range map[string]eventdb.Filter{
		"newest": {}, "subject": {Subject: "usr_7"}, "subject and type": {Subject: "usr_7", Type: "authn_login_fail"}, "nothing": {Type: "sys_crash"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := s.Query(b.Context(), f, "", 20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Events that come in while a page is read, which takes two statements, repeat nothing on the next one.
func TestEventsThatComeInWithinAPageShowNoneTwice(t *testing.T) {
	file, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "merlon.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := file.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	within := func() {}
	db, err := sqlstore.New(sqlstore.Config{Writer: file.Writer(), Reader: file.Reader(), Dialect: sqlstore.SQLite, Timeout: 30 * time.Second,
		Observe: func(_ context.Context, _, statement string) func(error) {
			if strings.Contains(statement, "OFFSET") {
				within()
			}
			return func(error) {}
		}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := eventdb.New(db)
	if err != nil {
		t.Fatal(err)
	}
	s.Look(10)
	made := 0
	more := func() {
		for range 5 {
			made++
			write(t, s, audit.Event{ID: fmt.Sprintf("evt_%08d", made), Time: epoch.Add(time.Duration(made) * time.Minute), Type: audit.AuthnLoginFail, Outcome: audit.Failure})
		}
	}
	for range 5 {
		more()
	}
	within = func() { within = func() {}; more() }
	want := []string{}
	for n := 25; n > 0; n-- {
		want = append(want, fmt.Sprintf("evt_%08d", n))
	}
	if got := pages(t, s, eventdb.Filter{Type: "authn_login_fail", Outcome: "failure"}, 100); !slices.Equal(got, want) {
		t.Errorf("%d events: %v", len(got), got)
	}
}
