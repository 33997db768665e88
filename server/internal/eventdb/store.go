package eventdb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// A Store keeps events. Its methods may be called concurrently.
type Store struct {
	db     *sqlstore.DB
	scan   int // see DefaultScan
	closed atomic.Bool
}

var _ audit.Sink = (*Store)(nil)

// New returns a store in db, whose schema is up to date.
func New(db *sqlstore.DB) (*Store, error) {
	if db == nil {
		return nil, errors.New("eventdb: the database is nil: set it to an open one")
	}
	return &Store{db: db, scan: DefaultScan}, nil
}

var errClosed = errors.New("eventdb: the store is closed")

// insertSizes are how many events one statement writes. A batch that went event by event would take as many round
// trips, and with a database at some distance more time than a call has.
var insertSizes = [...]int{64, 8, 1}

// inserts are the statements of insertSizes.
var inserts = func() (all [len(insertSizes)]string) {
	const columns = 8
	for i, rows := range insertSizes {
		text := `INSERT INTO events (id, time, type, category, outcome, principal, address, body) VALUES `
		for n := range rows * columns {
			switch {
			case n == 0:
				text += "("
			case n%columns == 0:
				text += "), ("
			default:
				text += ", "
			}
			text += fmt.Sprintf("$%d", n+1)
		}
		all[i] = text + ") ON CONFLICT DO NOTHING"
	}
	return all
}()

const sweep = `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE time < $1 ORDER BY time, id LIMIT $2)`

// Write implements [audit.Sink]: the batch is one transaction.
func (s *Store) Write(ctx context.Context, batch []audit.Event, lines [][]byte) error {
	if s.closed.Load() {
		return errClosed
	}
	if len(batch) == 0 {
		return nil
	}
	return s.db.Tx(ctx, func(tx *sqlstore.Tx) error {
		batch, lines := batch, lines
		for i, rows := range insertSizes {
			for ; len(batch) >= rows; batch, lines = batch[rows:], lines[rows:] {
				var args []any
				for j, e := range batch[:rows] {
					e = e.Complete()
					args = append(args, e.ID, e.Time.UnixMicro(), string(e.Type), string(e.Category), string(e.Outcome),
						e.Principal, e.Address, body(e, lines[j]))
				}
				if _, err := tx.Exec(inserts[i], args...); err != nil {
					return err
				}
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
