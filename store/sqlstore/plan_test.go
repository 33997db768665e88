package sqlstore

import (
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/merlonhq/merlon/e2e/postgrestest"
)

// statements are those of the stores, by name.
var statements = map[string]string{
	"keyByLookup": keyByLookup, "keyByID": keyByID, "keyState": keyState, "keyCreate": keyCreate, "keyAdd": keyAdd, "keyCount": keyCount,
	"keyList": keyList, "keyListOwner": keyListOwner, "keyUpdate": keyUpdate, "keyReplace": keyReplace, "keyRevoke": keyRevoke,
	"keyRevokeOwner": keyRevokeOwner, "keyTouch": keyTouch[0], "keyTouch of one": keyTouch[2], "keySweep": keySweep,
	"sessionAdd": sessionAdd, "sessionByHash": sessionByHash, "sessionList": sessionList, "sessionRemove": sessionRemove,
	"sessionDelete": sessionDelete, "sessionEndUser": sessionEndUser, "sessionTouch": sessionTouch[0], "sessionTouch of one": sessionTouch[2], "sessionSweep": sessionSweep,
	"grantAdd": grantAdd, "grantByFamily": grantByFamily, "grantByID": grantByID, "grantList": grantList, "grantTrim": grantTrim,
	"grantRotate": grantRotate, "grantRemove": grantRemove, "grantDelete": grantDelete, "grantEndUser": grantEndUser, "grantSweep": grantSweep,
	"tokenKeyList": tokenKeyList, "tokenKeyAdd": tokenKeyAdd, "tokenKeyReseal": tokenKeyReseal, "tokenKeyDelete": tokenKeyDelete,
}

// parameters returns how many parameters a statement has.
func parameters(query string) int {
	n := 0
	for strings.Contains(query, fmt.Sprintf("$%d", n+1)) {
		n++
	}
	return n
}

// The same of PostgreSQL, whose plans depend on statistics: here it reads a whole table only where it has no other way.
func TestEveryStatementHasAnIndexInPostgreSQL(t *testing.T) {
	db, err := sql.Open("pgx", postgrestest.Schema(t)+"&plan_cache_mode=force_generic_plan&enable_seqscan=off")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	fsys := PostgreSQL.Select(Migrations())
	files, err := fs.Glob(fsys, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(string(text)); err != nil {
			t.Fatal(err)
		}
	}
	plan := func(name, query string) string {
		name = strings.ReplaceAll(name, " ", "_")
		if _, err := db.Exec("PREPARE " + name + " AS " + query); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		execute := "EXPLAIN EXECUTE " + name
		if n := parameters(query); n > 0 {
			execute += "(" + strings.TrimSuffix(strings.Repeat("NULL, ", n), ", ") + ")"
		}
		rows, err := db.Query(execute)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer rows.Close()
		var all []string
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			all = append(all, line)
		}
		return strings.Join(all, "\n")
	}
	for name, query := range statements {
		if got := plan(name, query); strings.Contains(got, "Seq Scan") {
			t.Errorf("%s:\n%s", name, got)
		}
	}
	if got := plan("unindexed", "SELECT id FROM sessions WHERE user_agent = $1"); !strings.Contains(got, "Seq Scan") {
		t.Errorf("a statement without an index is not seen:\n%s", got)
	}
}

// No statement of the stores may read a whole table: the tables grow with the service.
func TestEveryStatementUsesAnIndex(t *testing.T) {
	db, err := sql.Open("sqlite", "file://"+filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, name := range []string{"00001_api_keys.sql", "00002_sessions.sql", "00003_tokens.sql"} {
		text, err := fs.ReadFile(Migrations(), name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(string(text)); err != nil {
			t.Fatal(err)
		}
	}
	for name, query := range statements {
		args := make([]any, parameters(query))
		rows, err := db.Query("EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(step, "SCAN") && !strings.Contains(step, "CONSTANT ROW") && step != "SCAN v" || strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("%s: %s", name, step)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
