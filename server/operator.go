package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/accounts"
	"github.com/merlonhq/merlon/server/internal/api"
	"github.com/merlonhq/merlon/server/internal/schema"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// ErrUserNotFound is the error for a username that no account has.
var ErrUserNotFound = accounts.ErrNotFound

// operator is what an operator's command works with, beside a server that may run.
type operator struct {
	database database
	db       *sqlstore.DB
	accounts *accounts.Store
	events   *audit.Pipeline
}

// openOperator opens the database of the settings, and a log of what is done.
func openOperator(ctx context.Context, set Settings) (o operator, err error) {
	var dialect sqlstore.Dialect
	if o.database, dialect, err = newDatabase(set.set, slog.Default()); err != nil {
		return o, settingsError{err}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.database.Close())
		}
	}()
	if err = o.database.Open(ctx); err != nil {
		return o, named(err)
	}
	if _, err = o.database.Up(ctx, schema.Core()...); err != nil {
		return o, named(err)
	}
	if o.db, err = storesIn(o.database, dialect); err != nil {
		return o, err
	}
	if o.accounts, err = accounts.New(accounts.Config{DB: o.db}); err != nil {
		return o, err
	}
	o.events, err = operatorEvents(set.set, o.db)
	return o, err
}

func (o operator) close(ctx context.Context) error {
	return errors.Join(o.events.Close(ctx), o.database.Close())
}

// DisableUser ends everything that the account has: it cannot log in, and its sessions,
// refresh tokens and API keys are gone, on every node within a second or so. It does so
// whether or not a server is running, and records it before. The error is
// [ErrUserNotFound] where there is no such account.
func DisableUser(ctx context.Context, set Settings, username string) (err error) {
	o, err := openOperator(ctx, set)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close(ctx)) }()
	u, err := o.accounts.ByUsername(ctx, strings.ToLower(username))
	if err != nil {
		return err
	}
	return act(ctx, o.events, audit.AccountDisabled(u.ID, "command line"), func() error {
		if err := o.accounts.EndAccess(ctx, u.ID); err != nil {
			return err
		}
		_, err := o.db.Keys().RevokeOwner(ctx, u.ID, time.Now())
		return err
	})
}

// EnableUser gives the account another password, which must be one that registration
// takes, and lets it in again. What [DisableUser] ended stays ended.
func EnableUser(ctx context.Context, set Settings, username, password string) (err error) {
	choose, policyErr := passwordPolicy(set.set)
	hash, hasherErr := hasher(set.set.Password)
	if err := errors.Join(policyErr, hasherErr); err != nil {
		return settingsError{err}
	}
	o, err := openOperator(ctx, set)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close(ctx)) }()
	u, err := o.accounts.ByUsername(ctx, strings.ToLower(username))
	if err != nil {
		return err
	}
	if err := api.CheckAccount(choose, u.Username, u.Email, password); err != nil {
		return err
	}
	same, _, err := hash.Verify(ctx, u.PasswordHash, password)
	if err != nil {
		return err
	}
	if same {
		return fmt.Errorf("the password is the one that the account has: somebody else may know it")
	}
	encoded, err := hash.Hash(ctx, password)
	if err != nil {
		return err
	}
	return act(ctx, o.events, audit.AccountEnabled(u.ID, "command line"), func() error {
		if err := o.accounts.SetPassword(ctx, u.ID, u.PasswordHash, encoded, ""); err != nil {
			return err
		}
		return o.accounts.SetDisabled(ctx, u.ID, false)
	})
}
