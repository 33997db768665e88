package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/merlonhq/merlon/server/internal/schema"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// Migrate brings the tables of the service up to date. It goes forward only, each migration in a transaction of its
// own, under a lock that other processes wait for until their ctx ends. A schema newer than this program is refused
// with [ErrNewer] and left as it is.
func (db *DB) Migrate(ctx context.Context) error {
	_, err := db.Up(ctx, schema.Core()...)
	return err
}

// MigrateModule brings the tables of a module up to date, as [DB.Migrate] does for the service's own. name is one
// that [module.IsName] accepts. fsys has the module's migrations, named as
// 00001_words.sql, each beginning with a line `-- +goose Up`. Modules count their versions apart.
func (db *DB) MigrateModule(ctx context.Context, name string, fsys fs.FS) error {
	set, err := schema.Module(name, fsys)
	if err != nil {
		return err
	}
	_, err = db.Up(ctx, set)
	return err
}

// Up applies what is new in the sets and returns it.
func (db *DB) Up(ctx context.Context, sets ...schema.Set) ([]schema.Step, error) {
	unlock, err := lockSetup(ctx, db.path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var done []schema.Step
	for _, set := range sets {
		steps, err := set.Up(ctx, db.writer, sqlstore.SQLite)
		done = append(done, steps...)
		if err != nil {
			return done, explain(db.path, err)
		}
	}
	return done, nil
}

// Steps returns every migration of the sets and whether it is applied. It changes nothing and needs no [DB.Open]: where
// there is no file, nothing is applied.
func (db *DB) Steps(ctx context.Context, sets ...schema.Set) ([]schema.Step, error) {
	_, err := os.Stat(db.path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return nil, fmt.Errorf("database %s: %w", db.path, readOnly(err))
	}
	if !missing {
		if err := checkOurs(ctx, db.reader); err != nil {
			return nil, explain(db.path, err)
		}
	}
	version := func(table string) (n int64, err error) {
		var found int
		if missing {
			return 0, nil
		}
		err = db.reader.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = $1", table).Scan(&found)
		if err != nil || found == 0 {
			return 0, err
		}
		err = db.reader.QueryRowContext(ctx, schema.Version(table)).Scan(&n)
		return n, err
	}
	var all []schema.Step
	for _, set := range sets {
		steps, err := set.Steps(db.reader, sqlstore.SQLite, version)
		if err != nil {
			return nil, explain(db.path, err)
		}
		all = append(all, steps...)
	}
	return all, nil
}

// checkOurs returns an error unless the database is new or ours.
func checkOurs(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) error {
	var id int32
	var objects int
	if err := db.QueryRowContext(ctx, "SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id").Scan(&id, &objects); err != nil {
		return err
	}
	if id != applicationID && (id != 0 || objects != 0) {
		return fmt.Errorf("%w (application_id 0x%08x): name another path", ErrForeign, uint32(id))
	}
	return nil
}
