package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// A Dialect is the SQL engine behind the handles.
type Dialect uint8

// SQLite is SQLite 3.35 or later. Transactions of the stores begin with a
// statement that writes, so that they hold the write lock from there on and never have to be upgraded from a reader's,
// which may fail. Parameters are numbered in the order in which they first appear: drivers that count the names and
// drivers that count the arguments then agree.
const SQLite Dialect = 1

// Config says which database a [DB] works on.
type Config struct {
	// Writer is the handle for statements that write, and for those that must see what was just written. Required.
	// With SQLite give it one connection (SetMaxOpenConns(1)): writers then queue under their deadlines and do not
	// fail with SQLITE_BUSY. The DB does not close it.
	Writer *sql.DB
	// Reader is the handle for statements that only read. Default: Writer. The DB does not close it.
	Reader *sql.DB
	// Dialect is the engine. Required.
	Dialect Dialect
	// Timeout bounds each call, the wait for a connection included, beside the deadline of its context: 10 ms to
	// 1 min, default 2 s.
	Timeout time.Duration
}

// New returns a DB for cfg. It does not touch the database. The error names everything that is wrong with cfg.
func New(cfg Config) (*DB, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("sqlstore: "+format, args...)) }
	if cfg.Writer == nil {
		bad("Writer is nil: set it to an open database")
	}
	if cfg.Reader == nil {
		cfg.Reader = cfg.Writer
	}
	if cfg.Dialect != SQLite {
		bad("Dialect is %d: set it to sqlstore.SQLite", cfg.Dialect)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	if cfg.Timeout < 10*time.Millisecond || cfg.Timeout > time.Minute {
		bad("Timeout is %v: must be 10ms to 1m", cfg.Timeout)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &DB{
		timeout: cfg.Timeout,
		writer:  handle{db: cfg.Writer},
		reader:  handle{db: cfg.Reader},
	}, nil
}
