package sqlstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/merlonhq/merlon/store/sqlstore"
)

// breaker is one that somebody throws.
type breaker struct {
	away error
	done []error
}

func (b *breaker) Away() error    { return b.away }
func (b *breaker) Done(err error) { b.done = append(b.done, err) }

func TestABreakerIsAskedBeforeEachCallAndToldOfIt(t *testing.T) {
	b := &breaker{}
	cfg := arrangements["WAL with one writer and several readers"](t)
	cfg.Breaker = b
	db := newDB(t, cfg)
	errOurs := errors.New("ours")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		call func() error
		want error // nil: none
	}{
		{"Get", func() error { var n int; _, err := db.Get(t.Context(), "SELECT 1", nil, &n); return err }, nil},
		{"Get of what is not there", func() error { var n int; _, err := db.Get(t.Context(), "SELECT 1 WHERE 1 = 0", nil, &n); return err }, nil},
		{"Get that fails", func() error { var n int; _, err := db.Get(t.Context(), "SELECT x", nil, &n); return err }, sqlstore.ErrUnavailable},
		{"Get of somebody who left", func() error { var n int; _, err := db.Get(gone, "SELECT 1", nil, &n); return err }, context.Canceled},
		{"Each", func() error { return db.Each(t.Context(), "SELECT 1", nil, func(sqlstore.Row) error { return nil }) }, nil},
		{"Exec", func() error { _, err := db.Exec(t.Context(), "DELETE FROM sessions"); return err }, nil},
		{"Exec that fails", func() error { _, err := db.Exec(t.Context(), "DELETE FROM nothing"); return err }, sqlstore.ErrUnavailable},
		{"Tx", func() error { return db.Tx(t.Context(), func(*sqlstore.Tx) error { return nil }) }, nil},
		{"Tx of a program that gives up", func() error { return db.Tx(t.Context(), func(*sqlstore.Tx) error { return errOurs }) }, errOurs},
	} {
		b.away, b.done = nil, nil
		if err := tt.call(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if len(b.done) != 1 || !errors.Is(b.done[0], tt.want) {
			t.Errorf("%s: the breaker was told %v, want %v once", tt.name, b.done, tt.want)
		}
		b.away, b.done = errors.New("away"), nil
		if err := tt.call(); !errors.Is(err, b.away) || !errors.Is(err, sqlstore.ErrUnavailable) {
			t.Errorf("%s while the database is away: %v, want that and ErrUnavailable", tt.name, err)
		}
		if b.done != nil {
			t.Errorf("%s: the breaker was told of a call that was not made: %v", tt.name, b.done)
		}
	}
}
