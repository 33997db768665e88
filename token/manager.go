package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/merlonhq/merlon/internal/uuid7"
)

const (
	maxUserAgent = 256 // bytes
	maxListed    = 1000
	sweepBatch   = 1000
)

// Config says how tokens are made and how long they live. Store, KeyStore, Secret and Issuer are required; the zero
// value of everything else is a safe default.
type Config struct {
	_ [0]func()

	// Store keeps the grants.
	Store Store
	// KeyStore keeps the signing keys, encrypted.
	KeyStore KeyStore
	// Secret is at least 32 random bytes, the same on every node. Signing keys are encrypted under it.
	Secret []byte
	// PreviousSecrets open what was encrypted before Secret was changed; it is then encrypted anew.
	PreviousSecrets [][]byte
	// OneSecret makes Start fail where the newest signing key was encrypted under another secret. Otherwise Start makes a
	// new key, and processes with different secrets refuse each other's access tokens.
	OneSecret bool
	// Algorithm is EdDSA (the default), ES256, RS256 or HS256. After a change access tokens of the former one are
	// refused; their families go on.
	Algorithm Algorithm
	// Issuer is the iss of access tokens: the URL of the service.
	Issuer string
	// Audience is the aud. Default: Issuer.
	Audience string
	// AccessTTL is how long an access token lives: 1 minute to 1 hour. Default 15 minutes.
	AccessTTL time.Duration
	// RefreshTTL is how long after the login its tokens can be renewed: AccessTTL to 90 days. Default 30 days.
	RefreshTTL time.Duration
	// MaxPerUser is how many grants a user has at most, 1 to 1000: a login beyond it ends the one that was not
	// refreshed for longest. Default 100.
	MaxPerUser int
	// Now is the clock of everything that is not told the time. Default time.Now.
	Now func() time.Time
	// OnKeyError is told of signing keys that cannot be opened, and when Run could not look at them. Default: nobody is.
	OnKeyError func(error)
}

// A Manager issues, verifies, renews, lists and ends tokens. It is safe for concurrent use.
type Manager struct {
	store                 Store
	keyStore              KeyStore
	sealers               []sealer // the first one seals
	oneSecret             bool
	algorithm             Algorithm
	issuer, audience      string
	accessTTL, refreshTTL time.Duration
	maxPerUser            int
	now                   func() time.Time
	onKeyError            func(error)
	ring                  atomic.Pointer[ring]
}

// New compiles cfg, reporting everything that is wrong with it at once. It does not touch the stores: call
// [Manager.Start] once they can be used, and run [Manager.Run].
func New(cfg Config) (*Manager, error) {
	cfg.Algorithm = cmp.Or(cfg.Algorithm, EdDSA)
	cfg.Audience = cmp.Or(cfg.Audience, cfg.Issuer)
	cfg.AccessTTL = cmp.Or(cfg.AccessTTL, 15*time.Minute)
	cfg.RefreshTTL = cmp.Or(cfg.RefreshTTL, 30*24*time.Hour)
	cfg.MaxPerUser = cmp.Or(cfg.MaxPerUser, 100)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("token: "+format, args...)) }
	if cfg.Store == nil {
		bad("Store is missing")
	}
	if cfg.KeyStore == nil {
		bad("KeyStore is missing")
	}
	if cfg.Issuer == "" {
		bad("Issuer is missing: give the URL of the service")
	}
	if !cfg.Algorithm.signs() {
		bad("Algorithm %q is not one to sign with: use EdDSA, ES256, RS256 or HS256", string(cfg.Algorithm))
	}
	if cfg.AccessTTL < time.Minute || cfg.AccessTTL > MaxAccessTTL {
		bad("AccessTTL %v is out of range: use 1m to 1h", cfg.AccessTTL)
	}
	if cfg.RefreshTTL < cfg.AccessTTL || cfg.RefreshTTL > 90*24*time.Hour {
		bad("RefreshTTL %v is out of range: use AccessTTL (%v) to 2160h", cfg.RefreshTTL, cfg.AccessTTL)
	}
	if cfg.MaxPerUser < 1 || cfg.MaxPerUser > maxListed {
		bad("MaxPerUser %d is out of range: use 1 to %d", cfg.MaxPerUser, maxListed)
	}
	var sealers []sealer
	for i, secret := range append([][]byte{cfg.Secret}, cfg.PreviousSecrets...) {
		s, err := newSealer(secret)
		if err != nil {
			bad("%s: %w", cmp.Or(strings.Repeat("PreviousSecrets", min(i, 1)), "Secret"), err)
		}
		sealers = append(sealers, s)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Manager{
		store: cfg.Store, keyStore: cfg.KeyStore, sealers: sealers, oneSecret: cfg.OneSecret, algorithm: cfg.Algorithm,
		issuer: cfg.Issuer, audience: cfg.Audience, accessTTL: cfg.AccessTTL, refreshTTL: cfg.RefreshTTL,
		maxPerUser: cfg.MaxPerUser, now: cfg.Now, onKeyError: cfg.OnKeyError,
	}, nil
}

func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// errNotStarted is an outage, like a store that does not answer.
var errNotStarted = errors.New("token: the signing keys are not loaded: call Start")

// A Login is what tokens are issued for.
type Login struct {
	UserID    string
	Scopes    []string   // what the tokens may do at most; each a scope-token (RFC 6749 section 3.3)
	Address   netip.Addr // recorded for the owner to look at
	UserAgent string     // the same; cut to 256 bytes, without what does not print
}

// Tokens are what a login or a renewal is answered with.
type Tokens struct {
	Access    string
	ExpiresIn time.Duration // of the access token, whole seconds
	Refresh   string        // exists nowhere else
	Scopes    []string      // of the access token
	ID        string        // the jti of the access token
}

// Begin issues the first tokens of a user who has just been authenticated.
func (m *Manager) Begin(ctx context.Context, login Login) (Tokens, Grant, error) {
	if login.UserID == "" {
		return Tokens{}, Grant{}, errors.New("token: tokens need a user")
	}
	if err := checkScopes(login.Scopes); err != nil {
		return Tokens{}, Grant{}, err
	}
	now := instant(m.now())
	refresh := newRefresh()
	g := Grant{
		ID: "ses_" + uuid7.New(now), UserID: login.UserID, Family: refresh.family(), Hash: refresh.hash(),
		Scopes: slices.Clone(login.Scopes), CreatedAt: now, RefreshedAt: now, ExpiresAt: now.Truncate(time.Second).Add(m.refreshTTL),
		Address: login.Address.Unmap().WithZone(""), UserAgent: printable(login.UserAgent),
	}
	t, err := m.issue(&g, g.Scopes, refresh, now)
	if err != nil {
		return Tokens{}, Grant{}, fmt.Errorf("token: begin: %w", err)
	}
	if err := m.store.Create(ctx, g, m.maxPerUser); err != nil {
		return Tokens{}, Grant{}, fmt.Errorf("token: begin: %w", err)
	}
	return t, g, nil
}

// checkScopes refuses what would be read back as other scopes.
func checkScopes(scopes []string) error {
	if len(scopes) > maxScopes {
		return fmt.Errorf("token: %d scopes: want at most %d", len(scopes), maxScopes)
	}
	for _, s := range scopes {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }) {
			return errors.New("token: a scope is not a scope-token (RFC 6749 section 3.3)")
		}
	}
	return nil
}

// issue signs an access token of g.
func (m *Manager) issue(g *Grant, scopes []string, refresh refreshToken, now time.Time) (Tokens, error) {
	r := m.ring.Load()
	if r == nil {
		return Tokens{}, errNotStarted
	}
	at := now.Truncate(time.Second)
	end := at.Add(m.accessTTL)
	if g.ExpiresAt.Before(end) {
		end = g.ExpiresAt // no token outlives its family
	}
	c := Claims{
		Issuer: m.issuer, Subject: g.UserID, Audience: m.audience, ExpiresAt: end, NotBefore: at, IssuedAt: at,
		ID: uuid7.New(now), ClientID: clientID, Scopes: scopes, SessionID: g.ID,
	}
	text, err := r.signing(now).sign(&c)
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{Access: text, ExpiresIn: end.Sub(at), Refresh: refresh.String(), Scopes: scopes, ID: c.ID}, nil
}

// Refresh uses the refresh token text and returns new tokens of its family; text is dead then. permit is asked before
// that and returns the scopes of the new access token, or an error that is returned as it is, and text stays good. The
// end of the family does not move.
//
// The error is a *[Refusal] for a token that proves nothing, with the grant where there is one: malformed, unknown,
// expired, reused. Every other error but those of permit is an outage.
func (m *Manager) Refresh(ctx context.Context, text string, now time.Time, permit func(Grant) (scopes []string, err error)) (Tokens, Grant, error) {
	old, ok := parseRefresh(text)
	if !ok {
		return Tokens{}, Grant{}, refuse("malformed")
	}
	now = instant(now)
	g, err := m.store.Lookup(ctx, old.family())
	if errors.Is(err, ErrNotFound) {
		return Tokens{}, Grant{}, refuse("unknown")
	}
	if err != nil {
		return Tokens{}, Grant{}, fmt.Errorf("token: refresh: %w", err)
	}
	next := old.next()
	var t Tokens
	if g.Hash == old.hash() { // no need for constant time: these are hashes of 256 random bits
		if !now.Before(g.ExpiresAt) {
			return Tokens{}, g, refuse("expired")
		}
		scopes, err := permit(g)
		if err != nil {
			return Tokens{}, g, err
		}
		if err := checkScopes(scopes); err != nil {
			return Tokens{}, g, err
		}
		if t, err = m.issue(&g, scopes, next, now); err != nil {
			return Tokens{}, g, fmt.Errorf("token: refresh: %w", err)
		}
	}
	// Where the hash is another one already, this ends the family.
	err = m.store.Rotate(ctx, g.ID, old.hash(), next.hash(), now)
	switch {
	case errors.Is(err, ErrReused):
		return Tokens{}, g, refuse("reused")
	case errors.Is(err, ErrNotFound):
		return Tokens{}, g, refuse("ended")
	case err != nil:
		return Tokens{}, g, fmt.Errorf("token: refresh: %w", err)
	}
	g.Hash, g.RefreshedAt = next.hash(), now
	return t, g, nil
}

// Verify returns what an access token says, and its grant, at the instant now. The error is a *[Refusal] for a token
// that proves nothing, with the claims where it was ours and is over; every other error is an outage.
func (m *Manager) Verify(ctx context.Context, text string, now time.Time) (Claims, Grant, error) {
	r := m.ring.Load()
	if r == nil {
		return Claims{}, Grant{}, errNotStarted
	}
	c, err := r.verifier.Verify(text, now)
	if err != nil {
		return c, Grant{}, err
	}
	g, err := m.store.Get(ctx, c.SessionID)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && g.UserID != c.Subject:
		return c, Grant{}, refuse("ended")
	case err != nil:
		return Claims{}, Grant{}, fmt.Errorf("token: verify: %w", err)
	case !now.Before(g.ExpiresAt):
		return c, g, refuse("expired")
	}
	return c, g, nil
}

// JWKS returns the public keys as a JWK Set (RFC 7517 section 5): those that sign, have signed tokens that may still
// live, or will sign within a day. It is empty for HS256, whose keys are secret. The caller must not change it.
func (m *Manager) JWKS() ([]byte, error) {
	r := m.ring.Load()
	if r == nil {
		return nil, errNotStarted
	}
	return r.jwks, nil
}

// Revoke ends the grant id of a user, and all its tokens, at once. Errors: ErrNotFound, or the store's.
func (m *Manager) Revoke(ctx context.Context, id, userID string) error {
	if err := m.store.Delete(ctx, id, userID); err != nil {
		return fmt.Errorf("token: revoke: %w", err)
	}
	return nil
}

// RevokeAll ends all grants of a user but the one whose ID is except (empty: none is spared), at once, and returns how
// many these were.
func (m *Manager) RevokeAll(ctx context.Context, userID, except string) (int, error) {
	n, err := m.store.DeleteUser(ctx, userID, except)
	if err != nil {
		return 0, fmt.Errorf("token: revoke all: %w", err)
	}
	return n, nil
}

// List returns the live grants of a user, newest first.
func (m *Manager) List(ctx context.Context, userID string) ([]Grant, error) {
	list, err := m.store.List(ctx, userID, maxListed)
	if err != nil {
		return nil, fmt.Errorf("token: list: %w", err)
	}
	now := m.now()
	return slices.DeleteFunc(list, func(g Grant) bool { return !now.Before(g.ExpiresAt) }), nil
}

// Sweep deletes the grants that are over at now, in batches of 1000, and returns how many these were.
func (m *Manager) Sweep(ctx context.Context, now time.Time) (int, error) {
	total := 0
	for {
		n, err := m.store.Sweep(ctx, now, sweepBatch)
		total += n
		if err != nil {
			return total, fmt.Errorf("token: sweep: %w", err)
		}
		if n < sweepBatch {
			return total, nil
		}
	}
}

func printable(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxUserAgent)], "")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}
