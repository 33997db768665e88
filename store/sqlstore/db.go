package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrUnavailable is in every error that comes from the database and not from what is in it: no connection, a deadline,
// a full disk, a lock that was not to be had, damage. The answer to it is 503. What failed with it may, rarely, have
// happened all the same, when the deadline came between the commit and its acknowledgement.
var ErrUnavailable = errors.New("database unavailable")

// A DB runs statements on a database, each call under a deadline. Its methods may be called concurrently.
//
// Statements are constants of the program, with parameters $1, $2 and so on: they are prepared once and kept. Never
// build one from a value.
type DB struct {
	dialect        Dialect
	timeout        time.Duration
	breaker        Breaker // nil for none
	writer, reader handle
	observe        func(ctx context.Context, call, statement string) func(error)
}

// begin begins a call: it has a deadline, and is not made while the database is away. Whoever calls it calls end.
func (d *DB) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if d.breaker != nil {
		if err := d.breaker.Away(); err != nil {
			return nil, nil, unavailable(err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	return ctx, cancel, nil
}

// end ends a call with the error that err points to.
func (d *DB) end(cancel context.CancelFunc, err *error) {
	cancel()
	if d.breaker != nil {
		d.breaker.Done(*err)
	}
}

// A Row is a row of a result.
type Row interface {
	// Scan copies the columns into dest, as [sql.Rows.Scan] does.
	Scan(dest ...any) error
}

// Get runs a query and copies the first row of its result into dest. It reports whether there was one.
func (d *DB) Get(ctx context.Context, query string, args []any, dest ...any) (found bool, err error) {
	ctx, cancel, err := d.begin(ctx)
	if err != nil {
		return false, err
	}
	defer d.end(cancel, &err)
	ended := d.observe(ctx, "get", query)
	defer func() { ended(err) }()
	s, err := d.reader.stmt(ctx, query)
	if err != nil {
		return false, unavailable(err)
	}
	return get(ctx, s, d.dialect.values(args), dest)
}

// Each runs a query and calls row for each row of the result, in order. An error of row ends it and is returned as it
// is.
func (d *DB) Each(ctx context.Context, query string, args []any, row func(Row) error) (err error) {
	ctx, cancel, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer d.end(cancel, &err)
	ended := d.observe(ctx, "each", query)
	defer func() { ended(err) }()
	s, err := d.reader.stmt(ctx, query)
	if err != nil {
		return unavailable(err)
	}
	rows, err := s.QueryContext(ctx, d.dialect.values(args)...)
	if err != nil {
		return unavailable(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return unavailable(rows.Err())
}

// Exec runs one statement that writes, in a transaction of its own, and returns how many rows it changed.
func (d *DB) Exec(ctx context.Context, query string, args ...any) (changed int64, err error) {
	ctx, cancel, err := d.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer d.end(cancel, &err)
	ended := d.observe(ctx, "exec", query)
	defer func() { ended(err) }()
	s, err := d.writer.stmt(ctx, query)
	if err != nil {
		return 0, unavailable(err)
	}
	args = d.dialect.values(args)
	err = d.dialect.retry(ctx, func() error {
		changed, err = exec(ctx, s, args)
		return err
	})
	return changed, err
}

// execLocked is Exec while the name is locked (see [Tx.Lock]).
func (d *DB) execLocked(ctx context.Context, name, query string, args ...any) (changed int64, err error) {
	if d.dialect == SQLite {
		return d.Exec(ctx, query, args...)
	}
	err = d.Tx(ctx, func(tx *Tx) error {
		if err := tx.Lock(name); err != nil {
			return err
		}
		changed, err = tx.Exec(query, args...)
		return err
	})
	return changed, err
}

// A Tx is a transaction. It is for the function that [DB.Tx] calls, and for one goroutine.
type Tx struct {
	ctx     context.Context
	tx      *sql.Tx
	dialect Dialect
	stmts   map[string]stmt
}

// Tx runs do in a transaction, which is committed when do returns nil and is otherwise as if it had not been. An error
// of do is returned as it is. One deadline holds for all of it. Begin with a statement that writes (see [SQLite]), and
// call no method of d in do: it would wait for the connection that the transaction has. With PostgreSQL do is called
// again when the transaction was ended for the sake of others, a deadlock or a failure to serialise; nothing of it has
// happened then.
func (d *DB) Tx(ctx context.Context, do func(*Tx) error) (err error) {
	ctx, cancel, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer d.end(cancel, &err)
	ended := d.observe(ctx, "tx", "")
	defer func() { ended(err) }()
	return d.dialect.retry(ctx, func() error { return d.once(ctx, do) })
}

func (d *DB) once(ctx context.Context, do func(*Tx) error) error {
	tx, err := d.writer.db.BeginTx(ctx, nil)
	if err != nil {
		return unavailable(err)
	}
	defer tx.Rollback() // without effect after Commit
	if err := do(&Tx{ctx: ctx, tx: tx, dialect: d.dialect, stmts: make(map[string]stmt)}); err != nil {
		return err
	}
	return unavailable(tx.Commit())
}

// Lock makes transactions that lock the same name follow each other: it waits until no other one has the name, and the
// statements after it see what the others wrote. Lock before a statement that counts or looks for what it is about to
// make impossible. With SQLite there is one writer, and nothing to do.
func (t *Tx) Lock(name string) error {
	if t.dialect == SQLite {
		return nil
	}
	h := sha256.Sum256([]byte(name)) // two names with one lock only wait for each other
	_, err := t.tx.ExecContext(t.ctx, `SELECT pg_advisory_xact_lock($1)`, int64(binary.BigEndian.Uint64(h[:])))
	return unavailable(err)
}

// stmt prepares query for the transaction, on its connection. The statements of the handle would want another one.
func (t *Tx) stmt(query string) (stmt, error) {
	if t.dialect == PostgreSQL {
		return unprepared{t.tx, query}, nil
	}
	if s := t.stmts[query]; s != nil {
		return s, nil
	}
	s, err := t.tx.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, unavailable(err)
	}
	t.stmts[query] = s // closed with the transaction
	return s, nil
}

// Get is [DB.Get] in the transaction.
func (t *Tx) Get(query string, args []any, dest ...any) (found bool, err error) {
	s, err := t.stmt(query)
	if err != nil {
		return false, err
	}
	return get(t.ctx, s, t.dialect.values(args), dest)
}

// Exec is [DB.Exec] in the transaction.
func (t *Tx) Exec(query string, args ...any) (changed int64, err error) {
	s, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	return exec(t.ctx, s, t.dialect.values(args))
}

func get(ctx context.Context, s stmt, args, dest []any) (found bool, err error) {
	err = s.QueryRowContext(ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, unavailable(err)
}

func exec(ctx context.Context, s stmt, args []any) (changed int64, err error) {
	result, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, unavailable(err)
	}
	changed, err = result.RowsAffected()
	return changed, unavailable(err)
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
