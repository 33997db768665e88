package sqlstore

import (
	"embed"
	"io/fs"
)

//go:embed migrations/*.sql migrations/postgres/*.sql
var migrations embed.FS

// Migrations returns the SQL that makes the tables of the stores, as files 00001_words.sql to be applied in the
// order of their names, each once. They are written for goose (github.com/pressly/goose) and valid without it. Those at
// the root are for SQLite; [Dialect.Select] gives those of an engine.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the constant is not a path
	}
	return sub
}
