package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/sqlite"
	"github.com/merlonhq/merlon/token"
)

// noteOtherSecret is the id of a secret key that is not that of the database;
// docs/operating.md explains it.
const noteOtherSecret = "merlon.N140"

const otherSecretFix = "give this node the secret_key of the others, or after a change the former one in secret_key_previous; if that is lost, stop all nodes and run merlon secrets adopt"

// oneSecret reports whether another secret key is an error: nodes with different ones
// refuse each other's tokens. In development a key that nobody wrote is made at each start.
func oneSecret(set config.Settings) bool { return set.Environment != config.Development }

// otherSecret says what to do about an error of the start of tokens that is one of the
// secret key.
func otherSecret(err error) error {
	if errors.Is(err, token.ErrOtherSecret) {
		return fmt.Errorf("%s: the database is used with another secret_key: %s: %w", noteOtherSecret, otherSecretFix, err)
	}
	return err
}

// A secretNote is whether another secret key was seen, and told of.
type secretNote struct{ seen, told atomic.Bool }

// keysTrouble tells of signing keys that cannot be opened.
func (s *Server) keysTrouble(err error) {
	attrs := []any{"error", err}
	if errors.Is(err, token.ErrOtherSecret) {
		attrs = append(attrs, "id", noteOtherSecret, "fix", otherSecretFix)
		s.secret.seen.Store(true)
	}
	s.log.Warn("tokens: signing keys", attrs...)
	s.recordOtherSecret()
}

// recordOtherSecret records it once, as soon as there is a log of events.
func (s *Server) recordOtherSecret() {
	if s.events != nil && s.secret.seen.Load() && s.secret.told.CompareAndSwap(false, true) {
		e := audit.Misconfigured(noteOtherSecret)
		e.Severity, e.Description = audit.High, "The database is used with another secret key."
		s.events.Record(e)
	}
}

// AdoptSecret makes the secret key of the settings that of the database, where the one
// before is lost: it deletes the signing keys that neither secret_key nor
// secret_key_previous opens, records that, and returns how many these were. No server
// may run on the database; where it is a file, that is an error.
func AdoptSecret(ctx context.Context, settings Settings) (dropped int, err error) {
	set := settings.set
	if set.SecretKeyGenerated {
		return 0, settingsError{errors.New("secret_key is not set: there is none to adopt")}
	}
	if file := set.DatabaseFile(); file != "" { // a server that runs goes on with the key before
		lock, err := sqlite.Lock(filepath.Dir(file))
		if err != nil {
			return 0, named(err)
		}
		defer lock.Close()
	}
	o, err := openOperator(ctx, settings)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, o.close(ctx)) }()
	tokens, err := token.New(tokenConfig(set, o.db))
	if err != nil {
		return 0, settingsError{err}
	}
	adopted := audit.ConfigChanged("secret_key", slog.String("by", "command line"))
	adopted.Severity, adopted.Description = audit.High, "The secret key was adopted: what the one before has signed is refused."
	err = act(ctx, o.events, adopted, func() error {
		dropped, err = tokens.DropForeign(ctx)
		return err
	})
	return dropped, err
}
