package sqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"github.com/merlonhq/merlon/apikey"
)

// Keys is an [apikey.Store] in the table api_keys. Errors that are not of package apikey are [ErrUnavailable].
type Keys struct{ db *DB }

var _ apikey.Store = (*Keys)(nil)

// Keys returns the store of API keys.
func (d *DB) Keys() *Keys { return &Keys{d} }

const (
	// The columns in the order of keyArgs and keyRow.dest.
	keyColumns = `id, lookup, hash, env, owner, name, scopes, enabled, allowed_addresses, rate_limit, rate_window,
		created_at, expires_at, last_used_at, replaced_at, rotated_to, revoked_at, version`
	keyValues = `$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18`

	keyByLookup = `SELECT ` + keyColumns + ` FROM api_keys WHERE lookup = $1`
	keyByID     = `SELECT ` + keyColumns + ` FROM api_keys WHERE id = $1`
	keyState    = `SELECT version, revoked_at FROM api_keys WHERE id = $1`

	// Counting and adding are one statement: nothing comes between them.
	keyCreate = `INSERT INTO api_keys (` + keyColumns + `) SELECT ` + keyValues + `
		WHERE (SELECT count(*) FROM api_keys WHERE owner = $5 AND revoked_at IS NULL AND replaced_at IS NULL) < $19
		ON CONFLICT DO NOTHING`
	keyAdd   = `INSERT INTO api_keys (` + keyColumns + `) VALUES (` + keyValues + `) ON CONFLICT DO NOTHING`
	keyCount = `SELECT count(*) FROM api_keys WHERE owner = $1 AND revoked_at IS NULL AND replaced_at IS NULL`
	// The lists are ordered by id, as bytes.
	keyList      = `SELECT ` + keyColumns + ` FROM api_keys WHERE revoked_at IS NULL AND id < $1 ORDER BY id DESC LIMIT $2`
	keyListOwner = `SELECT ` + keyColumns + ` FROM api_keys WHERE owner = $1 AND revoked_at IS NULL AND id < $2 ORDER BY id DESC LIMIT $3`

	keyUpdate = `UPDATE api_keys SET name = $1, scopes = $2, enabled = $3, expires_at = $4, allowed_addresses = $5,
		rate_limit = $6, rate_window = $7, version = version + 1
		WHERE id = $8 AND version = $9 AND revoked_at IS NULL`
	keyReplace = `UPDATE api_keys SET rotated_to = $1, replaced_at = $2, expires_at = $3, version = version + 1
		WHERE id = $4 AND version = $5 AND revoked_at IS NULL AND replaced_at IS NULL`
	keyRevoke      = `UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL`
	keyRevokeOwner = `UPDATE api_keys SET revoked_at = $1 WHERE owner = $2 AND revoked_at IS NULL`
	keySweep       = `DELETE FROM api_keys WHERE id IN
		(SELECT id FROM api_keys WHERE revoked_at < $1 OR expires_at < $1 LIMIT $2)`
)

var keyTouch = newToucher("api_keys", "last_used_at")

// top is greater than every id.
const top = "\U0010FFFF"

// Create implements [apikey.Store].
func (k *Keys) Create(ctx context.Context, r apikey.Record, max int) error {
	args, err := keyArgs(&r)
	if err != nil {
		return err
	}
	args = append(args, max)
	return k.db.Tx(ctx, func(tx *Tx) error {
		if err := tx.Lock(r.Owner); err != nil {
			return err
		}
		added, err := tx.Exec(keyCreate, args...)
		if err != nil || added == 1 {
			return err
		}
		var n int
		if _, err := tx.Get(keyCount, []any{r.Owner}, &n); err != nil {
			return err
		}
		if n >= max {
			return apikey.ErrTooMany
		}
		return apikey.ErrConflict
	})
}

// Lookup implements [apikey.Store].
func (k *Keys) Lookup(ctx context.Context, lookup string) (apikey.Record, error) {
	return k.one(ctx, keyByLookup, lookup)
}

// Get implements [apikey.Store].
func (k *Keys) Get(ctx context.Context, id string) (apikey.Record, error) {
	return k.one(ctx, keyByID, id)
}

func (k *Keys) one(ctx context.Context, query, arg string) (apikey.Record, error) {
	var row keyRow
	found, err := k.db.Get(ctx, query, []any{arg}, row.dest()...)
	if err != nil {
		return apikey.Record{}, err
	}
	if !found {
		return apikey.Record{}, apikey.ErrNotFound
	}
	return row.record()
}

// List implements [apikey.Store].
func (k *Keys) List(ctx context.Context, owner, before string, limit int) ([]apikey.Record, error) {
	if before == "" {
		before = top
	}
	query, args := keyListOwner, []any{owner, before, limit}
	if owner == "" {
		query, args = keyList, args[1:]
	}
	records := []apikey.Record{}
	err := k.db.Each(ctx, query, args, func(r Row) error {
		var row keyRow
		if err := r.Scan(row.dest()...); err != nil {
			return unavailable(err)
		}
		record, err := row.record()
		records = append(records, record)
		return err
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}

// Count implements [apikey.Store].
func (k *Keys) Count(ctx context.Context, owner string) (n int, err error) {
	_, err = k.db.Get(ctx, keyCount, []any{owner}, &n)
	return n, err
}

// Update implements [apikey.Store].
func (k *Keys) Update(ctx context.Context, r apikey.Record) error {
	scopes, addresses, limit, window, err := keySettings(&r)
	if err != nil {
		return err
	}
	return k.db.Tx(ctx, func(tx *Tx) error {
		changed, err := tx.Exec(keyUpdate, r.Name, scopes, r.Enabled, micros(r.ExpiresAt), addresses, limit, window, r.ID, r.Version)
		if err != nil || changed == 1 {
			return err
		}
		return whyNot(tx, r.ID)
	})
}

// Rotate implements [apikey.Store].
func (k *Keys) Rotate(ctx context.Context, old, next apikey.Record) error {
	args, err := keyArgs(&next)
	if err != nil {
		return err
	}
	return k.db.Tx(ctx, func(tx *Tx) error {
		if err := tx.Lock(next.Owner); err != nil {
			return err
		}
		changed, err := tx.Exec(keyReplace, old.RotatedTo, micros(old.ReplacedAt), micros(old.ExpiresAt), old.ID, old.Version)
		if err != nil {
			return err
		}
		if changed != 1 {
			return whyNot(tx, old.ID)
		}
		added, err := tx.Exec(keyAdd, args...)
		if err == nil && added != 1 {
			err = apikey.ErrConflict
		}
		return err
	})
}

// whyNot returns why no row was the one to change: it is not there, or not as it was expected to be.
func whyNot(tx *Tx, id string) error {
	var version int64
	var revoked sql.NullInt64
	found, err := tx.Get(keyState, []any{id}, &version, &revoked)
	switch {
	case err != nil:
		return err
	case !found || revoked.Valid:
		return apikey.ErrNotFound
	}
	return apikey.ErrConflict
}

// Revoke implements [apikey.Store].
func (k *Keys) Revoke(ctx context.Context, id string, at time.Time) error {
	changed, err := k.db.Exec(ctx, keyRevoke, at.UnixMicro(), id)
	if err == nil && changed == 0 {
		err = apikey.ErrNotFound
	}
	return err
}

// RevokeOwner implements [apikey.Store].
func (k *Keys) RevokeOwner(ctx context.Context, owner string, at time.Time) (int, error) {
	changed, err := k.db.execLocked(ctx, owner, keyRevokeOwner, at.UnixMicro(), owner)
	return int(changed), err
}

// Touch implements [apikey.Store].
func (k *Keys) Touch(ctx context.Context, uses []apikey.Use) error {
	seen := make([]touch, len(uses))
	for i, u := range uses {
		seen[i] = touch{u.ID, u.At.UnixMicro()}
	}
	return k.db.Tx(ctx, func(tx *Tx) error { return keyTouch.all(tx, seen) })
}

// Sweep implements [apikey.Store].
func (k *Keys) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	changed, err := k.db.Exec(ctx, keySweep, before.UnixMicro(), limit)
	return int(changed), err
}

// keyArgs returns the values of keyColumns.
func keyArgs(r *apikey.Record) ([]any, error) {
	scopes, addresses, limit, window, err := keySettings(r)
	if err != nil {
		return nil, err
	}
	return []any{
		r.ID, r.Lookup, hex.EncodeToString(r.Hash[:]), string(r.Env), r.Owner, r.Name, scopes, r.Enabled, addresses, limit, window,
		r.CreatedAt.UnixMicro(), micros(r.ExpiresAt), micros(r.LastUsedAt), micros(r.ReplacedAt), r.RotatedTo,
		micros(r.RevokedAt), r.Version,
	}, nil
}

func keySettings(r *apikey.Record) (scopes, addresses string, limit, window sql.NullInt64, err error) {
	scopes, err1 := list(r.Scopes)
	addresses, err2 := list(r.AllowedAddresses)
	if r.RateLimit != nil {
		limit = sql.NullInt64{Int64: int64(r.RateLimit.Limit), Valid: true}
		window = sql.NullInt64{Int64: r.RateLimit.Window.Microseconds(), Valid: true}
	}
	return scopes, addresses, limit, window, errors.Join(err1, err2)
}

// A keyRow is a row of api_keys as it comes from the database.
type keyRow struct {
	r                                    apikey.Record
	hash, env, scopes, addresses         string
	limit, window                        sql.NullInt64
	created                              int64
	expires, lastUsed, replaced, revoked sql.NullInt64
}

// dest returns where keyColumns go.
func (k *keyRow) dest() []any {
	return []any{
		&k.r.ID, &k.r.Lookup, &k.hash, &k.env, &k.r.Owner, &k.r.Name, &k.scopes, &k.r.Enabled, &k.addresses, &k.limit, &k.window,
		&k.created, &k.expires, &k.lastUsed, &k.replaced, &k.r.RotatedTo, &k.revoked, &k.r.Version,
	}
}

// record returns the record in the row. What cannot be read is not known: it is an outage, never a refusal.
func (k *keyRow) record() (apikey.Record, error) {
	r := k.r
	var err error
	if r.Hash, err = sum(k.hash); err != nil {
		return apikey.Record{}, err
	}
	var err1, err2 error
	r.Scopes, err1 = unlist[string]("scopes", k.scopes)
	r.AllowedAddresses, err2 = unlist[netip.Prefix]("allowed_addresses", k.addresses)
	if err := errors.Join(err1, err2); err != nil {
		return apikey.Record{}, err
	}
	r.Env = apikey.Env(k.env)
	if k.limit.Valid {
		r.RateLimit = &apikey.RateLimit{Limit: int(k.limit.Int64), Window: time.Duration(k.window.Int64) * time.Microsecond}
	}
	r.CreatedAt = time.UnixMicro(k.created).UTC()
	r.ExpiresAt, r.LastUsedAt, r.ReplacedAt, r.RevokedAt = instant(k.expires), instant(k.lastUsed), instant(k.replaced), instant(k.revoked)
	return r, nil
}
