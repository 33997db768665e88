package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/merlonhq/merlon/internal/uuid7"
)

const (
	maxUserAgent = 256 // bytes
	maxListed    = 1000
	sweepBatch   = 1000
	// sweepGrace is how much longer than the idle time-out an unseen session is kept, because another process may
	// know that it was seen and write it within a minute.
	sweepGrace = 5 * time.Minute
)

// Refusals of Verify. Every other error of it means that the answer is not known, because the store failed: that is
// an outage (503), never a refusal (401).
var (
	// ErrInvalid: the token is malformed, unknown, or its session was revoked.
	ErrInvalid = errors.New("session: invalid token")
	// ErrExpired: the session was right, and is over by its idle or absolute time-out.
	ErrExpired = errors.New("session: expired")
)

// Config says how sessions live. Store is required; the zero value of everything else is a safe default.
type Config struct {
	_ [0]func()

	// Store keeps the records. Required.
	Store Store
	// IdleTimeout ends a session that was not seen for so long: 1 minute to 24 hours, not more than AbsoluteTimeout.
	// Default 30 minutes. The API of the service wants 15 to 30 minutes (OWASP).
	IdleTimeout time.Duration
	// AbsoluteTimeout ends a session so long after its login: 1 minute to 30 days (NIST SP 800-63B-4, AAL1). Default
	// 12 hours. OWASP wants 4 to 12 hours.
	AbsoluteTimeout time.Duration
	// MaxPerUser is how many sessions a user has at most, 1 to 1000: a login beyond it ends the ones that were not
	// seen for longest. Logins at the same moment may exceed it until the next. Default 100.
	MaxPerUser int
	// Now is the clock of everything but Verify, Rotate and Sweep, which are told the time. Default time.Now.
	Now func() time.Time
	// OnFlushError is told when Run could not write what was seen. Default: nobody is; it is written later.
	OnFlushError func(error)
}

// A Manager creates, verifies, rotates, lists and ends sessions. It is safe for concurrent use.
type Manager struct {
	store          Store
	idle, absolute time.Duration
	maxPerUser     int
	now            func() time.Time
	onFlushError   func(error)
	seen           lastSeen
}

// New compiles cfg, reporting everything that is wrong with it at once. The caller runs [Manager.Run], or calls
// [Manager.Flush] now and then and at the end.
func New(cfg Config) (*Manager, error) {
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, 30*time.Minute)
	cfg.AbsoluteTimeout = cmp.Or(cfg.AbsoluteTimeout, 12*time.Hour)
	cfg.MaxPerUser = cmp.Or(cfg.MaxPerUser, 100)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("session: "+format, args...)) }
	if cfg.Store == nil {
		bad("Store is missing")
	}
	if cfg.IdleTimeout < time.Minute || cfg.IdleTimeout > 24*time.Hour {
		bad("IdleTimeout %v is out of range: use 1m to 24h", cfg.IdleTimeout)
	}
	if cfg.AbsoluteTimeout < time.Minute || cfg.AbsoluteTimeout > 30*24*time.Hour {
		bad("AbsoluteTimeout %v is out of range: use 1m to 720h", cfg.AbsoluteTimeout)
	}
	if cfg.IdleTimeout > cfg.AbsoluteTimeout {
		bad("IdleTimeout %v is greater than AbsoluteTimeout %v: make it less or equal", cfg.IdleTimeout, cfg.AbsoluteTimeout)
	}
	if cfg.MaxPerUser < 1 || cfg.MaxPerUser > maxListed {
		bad("MaxPerUser %d is out of range: use 1 to %d", cfg.MaxPerUser, maxListed)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Manager{
		store:        cfg.Store,
		idle:         cfg.IdleTimeout,
		absolute:     cfg.AbsoluteTimeout,
		maxPerUser:   cfg.MaxPerUser,
		now:          cfg.Now,
		onFlushError: cfg.OnFlushError,
		seen:         newLastSeen(cfg.Store),
	}, nil
}

// WithTimeouts returns a manager of the same sessions with other time-outs, for a configuration that changes while
// requests are served. What either of the two has seen both know, and the Run of one of them is enough.
func (m *Manager) WithTimeouts(idle, absolute time.Duration) (*Manager, error) {
	next, err := New(Config{Store: m.store, IdleTimeout: idle, AbsoluteTimeout: absolute, MaxPerUser: m.maxPerUser,
		Now: m.now, OnFlushError: m.onFlushError})
	if err != nil {
		return nil, err
	}
	next.seen = m.seen
	return next, nil
}

// Meta is what is recorded about where a session was created.
type Meta struct {
	Address   netip.Addr
	UserAgent string // cut to 256 bytes, without what does not print
}

func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// Create begins a session for a user who has just been authenticated, and returns its token, which exists nowhere
// else. A session that the browser had before must not go on: revoke it.
func (m *Manager) Create(ctx context.Context, userID string, meta Meta) (token string, r Record, err error) {
	if userID == "" {
		return "", Record{}, errors.New("session: a session needs a user")
	}
	now := instant(m.now())
	if err := m.makeRoom(ctx, userID); err != nil {
		return "", Record{}, fmt.Errorf("session: create: %w", err)
	}
	r = Record{
		UserID:     userID,
		CreatedAt:  now,
		LastSeenAt: now,
		Address:    meta.Address.Unmap().WithZone(""),
		UserAgent:  printable(meta.UserAgent),
	}
	token = mint(&r, now)
	if err := m.store.Create(ctx, r); err != nil {
		return "", Record{}, fmt.Errorf("session: create: %w", err)
	}
	return token, r, nil
}

// mint gives r an identity and a token of its own.
func mint(r *Record, now time.Time) (token string) {
	token = newToken()
	r.ID = "ses_" + uuid7.New(now)
	r.Hash, _ = hashToken(token)
	return token
}

// makeRoom ends sessions of a user until there is room for one more.
func (m *Manager) makeRoom(ctx context.Context, userID string) error {
	list, err := m.list(ctx, userID)
	if err != nil || len(list) < m.maxPerUser {
		return err
	}
	slices.SortFunc(list, func(a, b Record) int { return a.LastSeenAt.Compare(b.LastSeenAt) })
	for _, r := range list[:len(list)-m.maxPerUser+1] {
		if err := m.store.Delete(ctx, r.ID, userID); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
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

// Verify returns the session of token at the instant now, and notes that it was seen. LastSeenAt is then now.
//
// Errors: ErrInvalid, which costs no store call when no session can have such a token; ErrExpired with the Record of
// the session, for the log; or the store's. A session ends at the instant of its time-out, not after it.
func (m *Manager) Verify(ctx context.Context, token string, now time.Time) (Record, error) {
	hash, ok := hashToken(token)
	if !ok {
		return Record{}, ErrInvalid
	}
	seen := m.seen.get(hash) // before the store is asked: see lastSeen
	r, err := m.store.Lookup(ctx, hash)
	if errors.Is(err, ErrNotFound) {
		return Record{}, ErrInvalid
	}
	if err != nil {
		return Record{}, fmt.Errorf("session: verify: %w", err)
	}
	if seen.After(r.LastSeenAt) {
		r.LastSeenAt = seen
	}
	if !m.alive(r, now) {
		return r, ErrExpired
	}
	if at := instant(now); at.After(r.LastSeenAt) {
		r.LastSeenAt = at
		m.seen.note(hash, r.ID, at)
	}
	return r, nil
}

// alive reports whether neither time-out of r has passed at now.
func (m *Manager) alive(r Record, now time.Time) bool {
	return now.Before(r.LastSeenAt.Add(m.idle)) && now.Before(r.CreatedAt.Add(m.absolute))
}

// ExpiresAt returns when r ends if it is not seen again.
func (m *Manager) ExpiresAt(r Record) time.Time {
	idle, absolute := r.LastSeenAt.Add(m.idle), r.CreatedAt.Add(m.absolute)
	if idle.Before(absolute) {
		return idle
	}
	return absolute
}

// Rotate gives a verified session a new id and a new token; the old ones are dead when it returns. Call it whenever
// the privileges of the session change. The time of the login stays, and with it the absolute time-out.
// Errors: ErrInvalid when the session was revoked in between, or the store's.
func (m *Manager) Rotate(ctx context.Context, r Record, now time.Time) (token string, next Record, err error) {
	now = instant(now)
	next = r
	next.LastSeenAt = now
	token = mint(&next, now)
	switch err := m.store.Replace(ctx, r.ID, next); {
	case errors.Is(err, ErrNotFound):
		return "", Record{}, ErrInvalid
	case err != nil:
		return "", Record{}, fmt.Errorf("session: rotate: %w", err)
	}
	return token, next, nil
}

// Revoke ends the session id of a user, at once. Errors: ErrNotFound, or the store's.
func (m *Manager) Revoke(ctx context.Context, id, userID string) error {
	if err := m.store.Delete(ctx, id, userID); err != nil {
		return fmt.Errorf("session: revoke: %w", err)
	}
	return nil
}

// RevokeAll ends all sessions of a user but the one whose ID is except (empty: none is spared), at once, and returns
// how many these were.
func (m *Manager) RevokeAll(ctx context.Context, userID, except string) (int, error) {
	n, err := m.store.DeleteUser(ctx, userID, except)
	if err != nil {
		return 0, fmt.Errorf("session: revoke all: %w", err)
	}
	return n, nil
}

// List returns the live sessions of a user, newest first.
func (m *Manager) List(ctx context.Context, userID string) ([]Record, error) {
	list, err := m.list(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("session: list: %w", err)
	}
	now := m.now()
	return slices.DeleteFunc(list, func(r Record) bool { return !m.alive(r, now) }), nil
}

// list returns the stored sessions of a user with what is known here about when they were seen.
func (m *Manager) list(ctx context.Context, userID string) ([]Record, error) {
	list, err := m.store.List(ctx, userID, maxListed)
	for i := range list {
		if seen := m.seen.get(list[i].Hash); seen.After(list[i].LastSeenAt) {
			list[i].LastSeenAt = seen
		}
	}
	return list, err
}

// Sweep deletes the sessions that are over at now, in batches of 1000, and returns how many these were. It flushes
// first, and keeps sessions some minutes beyond the idle time-out, so that none is deleted that was seen.
func (m *Manager) Sweep(ctx context.Context, now time.Time) (int, error) {
	if err := m.Flush(ctx); err != nil {
		return 0, err
	}
	total := 0
	for {
		n, err := m.store.Sweep(ctx, now.Add(-m.idle-sweepGrace), now.Add(-m.absolute), sweepBatch)
		total += n
		if err != nil {
			return total, fmt.Errorf("session: sweep: %w", err)
		}
		if n < sweepBatch {
			return total, nil
		}
	}
}
