package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/accounts"
	"github.com/merlonhq/merlon/server/internal/api"
	"github.com/merlonhq/merlon/server/internal/eventdb"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// NewUser is an account that an operator creates.
type NewUser struct {
	Username string
	Email    string
	Role     string // user or admin
	Password string
}

// ErrUserExists is the error for a username or e-mail address that is taken.
var ErrUserExists = accounts.ErrExists

// CreateUser creates an account in the database of the settings, whether or not a
// server is running on it, and returns its id. The rules are those of
// registration, but for reserved names, which an operator may use. All that is
// wrong with u is reported at once.
func CreateUser(ctx context.Context, set Settings, u NewUser) (id string, err error) {
	if u.Role != roleUser && u.Role != roleAdmin {
		return "", fmt.Errorf("role %q: want %s or %s", u.Role, roleUser, roleAdmin)
	}
	u.Username = strings.ToLower(strings.TrimSpace(u.Username))
	choose, err := passwordPolicy(set.Password)
	if err != nil {
		return "", err
	}
	if err := api.CheckAccount(choose, u.Username, u.Email, u.Password); err != nil {
		return "", err
	}
	hash, err := hasher(set.Password)
	if err != nil {
		return "", err
	}
	encoded, err := hash.Hash(ctx, u.Password)
	if err != nil {
		return "", err
	}
	database, err := openDatabase(ctx, set.DatabaseFile())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, database.Close()) }()
	db, err := sqlstore.New(sqlstore.Config{Writer: database.Writer(), Reader: database.Reader(), Dialect: sqlstore.SQLite})
	if err != nil {
		return "", err
	}
	store, err := accounts.New(accounts.Config{DB: db})
	if err != nil {
		return "", err
	}
	created, err := store.Create(ctx, accounts.User{Username: u.Username, Email: u.Email, Role: u.Role, PasswordHash: encoded})
	if err != nil {
		return "", err
	}
	return created.ID, recordUser(ctx, set, db, created)
}

// recordUser records that an operator created an account: in the database, and in
// the log file unless that belongs to a server that is running.
func recordUser(ctx context.Context, set Settings, db *sqlstore.DB, u accounts.User) error {
	sink, err := eventdb.New(db)
	if err != nil {
		return err
	}
	sinks := []audit.Output{{Name: "database", Sink: sink}}
	if set.Audit.Log != "" {
		file, err := audit.NewFile(audit.FileConfig{Path: set.Audit.Log, MaxSizeMiB: set.Audit.MaxSizeMiB, Keep: set.Audit.Keep})
		switch {
		case err == nil:
			sinks = append(sinks, audit.Output{Name: "file", Sink: file})
		case !errors.Is(err, audit.ErrInUse):
			return err
		}
	}
	events, err := audit.New(audit.Config{Sinks: sinks})
	if err != nil {
		return err
	}
	err = events.Commit(ctx, audit.Event{Type: audit.UserCreated, Principal: u.ID, Detail: []slog.Attr{
		slog.String("by", "command line"), slog.String("role", u.Role),
	}})
	return errors.Join(err, events.Close(ctx))
}
