package eventdb

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/merlonhq/merlon/store/sqlstore"
)

// A Filter says which events to return: those that match every field that is set.
type Filter struct {
	Type     string
	Category string
	Outcome  string
	Subject  string // the principal: an account id
	Address  string // as it stands in the event

	Since time.Time // events of this instant or later; zero: from the first
	Until time.Time // events before this instant; zero: to the last
}

// maxLimit is the greatest number of events in a page.
const maxLimit = 1000

// Query returns up to limit (1 to 1000) events that match f, as the JSON objects of the API, newest first; events of
// one microsecond are in the descending order of their ids. The cursor is "", or what a call with the same filter
// returned: the page after its page, which events that came in between do not shift. next is "" at the end.
//
// The error is [ErrCursor] for a cursor that no call returned, or that of the database.
func (s *Store) Query(ctx context.Context, f Filter, cursor string, limit int) (events []json.RawMessage, next string, err error) {
	if limit < 1 || limit > maxLimit {
		return nil, "", fmt.Errorf("eventdb: limit is %d: must be 1 to %d", limit, maxLimit)
	}
	var from *position
	if cursor != "" {
		p, err := parseCursor(cursor)
		if err != nil {
			return nil, "", err
		}
		from = &p
	}
	query, args := statement(f, from, limit+1) // one more tells whether there is a next page
	events = make([]json.RawMessage, 0, limit)
	var last position
	more := false
	err = s.db.Each(ctx, query, args, func(r sqlstore.Row) error {
		if len(events) == limit {
			more = true
			return nil
		}
		var body []byte
		if err := r.Scan(&last.time, &last.id, &body); err != nil {
			return fmt.Errorf("%w: %w", sqlstore.ErrUnavailable, err)
		}
		events = append(events, body)
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	if more {
		next = last.cursor()
	}
	return events, next, nil
}

// statement returns the statement for f and its arguments. Its text is made of constants alone, one for each set of
// fields that are used, so that there are few of them.
//
// The first column asked for, in the order of how few events each value has, is looked up in its index, which gives the
// events in the order of the list; the others are compared event by event. Adding an empty string keeps their indexes
// out of it: without statistics SQLite may take any of them, such as the one that says that most events are a success.
func statement(f Filter, from *position, limit int) (string, []any) {
	var where []string
	var args []any
	param := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	for _, c := range []struct{ column, value string }{
		{"principal", f.Subject}, {"address", f.Address}, {"type", f.Type}, {"category", f.Category}, {"outcome", f.Outcome},
	} {
		switch {
		case c.value == "":
		case len(where) == 0:
			where = append(where, c.column+" = "+param(c.value))
		default:
			where = append(where, c.column+" || '' = "+param(c.value))
		}
	}
	if !f.Since.IsZero() {
		where = append(where, "time >= "+param(f.Since.UnixMicro()))
	}
	if !f.Until.IsZero() {
		where = append(where, "time < "+param(f.Until.UnixMicro()))
	}
	if from != nil {
		where = append(where, "(time, id) < ("+param(from.time)+", "+param(from.id)+")")
	}
	query := "SELECT time, id, body FROM events"
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	return query + " ORDER BY time DESC, id DESC LIMIT " + param(limit), args
}
