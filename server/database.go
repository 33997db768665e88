package server

import (
	"context"
	"database/sql"
	"log/slog"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/postgres"
	"github.com/merlonhq/merlon/server/internal/schema"
	"github.com/merlonhq/merlon/server/internal/sqlite"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// A database is where the service keeps everything but the event log.
type database interface {
	// Open makes it usable: before, statements fail.
	Open(context.Context) error
	// Up applies the migrations that are new, and Steps tells of all.
	Up(context.Context, ...schema.Set) ([]schema.Step, error)
	Steps(context.Context, ...schema.Set) ([]schema.Step, error)
	// Check reports whether it answers and can be written.
	Check(context.Context) error
	Writer() *sql.DB
	Reader() *sql.DB
	Close() error
}

// newDatabase returns the database of the settings, not open yet.
func newDatabase(set config.Settings, log *slog.Logger) (database, sqlstore.Dialect, error) {
	if file := set.DatabaseFile(); file != "" {
		db, err := sqlite.New(sqlite.Config{Path: file})
		if err != nil {
			return nil, 0, err
		}
		return db, sqlstore.SQLite, nil
	}
	db, err := postgres.New(postgres.Config{URL: set.DatabaseURL.Reveal(), Log: log})
	if err != nil {
		return nil, 0, err
	}
	return db, sqlstore.PostgreSQL, nil
}

// storesIn returns the stores in a database.
func storesIn(db database, dialect sqlstore.Dialect) (*sqlstore.DB, error) {
	return sqlstore.New(sqlstore.Config{Writer: db.Writer(), Reader: db.Reader(), Dialect: dialect})
}

// serveFrom is storesIn for a server, which lives with outages of the database.
func (s *Server) serveFrom(dialect sqlstore.Dialect) (*sqlstore.DB, error) {
	cfg := sqlstore.Config{Writer: s.database.Writer(), Reader: s.database.Reader(), Dialect: dialect, Observe: s.observeCalls(dialect)}
	if db, ok := s.database.(*postgres.DB); ok {
		s.outages = newDatabaseBreaker(db.Probe, s.log, func(e audit.Event) { s.recorder.Record(e) })
		cfg.Breaker = s.outages
	}
	return sqlstore.New(cfg)
}

// migrationSets returns the migrations of the service and its modules.
func migrationSets(modules []module.Module) ([]schema.Set, error) {
	sets := schema.Core()
	for _, m := range modules {
		if m.Migrations == nil {
			continue
		}
		set, err := schema.Module(m.Name, m.Migrations)
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// A Migration is one change of the database's schema.
type Migration struct {
	Set     string `json:"set"` // whose tables it changes
	Version int64  `json:"version"`
	File    string `json:"file"`
	Applied bool   `json:"applied"`
}

// Migrations returns the migrations of the service and its modules, and which are
// applied. It changes nothing. A schema newer than this program is an error.
func Migrations(ctx context.Context, cfg Config) ([]Migration, error) {
	return withSets(cfg, func(db database, sets []schema.Set) ([]schema.Step, error) { return db.Steps(ctx, sets...) })
}

// Migrate applies the migrations that are new and returns them. [New] does the same.
// Servers that run go on.
func Migrate(ctx context.Context, cfg Config) ([]Migration, error) {
	return withSets(cfg, func(db database, sets []schema.Set) ([]schema.Step, error) {
		if err := db.Open(ctx); err != nil {
			return nil, err
		}
		return db.Up(ctx, sets...)
	})
}

func withSets(cfg Config, do func(database, []schema.Set) ([]schema.Step, error)) ([]Migration, error) {
	log := cfg.Log
	if log == nil {
		log = slog.Default()
	}
	sets, err := migrationSets(cfg.Modules)
	if err != nil {
		return nil, settingsError{err}
	}
	db, _, err := newDatabase(cfg.Settings.set, log)
	if err != nil {
		return nil, settingsError{err}
	}
	defer db.Close() // what was written is committed
	steps, err := do(db, sets)
	var out []Migration
	for _, s := range steps {
		out = append(out, Migration(s))
	}
	return out, named(err)
}
