package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"github.com/merlonhq/merlon/token"
)

// Grants is a [token.Store] in the table token_grants. Errors of the database are [ErrUnavailable].
type Grants struct{ db *DB }

var _ token.Store = (*Grants)(nil)

// Grants returns the store of the families of tokens.
func (d *DB) Grants() *Grants { return &Grants{d} }

const (
	grantColumns = `id, user_id, family, hash, scopes, created_at, refreshed_at, expires_at, address, user_agent`

	grantAdd      = `INSERT INTO token_grants (` + grantColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`
	grantByFamily = `SELECT ` + grantColumns + ` FROM token_grants WHERE family = $1`
	grantByID     = `SELECT ` + grantColumns + ` FROM token_grants WHERE id = $1`
	grantList     = `SELECT ` + grantColumns + ` FROM token_grants WHERE user_id = $1 ORDER BY id DESC LIMIT $2`
	// What is beyond the first $2 of a user, in the order of the index.
	grantTrim = `DELETE FROM token_grants WHERE id IN
		(SELECT id FROM token_grants WHERE user_id = $1 ORDER BY refreshed_at DESC, id DESC LIMIT 1000 OFFSET $2)`
	grantRotate  = `UPDATE token_grants SET hash = $1, refreshed_at = $2 WHERE id = $3 AND hash = $4`
	grantRemove  = `DELETE FROM token_grants WHERE id = $1`
	grantDelete  = `DELETE FROM token_grants WHERE id = $1 AND user_id = $2`
	grantEndUser = `DELETE FROM token_grants WHERE user_id = $1 AND id <> $2`
	grantSweep   = `DELETE FROM token_grants WHERE id IN (SELECT id FROM token_grants WHERE expires_at <= $1 LIMIT $2)`
)

// Create implements [token.Store].
func (g *Grants) Create(ctx context.Context, r token.Grant, max int) error {
	args, err := grantArgs(&r)
	if err != nil {
		return err
	}
	return g.db.Tx(ctx, func(tx *Tx) error {
		if err := tx.Lock(r.UserID); err != nil {
			return err
		}
		added, err := tx.Exec(grantAdd, args...)
		if err != nil {
			return err
		}
		if added == 0 {
			return errors.New("sqlstore: the id or the family of the grant is taken")
		}
		_, err = tx.Exec(grantTrim, r.UserID, max)
		return err
	})
}

// Lookup implements [token.Store].
func (g *Grants) Lookup(ctx context.Context, family [sha256.Size]byte) (token.Grant, error) {
	return g.one(ctx, grantByFamily, hex.EncodeToString(family[:]))
}

// Get implements [token.Store].
func (g *Grants) Get(ctx context.Context, id string) (token.Grant, error) {
	return g.one(ctx, grantByID, id)
}

func (g *Grants) one(ctx context.Context, query, arg string) (token.Grant, error) {
	var row grantRow
	found, err := g.db.Get(ctx, query, []any{arg}, row.dest()...)
	if err != nil {
		return token.Grant{}, err
	}
	if !found {
		return token.Grant{}, token.ErrNotFound
	}
	return row.grant()
}

// List implements [token.Store].
func (g *Grants) List(ctx context.Context, userID string, limit int) ([]token.Grant, error) {
	var grants []token.Grant
	err := g.db.Each(ctx, grantList, []any{userID, limit}, func(r Row) error {
		var row grantRow
		if err := r.Scan(row.dest()...); err != nil {
			return unavailable(err)
		}
		grant, err := row.grant()
		grants = append(grants, grant)
		return err
	})
	if err != nil {
		return nil, err
	}
	return grants, nil
}

// Rotate implements [token.Store].
func (g *Grants) Rotate(ctx context.Context, id string, old, next [sha256.Size]byte, at time.Time) error {
	reused := false
	err := g.db.Tx(ctx, func(tx *Tx) error {
		reused = false
		changed, err := tx.Exec(grantRotate, hex.EncodeToString(next[:]), at.UnixMicro(), id, hex.EncodeToString(old[:]))
		if err != nil || changed == 1 {
			return err
		}
		deleted, err := tx.Exec(grantRemove, id)
		if err != nil {
			return err
		}
		if deleted == 0 {
			return token.ErrNotFound
		}
		reused = true // not an error yet: that would undo it
		return nil
	})
	if err == nil && reused {
		err = token.ErrReused
	}
	return err
}

// Delete implements [token.Store].
func (g *Grants) Delete(ctx context.Context, id, userID string) error {
	deleted, err := g.db.Exec(ctx, grantDelete, id, userID)
	if err == nil && deleted == 0 {
		err = token.ErrNotFound
	}
	return err
}

// DeleteUser implements [token.Store].
func (g *Grants) DeleteUser(ctx context.Context, userID, except string) (int, error) {
	deleted, err := g.db.execLocked(ctx, userID, grantEndUser, userID, except)
	return int(deleted), err
}

// DeleteGrants is [Grants.DeleteUser] in the transaction, for a change of a credential that ends the tokens it was good
// for.
func (t *Tx) DeleteGrants(userID, except string) (int, error) {
	if err := t.Lock(userID); err != nil {
		return 0, err
	}
	deleted, err := t.Exec(grantEndUser, userID, except)
	return int(deleted), err
}

// Sweep implements [token.Store].
func (g *Grants) Sweep(ctx context.Context, expiredBy time.Time, limit int) (int, error) {
	deleted, err := g.db.Exec(ctx, grantSweep, expiredBy.UnixMicro(), limit)
	return int(deleted), err
}

// grantArgs returns the values of grantColumns.
func grantArgs(g *token.Grant) ([]any, error) {
	scopes, err := list(g.Scopes)
	if err != nil {
		return nil, err
	}
	address := ""
	if g.Address.IsValid() {
		address = g.Address.String()
	}
	return []any{
		g.ID, g.UserID, hex.EncodeToString(g.Family[:]), hex.EncodeToString(g.Hash[:]), scopes,
		g.CreatedAt.UnixMicro(), g.RefreshedAt.UnixMicro(), g.ExpiresAt.UnixMicro(), address, g.UserAgent,
	}, nil
}

// A grantRow is a row of token_grants as it comes from the database.
type grantRow struct {
	g                           token.Grant
	family, hash                string
	scopes, address             string
	created, refreshed, expires int64
}

// dest returns where grantColumns go.
func (r *grantRow) dest() []any {
	return []any{&r.g.ID, &r.g.UserID, &r.family, &r.hash, &r.scopes, &r.created, &r.refreshed, &r.expires, &r.address, &r.g.UserAgent}
}

// grant returns the grant in the row. What cannot be read is not known: it is an outage, never a refusal.
func (r *grantRow) grant() (token.Grant, error) {
	g := r.g
	var err error
	if g.Family, err = sum(r.family); err != nil {
		return token.Grant{}, err
	}
	if g.Hash, err = sum(r.hash); err != nil {
		return token.Grant{}, err
	}
	if g.Scopes, err = unlist[string]("scopes", r.scopes); err != nil {
		return token.Grant{}, err
	}
	if r.address != "" {
		if g.Address, err = netip.ParseAddr(r.address); err != nil {
			return token.Grant{}, unavailable(errors.New("column address holds no address"))
		}
	}
	g.CreatedAt, g.RefreshedAt = time.UnixMicro(r.created).UTC(), time.UnixMicro(r.refreshed).UTC()
	g.ExpiresAt = time.UnixMicro(r.expires).UTC()
	return g, nil
}
