package apikey

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/merlonhq/merlon/internal/uuid7"
)

// AnyOwner in the place of an owner lets an administrator act on the keys of everybody. An empty owner never does.
const AnyOwner = "*"

const (
	defaultOverlap = 24 * time.Hour
	maxOverlap     = 30 * 24 * time.Hour
	maxListed      = 100
	sweepBatch     = 1000
	maxAttempts    = 3 // at a change that others make at the same time
)

// Config says how keys live. Store is required; the zero value of everything else is a safe default.
type Config struct {
	_ [0]func()

	// Store keeps the records. Required.
	Store Store
	// Env is the environment keys are made and accepted for: Live (default) or Dev.
	Env Env
	// Scopes holds the scopes that exist, 1 to 64 printable characters each (RFC 6749, section 3.3). A key can have
	// no other. Empty: keys have no scope.
	Scopes []string
	// DefaultExpiry is the life of a key whose maker does not choose, 1 minute to 3660 days. Default 90 days.
	DefaultExpiry time.Duration
	// MaxPerOwner is how many current keys an owner may have, 1 to 1000000. Default 10000.
	MaxPerOwner int
	// Retention is how long revoked and expired records are kept for those who read logs, at least an hour, until
	// Sweep deletes them. Default 30 days.
	Retention time.Duration
	// Fresh, if there is one, reports whether all that other processes changed before a stated bound is known here: see
	// [revocation.Watch], which calls [Manager.Forget] with it. While it reports false no verdict is used again.
	Fresh func() bool
	// CacheTTL is how long a positive verdict may be used again. With Fresh 1 ms to 5 min, default 30 s. Without, 1 ms
	// to 1 s, default 1 s: it is then the time within which a key that another process revoked stops working here.
	// Negative: no cache.
	CacheTTL time.Duration
	// OnChange, if there is one, is called after a change of this process that may have taken a right away, or may not:
	// so that others are told to look. It must not block.
	OnChange func()
	// CacheSize is how many verdicts are kept, 64 to 4194304, at about half a kilobyte each. Default 16384.
	CacheSize int
	// Now is the clock of management calls. Default time.Now. Verify is told the time.
	Now func() time.Time
	// OnFlushError is told when Run could not write last uses. Default: nobody is; they are written later.
	OnFlushError func(error)
}

// A Manager makes, checks, changes and ends keys. It is safe for concurrent use.
type Manager struct {
	store         Store
	env           Env
	scopes        map[string]struct{}
	defaultExpiry time.Duration
	maxPerOwner   int
	retention     time.Duration
	now           func() time.Time
	onFlushError  func(error)
	onChange      func()

	cache *cache
	uses  uses
}

// New compiles cfg, reporting everything that is wrong with it at once. The caller runs [Manager.Run], or calls
// [Manager.Flush] now and then and at the end.
func New(cfg Config) (*Manager, error) {
	setDefault(&cfg.Env, Live)
	setDefault(&cfg.DefaultExpiry, 90*24*time.Hour)
	setDefault(&cfg.MaxPerOwner, 10000)
	setDefault(&cfg.Retention, 30*24*time.Hour)
	longest := time.Second
	if cfg.Fresh != nil {
		setDefault(&cfg.CacheTTL, 30*time.Second)
		longest = 5 * time.Minute
	}
	setDefault(&cfg.CacheTTL, time.Second)
	setDefault(&cfg.CacheSize, 16384)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("apikey: "+format, args...)) }
	if cfg.Store == nil {
		bad("Store is missing")
	}
	if _, err := headOf(cfg.Env); err != nil {
		errs = append(errs, err)
	}
	scopes := make(map[string]struct{}, len(cfg.Scopes))
	for _, s := range cfg.Scopes {
		if !isScopeToken(s) {
			bad("scope %q is not 1 to 64 printable characters without space, quote and backslash", s)
		}
		scopes[s] = struct{}{}
	}
	if cfg.DefaultExpiry < time.Minute || cfg.DefaultExpiry > maxExpiry {
		bad("DefaultExpiry %v is out of range: use 1m to 87840h", cfg.DefaultExpiry)
	}
	if cfg.MaxPerOwner < 1 || cfg.MaxPerOwner > 1e6 {
		bad("MaxPerOwner %d is out of range: use 1 to 1000000", cfg.MaxPerOwner)
	}
	if cfg.Retention < time.Hour {
		bad("Retention %v is too short: use at least 1h", cfg.Retention)
	}
	if cfg.CacheTTL >= 0 && (cfg.CacheTTL < time.Millisecond || cfg.CacheTTL > longest) {
		bad("CacheTTL %v is out of range: use 1ms to %v, or a negative one for no cache", cfg.CacheTTL, longest)
	}
	if cfg.CacheSize < 64 || cfg.CacheSize > 1<<22 {
		bad("CacheSize %d is out of range: use 64 to %d", cfg.CacheSize, 1<<22)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Manager{
		store:         cfg.Store,
		env:           cfg.Env,
		scopes:        scopes,
		defaultExpiry: cfg.DefaultExpiry,
		maxPerOwner:   cfg.MaxPerOwner,
		retention:     cfg.Retention,
		now:           cfg.Now,
		onFlushError:  cfg.OnFlushError,
		onChange:      cfg.OnChange,
		cache:         newCache(cfg.CacheTTL, cfg.CacheSize, cfg.Fresh),
		uses:          newUses(cfg.Store),
	}, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Scopes returns the scopes that exist, sorted.
func (m *Manager) Scopes() []string { return slices.Sorted(maps.Keys(m.scopes)) }

// instant returns the time in the precision that every store keeps.
func (m *Manager) instant() time.Time { return m.now().UTC().Truncate(time.Microsecond) }

// Create makes a key and returns its text, which exists nowhere else, and its record.
//
// Errors: *FieldError and *ScopeError with ErrScopeUnknown for what was asked for, all of them joined; if there are
// none, *ScopeError with ErrScopeNotHeld for each scope that the maker does not hold; ErrTooMany; or the store's.
func (m *Manager) Create(ctx context.Context, k NewKey) (text string, r Record, err error) {
	now := m.instant()
	if k.ExpiresAt == nil {
		end := now.Add(m.defaultExpiry)
		k.ExpiresAt = &end
	}
	r = Record{
		Owner:     k.Owner,
		Enabled:   true,
		CreatedAt: now,
		Version:   1,
	}
	if err := m.apply(&r, Change{
		Name:             &k.Name,
		Scopes:           &k.Scopes,
		MakerScopes:      k.MakerScopes,
		ExpiresAt:        k.ExpiresAt,
		AllowedAddresses: &k.AllowedAddresses,
		RateLimit:        k.RateLimit,
	}, now); err != nil {
		return "", Record{}, err
	}
	if k.Owner == "" || k.Owner == AnyOwner {
		return "", Record{}, fmt.Errorf("apikey: owner %q cannot have keys", k.Owner)
	}
	text, err = m.mint(&r, now)
	if err != nil {
		return "", Record{}, err
	}
	if err := m.store.Create(ctx, r, m.maxPerOwner); err != nil {
		return "", Record{}, fmt.Errorf("apikey: create: %w", err)
	}
	return text, r, nil
}

// mint gives r an identity and a secret of its own.
func (m *Manager) mint(r *Record, now time.Time) (text string, err error) {
	text, p, err := Generate(m.env)
	if err != nil {
		return "", err
	}
	r.ID, r.Lookup, r.Hash, r.Env = "key_"+uuid7.New(now), p.Lookup, p.Hash(), p.Env
	return text, nil
}

// Get returns the record of the key id if it belongs to owner. Errors: ErrNotFound, or the store's.
func (m *Manager) Get(ctx context.Context, id, owner string) (Record, error) {
	r, err := m.store.Get(ctx, id)
	if err != nil {
		return Record{}, fmt.Errorf("apikey: get: %w", err)
	}
	if r.RevokedAt != nil || owner != AnyOwner && (owner == "" || r.Owner != owner) {
		return Record{}, ErrNotFound
	}
	r.LastUsedAt = m.uses.last(r.ID, r.LastUsedAt)
	return r, nil
}

// List returns the keys of owner that are not revoked, newest first: at most limit (1 to 100, others are brought
// there) after cursor, which is empty at first and then the value of next. An empty next says that there are no more.
func (m *Manager) List(ctx context.Context, owner, cursor string, limit int) (keys []Record, next string, err error) {
	switch owner {
	case "":
		return nil, "", nil
	case AnyOwner:
		owner = ""
	}
	limit = min(max(limit, 1), maxListed)
	keys, err = m.store.List(ctx, owner, cursor, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("apikey: list: %w", err)
	}
	if len(keys) > limit {
		keys = keys[:limit]
		next = keys[limit-1].ID
	}
	for i := range keys {
		keys[i].LastUsedAt = m.uses.last(keys[i].ID, keys[i].LastUsedAt)
	}
	return keys, next, nil
}

// Count returns how many current keys owner has: neither revoked nor replaced.
func (m *Manager) Count(ctx context.Context, owner string) (int, error) {
	n, err := m.store.Count(ctx, owner)
	if err != nil {
		return 0, fmt.Errorf("apikey: count: %w", err)
	}
	return n, nil
}

// Update changes the key id of owner and returns its record as it is then. Nothing else is changed when an error is
// returned. Errors: as Create, ErrNotFound, and ErrConflict when others keep changing it at the same time.
func (m *Manager) Update(ctx context.Context, id, owner string, c Change) (Record, error) {
	var r Record
	err := m.retry(func() (err error) {
		if r, err = m.Get(ctx, id, owner); err != nil {
			return err
		}
		if err := m.apply(&r, c, m.instant()); err != nil {
			return err
		}
		// Whatever the store answers, the change may have happened.
		defer m.changed(r.Lookup)
		return m.store.Update(ctx, r)
	})
	if err != nil {
		return Record{}, fmt.Errorf("apikey: update: %w", err)
	}
	r.Version++
	return r, nil
}

// Preview returns what Update would make of the key, or the error that it would return, and changes nothing: so that a
// change can be recorded before it is made.
func (m *Manager) Preview(ctx context.Context, id, owner string, c Change) (Record, error) {
	r, err := m.Get(ctx, id, owner)
	if err != nil {
		return Record{}, err
	}
	if err := m.apply(&r, c, m.instant()); err != nil {
		return Record{}, fmt.Errorf("apikey: preview: %w", err)
	}
	return r, nil
}

// Rotate replaces the key of the rotation by a new one with the same settings and the same length of life from now,
// and returns the text and the record of the new one. The old key expires when the overlap ends, or sooner if it was
// to. Errors: *FieldError, *ScopeError with ErrScopeNotHeld when the maker could not have made the key, ErrNotFound,
// ErrConflict when the key was already rotated, or the store's.
func (m *Manager) Rotate(ctx context.Context, o Rotation) (text string, next Record, err error) {
	err = m.retry(func() error {
		var old Record
		if old, next, text, err = m.rotated(ctx, o); err != nil {
			return err
		}
		// Whatever the store answers, the change may have happened.
		defer m.changed(old.Lookup)
		return m.store.Rotate(ctx, old, next)
	})
	if err != nil {
		return "", Record{}, fmt.Errorf("apikey: rotate: %w", err)
	}
	return text, next, nil
}

// PreviewRotation returns the new record that Rotate would make, or the error that it would return, and changes
// nothing: so that a rotation can be recorded before it is made. A Rotation whose NextID is the ID of that record makes
// the key with that ID; its secret is another one.
func (m *Manager) PreviewRotation(ctx context.Context, o Rotation) (next Record, err error) {
	_, next, _, err = m.rotated(ctx, o)
	if err != nil {
		return Record{}, fmt.Errorf("apikey: preview: %w", err)
	}
	return next, nil
}

// rotated returns what the rotation makes of the old key, and the new one.
func (m *Manager) rotated(ctx context.Context, o Rotation) (old, next Record, text string, err error) {
	fail := func(err error) (Record, Record, string, error) { return Record{}, Record{}, "", err }
	overlap := defaultOverlap
	if o.Overlap != nil {
		overlap = *o.Overlap
	}
	if overlap < 0 || overlap > maxOverlap {
		return fail(&FieldError{"overlap_seconds", -1, fmt.Sprintf("must be 0 to %d", int(maxOverlap.Seconds()))})
	}
	if old, err = m.Get(ctx, o.ID, o.Owner); err != nil {
		return fail(err)
	}
	if old.ReplacedAt != nil {
		return fail(ErrConflict)
	}
	if err := heldScopes(old.Scopes, o.MakerScopes); err != nil {
		return fail(err)
	}
	now := m.instant()
	next = old.Clone()
	next.CreatedAt, next.LastUsedAt, next.Version = now, nil, 1
	if old.ExpiresAt != nil {
		end := now.Add(old.ExpiresAt.Sub(old.CreatedAt))
		next.ExpiresAt = &end
	}
	if text, err = m.mint(&next, now); err != nil {
		return fail(err)
	}
	if o.NextID != "" {
		next.ID = o.NextID
	}
	old.RotatedTo, old.ReplacedAt = next.ID, &now
	if end := now.Add(overlap); old.ExpiresAt == nil || end.Before(*old.ExpiresAt) {
		old.ExpiresAt = &end
	}
	return old, next, text, nil
}

// retry repeats a change that was made in ignorance of another.
func (m *Manager) retry(change func() error) error {
	var err error
	for range maxAttempts {
		if err = change(); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

// Revoke ends the key id of owner. It stops working in this process at once, in others within the bound of
// their Fresh, or their CacheTTL.
// Errors: ErrNotFound, or the store's.
func (m *Manager) Revoke(ctx context.Context, id, owner string) error {
	r, err := m.Get(ctx, id, owner)
	if err != nil {
		return err
	}
	defer m.changed(r.Lookup)
	if err := m.store.Revoke(ctx, id, m.instant()); err != nil {
		return fmt.Errorf("apikey: revoke: %w", err)
	}
	return nil
}

// RevokeOwner ends all keys of owner, for an account that is disabled or deleted, and returns how many these were.
func (m *Manager) RevokeOwner(ctx context.Context, owner string) (int, error) {
	defer m.changed("")
	n, err := m.store.RevokeOwner(ctx, owner, m.instant())
	if err != nil {
		return 0, fmt.Errorf("apikey: revoke the keys of an owner: %w", err)
	}
	return n, nil
}

// Sweep deletes records that were revoked or expired longer than Retention before now, in batches of 1000, and
// returns how many it deleted.
func (m *Manager) Sweep(ctx context.Context, now time.Time) (int, error) {
	total := 0
	for {
		n, err := m.store.Sweep(ctx, now.Add(-m.retention), sweepBatch)
		total += n
		if err != nil {
			return total, fmt.Errorf("apikey: sweep: %w", err)
		}
		if n < sweepBatch {
			return total, nil
		}
	}
}

// changed forgets what this process changed, of all keys if lookup is empty.
func (m *Manager) changed(lookup string) {
	if lookup == "" {
		m.cache.forgetAll()
	} else {
		m.cache.forget(lookup)
	}
	if m.onChange != nil {
		m.onChange()
	}
}

// Forget drops the verdict on the key with that look-up id, when another process is known to have changed it.
func (m *Manager) Forget(lookup string) { m.cache.forget(lookup) }

// ForgetAll drops every verdict, when another process is known to have changed some key.
func (m *Manager) ForgetAll() { m.cache.forgetAll() }
