package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/store/sqlstore"
)

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	// Any driver for SQLite will do; the names of its parameters are its own.
	db, err := sql.Open("sqlite", "file://"+filepath.Join(dir, "keys.db")+"?_journal_mode=WAL&_busy_timeout=5000&_synchronous=FULL")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)

	// A program with migrations of its own adds these to them.
	text, err := fs.ReadFile(sqlstore.Migrations(), "00001_api_keys.sql")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Exec(string(text)); err != nil {
		log.Fatal(err)
	}

	store, err := sqlstore.New(sqlstore.Config{Writer: db, Dialect: sqlstore.SQLite})
	if err != nil {
		log.Fatal(err)
	}
	_, err = store.Keys().Lookup(context.Background(), "8ZkQ0d3VYcW1n5Tb")
	fmt.Println("unknown:", errors.Is(err, apikey.ErrNotFound), "outage:", errors.Is(err, sqlstore.ErrUnavailable))
	db.Close()
	_, err = store.Keys().Lookup(context.Background(), "8ZkQ0d3VYcW1n5Tb")
	fmt.Println("unknown:", errors.Is(err, apikey.ErrNotFound), "outage:", errors.Is(err, sqlstore.ErrUnavailable))
	// Output:
	// unknown: true outage: false
	// unknown: false outage: true
}
