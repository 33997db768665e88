package server

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/eventdb"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// EventLog returns the path of the event log, "" when events go to standard output only.
func (s Settings) EventLog() string { return s.set.Audit.Log }

// EventKey is the public half of a key that signs checkpoints of the event log.
type EventKey struct {
	Node, ID string
	Key      ed25519.PublicKey
}

// EventKeys returns the keys of this node: that of the secret key, and those of the
// former ones, which signed what was written under them.
func EventKeys(set Settings) ([]EventKey, error) {
	if set.set.Audit.Log == "" {
		return nil, errors.New("audit.log is empty: there is no event log that is signed")
	}
	if set.set.SecretKeyGenerated {
		return nil, errors.New("secret_key is not set: each start signs with a key of its own, which nobody keeps")
	}
	node, err := audit.NodeID(set.set.Audit.Log)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the node has no id before its first start", err)
	}
	if err != nil {
		return nil, err
	}
	var keys []EventKey
	for _, secret := range secrets(set.set) {
		key, err := audit.NodeKey(secret, node)
		if err != nil {
			return nil, err
		}
		public := key.Public().(ed25519.PublicKey)
		keys = append(keys, EventKey{Node: node, ID: audit.KeyID(public), Key: public})
	}
	return keys, nil
}

// EventFilter says which events to return: those that match every field that is set.
type EventFilter struct {
	Type, Category, Outcome string
	// Subject is an account id and Address an address: whole, however they are recorded.
	Subject, Address string
	// Since is the first instant and Until the first one after; zero is without a limit.
	Since, Until time.Time
}

// An EventStore is the events of the database, to read beside a server or without one.
type EventStore struct {
	database database
	events   *eventdb.Store
	who      *audit.Privacy
}

// OpenEvents opens the database of the settings, which must be there.
func OpenEvents(ctx context.Context, set Settings) (*EventStore, error) {
	if file := set.set.DatabaseFile(); file != "" {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("no events to read: %w", err)
		}
	}
	who, err := privacy(set.set)
	if err != nil {
		return nil, err
	}
	database, dialect, err := newDatabase(set.set, slog.Default())
	if err != nil {
		return nil, settingsError{err}
	}
	err = database.Open(ctx)
	if err == nil {
		var db *sqlstore.DB
		if db, err = storesIn(database, dialect); err == nil {
			var events *eventdb.Store
			if events, err = eventdb.New(db); err == nil {
				return &EventStore{database: database, events: events, who: who}, nil
			}
		}
	}
	return nil, errors.Join(named(err), database.Close())
}

// ErrEventQuery: a cursor that no query returned, or spans that are too short or too many.
var ErrEventQuery = errors.New("server: wrong query of events")

// Query returns up to limit (1 to 1000) events, newest first, as the objects of GET /api/v1/events, and the cursor
// of those after them, "" at the end.
func (s *EventStore) Query(ctx context.Context, f EventFilter, cursor string, limit int) (events []json.RawMessage, next string, err error) {
	filter := eventdb.Filter{Type: f.Type, Category: f.Category, Outcome: f.Outcome,
		Subject: s.who.Name(f.Subject), Address: s.who.Address(f.Address), Since: f.Since, Until: f.Until}
	for next = cursor; ; { // a page may be short where few of many match
		var page []json.RawMessage
		page, next, err = s.events.Query(ctx, filter, next, limit-len(events))
		if events = append(events, page...); err != nil || next == "" || len(events) >= limit {
			break
		}
	}
	if errors.Is(err, eventdb.ErrCursor) {
		err = fmt.Errorf("%w: the cursor is not one that a query returned", ErrEventQuery)
	}
	return events, next, err
}

// EventCount is how many events of a type there are in a span of time that begins at Start.
type EventCount struct {
	Start time.Time `json:"start"`
	Type  string    `json:"type"`
	Count int       `json:"count"`
}

// Stats counts events by type and span. Spans without events are left out.
func (s *EventStore) Stats(ctx context.Context, since, until time.Time, span time.Duration) ([]EventCount, error) {
	counts, err := s.events.Stats(ctx, since, until, span)
	if errors.Is(err, eventdb.ErrSpan) {
		err = fmt.Errorf("%w: %w", ErrEventQuery, err)
	}
	out := make([]EventCount, len(counts))
	for i, c := range counts {
		out[i] = EventCount(c)
	}
	return out, err
}

// Close closes the database.
func (s *EventStore) Close() error { return s.database.Close() }
