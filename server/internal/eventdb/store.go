package eventdb

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// A Store keeps events. Its methods may be called concurrently.
type Store struct {
	db     *sqlstore.DB
	closed atomic.Bool
}

var _ audit.Sink = (*Store)(nil)

// New returns a store in db, whose schema is up to date.
func New(db *sqlstore.DB) (*Store, error) {
	if db == nil {
		return nil, errors.New("eventdb: the database is nil: set it to an open one")
	}
	return &Store{db: db}, nil
}

var errClosed = errors.New("eventdb: the store is closed")

const (
	insert = `INSERT INTO events (id, time, type, category, outcome, principal, address, body)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
	sweep = `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE time < $1 ORDER BY time, id LIMIT $2)`
)

// Write implements [audit.Sink]: the batch is one transaction.
func (s *Store) Write(ctx context.Context, batch []audit.Event, lines [][]byte) error {
	if s.closed.Load() {
		return errClosed
	}
	if len(batch) == 0 {
		return nil
	}
	return s.db.Tx(ctx, func(tx *sqlstore.Tx) error {
		for i, e := range batch {
			e = e.Complete()
			_, err := tx.Exec(insert, e.ID, e.Time.UnixMicro(), string(e.Type), string(e.Category), string(e.Outcome),
				e.Principal, e.Address, body(e, lines[i]))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Close ends writing. Queries go on. It does not close the database.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// Sweep deletes up to limit events from before the instant given, the oldest first, and returns how many.
func (s *Store) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	deleted, err := s.db.Exec(ctx, sweep, before.UnixMicro(), limit)
	return int(deleted), err
}
