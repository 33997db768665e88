package sqlstore

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// micros returns an instant as it is stored: microseconds since 1970, or NULL.
func micros(t *time.Time) sql.NullInt64 {
	if t == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: true}
}

// instant is the inverse of micros.
func instant(v sql.NullInt64) *time.Time {
	if !v.Valid {
		return nil
	}
	t := time.UnixMicro(v.Int64).UTC()
	return &t
}

// list returns values as JSON.
func list[T any](values []T) (string, error) {
	if len(values) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(values)
	if err != nil {
		return "", fmt.Errorf("sqlstore: a list cannot be stored: %w", err)
	}
	return string(b), nil
}

// unlist is the inverse of list. An empty list is nil.
func unlist[T any](column, text string) (values []T, err error) {
	if text == "[]" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, unavailable(fmt.Errorf("column %s holds no list", column))
	}
	return values, nil
}

// sum returns the SHA-256 that is stored as hexadecimal text.
func sum(text string) (h [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(h) {
		return h, unavailable(errors.New("column hash holds no SHA-256"))
	}
	return [sha256.Size]byte(b), nil
}
