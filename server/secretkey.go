package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/sqlite"
	"github.com/merlonhq/merlon/token"
)

// noteOtherSecret is the id of a secret key that is not that of the database;
// docs/operating.md explains it.
const noteOtherSecret = "merlon.N140"

const otherSecretFix = "give this node the secret_key of the others, or after a change the former one in secret_key_previous; if that is lost, stop all nodes and run merlon secrets adopt"

// startTokens loads the signing keys. In production a secret key that is not that of the
// database is an error: nodes with different ones refuse each other's tokens.
func (s *Server) startTokens(ctx context.Context) error {
	err := s.tokens.Start(ctx)
	if errors.Is(err, token.ErrOtherSecret) {
		return fmt.Errorf("%s: the database is used with another secret_key: %s: %w", noteOtherSecret, otherSecretFix, err)
	}
	return err
}

// oneSecret reports whether another secret key is an error. In development a key that
// nobody wrote is made at each start.
func oneSecret(set config.Settings) bool { return set.Environment != config.Development }

// keysTrouble tells of signing keys that cannot be opened.
func (s *Server) keysTrouble(err error) {
	attrs := []any{"error", err}
	if errors.Is(err, token.ErrOtherSecret) {
		attrs = append(attrs, "id", noteOtherSecret, "fix", otherSecretFix)
		s.otherSecret.Store(true)
	}
	s.log.Warn("tokens: signing keys", attrs...)
	s.recordOtherSecret()
}

// recordOtherSecret records it once, as soon as there is a log of events.
func (s *Server) recordOtherSecret() {
	if s.events != nil && s.otherSecret.Load() && s.otherSecretTold.CompareAndSwap(false, true) {
		s.events.Record(audit.Event{Type: audit.SysMisconfigured, Outcome: audit.Failure, Severity: audit.High,
			Description: "The database is used with another secret key.", Detail: []slog.Attr{slog.String("id", noteOtherSecret)}})
	}
}

// AdoptSecret makes the secret key of the settings that of the database, where the one
// before is lost: it deletes the signing keys that neither secret_key nor
// secret_key_previous opens, records that, and returns how many these were. No server
// may run on the database; where it is a file, that is an error.
func AdoptSecret(ctx context.Context, cfg Config) (dropped int, err error) {
	s := &Server{settings: cfg.Settings.set, version: cfg.Version, log: cfg.Log}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.settings.SecretKeyGenerated {
		return 0, settingsError{errors.New("secret_key is not set: there is none to adopt")}
	}
	db, err := s.prepareStores(cfg.Modules)
	if s.database != nil {
		defer func() { err = errors.Join(err, s.database.Close()) }()
	}
	if err != nil {
		return 0, settingsError{err}
	}
	if file := s.settings.DatabaseFile(); file != "" { // a server that runs goes on with the key before
		lock, err := sqlite.Lock(filepath.Dir(file))
		if err != nil {
			return 0, named(err)
		}
		defer lock.Close()
	}
	sets, err := migrationSets(cfg.Modules)
	if err != nil {
		return 0, err
	}
	if err := s.database.Open(ctx); err != nil {
		return 0, named(err)
	}
	if _, err := s.database.Up(ctx, sets...); err != nil {
		return 0, named(err)
	}
	events, err := operatorEvents(s.settings, db)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, events.Close(ctx)) }()
	err = act(ctx, events, audit.Event{Type: audit.SysConfigChanged, Severity: audit.High, Description: "The secret key was adopted: what the one before has signed is refused.",
		Detail: []slog.Attr{slog.String("by", "command line"), slog.String("setting", "secret_key")}}, func() error {
		dropped, err = s.tokens.DropForeign(ctx)
		return err
	})
	return dropped, err
}
