package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/accounts"
	"github.com/merlonhq/merlon/server/internal/api"
	"github.com/merlonhq/merlon/server/internal/config"
)

// Samples are the sample credentials of a demo: new at every start, stored
// nowhere in clear.
type Samples struct {
	URL    string     `json:"url"`
	Admin  SampleUser `json:"admin"`
	User   SampleUser `json:"user"`
	APIKey string     `json:"api_key"`
}

// SampleUser is an account of a demo.
type SampleUser struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Names of what a demo makes.
const (
	demoAdmin   = "demo-admin"
	demoUser    = "demo-user"
	demoKeyName = "demo"
)

// DemoSettings returns the settings of a demo that keeps its data in dir: the
// development environment with plain HTTP on loopback. The secret key is made at
// the first start and kept in dir.
func DemoSettings(dir, listen string) (Settings, []Problem, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Settings{}, nil, fmt.Errorf("data directory: %w", err)
	}
	secret, err := demoSecret(filepath.Join(dir, "secret_key"))
	if err != nil {
		return Settings{}, nil, err
	}
	// What surrounds a demo does not change it: no file, no environment.
	set, found := config.Load(config.Source{Listen: listen, Environ: []string{"MERLON_ENVIRONMENT=development"}, Open: noFile})
	set.SecretKey, set.SecretKeyGenerated = config.NewSecret(secret), false
	set.DatabaseURL = config.NewSecret("sqlite:" + filepath.Join(dir, "merlon.db"))
	set.Audit.Log = filepath.Join(dir, "security.log")
	return Settings{set: set, demo: true}, problems(found, set), nil
}

// noFile is a file system without files.
func noFile(string) (io.ReadCloser, error) { return nil, fs.ErrNotExist }

// demoSecret reads the secret key, or makes it.
func demoSecret(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err == nil {
		if len(text) < 32 {
			return "", fmt.Errorf("secret key %s has %d bytes, want 32 or more: remove the file to have a new one made", file, len(text))
		}
		return string(text), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("secret key: %w", err)
	}
	secret := randomText(32)
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		return "", fmt.Errorf("secret key: %w", err)
	}
	return secret, nil
}

// SeedDemo makes the sample accounts and the sample key, in place of those of
// an earlier start, and records that. It is called after Listen and before Serve,
// in the development environment; elsewhere it is an error, for one of the
// accounts is an admin.
func (s *Server) SeedDemo(ctx context.Context) (Samples, error) {
	if s.settings.Environment != config.Development {
		return Samples{}, fmt.Errorf("demo: the environment is %s: sample accounts are made in %s only", s.settings.Environment, config.Development)
	}
	out := Samples{URL: "http://" + s.Addr()}
	var err error
	if out.Admin, _, err = s.seedUser(ctx, demoAdmin, api.RoleAdmin); err != nil {
		return Samples{}, err
	}
	var id string
	if out.User, id, err = s.seedUser(ctx, demoUser, api.RoleUser); err != nil {
		return Samples{}, err
	}
	if err := s.revokeDemoKeys(ctx, id); err != nil {
		return Samples{}, err
	}
	scopes := s.now().api.Grants(api.RoleUser)
	text, key, err := s.keys.Create(ctx, apikey.NewKey{
		Owner: id, Name: demoKeyName, Scopes: demoScopes(scopes), MakerScopes: scopes,
	})
	if err != nil {
		return Samples{}, err
	}
	if err := s.events.Commit(ctx, audit.KeyCreated(key.ID, key.Owner, key.Scopes).With(slog.String("by", by))); err != nil {
		return Samples{}, errors.Join(err, s.keys.Revoke(context.WithoutCancel(ctx), key.ID, id))
	}
	out.APIKey = text
	return out, nil
}

// by is who made the samples, in the events of their making.
const by = "demo"

// demoScopes are what modules grant: a demo's key is for their routes, not for
// managing keys.
func demoScopes(scopes []string) []string {
	var out []string
	for _, s := range scopes {
		if s != api.ScopeManageKeys {
			out = append(out, s)
		}
	}
	return out
}

// seedUser makes an account with a new password, or gives the account a new one
// and ends its sessions.
func (s *Server) seedUser(ctx context.Context, name, role string) (SampleUser, string, error) {
	sample := SampleUser{Username: name, Password: randomText(12)}
	hash, err := s.now().api.Hasher.Hash(ctx, sample.Password)
	if err != nil {
		return SampleUser{}, "", err
	}
	u := accounts.User{ID: s.accounts.NewID(), Username: name, Email: name + "@demo.invalid", Role: role, PasswordHash: hash}
	if err := createUser(ctx, s.accounts, s.events, u, by); !errors.Is(err, accounts.ErrExists) {
		return sample, u.ID, err
	}
	if u, err = s.accounts.ByUsername(ctx, name); err != nil {
		return SampleUser{}, "", err
	}
	err = act(ctx, s.events, audit.PasswordChanged(u.ID).With(slog.String("by", by)), func() error {
		return s.accounts.SetPassword(ctx, u.ID, u.PasswordHash, hash, "")
	})
	return sample, u.ID, err
}

// revokeDemoKeys ends the keys that earlier starts made.
func (s *Server) revokeDemoKeys(ctx context.Context, owner string) error {
	cursor := ""
	for {
		keys, next, err := s.keys.List(ctx, owner, cursor, 100)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if k.Name != demoKeyName {
				continue
			}
			err := act(ctx, s.events, audit.KeyRevoked(k.ID, k.Owner, k.Scopes).With(slog.String("by", by)), func() error {
				return s.keys.Revoke(ctx, k.ID, owner)
			})
			if err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		cursor = next
	}
}

// randomText returns n random bytes in base64url.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}
