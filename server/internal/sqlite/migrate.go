package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/store/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the tables of the service up to date. It goes forward only, each migration in a transaction of its
// own, under a lock that other processes wait for until their ctx ends. A schema newer than this program is refused
// with [ErrNewer] and left as it is.
func (db *DB) Migrate(ctx context.Context) error {
	core, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := db.migrate(ctx, "merlon_schema", core); err != nil {
		return err
	}
	return db.migrate(ctx, "merlon_schema_store", sqlstore.Migrations())
}

// MigrateModule brings the tables of a module up to date, as [DB.Migrate] does for the service's own. name is one
// that [module.IsName] accepts. fsys has the module's migrations at its root, named as
// 00001_words.sql, each beginning with a line `-- +goose Up`. Modules count their versions apart.
func (db *DB) MigrateModule(ctx context.Context, name string, fsys fs.FS) error {
	if !module.IsName(name) { // it goes into the name of a table, without quotes
		return fmt.Errorf("module name %q: must be a lower-case letter and up to 31 of a-z, 0-9 and _", name)
	}
	if err := db.migrate(ctx, "merlon_module_"+name, fsys); err != nil {
		return fmt.Errorf("module %s: %w", name, err)
	}
	return nil
}

// migrate applies what is new in fsys. table, where the versions are kept, is a name that needs no quotes.
func (db *DB) migrate(ctx context.Context, table string, fsys fs.FS) error {
	unlock, err := lockSetup(ctx, db.path)
	if err != nil {
		return err
	}
	defer unlock()
	p, err := goose.NewProvider(goose.DialectSQLite3, db.writer, fsys,
		goose.WithTableName(table), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	have, known, err := p.GetVersions(ctx)
	if err != nil {
		return explain(db.path, err)
	}
	if have > known {
		return fmt.Errorf("database %s: %w (%s is at %d, this program knows %d): run that version, or restore a backup from before it",
			db.path, ErrNewer, table, have, known)
	}
	_, err = p.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		return explain(db.path, fmt.Errorf("migration %s: %w", partial.Failed.Source.Path, partial.Err))
	}
	if err != nil {
		return explain(db.path, err)
	}
	return nil
}
