package accounts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/merlonhq/merlon/internal/uuid7"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// Config says where accounts are kept.
type Config struct {
	// DB is the database. Its schema is up to date. Required.
	DB *sqlstore.DB
	// Fresh, if there is one, reports whether all that other processes changed before a stated bound is known here: see
	// [revocation.Watch], which calls [Store.Forget] with it. While it reports false no answer is used again.
	Fresh func() bool
	// AccessTTL is how long an answer of Access may be used again. With Fresh 1 ms to 5 min, default 30 s. Without, 1 ms
	// to 1 s, default 1 s: it is then how long a change of role that another process made may go unseen.
	AccessTTL time.Duration
	// OnChange, if there is one, is called after a change of an account by this process: so that others are told to look.
	// It must not block.
	OnChange func()
	// AccessEntries is how many answers of Access are kept: 1 to 1,000,000, default 10,000. Each takes about 150 bytes.
	AccessEntries int
	// Now is the clock; default [time.Now].
	Now func() time.Time
}

// A Store keeps accounts. Its methods may be called concurrently.
type Store struct {
	db       *sqlstore.DB
	now      func() time.Time
	onChange func()
	cache    cache
}

// New returns a store for cfg, or everything that is wrong with cfg.
func New(cfg Config) (*Store, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("accounts: "+format, args...)) }
	longest := time.Second
	if cfg.AccessTTL == 0 {
		cfg.AccessTTL = time.Second
		if cfg.Fresh != nil {
			cfg.AccessTTL = 30 * time.Second
		}
	}
	if cfg.Fresh != nil {
		longest = 5 * time.Minute
	}
	if cfg.AccessEntries == 0 {
		cfg.AccessEntries = 10_000
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.DB == nil {
		bad("DB is nil: set it to an open database")
	}
	if cfg.AccessTTL < time.Millisecond || cfg.AccessTTL > longest {
		bad("AccessTTL is %v: must be 1ms to %v", cfg.AccessTTL, longest)
	}
	if cfg.AccessEntries < 1 || cfg.AccessEntries > 1_000_000 {
		bad("AccessEntries is %d: must be 1 to 1000000", cfg.AccessEntries)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Store{
		db:       cfg.DB,
		now:      cfg.Now,
		onChange: cfg.OnChange,
		cache:    cache{ttl: cfg.AccessTTL, live: cfg.Fresh, max: cfg.AccessEntries, entries: make(map[string]entry)},
	}, nil
}

const (
	columns = `id, username, email, full_name, bio, website, role, disabled, password_hash,
		created_at, updated_at, password_changed_at`

	create = `INSERT INTO users (` + columns + `, email_key)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`
	byID       = `SELECT ` + columns + ` FROM users WHERE id = $1`
	byUsername = `SELECT ` + columns + ` FROM users WHERE username = $1`
	access     = `SELECT role, disabled FROM users WHERE id = $1`
	count      = `SELECT count(*) FROM users`

	// Where another account has the address, the row is not to be changed: the statement says so instead of failing.
	updateProfile = `UPDATE users SET email = $1, email_key = $2, full_name = $3, bio = $4, website = $5, updated_at = $6
		WHERE id = $7 AND NOT EXISTS (SELECT 1 FROM users AS other WHERE other.email_key = $2 AND other.id <> $7)`
	taken = `SELECT 1 FROM users WHERE username = $1 OR email_key = $2`
	// The instant of the change only ever rises, whatever the clock does: logins are compared by it.
	setPassword = `UPDATE users SET password_hash = $1, updated_at = $2,
		password_changed_at = CASE WHEN $2 > password_changed_at THEN $2 ELSE password_changed_at + 1 END
		WHERE id = $3 AND password_hash = $4`
	rehash      = `UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3`
	setRole     = `UPDATE users SET role = $1, updated_at = $2 WHERE id = $3`
	setDisabled = `UPDATE users SET disabled = $1, updated_at = $2 WHERE id = $3`
)

// NewID returns an ID for an account that is to be created.
func (s *Store) NewID() string { return "usr_" + uuid7.New(s.now()) }

// Create adds u and returns it with its instants, and with an ID if u has none. ErrExists says that the username or the
// e-mail address is taken.
func (s *Store) Create(ctx context.Context, u User) (User, error) {
	now := s.now().UTC().Truncate(time.Microsecond)
	if u.ID == "" {
		u.ID = s.NewID()
	}
	u.CreatedAt, u.UpdatedAt, u.PasswordChangedAt = now, now, now
	at := now.UnixMicro()
	err := s.db.Tx(ctx, func(tx *sqlstore.Tx) error {
		if err := tx.Lock(emailLock(u.Email)); err != nil {
			return err
		}
		added, err := tx.Exec(create, u.ID, u.Username, u.Email, u.FullName, u.Bio, u.Website, u.Role, u.Disabled,
			u.PasswordHash, at, at, at, emailKey(u.Email))
		if err == nil && added == 0 {
			err = ErrExists
		}
		return err
	})
	if err != nil {
		return User{}, err
	}
	return u, nil
}

// ByID returns the account id, or ErrNotFound.
func (s *Store) ByID(ctx context.Context, id string) (User, error) { return s.one(ctx, byID, id) }

// ByUsername returns the account with the username, which is lower case, or ErrNotFound.
func (s *Store) ByUsername(ctx context.Context, username string) (User, error) {
	return s.one(ctx, byUsername, username)
}

func (s *Store) one(ctx context.Context, query, arg string) (User, error) {
	var u User
	var created, updated, changed int64
	found, err := s.db.Get(ctx, query, []any{arg}, &u.ID, &u.Username, &u.Email, &u.FullName, &u.Bio, &u.Website,
		&u.Role, &u.Disabled, &u.PasswordHash, &created, &updated, &changed)
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return User{}, err
	}
	u.CreatedAt, u.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	u.PasswordChangedAt = time.UnixMicro(changed).UTC()
	return u, nil
}

// Taken reports whether there is an account with the username or the e-mail address. Create may find one all the same.
func (s *Store) Taken(ctx context.Context, username, email string) (bool, error) {
	var n int
	return s.db.Get(ctx, taken, []any{username, emailKey(email)}, &n)
}

// Count returns how many accounts there are.
func (s *Store) Count(ctx context.Context) (n int, err error) {
	_, err = s.db.Get(ctx, count, nil, &n)
	return n, err
}

// UpdateProfile replaces the profile of the account id. ErrExists says that another account has the e-mail address.
func (s *Store) UpdateProfile(ctx context.Context, id string, p Profile) error {
	return s.changeAnd(ctx, id, ErrExists, emailLock(p.Email), nothing, updateProfile,
		p.Email, emailKey(p.Email), p.FullName, p.Bio, p.Website, s.now().UnixMicro(), id)
}

// SetPassword replaces the password of the account id, provided that its hash is still oldHash: otherwise another
// change came first and the error is ErrConflict. In the same step it ends all sessions and grants of the account but
// the one whose ID is keepSession (empty: none is spared): whoever knew the old password may have one. A login that verified the old password and
// begins its session later finds that PasswordChangedAt has risen.
func (s *Store) SetPassword(ctx context.Context, id, oldHash, newHash, keepSession string) error {
	return s.changeAnd(ctx, id, ErrConflict, "", endAll(id, keepSession), setPassword, newHash, s.now().UnixMicro(), id, oldHash)
}

// Rehash replaces the hash of the same password by a better one, provided that it is still oldHash: otherwise the error
// is ErrConflict. The account does not count as changed.
func (s *Store) Rehash(ctx context.Context, id, oldHash, newHash string) error {
	return s.change(ctx, id, ErrConflict, rehash, newHash, id, oldHash)
}

// SetRole gives the account id a role.
func (s *Store) SetRole(ctx context.Context, id, role string) error {
	return s.change(ctx, id, ErrNotFound, setRole, role, s.now().UnixMicro(), id)
}

// SetDisabled ends what the account id may do, or lets it do so again.
func (s *Store) SetDisabled(ctx context.Context, id string, disabled bool) error {
	return s.change(ctx, id, ErrNotFound, setDisabled, disabled, s.now().UnixMicro(), id)
}

// EndAccess disables the account id and ends all its sessions and grants in the same step: those of whoever took it over do
// not come back with it.
func (s *Store) EndAccess(ctx context.Context, id string) error {
	return s.changeAnd(ctx, id, ErrNotFound, "", endAll(id, ""), setDisabled, true, s.now().UnixMicro(), id)
}

// endAll ends the sessions and grants of the account id but the one whose ID is keep.
func endAll(id, keep string) func(*sqlstore.Tx) error {
	return func(tx *sqlstore.Tx) error {
		if _, err := tx.DeleteSessions(id, keep); err != nil {
			return err
		}
		_, err := tx.DeleteGrants(id, keep)
		return err
	}
}

// change runs a statement that changes the account id. When it changed nothing, the account does not exist, or else
// the error is otherwise.
func (s *Store) change(ctx context.Context, id string, otherwise error, query string, args ...any) error {
	return s.changeAnd(ctx, id, otherwise, "", nothing, query, args...)
}

func nothing(*sqlstore.Tx) error { return nil }

// changeAnd is change with a name to lock before it, unless that is empty, and something more to do in the same
// transaction.
func (s *Store) changeAnd(ctx context.Context, id string, otherwise error, lock string, more func(*sqlstore.Tx) error, query string, args ...any) error {
	// Also after an error: the change may have been made when the deadline came.
	defer func() {
		s.cache.forget(id)
		if s.onChange != nil {
			s.onChange()
		}
	}()
	return s.db.Tx(ctx, func(tx *sqlstore.Tx) error {
		if lock != "" {
			if err := tx.Lock(lock); err != nil {
				return err
			}
		}
		changed, err := tx.Exec(query, args...)
		if err != nil {
			return err
		}
		if changed == 1 {
			return more(tx)
		}
		var role string
		var disabled bool
		found, err := tx.Get(access, []any{id}, &role, &disabled)
		switch {
		case err != nil:
			return err
		case !found:
			return ErrNotFound
		}
		return otherwise
	})
}

// emailLock is the name that is locked while an address is given to an account: whether another one has it must stay
// true until then.
func emailLock(email string) string { return "email " + emailKey(email) }

// emailKey returns what addresses are compared by. Whether the part before the @ is case-sensitive is for the receiving
// host to say (RFC 5321, section 2.4); in practice none is, and two accounts that differ in it would be one mailbox. The
// domain is compared as DNS has it (RFC 5891, section 5).
func emailKey(email string) string {
	at := strings.LastIndexByte(email, '@')
	if at < 0 {
		return strings.ToLower(email)
	}
	domain, err := idna.Lookup.ToASCII(email[at+1:])
	if err != nil {
		domain = email[at+1:]
	}
	return strings.ToLower(email[:at+1] + domain)
}
