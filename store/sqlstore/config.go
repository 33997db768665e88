package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"
)

// A Dialect is the SQL engine behind the handles.
type Dialect uint8

// The engines. The statements are the same for both, written by hand, with parameters $1, $2 and so on, instants as
// microseconds in BIGINT, and lists as JSON in TEXT. What is not the same is in this file, retry.go and [Tx.Lock].
const (
	// SQLite is SQLite 3.35 or later. Transactions of the stores begin with a
	// statement that writes, so that they hold the write lock from there on and never have to be upgraded from a reader's,
	// which may fail. Parameters are numbered in the order in which they first appear: drivers that count the names and
	// drivers that count the arguments then agree.
	SQLite Dialect = 1
	// PostgreSQL is PostgreSQL 13 or later, through a driver that keeps statements prepared by itself and whose errors
	// have a method SQLState() string, such as pgx. The stores count on READ COMMITTED, the engine's default: each
	// statement sees what was committed before it, and [Tx.Lock] puts in order what must be.
	PostgreSQL Dialect = 2
)

// Select returns the migrations in fsys for the dialect. Files at the root of fsys are for every engine; one in a
// directory sqlite or postgres takes the place of the file of the same name on that engine.
func (d Dialect) Select(fsys fs.FS) fs.FS {
	switch d {
	case SQLite:
		return overlay{fsys, "sqlite"}
	case PostgreSQL:
		return overlay{fsys, "postgres"}
	}
	return fsys
}

// An overlay is base, with the files of a directory of it in the place of those at its root.
type overlay struct {
	base fs.FS
	dir  string
}

// Open implements [fs.FS].
func (o overlay) Open(name string) (fs.File, error) {
	if name != "." {
		if f, err := o.base.Open(path.Join(o.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return o.base.Open(name)
}

// Config says which database a [DB] works on.
type Config struct {
	// Writer is the handle for statements that write, and for those that must see what was just written. Required.
	// With SQLite give it one connection (SetMaxOpenConns(1)): writers then queue under their deadlines and do not
	// fail with SQLITE_BUSY. With PostgreSQL its connections are a pool. The DB does not close it.
	Writer *sql.DB
	// Reader is the handle for statements that only read. Default: Writer. The DB does not close it.
	Reader *sql.DB
	// Dialect is the engine. Required.
	Dialect Dialect
	// Timeout bounds each call, the wait for a connection included, beside the deadline of its context: 10 ms to
	// 1 min, default 2 s.
	Timeout time.Duration
	// Breaker, if there is one, keeps calls from a database that is away. Default: each call finds out for itself.
	Breaker Breaker
	// Observe, if there is one, is called before each call with what it does (get, each, exec or tx) and its statement,
	// "" for tx; what it returns is called with the error of the call. It is for measurements and must not block.
	// Statements hold no values.
	Observe func(ctx context.Context, call, statement string) func(error)
}

// A Breaker is asked before each call. Its methods may be called concurrently.
type Breaker interface {
	// Away returns nil, or why no call is to be made now. The call fails with it and [ErrUnavailable].
	Away() error
	// Done is told how a call ended that was made: with nil, an error of the database (a deadline, the caller's too, is
	// one), or one of the program that used a transaction.
	Done(err error)
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
	if cfg.Dialect != SQLite && cfg.Dialect != PostgreSQL {
		bad("Dialect is %d: set it to sqlstore.SQLite or sqlstore.PostgreSQL", cfg.Dialect)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	if cfg.Timeout < 10*time.Millisecond || cfg.Timeout > time.Minute {
		bad("Timeout is %v: must be 10ms to 1m", cfg.Timeout)
	}
	if cfg.Observe == nil {
		cfg.Observe = func(context.Context, string, string) func(error) { return func(error) {} }
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	prepare := cfg.Dialect == SQLite // the other's driver does
	return &DB{
		dialect: cfg.Dialect,
		timeout: cfg.Timeout,
		breaker: cfg.Breaker,
		observe: cfg.Observe,
		writer:  handle{db: cfg.Writer, prepare: prepare},
		reader:  handle{db: cfg.Reader, prepare: prepare},
	}, nil
}
