package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/token"
)

// A TokenKey is a key that signs access tokens.
type TokenKey struct {
	ID        string    `json:"kid"`
	Algorithm string    `json:"algorithm"`
	SignsFrom time.Time `json:"signs_from"`
	// Removed is how many keys are gone with whose tokens nothing can be done any more.
	Removed int `json:"removed"`
}

// RotateTokenKeys makes a new key that signs access tokens, in the database of the
// settings, whether or not servers are running on it: they see it within a minute, or
// when they reload. It signs after notice, 0 to 720 hours; tokens of the keys before it
// are good until they end. When a key has leaked, notice does not matter: the new one
// signs at once, and all others are deleted, so that their tokens are refused. It is
// recorded before it is done.
func RotateTokenKeys(ctx context.Context, set Settings, notice time.Duration, leaked bool) (made TokenKey, err error) {
	if set.set.SecretKeyGenerated {
		return TokenKey{}, settingsError{errors.New("secret_key is not set: no server has the one that the key would be encrypted under")}
	}
	if notice < 0 || notice > 720*time.Hour {
		return TokenKey{}, settingsError{fmt.Errorf("the notice is %v: want 0s to 720h", notice)}
	}
	o, err := openOperator(ctx, set)
	if err != nil {
		return TokenKey{}, err
	}
	defer func() { err = errors.Join(err, o.close(ctx)) }()
	tokens, err := token.New(tokenConfig(set.set, o.db))
	if err != nil {
		return TokenKey{}, settingsError{err}
	}
	err = act(ctx, o.events, tokenKeysChanged(leaked), func() error {
		var r token.KeyRecord
		var err error
		if leaked {
			r, made.Removed, err = tokens.Replace(ctx)
		} else {
			r, err = tokens.Rotate(ctx, notice)
		}
		made.ID, made.Algorithm, made.SignsFrom = r.ID, string(r.Algorithm), r.SignsFrom
		return err
	})
	return made, err
}

// tokenKeysChanged is the event of a rotation by an operator.
func tokenKeysChanged(leaked bool) audit.Event {
	reason := "rotation"
	if leaked {
		reason = "leaked"
	}
	return audit.ConfigChanged("token_keys", slog.String("by", "command line"), slog.String("reason", reason))
}
