package sqlstore_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/revocation"
	"github.com/merlonhq/merlon/revocation/revocationtest"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/store/sqlstore"
	"github.com/merlonhq/merlon/token"
)

func TestRevocationsConform(t *testing.T) {
	for _, name := range []string{"WAL with one writer and several readers", "PostgreSQL"} {
		t.Run(name, func(t *testing.T) {
			revocationtest.Run(t, 4096, func(t *testing.T) (revocation.Log, func(...string)) {
				cfg := arrangements[name](t)
				db := newDB(t, cfg)
				return db.Revocations(), func(names ...string) {
					for some := range slices.Chunk(names, 400) { // or the room of the log takes its time to fill
						if err := end(t, db, some); err != nil {
							t.Error(err)
						}
					}
				}
			})
		})
	}
}

// end ends sessions with these ids and hashes in one transaction.
func end(t *testing.T, db *sqlstore.DB, names []string) error {
	return db.Tx(t.Context(), func(tx *sqlstore.Tx) error {
		for _, name := range names {
			if _, err := tx.Exec(`INSERT INTO sessions (id, user_id, hash, created_at, last_seen_at, address, user_agent)
				VALUES ($1, 'usr_a', $1, 0, 0, '', '')`, name); err != nil {
				return err
			}
			if _, err := tx.Exec(`DELETE FROM sessions WHERE id = $1`, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// In PostgreSQL a transaction that changes very much says that all may have changed, once.
func TestAChangeOfVeryMuchIsOneLine(t *testing.T) {
	db, _, _ := onPostgres(t)
	log := db.Revocations()
	for _, tt := range []struct {
		changes, lines int
		all            bool
	}{{500, 500, false}, {501, 501, true}, {2000, 501, true}, {1, 1, false}} {
		before, err := log.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for n := range tt.changes {
			names = append(names, fmt.Sprintf("%064x", n))
		}
		if err := end(t, db, names); err != nil {
			t.Fatal(err)
		}
		changes, err := log.Since(t.Context(), before)
		if err != nil || len(changes) != tt.lines {
			t.Fatalf("%d changes: %d lines (%v), want %d", tt.changes, len(changes), err, tt.lines)
		}
		for i, c := range changes {
			want := revocation.Change{Seq: before + int64(i) + 1, Kind: revocation.Session, Name: names[i]}
			if tt.all && i == tt.lines-1 {
				want.Kind, want.Name = revocation.All, ""
			}
			if c != want {
				t.Fatalf("%d changes: line %d is %+v, want %+v", tt.changes, i, c, want)
			}
		}
	}
}

// What can take a right away is in the log when it returns; what cannot is not.
func TestWhatTakesARightAwayIsInTheLog(t *testing.T) {
	for name, arrange := range arrangements {
		t.Run(name, func(t *testing.T) {
			db := newDB(t, arrange(t))
			ctx := t.Context()
			keys, sessions, grants, log := db.Keys(), db.Sessions(), db.Grants(), db.Revocations()
			for n := range 9 {
				g := grant(n)
				g.ID = fmt.Sprintf("ses_g%03d", n)
				if n >= 7 {
					g.UserID = "usr_b"
				}
				if err := errors.Join(keys.Create(ctx, key(n), 100), sessions.Create(ctx, login(n)), grants.Create(ctx, g, 100)); err != nil {
					t.Fatal(err)
				}
			}
			of := func(kind revocation.Kind, name string) revocation.Change {
				return revocation.Change{Kind: kind, Name: name}
			}
			hash := func(n int) string { return hex.EncodeToString(hashOf(n)) }
			lookup := func(n int) string { return key(n).Lookup }
			update := func(n int, change func(*apikey.Record)) func() error {
				return func() error {
					r, err := keys.Get(ctx, key(n).ID)
					if err != nil {
						return err
					}
					change(&r)
					return keys.Update(ctx, r)
				}
			}
			for _, tt := range []struct {
				name string
				do   func() error
				want []revocation.Change
			}{
				{"nothing", func() error { return nil }, nil},
				{"a key is made", func() error { return keys.Create(ctx, key(20), 100) }, nil},
				{"a key is used", func() error { return keys.Touch(ctx, []apikey.Use{{ID: key(0).ID, At: epoch}}) }, nil},
				{"a key is disabled", update(0, func(r *apikey.Record) { r.Enabled = false }), []revocation.Change{of("key", lookup(0))}},
				{"a key loses a scope", update(0, func(r *apikey.Record) { r.Scopes = nil }), []revocation.Change{of("key", lookup(0))}},
				{"a key expires sooner", update(0, func(r *apikey.Record) { r.ExpiresAt = &epoch }), []revocation.Change{of("key", lookup(0))}},
				{"a change that another came before", func() error {
					if err := keys.Update(ctx, key(0)); !errors.Is(err, apikey.ErrConflict) {
						return fmt.Errorf("%w, want ErrConflict", err)
					}
					return nil
				}, nil},
				{"a key is rotated", func() error {
					old := key(1)
					old.RotatedTo, old.ReplacedAt, old.ExpiresAt = key(21).ID, &epoch, &epoch
					return keys.Rotate(ctx, old, key(21))
				}, []revocation.Change{of("key", lookup(1))}},
				{"a key is revoked", func() error { return keys.Revoke(ctx, key(2).ID, epoch) }, []revocation.Change{of("key", lookup(2))}},
				{"it is swept", func() error { _, err := keys.Sweep(ctx, epoch.Add(time.Second), 1000); return err },
					[]revocation.Change{of("key", lookup(0)), of("key", lookup(1))}}, // expired, and not the one that was revoked
				{"an owner's keys are revoked", func() error { _, err := keys.RevokeOwner(ctx, "usr_a", epoch); return err },
					[]revocation.Change{of("key", lookup(3)), of("key", lookup(4)), of("key", lookup(5)), of("key", lookup(6)), of("key", lookup(7)), of("key", lookup(8)), of("key", lookup(20)), of("key", lookup(21))}},
				{"a session is seen", func() error {
					return sessions.Touch(ctx, []session.Seen{{ID: login(0).ID, At: epoch.Add(time.Minute)}})
				}, nil},
				{"a session ends", func() error { return sessions.Delete(ctx, login(0).ID, "usr_a") }, []revocation.Change{of("session", hash(0))}},
				{"a session is rotated", func() error { return sessions.Replace(ctx, login(1).ID, login(11)) }, []revocation.Change{of("session", hash(1))}},
				{"sessions end with a transaction", func() error {
					return db.Tx(ctx, func(tx *sqlstore.Tx) error { _, err := tx.DeleteSessions("usr_a", login(2).ID); return err })
				}, []revocation.Change{of("session", hash(3)), of("session", hash(4)), of("session", hash(5)), of("session", hash(6)), of("session", hash(7)), of("session", hash(8)), of("session", hash(11))}},
				{"a transaction that is undone", func() error {
					errUndo := errors.New("undo")
					err := db.Tx(ctx, func(tx *sqlstore.Tx) error {
						if _, err := tx.DeleteSessions("usr_a", ""); err != nil {
							return err
						}
						return errUndo
					})
					if !errors.Is(err, errUndo) {
						return err
					}
					return nil
				}, nil},
				{"a refresh token is used", func() error { return grants.Rotate(ctx, "ses_g000", hashed(0, 1), hashed(0, 2), epoch) }, nil},
				{"it is used again", func() error {
					if err := grants.Rotate(ctx, "ses_g000", hashed(0, 1), hashed(0, 3), epoch); !errors.Is(err, token.ErrReused) {
						return fmt.Errorf("%w, want ErrReused", err)
					}
					return nil
				}, []revocation.Change{of("grant", "ses_g000")}},
				{"a family ends", func() error { return grants.Delete(ctx, "ses_g001", "usr_a") }, []revocation.Change{of("grant", "ses_g001")}},
				{"a user's families end", func() error { _, err := grants.DeleteUser(ctx, "usr_b", ""); return err },
					[]revocation.Change{of("grant", "ses_g007"), of("grant", "ses_g008")}},
			} {
				before, err := log.Latest(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if err := tt.do(); err != nil {
					t.Errorf("%s: %v", tt.name, err)
				}
				got, err := log.Since(ctx, before)
				if err != nil {
					t.Fatal(err)
				}
				for i := range got {
					if got[i].Seq != before+int64(i)+1 {
						t.Errorf("%s: number %d after %d", tt.name, got[i].Seq, before)
					}
					got[i].Seq = 0
				}
				// Of what one statement changes the order is the engine's.
				slices.SortFunc(got, func(a, b revocation.Change) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
				slices.SortFunc(tt.want, func(a, b revocation.Change) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s: the log has\n%v, want\n%v", tt.name, got, tt.want)
				}
			}
		})
	}
}

func hashOf(n int) []byte { h := login(n).Hash; return h[:] }

func hashed(n, m int) [sha256.Size]byte {
	if m == 1 {
		return grant(n).Hash
	}
	return sha256.Sum256([]byte{byte(n), byte(m)})
}

// Revocations that lock one name after the other, in both orders, do not wait for each other in a circle by way of the
// sequence.
func TestTheSequenceIsNoPlaceToDeadlock(t *testing.T) {
	a, b, raw := onPostgres(t)
	for n := range 40 {
		if err := a.Sessions().Create(t.Context(), login(n)); err != nil {
			t.Fatal(err)
		}
	}
	var both sync.WaitGroup
	both.Add(2)
	errs := make([]error, 2)
	attempts := make([]int, 2)
	var wg sync.WaitGroup
	for i, db := range []*sqlstore.DB{a, b} {
		wg.Go(func() {
			errs[i] = db.Tx(t.Context(), func(tx *sqlstore.Tx) error {
				if attempts[i]++; attempts[i] > 1 {
					return errors.New("one was ended for the other's sake")
				}
				if i == 0 { // ends a session, then wants the name
					if _, err := tx.Exec("DELETE FROM sessions WHERE id = $1", login(0).ID); err != nil {
						return err
					}
					both.Done()
					both.Wait()
					return tx.Lock("name")
				}
				if err := tx.Lock("name"); err != nil { // has the name, then ends a session
					return err
				}
				both.Done()
				both.Wait()
				_, err := tx.Exec("DELETE FROM sessions WHERE id = $1", login(1).ID)
				return err
			})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	var seq int64
	if err := raw.QueryRow("SELECT seq FROM revocation_sequence").Scan(&seq); err != nil || seq != 2 {
		t.Errorf("seq = %d, %v, want 2", seq, err)
	}
}
