package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"github.com/merlonhq/merlon/session"
)

// Sessions is a [session.Store] in the table sessions. Errors of the database are [ErrUnavailable].
type Sessions struct{ db *DB }

var _ session.Store = (*Sessions)(nil)

// Sessions returns the store of sessions.
func (d *DB) Sessions() *Sessions { return &Sessions{d} }

const (
	sessionColumns = `id, user_id, hash, created_at, last_seen_at, address, user_agent`

	sessionAdd     = `INSERT INTO sessions (` + sessionColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`
	sessionByHash  = `SELECT ` + sessionColumns + ` FROM sessions WHERE hash = $1`
	sessionList    = `SELECT ` + sessionColumns + ` FROM sessions WHERE user_id = $1 ORDER BY id DESC LIMIT $2`
	sessionRemove  = `DELETE FROM sessions WHERE id = $1`
	sessionDelete  = `DELETE FROM sessions WHERE id = $1 AND user_id = $2`
	sessionEndUser = `DELETE FROM sessions WHERE user_id = $1 AND id <> $2`
	sessionSweep   = `DELETE FROM sessions WHERE id IN
		(SELECT id FROM sessions WHERE last_seen_at <= $1 OR created_at <= $2 LIMIT $3)`
)

var sessionTouch = newToucher("sessions", "last_seen_at")

var errSessionTaken = errors.New("sqlstore: the id or the hash of the session is taken")

// Create implements [session.Store].
func (s *Sessions) Create(ctx context.Context, r session.Record) error {
	added, err := s.db.execLocked(ctx, r.UserID, sessionAdd, sessionArgs(&r)...)
	if err == nil && added == 0 {
		err = errSessionTaken
	}
	return err
}

// Lookup implements [session.Store].
func (s *Sessions) Lookup(ctx context.Context, hash [sha256.Size]byte) (session.Record, error) {
	var row sessionRow
	found, err := s.db.Get(ctx, sessionByHash, []any{hex.EncodeToString(hash[:])}, row.dest()...)
	if err != nil {
		return session.Record{}, err
	}
	if !found {
		return session.Record{}, session.ErrNotFound
	}
	return row.record()
}

// List implements [session.Store].
func (s *Sessions) List(ctx context.Context, userID string, limit int) ([]session.Record, error) {
	var records []session.Record
	err := s.db.Each(ctx, sessionList, []any{userID, limit}, func(r Row) error {
		var row sessionRow
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

// Replace implements [session.Store].
func (s *Sessions) Replace(ctx context.Context, oldID string, next session.Record) error {
	return s.db.Tx(ctx, func(tx *Tx) error {
		if err := tx.Lock(next.UserID); err != nil {
			return err
		}
		deleted, err := tx.Exec(sessionRemove, oldID)
		if err != nil {
			return err
		}
		if deleted == 0 {
			return session.ErrNotFound
		}
		added, err := tx.Exec(sessionAdd, sessionArgs(&next)...)
		if err == nil && added == 0 {
			err = errSessionTaken
		}
		return err
	})
}

// Delete implements [session.Store].
func (s *Sessions) Delete(ctx context.Context, id, userID string) error {
	deleted, err := s.db.Exec(ctx, sessionDelete, id, userID)
	if err == nil && deleted == 0 {
		err = session.ErrNotFound
	}
	return err
}

// DeleteUser implements [session.Store].
func (s *Sessions) DeleteUser(ctx context.Context, userID, except string) (int, error) {
	deleted, err := s.db.execLocked(ctx, userID, sessionEndUser, userID, except)
	return int(deleted), err
}

// DeleteSessions is [Sessions.DeleteUser] in the transaction, for a change of a credential that ends the sessions it
// began.
func (t *Tx) DeleteSessions(userID, except string) (int, error) {
	if err := t.Lock(userID); err != nil {
		return 0, err
	}
	deleted, err := t.Exec(sessionEndUser, userID, except)
	return int(deleted), err
}

// Touch implements [session.Store].
func (s *Sessions) Touch(ctx context.Context, seen []session.Seen) error {
	touches := make([]touch, len(seen))
	for i, one := range seen {
		touches[i] = touch{one.ID, one.At.UnixMicro()}
	}
	return s.db.Tx(ctx, func(tx *Tx) error { return sessionTouch.all(tx, touches) })
}

// Sweep implements [session.Store].
func (s *Sessions) Sweep(ctx context.Context, seenBefore, createdBefore time.Time, limit int) (int, error) {
	deleted, err := s.db.Exec(ctx, sessionSweep, seenBefore.UnixMicro(), createdBefore.UnixMicro(), limit)
	return int(deleted), err
}

// sessionArgs returns the values of sessionColumns.
func sessionArgs(r *session.Record) []any {
	address := ""
	if r.Address.IsValid() {
		address = r.Address.String()
	}
	return []any{
		r.ID, r.UserID, hex.EncodeToString(r.Hash[:]), r.CreatedAt.UnixMicro(), r.LastSeenAt.UnixMicro(), address, r.UserAgent,
	}
}

// A sessionRow is a row of sessions as it comes from the database.
type sessionRow struct {
	r             session.Record
	hash, address string
	created, seen int64
}

// dest returns where sessionColumns go.
func (s *sessionRow) dest() []any {
	return []any{&s.r.ID, &s.r.UserID, &s.hash, &s.created, &s.seen, &s.address, &s.r.UserAgent}
}

// record returns the record in the row. What cannot be read is not known: it is an outage, never a refusal.
func (s *sessionRow) record() (session.Record, error) {
	r := s.r
	var err error
	if r.Hash, err = sum(s.hash); err != nil {
		return session.Record{}, err
	}
	if s.address != "" {
		if r.Address, err = netip.ParseAddr(s.address); err != nil {
			return session.Record{}, unavailable(errors.New("column address holds no address"))
		}
	}
	r.CreatedAt, r.LastSeenAt = time.UnixMicro(s.created).UTC(), time.UnixMicro(s.seen).UTC()
	return r, nil
}
