package server

import (
	"errors"
	"fmt"

	"github.com/merlonhq/merlon/server/internal/postgres"
	"github.com/merlonhq/merlon/server/internal/schema"
	"github.com/merlonhq/merlon/server/internal/sqlite"
)

// databaseIDs are the ids of what can be wrong with a database, of either engine;
// docs/operating.md explains them. They are stable, like those of settings.
var databaseIDs = []struct {
	id  string
	err error
}{
	{"merlon.E140", sqlite.ErrLocked},
	{"merlon.E141", postgres.ErrUnreachable},
	{"merlon.E142", postgres.ErrDenied},
	{"merlon.E143", postgres.ErrMissing},
	{"merlon.E144", postgres.ErrForeign}, {"merlon.E144", sqlite.ErrForeign}, {"merlon.E144", sqlite.ErrNotDatabase},
	{"merlon.E145", schema.ErrNewer},
	{"merlon.E146", postgres.ErrReadOnly}, {"merlon.E146", sqlite.ErrReadOnly},
	{"merlon.E147", postgres.ErrFull}, {"merlon.E147", sqlite.ErrFull},
	{"merlon.E148", postgres.ErrCorrupt}, {"merlon.E148", sqlite.ErrCorrupt},
	{"merlon.E149", postgres.ErrTLS},
}

// named puts the id of what is wrong with a database before an error that says it.
func named(err error) error {
	for _, known := range databaseIDs {
		if errors.Is(err, known.err) {
			return fmt.Errorf("%s: %w", known.id, err)
		}
	}
	return err
}
