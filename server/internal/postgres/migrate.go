package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/merlonhq/merlon/server/internal/schema"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// migrationLock is the advisory lock under which processes migrate: the letters MRLN.
const migrationLock = 0x4d524c4e

// Migrate brings the tables of the service up to date. It goes forward only, each migration in a transaction of its
// own, under a lock that other processes wait for. A schema newer than this program is refused with [ErrNewer] and left
// as it is.
func (db *DB) Migrate(ctx context.Context) error {
	_, err := db.Up(ctx, schema.Core()...)
	return err
}

// MigrateModule brings the tables of a module up to date, as [DB.Migrate] does for the service's own.
func (db *DB) MigrateModule(ctx context.Context, name string, fsys fs.FS) error {
	set, err := schema.Module(name, fsys)
	if err != nil {
		return err
	}
	_, err = db.Up(ctx, set)
	return err
}

// Up applies what is new in the sets and returns it.
func (db *DB) Up(ctx context.Context, sets ...schema.Set) (done []schema.Step, err error) {
	conns := db.migrator()
	defer conns.Close()
	unlock, err := db.lock(ctx, conns)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, set := range sets {
		steps, err := set.Up(ctx, conns, sqlstore.PostgreSQL)
		done = append(done, steps...)
		if err != nil {
			return done, db.explain(err)
		}
	}
	return done, nil
}

// migrator returns connections for migrations: they may take their time, but do not make others wait for it.
func (db *DB) migrator() *sql.DB {
	config := db.config
	config.RuntimeParams = maps.Clone(config.RuntimeParams)
	config.RuntimeParams["statement_timeout"] = "0"
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	config.RuntimeParams["lock_timeout"] = migrationLockTimeout
	conns := stdlib.OpenDB(config)
	conns.SetMaxOpenConns(2) // the lock's and that of the migrations
	return conns
}

// lock takes the lock of migrations, on a connection of its own. The server gives it back when the process dies.
func (db *DB) lock(ctx context.Context, conns *sql.DB) (unlock func(), err error) {
	patient, cancel := context.WithTimeout(ctx, db.migrationPatience)
	defer cancel()
	conn, err := conns.Conn(patient)
	if err != nil {
		return nil, db.explain(err)
	}
	drop := func() { // closes the connection, and so gives back the lock
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		_ = conn.Close()
	}
	said := false
	taken := func() error {
		return fmt.Errorf("database %s: another process is migrating it: %w", db.name, errors.Join(ctx.Err(), errGaveUp(ctx, db.migrationPatience)))
	}
	for {
		var got bool
		if err := conn.QueryRowContext(patient, "SELECT pg_try_advisory_lock($1)", migrationLock).Scan(&got); err != nil {
			drop()
			if said && patient.Err() != nil { // the end came while it was asked once more
				return nil, taken()
			}
			return nil, db.explain(err)
		}
		if got {
			return drop, nil
		}
		if !said {
			said = true
			db.log.Warn("waiting while another process migrates the database", "database", db.name, "giving_up_after", db.migrationPatience)
		}
		select {
		case <-patient.Done():
			drop()
			return nil, taken()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func errGaveUp(ctx context.Context, after time.Duration) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("gave up after %v", after)
}

// Steps returns every migration of the sets and whether it is applied. It changes nothing, and does not wait for a
// database that does not answer.
func (db *DB) Steps(ctx context.Context, sets ...schema.Set) ([]schema.Step, error) {
	if err := db.try(ctx); err != nil && !errors.Is(err, ErrReadOnly) {
		return nil, db.explain(err)
	}
	version := func(table string) (n int64, err error) {
		var found bool
		err = db.pool.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1)`, table).Scan(&found)
		if err != nil || !found {
			return 0, err
		}
		err = db.pool.QueryRowContext(ctx, schema.Version(table)).Scan(&n)
		return n, err
	}
	var all []schema.Step
	for _, set := range sets {
		steps, err := set.Steps(db.pool, sqlstore.PostgreSQL, version)
		if err != nil {
			return nil, db.explain(err)
		}
		all = append(all, steps...)
	}
	return all, nil
}
