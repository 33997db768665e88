package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/merlonhq/merlon/server/internal/schema"
)

// What can be wrong with a database file or data directory. The error that wraps one of these names the path and what
// to do.
var (
	// ErrLocked: another process serves from the data directory.
	ErrLocked = errors.New("in use by another merlon process")
	// ErrNotDatabase: the file holds something else than a SQLite database, or an encrypted one.
	ErrNotDatabase = errors.New("not a SQLite database")
	// ErrForeign: the database belongs to another program.
	ErrForeign = errors.New("the database of another program")
	// ErrNewer: a newer version of the program changed the schema.
	ErrNewer = schema.ErrNewer
	// ErrReadOnly: the file or its directory cannot be written.
	ErrReadOnly = errors.New("read-only")
	// ErrFull: the disk is full.
	ErrFull = errors.New("the disk is full")
	// ErrCorrupt: SQLite found damage.
	ErrCorrupt = errors.New("damaged")
)

// explain wraps err, which came from the database at path, with the class it belongs to and with what to do about it.
func explain(path string, err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("database %s: %w", path, err)
	}
	class, fix := error(nil), ""
	switch e.Code() & 0xff { // the low byte of an extended code is the primary one
	case sqlite3.SQLITE_NOTADB:
		class, fix = ErrNotDatabase, "move the file away or name another path"
	case sqlite3.SQLITE_CORRUPT:
		class, fix = ErrCorrupt, "restore it from a backup, or save what `sqlite3 FILE .recover` finds"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		class, fix = ErrReadOnly, "give this user write access to the file and its directory"
	case sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("database %s: cannot be opened: give this user write access to the file and its directory: %w", path, err)
	case sqlite3.SQLITE_FULL:
		class, fix = ErrFull, "make room"
	case sqlite3.SQLITE_IOERR:
		return fmt.Errorf("database %s: the disk failed: see the system's log; what was acknowledged is kept: %w", path, err)
	case sqlite3.SQLITE_BUSY:
		return fmt.Errorf("database %s: another process holds it: end that one or try again: %w", path, err)
	default:
		return fmt.Errorf("database %s: %w", path, err)
	}
	return fmt.Errorf("database %s: %w: %s: %w", path, class, fix, err)
}
