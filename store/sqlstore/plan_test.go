package sqlstore

import (
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

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
	for name, query := range map[string]string{
		"keyByLookup": keyByLookup, "keyByID": keyByID, "keyState": keyState, "keyCreate": keyCreate, "keyAdd": keyAdd, "keyCount": keyCount,
		"keyList": keyList, "keyListOwner": keyListOwner, "keyUpdate": keyUpdate, "keyReplace": keyReplace, "keyRevoke": keyRevoke,
		"keyRevokeOwner": keyRevokeOwner, "keyTouch": keyTouch, "keySweep": keySweep,
		"sessionAdd": sessionAdd, "sessionByHash": sessionByHash, "sessionList": sessionList, "sessionRemove": sessionRemove,
		"sessionDelete": sessionDelete, "sessionEndUser": sessionEndUser, "sessionTouch": sessionTouch, "sessionSweep": sessionSweep,
		"grantAdd": grantAdd, "grantByFamily": grantByFamily, "grantByID": grantByID, "grantList": grantList, "grantTrim": grantTrim,
		"grantRotate": grantRotate, "grantRemove": grantRemove, "grantDelete": grantDelete, "grantEndUser": grantEndUser, "grantSweep": grantSweep,
		"tokenKeyList": tokenKeyList, "tokenKeyAdd": tokenKeyAdd, "tokenKeyReseal": tokenKeyReseal, "tokenKeyDelete": tokenKeyDelete,
	} {
		args := make([]any, 19)
		for strings.Count(query, "$") > 0 && !strings.Contains(query, fmt.Sprintf("$%d", len(args))) {
			args = args[1:]
		}
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
			if strings.HasPrefix(step, "SCAN") && !strings.Contains(step, "CONSTANT ROW") || strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("%s: %s", name, step)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
