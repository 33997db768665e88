package schema_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/e2e/postgrestest"
	"github.com/merlonhq/merlon/examples/blog"
	"github.com/merlonhq/merlon/server/internal/postgres"
	"github.com/merlonhq/merlon/server/internal/schema"
	"github.com/merlonhq/merlon/server/internal/sqlite"
	"github.com/merlonhq/merlon/store/sqlstore"
)

func lines(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		list = append(list, line)
	}
	slices.Sort(list)
	return list
}

// The service and the example module have the same tables in both engines, and text is ordered as bytes in both.
func TestTheEnginesHaveTheSameTables(t *testing.T) {
	module, err := schema.Module("blog", blog.Module().Migrations)
	if err != nil {
		t.Fatal(err)
	}
	sets := append(schema.Core(), module)
	lite, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "merlon.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer lite.Close()
	server, err := postgres.Open(t.Context(), postgres.Config{URL: postgrestest.Schema(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	steps1, err1 := lite.Up(t.Context(), sets...)
	steps2, err2 := server.Up(t.Context(), sets...)
	if err1 != nil || err2 != nil || !slices.Equal(steps1, steps2) || len(steps1) < 5 {
		t.Fatalf("steps %v (%v) and %v (%v)", steps1, err1, steps2, err2)
	}
	want := lines(t, lite.Reader(), `SELECT m.name || '.' || c.name || ' ' || lower(c.type) || CASE WHEN c."notnull" OR c.pk THEN ' not null' ELSE '' END
		FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'merlon\_%' ESCAPE '\' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
	got := lines(t, server.Reader(), `SELECT table_name || '.' || column_name || ' ' || data_type || CASE WHEN is_nullable = 'NO' THEN ' not null' ELSE '' END
		FROM information_schema.columns WHERE table_schema = current_schema() AND table_name NOT LIKE 'merlon\_%'`)
	if !slices.Equal(got, want) || len(want) < 50 {
		t.Errorf("PostgreSQL has\n%q\nand SQLite\n%q", got, want)
	}
	want = lines(t, lite.Reader(), `SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`)
	got = lines(t, server.Reader(), `SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND indexname NOT LIKE '%\_pkey'`)
	if !slices.Equal(got, want) || len(want) < 15 {
		t.Errorf("PostgreSQL has the indexes\n%q\nand SQLite\n%q", got, want)
	}
	other := lines(t, server.Reader(), `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = current_schema() AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`)
	if len(other) > 0 {
		t.Errorf("not ordered as bytes in PostgreSQL: %q: write TEXT COLLATE \"C\" in a file in postgres/", other)
	}
}

func TestASchemaThatIsNewerIsToldBeforeAnythingIsDone(t *testing.T) {
	set := schema.Core()[0]
	for _, tt := range []struct {
		have    int64
		applied int
		newer   bool
	}{{0, 0, false}, {1, 1, false}, {99, 0, true}} {
		steps, err := set.Steps(unused(t), sqlstore.SQLite, func(table string) (int64, error) {
			if table != schema.CoreTable {
				t.Errorf("the version of %s is read", table)
			}
			return tt.have, nil
		})
		applied := 0
		for _, s := range steps {
			if s.Applied {
				applied++
			}
		}
		if errors.Is(err, schema.ErrNewer) != tt.newer || applied != tt.applied || tt.newer && !strings.Contains(err.Error(), "99") {
			t.Errorf("version %d: %v, %v", tt.have, steps, err)
		}
	}
	errAway := errors.New("away")
	if _, err := set.Steps(unused(t), sqlstore.SQLite, func(string) (int64, error) { return 0, errAway }); !errors.Is(err, errAway) {
		t.Errorf("a version that cannot be read: %v", err)
	}
}

// unused is a handle that nothing is asked of.
func unused(t *testing.T) *sql.DB {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "none.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
