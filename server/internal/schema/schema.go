// Package schema brings the tables of the service and its modules up to date, in whatever engine they are.
//
// Migrations are files in the program, in the format of goose, and go forward only: there is no way down. The service,
// the stores of the library and every module count their versions apart, each in a table of its own, so that they grow
// apart. A migration is a transaction: it has happened, or it has not. Whoever calls [Up] holds a lock, so that one
// process migrates while others wait.
//
// Older programs go on while a newer one migrates, so a change comes in two versions: one that adds (columns with a
// default, tables, indexes) and writes both the old and the new, and a later one, when no old program is left, that
// takes away what nobody reads any more. A program that starts refuses a schema newer than it knows.
package schema

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/pressly/goose/v3"

	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// ErrNewer: a newer version of the program changed the schema.
var ErrNewer = errors.New("has the schema of a newer version")

//go:embed migrations/*.sql migrations/postgres/*.sql migrations/accounts/*.sql migrations/accounts/postgres/*.sql
var migrations embed.FS

// CoreTable is where the versions of the service's own tables are counted. It is the first table that is made: a
// database that has it is the service's.
const CoreTable = "merlon_schema"

// A Set is a series of migrations with a count of its own.
type Set struct {
	Name  string // for people: "merlon", "merlon stores", "module blog"
	Table string // where the versions are kept: a name that needs no quotes
	Files fs.FS  // as [sqlstore.Dialect.Select] takes them
}

// Core returns the sets of the service, in the order in which they are applied.
func Core() []Set {
	sub := func(dir string) fs.FS {
		files, err := fs.Sub(migrations, dir)
		if err != nil {
			panic(err) // the constant is not a path
		}
		return files
	}
	return []Set{
		{"merlon", CoreTable, sub("migrations")},
		{"merlon stores", "merlon_schema_store", sqlstore.Migrations()},
		// What the service's own tables have that builds on those of the stores.
		{"merlon accounts", "merlon_schema_accounts", sub("migrations/accounts")},
	}
}

// Module returns the set of a module.
func Module(name string, files fs.FS) (Set, error) {
	if !module.IsName(name) { // it goes into the name of a table, without quotes
		return Set{}, fmt.Errorf("module name %q: must be a lower-case letter and up to 31 of a-z, 0-9 and _", name)
	}
	return Set{"module " + name, "merlon_module_" + name, files}, nil
}

// A Step is one migration.
type Step struct {
	Set     string
	Version int64
	File    string // without directories
	Applied bool
}

func (s Set) provider(db *sql.DB, dialect sqlstore.Dialect) (*goose.Provider, error) {
	engine := goose.DialectSQLite3
	if dialect == sqlstore.PostgreSQL {
		engine = goose.DialectPostgres
	}
	p, err := goose.NewProvider(engine, db, dialect.Select(s.Files),
		goose.WithTableName(s.Table), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", s.Name, err)
	}
	return p, nil
}

// Up applies what is new in s and returns it. A schema newer than s is refused with [ErrNewer] and left as it is.
func (s Set) Up(ctx context.Context, db *sql.DB, dialect sqlstore.Dialect) ([]Step, error) {
	p, err := s.provider(db, dialect)
	if err != nil {
		return nil, err
	}
	have, known, err := p.GetVersions(ctx)
	if err != nil {
		return nil, err
	}
	if have > known {
		return nil, s.newer(have, known)
	}
	done, err := p.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		return nil, fmt.Errorf("%s: migration %s: %w", s.Name, partial.Failed.Source.Path, partial.Err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	var steps []Step
	for _, r := range done {
		steps = append(steps, Step{s.Name, r.Source.Version, path.Base(r.Source.Path), true})
	}
	return steps, nil
}

// Steps returns every migration of s and whether it is applied. It changes nothing; version, which reads one number, is
// how it reads. The error is [ErrNewer] when the schema is newer than s.
func (s Set) Steps(db *sql.DB, dialect sqlstore.Dialect, version func(table string) (int64, error)) ([]Step, error) {
	p, err := s.provider(db, dialect)
	if err != nil {
		return nil, err
	}
	have, err := version(s.Table)
	if err != nil {
		return nil, err
	}
	var steps []Step
	known := int64(0)
	for _, source := range p.ListSources() {
		known = source.Version
		steps = append(steps, Step{s.Name, known, path.Base(source.Path), known <= have})
	}
	if have > known {
		return nil, s.newer(have, known)
	}
	return steps, nil
}

func (s Set) newer(have, known int64) error {
	return fmt.Errorf("%w (%s is at %d, this program knows %d): run that version, or restore a backup from before it",
		ErrNewer, s.Table, have, known)
}

// Version returns the statement that reads the version that is applied.
func Version(table string) string {
	return "SELECT coalesce(max(version_id), 0) FROM " + table + " WHERE is_applied"
}
