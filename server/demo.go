package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/server/internal/accounts"
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
	set, problems := config.Load(config.Source{Listen: listen, Environ: []string{"MERLON_ENVIRONMENT=development"}, Open: noFile})
	set.SecretKey, set.SecretKeyGenerated = config.NewSecret(secret), false
	set.DatabaseURL = config.NewSecret("sqlite:" + filepath.Join(dir, "merlon.db"))
	set.Audit.Log = filepath.Join(dir, "security.log")
	return set, problems, nil
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
// an earlier start. It is called after Listen and before Serve.
func (s *Server) SeedDemo(ctx context.Context) (Samples, error) {
	out := Samples{URL: "http://" + s.Addr()}
	var err error
	if out.Admin, _, err = s.seedUser(ctx, demoAdmin, roleAdmin); err != nil {
		return Samples{}, err
	}
	var id string
	if out.User, id, err = s.seedUser(ctx, demoUser, roleUser); err != nil {
		return Samples{}, err
	}
	if err := s.revokeDemoKeys(ctx, id); err != nil {
		return Samples{}, err
	}
	scopes := s.api.Grants(roleUser)
	out.APIKey, _, err = s.keys.Create(ctx, apikey.NewKey{
		Owner: id, Name: demoKeyName, Scopes: demoScopes(scopes), MakerScopes: scopes,
	})
	return out, err
}

// demoScopes are what modules grant: a demo's key is for their routes, not for
// managing keys.
func demoScopes(scopes []string) []string {
	var out []string
	for _, s := range scopes {
		if s != "keys:manage" {
			out = append(out, s)
		}
	}
	return out
}

// seedUser makes an account with a new password, or gives the account a new one
// and ends its sessions.
func (s *Server) seedUser(ctx context.Context, name, role string) (SampleUser, string, error) {
	sample := SampleUser{Username: name, Password: randomText(12)}
	hash, err := s.api.Hasher.Hash(ctx, sample.Password)
	if err != nil {
		return SampleUser{}, "", err
	}
	u, err := s.accounts.Create(ctx, accounts.User{Username: name, Email: name + "@demo.invalid", Role: role, PasswordHash: hash})
	if !errors.Is(err, accounts.ErrExists) {
		return sample, u.ID, err
	}
	if u, err = s.accounts.ByUsername(ctx, name); err != nil {
		return SampleUser{}, "", err
	}
	if err := s.accounts.SetPassword(ctx, u.ID, u.PasswordHash, hash); err != nil {
		return SampleUser{}, "", err
	}
	_, err = s.sessions.RevokeAll(ctx, u.ID, "")
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
			if err := s.keys.Revoke(ctx, k.ID, owner); err != nil {
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
