package sqlstore

import (
	"context"
	"errors"

	"github.com/merlonhq/merlon/revocation"
)

// Revocations is a [revocation.Log] in the table revocations. It has the last 4096 changes to keys, sessions and grants
// that can take a right away: triggers of the [Migrations] write them, in the transaction of the change, whoever makes
// it. Errors of the database are [ErrUnavailable].
type Revocations struct{ db *DB }

var _ revocation.Log = (*Revocations)(nil)

var errNoSequence = errors.New("table revocation_sequence is empty")

// Revocations returns the log of what was revoked.
func (d *DB) Revocations() *Revocations { return &Revocations{d} }

const (
	revocationLatest = `SELECT seq FROM revocation_sequence WHERE one = 1`
	// Beginning with the number that is known, which shows that the log reaches back to it.
	revocationSince = `SELECT seq, kind, name FROM revocations WHERE seq >= $1 ORDER BY seq`
)

// Latest implements [revocation.Log].
func (r *Revocations) Latest(ctx context.Context) (seq int64, err error) {
	found, err := r.db.Get(ctx, revocationLatest, nil, &seq)
	if err == nil && !found {
		err = unavailable(errNoSequence)
	}
	return seq, err
}

// Since implements [revocation.Log].
func (r *Revocations) Since(ctx context.Context, seq int64) ([]revocation.Change, error) {
	var changes []revocation.Change
	next := seq
	err := r.db.Each(ctx, revocationSince, []any{seq}, func(row Row) error {
		var c revocation.Change
		if err := row.Scan(&c.Seq, (*string)(&c.Kind), &c.Name); err != nil {
			return unavailable(err)
		}
		if c.Seq != next {
			return revocation.ErrGap
		}
		if next++; c.Seq != seq {
			changes = append(changes, c)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case next == seq: // not even that one: the database was restored from a backup of before it
		return nil, revocation.ErrGap
	}
	return changes, nil
}
