package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// applicationID marks a database file as Merlon's (PRAGMA application_id): the letters MRLN.
const applicationID = 0x4d524c4e

// Config says which file to open.
type Config struct {
	// Path is the database file. It is made, with its directory, when it does not exist. Required; it is a path, not
	// a URI, and there is no database in memory.
	Path string
	// Readers is how many connections may read at once: 1 to 64, default 4 or the number of processors, whichever is
	// more. Each holds up to 2 MiB of cache.
	Readers int
	// BusyTimeout is how long a statement waits for a lock that another process holds: 10 ms to 1 min, default 5 s.
	// The deadline of a call's context ends the wait sooner.
	BusyTimeout time.Duration
}

// A DB is an open database file. Its methods may be called concurrently.
type DB struct {
	path           string
	writer, reader *sql.DB

	probe struct { // of Check
		sync.Mutex
		at  time.Time
		err error
	}
}

// New returns the database of cfg and touches no file. Nothing works before [DB.Open]: statements fail, and make no
// file.
func New(cfg Config) (*DB, error) {
	path, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	db := &DB{path: path}
	if db.writer, err = sql.Open("sqlite", cfg.dsn(path, "_txlock=immediate")); err != nil {
		return nil, err
	}
	// One connection: transactions queue here, in the order of database/sql and under the deadline of the caller.
	db.writer.SetMaxOpenConns(1)
	if db.reader, err = sql.Open("sqlite", cfg.dsn(path, "_query_only=1")); err != nil {
		return nil, errors.Join(err, db.writer.Close())
	}
	db.reader.SetMaxOpenConns(cfg.Readers)
	db.reader.SetMaxIdleConns(cfg.Readers)
	return db, nil
}

// Open is [New] and [DB.Open].
func Open(ctx context.Context, cfg Config) (*DB, error) {
	db, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := db.Open(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Open opens the file, which it makes if there is none, and makes sure that it is ours and can be written. It changes
// nothing in a file that is not. Call [DB.Migrate] next.
//
// The error wraps [ErrNotDatabase], [ErrForeign], [ErrReadOnly] or [ErrCorrupt] where one of them fits.
func (db *DB) Open(ctx context.Context) error {
	if err := makeDir(filepath.Dir(db.path)); err != nil {
		return err
	}
	// One process at a time sets up: the switch to WAL does not wait for others as ordinary statements do.
	unlock, err := lockSetup(ctx, db.path)
	if err != nil {
		return err
	}
	defer unlock()
	if err := makeFile(db.path); err != nil {
		return err
	}
	if err := db.setUp(ctx); err != nil {
		return explain(db.path, err)
	}
	return nil
}

// complete fills in defaults and returns the absolute path.
func (cfg *Config) complete() (path string, err error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("sqlite: "+format, args...)) }
	if cfg.Readers == 0 {
		cfg.Readers = min(max(4, runtime.GOMAXPROCS(0)), 64)
	}
	if cfg.BusyTimeout == 0 {
		cfg.BusyTimeout = 5 * time.Second
	}
	if cfg.Readers < 1 || cfg.Readers > 64 {
		bad("Readers is %d: must be 1 to 64", cfg.Readers)
	}
	if cfg.BusyTimeout < 10*time.Millisecond || cfg.BusyTimeout > time.Minute {
		bad("BusyTimeout is %v: must be 10ms to 1m", cfg.BusyTimeout)
	}
	switch {
	case cfg.Path == "":
		bad("Path is empty: name the database file")
	case strings.HasPrefix(cfg.Path, ":") || strings.HasPrefix(cfg.Path, "file:"):
		bad("Path is %q: must be the path of a file", cfg.Path)
	case strings.ContainsRune(cfg.Path, 0):
		bad("Path is %q: must not hold a NUL", cfg.Path)
	default:
		if path, err = filepath.Abs(cfg.Path); err != nil {
			bad("Path is %q: %w", cfg.Path, err)
		}
	}
	return path, errors.Join(errs...)
}

// dsn returns the URI for path, with the parameters that hold for every connection.
func (cfg *Config) dsn(path, more string) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") { // a Windows drive
		slashed = "/" + slashed
	}
	escaped := (&url.URL{Path: slashed}).EscapedPath()
	return "file://" + escaped + "?" + strings.Join([]string{
		"mode=rw", // the file exists: do not make another where it was removed
		"_busy_timeout=" + strconv.FormatInt(cfg.BusyTimeout.Milliseconds(), 10),
		"_defensive=1", // no statement may damage the file on purpose
		"_dqs=0",       // "text" is a name, never a string
		"_foreign_keys=1",
		"_synchronous=FULL", // see the package comment
		"_pragma=trusted_schema(0)",
		"_pragma=journal_size_limit(67108864)", // give disk space back after a burst
		more,
	}, "&")
}

// makeDir makes dir, for its owner only, if it does not exist.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data directory %s: %w", dir, err)
	}
	return nil
}

// makeFile makes the file, for its owner only, if it does not exist. SQLite gives -wal and -shm the mode of the file,
// against the umask. A file that exists is not opened here: closing it would drop the locks that SQLite may hold on it
// in this process (POSIX advisory locks).
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%w: it is not a regular file: name another path", ErrNotDatabase)
		}
		if err != nil {
			return fmt.Errorf("database %s: %w", path, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("database %s: cannot be made: %w", path, readOnly(err))
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// readOnly adds ErrReadOnly to an error that says so.
func readOnly(err error) error {
	if errors.Is(err, fs.ErrPermission) || isReadOnlyFS(err) {
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return err
}

// setUp makes sure that the database is new or ours, and puts it into WAL mode.
func (db *DB) setUp(ctx context.Context) error {
	conn, err := db.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := checkOurs(ctx, conn); err != nil {
		return err
	}
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("journal mode is %q: WAL is not possible here: use a local file system", mode)
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	// Each time, because it fails on what cannot be written; BEGIN IMMEDIATE alone does not. PRAGMA takes no parameters.
	if _, err := tx.ExecContext(ctx, "PRAGMA application_id = "+strconv.Itoa(applicationID)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return tighten(db.path)
}

// tighten takes the file and its companions away from group and others.
func tighten(path string) error {
	if runtime.GOOS == "windows" { // access lists are inherited from the directory
		return nil
	}
	for _, p := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) && p != path {
			continue
		}
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			err = os.Chmod(p, info.Mode().Perm()&0o700)
		}
		if err != nil {
			return fmt.Errorf("file must be readable by its owner only: %w", err)
		}
	}
	return nil
}

// Writer returns the handle for statements that write. It has one connection, and its transactions hold the write lock
// from their start.
func (db *DB) Writer() *sql.DB { return db.writer }

// Reader returns the handle for statements that only read; it refuses others.
func (db *DB) Reader() *sql.DB { return db.reader }

// probeInterval is how long it is known that the disk takes writes, or does not: whoever asks more often causes no more.
const probeInterval = time.Second

// Check returns nil when the database can be read, its write lock can be had before ctx ends, and the disk took a write
// a second ago or takes one now.
func (db *DB) Check(ctx context.Context) error {
	var n int
	if err := db.reader.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n); err != nil {
		return explain(db.path, err)
	}
	tx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return explain(db.path, err)
	}
	defer tx.Rollback() // without effect after Commit
	db.probe.Lock()
	defer db.probe.Unlock()
	if time.Since(db.probe.at) >= probeInterval {
		db.probe.err = db.touch(ctx, tx)
		db.probe.at = time.Now()
	}
	return db.probe.err
}

// touch writes what is there already: a full disk lets a transaction begin, and not end.
func (db *DB) touch(ctx context.Context, tx *sql.Tx) error {
	// PRAGMA takes no parameters.
	_, err := tx.ExecContext(ctx, "PRAGMA application_id = "+strconv.Itoa(applicationID))
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return explain(db.path, err)
	}
	return nil
}

// Close closes the database. The last process to close it moves what is in the -wal into the file.
func (db *DB) Close() error {
	return errors.Join(db.reader.Close(), db.writer.Close())
}
