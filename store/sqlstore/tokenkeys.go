package sqlstore

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/merlonhq/merlon/token"
)

// TokenKeys is a [token.KeyStore] in the table token_keys. Errors of the database are [ErrUnavailable].
type TokenKeys struct{ db *DB }

var _ token.KeyStore = (*TokenKeys)(nil)

// TokenKeys returns the store of the keys that sign access tokens.
func (d *DB) TokenKeys() *TokenKeys { return &TokenKeys{d} }

const (
	tokenKeyColumns = `id, algorithm, number, signs_from, secret_id, sealed`

	tokenKeyList   = `SELECT ` + tokenKeyColumns + ` FROM token_keys WHERE algorithm = $1 ORDER BY number`
	tokenKeyAdd    = `INSERT INTO token_keys (` + tokenKeyColumns + `) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`
	tokenKeyReseal = `UPDATE token_keys SET secret_id = $1, sealed = $2 WHERE id = $3 AND secret_id = $4`
	tokenKeyDelete = `DELETE FROM token_keys WHERE id = $1`
)

// Keys implements [token.KeyStore].
func (k *TokenKeys) Keys(ctx context.Context, algorithm token.Algorithm) ([]token.KeyRecord, error) {
	var keys []token.KeyRecord
	err := k.db.Each(ctx, tokenKeyList, []any{string(algorithm)}, func(r Row) error {
		var key token.KeyRecord
		var signsFrom int64
		var sealed string
		if err := r.Scan(&key.ID, (*string)(&key.Algorithm), &key.Number, &signsFrom, &key.SecretID, &sealed); err != nil {
			return unavailable(err)
		}
		var err error
		if key.Sealed, err = hex.DecodeString(sealed); err != nil {
			return unavailable(errors.New("column sealed holds no hexadecimal text"))
		}
		key.SignsFrom = time.UnixMicro(signsFrom).UTC()
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// AddKey implements [token.KeyStore]. The number is unique, so of several that are added at once one is.
func (k *TokenKeys) AddKey(ctx context.Context, r token.KeyRecord) error {
	added, err := k.db.Exec(ctx, tokenKeyAdd, r.ID, string(r.Algorithm), r.Number, r.SignsFrom.UnixMicro(), r.SecretID, hex.EncodeToString(r.Sealed))
	if err == nil && added == 0 {
		err = token.ErrConflict
	}
	return err
}

// ResealKey implements [token.KeyStore].
func (k *TokenKeys) ResealKey(ctx context.Context, id, from, secretID string, sealed []byte) error {
	changed, err := k.db.Exec(ctx, tokenKeyReseal, secretID, hex.EncodeToString(sealed), id, from)
	if err == nil && changed == 0 {
		err = token.ErrConflict
	}
	return err
}

// DeleteKey implements [token.KeyStore].
func (k *TokenKeys) DeleteKey(ctx context.Context, id string) error {
	_, err := k.db.Exec(ctx, tokenKeyDelete, id)
	return err
}
