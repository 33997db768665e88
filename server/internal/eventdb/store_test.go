package eventdb_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/audit/audittest"
	"github.com/merlonhq/merlon/e2e/postgrestest"
	"github.com/merlonhq/merlon/server/internal/eventdb"
	"github.com/merlonhq/merlon/server/internal/postgres"
	"github.com/merlonhq/merlon/server/internal/sqlite"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// A database is one of the two kinds.
type database interface {
	Migrate(ctx context.Context) error
	Writer() *sql.DB
	Reader() *sql.DB
	Close() error
}

// onPostgres is the test that runs the others on PostgreSQL.
const onPostgres = "TestEverythingOnPostgreSQL"

func TestEverythingOnPostgreSQL(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"TheStoreConformsToSink":                    TestTheStoreConformsToSink,
		"EveryFilterReturnsWhatMatchesInPages":      TestEveryFilterReturnsWhatMatchesInPages,
		"StatsCountByTypeAndSpan":                   TestStatsCountByTypeAndSpan,
		"AnyFilterAndLimitReturnWhatMatches":        TestAnyFilterAndLimitReturnWhatMatches,
		"PagesThatFindNothingGoOn":                  TestPagesThatFindNothingGoOn,
		"EventsThatComeInBetweenDoNotShiftThePages": TestEventsThatComeInBetweenDoNotShiftThePages,
		"TheStoredObjectIsTheFirstPartOfTheLine":    TestTheStoredObjectIsTheFirstPartOfTheLine,
		"ALineThatIsNoneIsMadeAgain":                TestALineThatIsNoneIsMadeAgain,
		"SweepForgetsTheOldestFirst":                TestSweepForgetsTheOldestFirst,
		"ABatchIsWrittenWholeOrNotAtAll":            TestABatchIsWrittenWholeOrNotAtAll,
		"BatchesOfEverySizeAreWrittenOnceEach":      TestBatchesOfEverySizeAreWrittenOnceEach,
		"APipelineWritesToTheStore":                 TestAPipelineWritesToTheStore,
	} {
		t.Run(name, test)
	}
}

func setUp(t testing.TB) (*eventdb.Store, database) {
	t.Helper()
	return setUpOn(t, strings.HasPrefix(t.Name(), onPostgres))
}

func setUpOn(t testing.TB, postgreSQL bool) (*eventdb.Store, database) {
	t.Helper()
	var file database
	var err error
	dialect := sqlstore.SQLite
	if postgreSQL {
		dialect = sqlstore.PostgreSQL
		file, err = postgres.Open(t.Context(), postgres.Config{URL: postgrestest.Schema(t)})
	} else {
		file, err = sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "merlon.db")})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := file.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := sqlstore.New(sqlstore.Config{Writer: file.Writer(), Reader: file.Reader(), Dialect: dialect, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	s, err := eventdb.New(db)
	if err != nil {
		t.Fatal(err)
	}
	return s, file
}

func TestTheStoreConformsToSink(t *testing.T) {
	audittest.RunSink(t, func(t *testing.T) (audit.Sink, func() ([]string, error)) {
		s, _ := setUp(t)
		return s, func() ([]string, error) {
			events, _, err := s.Query(context.Background(), eventdb.Filter{}, "", 1000)
			list := ids(t, events)
			slices.Reverse(list)
			return list, err
		}
	})
}

func ids(t testing.TB, events []json.RawMessage) []string {
	t.Helper()
	var list []string
	for _, e := range events {
		var shown struct{ ID string }
		if err := json.Unmarshal(e, &shown); err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		list = append(list, shown.ID)
	}
	return list
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// write writes events as a pipeline does.
func write(t testing.TB, s *eventdb.Store, events ...audit.Event) {
	t.Helper()
	var lines [][]byte
	for _, e := range events {
		lines = append(lines, audit.AppendJSON(nil, e))
	}
	if err := s.Write(t.Context(), events, lines); err != nil {
		t.Fatal(err)
	}
}

func TestTheStoredObjectIsTheFirstPartOfTheLine(t *testing.T) {
	full := audit.Event{
		ID: "evt_1", Time: epoch, Type: audit.MaliciousSQLi, Outcome: audit.Refused, RequestID: "req_1", Address: "192.0.2.7",
		Principal: "usr_1", Route: "POST /api/v1/posts", Method: "POST", Host: "api.example.com:8443", Path: "/api/v1/posts", UserAgent: "x",
		Detail: []slog.Attr{slog.String("field", "title"), slog.Group("inner", slog.Int("n", 1), slog.Any("list", []string{"a", "b"}))},
	}
	// By hand, from the contract: the members of GET /api/v1/events.
	const want = `{"id":"evt_1","time":"2026-03-01T12:00:00.123456Z","type":"malicious_sqli","category":"suspicious_activity","severity":"high",` +
		`"outcome":"refused","request_id":"req_1","address":"192.0.2.7","principal":"usr_1","route":"POST /api/v1/posts",` +
		`"detail":{"field":"title","inner":{"n":1,"list":["a","b"]}}}`
	bare := audit.Event{ID: "evt_2", Time: epoch, Type: audit.SysStartup}
	const wantBare = `{"id":"evt_2","time":"2026-03-01T12:00:00.123456Z","type":"sys_startup","category":"system","severity":"info",` +
		`"outcome":"success","request_id":"","address":"","principal":"","route":"","detail":{}}`
	hostile := full
	hostile.ID, hostile.Route = "evt_3", `,"detail":{"x":"y"}`
	hostile.Detail = []slog.Attr{slog.String(`}"\`, `"}},"detail":{`), slog.String("brace", "}{\\"), slog.Group("detail", slog.String("detail", "}"))}

	s, _ := setUp(t)
	write(t, s, full, bare, hostile)
	events, next, err := s.Query(t.Context(), eventdb.Filter{}, "", 10)
	if err != nil || next != "" || len(events) != 3 {
		t.Fatalf("Query = %s, %q, %v", events, next, err)
	}
	for i, want := range []string{2: want, 1: wantBare} {
		if want != "" && string(events[i]) != want {
			t.Errorf("stored:\n%s\nwant:\n%s", events[i], want)
		}
	}
	line := audit.AppendJSON(nil, hostile)
	if got := events[0]; !json.Valid(got) || !bytes.HasPrefix(line, got[:len(got)-1]) {
		t.Errorf("stored:\n%s\nwant a part of:\n%s", got, line)
	}
	var shown, whole map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(events[0], &shown), json.Unmarshal(line, &whole)); err != nil {
		t.Fatal(err)
	}
	if len(shown) != 11 || string(shown["detail"]) != string(whole["detail"]) {
		t.Errorf("%d members and detail %s, want 11 and %s", len(shown), shown["detail"], whole["detail"])
	}
}

func TestALineIsCutAfterItsDetail(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{`{"id":"1","detail":{}}`, `{"id":"1","detail":{}}`},
		{`{"id":"1","detail":{},"appid":"merlon"}`, `{"id":"1","detail":{}}`},
		{`{"id":"1","detail":{"a":{"b":{}}},"c":{}}`, `{"id":"1","detail":{"a":{"b":{}}}}`},
		{`{"id":"1","detail":{"a":"}"},"c":"}"}`, `{"id":"1","detail":{"a":"}"}}`},
		{`{"id":"1","detail":{"a":"\"}"},"c":"}"}`, `{"id":"1","detail":{"a":"\"}"}}`},
		{`{"id":"1","detail":{"a":"\\"},"c":"}"}`, `{"id":"1","detail":{"a":"\\"}}`},
		{`{"id":",\"detail\":{","detail":{"a":"{"}}`, `{"id":",\"detail\":{","detail":{"a":"{"}}`},
	} {
		if got := eventdb.Body(audit.Event{}, []byte(tt.line)); got != tt.want {
			t.Errorf("%s\nis cut to\n%s\nwant\n%s", tt.line, got, tt.want)
		}
	}
}

func TestALineThatIsNoneIsMadeAgain(t *testing.T) {
	s, _ := setUp(t)
	for i, line := range []string{"", "x", `{"id":"evt_9","detail":{`, `{"detail":{}}`, `{"a":{"b":1,"detail":{}}}`} {
		e := audit.Event{ID: fmt.Sprintf("evt_%d", i), Time: epoch.Add(time.Duration(i)), Type: audit.SysStartup}
		if err := s.Write(t.Context(), []audit.Event{e}, [][]byte{[]byte(line)}); err != nil {
			t.Errorf("Write of %q: %v", line, err)
		}
	}
	events, _, err := s.Query(t.Context(), eventdb.Filter{}, "", 10)
	if got := ids(t, events); err != nil || !slices.Equal(got, []string{"evt_4", "evt_3", "evt_2", "evt_1", "evt_0"}) {
		t.Errorf("Query = %v, %v", got, err)
	}
}

func TestSweepForgetsTheOldestFirst(t *testing.T) {
	s, _ := setUp(t)
	for n := range 5 {
		write(t, s, audit.Event{ID: fmt.Sprintf("evt_%d", n), Time: epoch.Add(time.Duration(n) * time.Hour), Type: audit.SysStartup})
	}
	for i, tt := range []struct {
		want int
		left []string
	}{
		{2, []string{"evt_4", "evt_3", "evt_2"}},
		{1, []string{"evt_4", "evt_3"}},
		{0, []string{"evt_4", "evt_3"}},
	} {
		n, err := s.Sweep(t.Context(), epoch.Add(3*time.Hour), 2)
		if n != tt.want || err != nil {
			t.Errorf("Sweep %d = %d, %v, want %d", i, n, err, tt.want)
		}
		events, _, err := s.Query(t.Context(), eventdb.Filter{}, "", 10)
		if got := ids(t, events); err != nil || !slices.Equal(got, tt.left) {
			t.Errorf("after sweep %d: %v, %v, want %v", i, got, err, tt.left)
		}
	}
}

func TestABatchIsWrittenWholeOrNotAtAll(t *testing.T) {
	s, file := setUp(t)
	refuse := `CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.id = 'evt_2' BEGIN SELECT raise(ABORT, 'full'); END`
	if strings.HasPrefix(t.Name(), onPostgres) {
		refuse = `ALTER TABLE events ADD CHECK (id <> 'evt_2')`
	}
	if _, err := file.Writer().Exec(refuse); err != nil {
		t.Fatal(err)
	}
	batch := []audit.Event{{ID: "evt_1", Time: epoch, Type: audit.SysStartup}, {ID: "evt_2", Time: epoch, Type: audit.SysStartup}}
	err := s.Write(t.Context(), batch, [][]byte{nil, nil})
	if !errors.Is(err, sqlstore.ErrUnavailable) {
		t.Errorf("Write: %v, want ErrUnavailable", err)
	}
	events, _, err := s.Query(t.Context(), eventdb.Filter{}, "", 10)
	if err != nil || len(events) != 0 {
		t.Errorf("Query = %s, %v, want nothing", events, err)
	}
	write(t, s, batch[0])
}

func TestBatchesOfEverySizeAreWrittenOnceEach(t *testing.T) {
	s, _ := setUp(t)
	var batch []audit.Event
	for n := range 64 + 2*8 + 3 {
		batch = append(batch, audit.Event{ID: fmt.Sprintf("evt_%04d", n), Time: epoch.Add(time.Duration(n) * time.Second), Type: audit.AuthnLoginFail})
	}
	write(t, s, batch...)
	write(t, s, append(batch, batch...)...) // again, and twice in one batch
	events, _, err := s.Query(t.Context(), eventdb.Filter{}, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	list := ids(t, events)
	slices.Reverse(list)
	if len(list) != len(batch) {
		t.Fatalf("%d events, want %d", len(list), len(batch))
	}
	for n, id := range list {
		if id != batch[n].ID {
			t.Errorf("event %d is %s, want %s", n, id, batch[n].ID)
		}
	}
}

func TestAPipelineWritesToTheStore(t *testing.T) {
	s, _ := setUp(t)
	p, err := audit.New(audit.Config{Sinks: []audit.Output{{Name: "database", Sink: s}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(t.Context(), audit.Event{Type: audit.UserCreated, Principal: "usr_1"}); err != nil {
		t.Fatal(err)
	}
	events, _, err := s.Query(t.Context(), eventdb.Filter{Subject: "usr_1"}, "", 10)
	if err != nil || len(events) != 1 || !strings.Contains(string(events[0]), `"type":"user_created"`) {
		t.Errorf("Query = %s, %v, want the event", events, err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func BenchmarkWrite512(b *testing.B) {
	s, _ := setUp(b)
	batch, lines := make([]audit.Event, 512), make([][]byte, 512)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for i := range batch {
			n++
			batch[i] = audit.Event{ID: fmt.Sprintf("evt_%036d", n), Time: epoch.Add(time.Duration(n)), Type: audit.AuthnLoginFail, Address: "192.0.2.7"}
			lines[i] = audit.AppendJSON(lines[i][:0], batch[i])
		}
		b.StartTimer()
		if err := s.Write(b.Context(), batch, lines); err != nil {
			b.Fatal(err)
		}
	}
}
