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
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/eventdb"
	"github.com/merlonhq/merlon/server/internal/schema"
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
// wrong with u is reported at once. The account is recorded before it is made:
// what cannot be recorded is not done.
func CreateUser(ctx context.Context, set Settings, u NewUser) (id string, err error) {
	if u.Role != api.RoleUser && u.Role != api.RoleAdmin {
		return "", fmt.Errorf("role %q: want %s or %s", u.Role, api.RoleUser, api.RoleAdmin)
	}
	choose, policyErr := passwordPolicy(set.set)
	hash, hasherErr := hasher(set.set.Password)
	database, dialect, databaseErr := newDatabase(set.set, slog.Default())
	if database != nil {
		defer func() { err = errors.Join(err, database.Close()) }()
	}
	if err := errors.Join(policyErr, hasherErr, databaseErr); err != nil {
		return "", settingsError{err}
	}
	u.Username = strings.ToLower(strings.TrimSpace(u.Username))
	if err := api.CheckAccount(choose, u.Username, u.Email, u.Password); err != nil {
		return "", err
	}
	encoded, err := hash.Hash(ctx, u.Password)
	if err != nil {
		return "", err
	}
	if err := database.Open(ctx); err != nil {
		return "", named(err)
	}
	if _, err := database.Up(ctx, schema.Core()...); err != nil {
		return "", named(err)
	}
	db, err := storesIn(database, dialect)
	if err != nil {
		return "", err
	}
	store, err := accounts.New(accounts.Config{DB: db})
	if err != nil {
		return "", err
	}
	events, err := operatorEvents(set.set, db)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, events.Close(ctx)) }()
	made := accounts.User{ID: store.NewID(), Username: u.Username, Email: u.Email, Role: u.Role, PasswordHash: encoded}
	if err := createUser(ctx, store, events, made, "command line"); err != nil {
		return "", err
	}
	return made.ID, nil
}

// createUser records that u, which has an ID, is created, and then creates it.
// Where it could not be, that is recorded too.
func createUser(ctx context.Context, store *accounts.Store, events audit.Recorder, u accounts.User, by string) error {
	// Not to record what is known to fail; Create says the same of two at once.
	taken, err := store.Taken(ctx, u.Username, u.Email)
	if err != nil {
		return err
	}
	if taken {
		return ErrUserExists
	}
	return act(ctx, events, audit.AccountCreated(u.ID, u.Role, by), func() error {
		_, err := store.Create(ctx, u)
		return err
	})
}

// act records e and then does what e tells of: no record, no action. When that
// fails it records the failure.
func act(ctx context.Context, events audit.Recorder, e audit.Event, do func() error) error {
	if err := events.Commit(ctx, e); err != nil {
		return err
	}
	err := do()
	if err != nil {
		events.Record(e.NotDone())
	}
	return err
}

// operatorEvents begins a log of what an operator does: in the database, and in
// the log file unless that belongs to a server that is running.
func operatorEvents(set config.Settings, db *sqlstore.DB) (*audit.Pipeline, error) {
	sink, err := eventdb.New(db)
	if err != nil {
		return nil, err
	}
	sinks := []audit.Output{{Name: "database", Sink: sink}}
	who, err := privacy(set)
	if err != nil {
		return nil, err
	}
	if set.Audit.Log != "" {
		file, err := audit.NewFile(logFile(set))
		switch {
		case err == nil:
			sinks = append([]audit.Output{{Name: "file", Sink: file}}, sinks...) // first, as the server has it: it signs
		case !errors.Is(err, audit.ErrInUse):
			return nil, err
		}
	}
	events, err := audit.New(audit.Config{Sinks: sinks, Privacy: who})
	if err != nil {
		for _, o := range sinks {
			err = errors.Join(err, o.Sink.Close())
		}
		return nil, err
	}
	return events, nil
}
