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

// DefaultScan is how many events a page looks at, at most, when a filter names more than one field.
const DefaultScan = 10_000

// Query returns up to limit (1 to 1000) events that match f, as the JSON objects of the API, newest first; events of
// one microsecond are in the descending order of their ids. The cursor is "", or what a call with the same filter
// returned: the page after its page, which events that came in between do not shift. next is "" at the end.
//
// Where a filter names several fields, the first of them is read off its index and the others are compared: a page
// looks at [DefaultScan] events, so that it takes no longer where few of many match. It may then hold fewer events than
// limit, or none, and have a next one all the same.
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
	query, args := statement(f, from, limit+1, s.scan) // one more tells whether there is a next page
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
	switch {
	case more:
		next = last.cursor()
	case len(f.equal()) > 1:
		looked, any, err := s.looked(ctx, f, from)
		if err != nil {
			return nil, "", err
		}
		// Events that came in between have moved the place of the last one, so that some
		// of this page may be after it: they are not to be on the next page too.
		if len(events) > 0 && last.older(looked) {
			looked = last
		}
		if any {
			next = looked.cursor()
		}
	}
	return events, next, nil
}

// looked returns the place of the last event that a page looked at, and false when it looked at all there are.
func (s *Store) looked(ctx context.Context, f Filter, from *position) (last position, any bool, err error) {
	query, args := lastLooked(f, from, s.scan)
	err = s.db.Each(ctx, query, args, func(r sqlstore.Row) error {
		if err := r.Scan(&last.time, &last.id); err != nil {
			return fmt.Errorf("%w: %w", sqlstore.ErrUnavailable, err)
		}
		any = true
		return nil
	})
	return last, any, err
}

// A condition is a column and the value that it must have.
type condition struct{ column, value string }

// equal returns the fields of f that are set, in the order of how few events each value has.
func (f Filter) equal() (list []condition) {
	for _, c := range []condition{
		{"principal", f.Subject}, {"address", f.Address}, {"type", f.Type}, {"category", f.Category}, {"outcome", f.Outcome},
	} {
		if c.value != "" {
			list = append(list, c)
		}
	}
	return list
}

// A query is a statement under construction. Its text is made of constants alone, one for each set of fields that
// are used, so that there are few of them.
type query struct{ args []any }

func (q *query) param(v any) string {
	q.args = append(q.args, v)
	return fmt.Sprintf("$%d", len(q.args))
}

// page returns what of the events is read in the order of the list: those of the first field of f, which is looked up
// in its index, of its times, and after from.
func (q *query) page(columns string, f Filter, from *position) string {
	var where []string
	if equal := f.equal(); len(equal) > 0 {
		where = append(where, equal[0].column+" = "+q.param(equal[0].value))
	}
	if !f.Since.IsZero() {
		where = append(where, "time >= "+q.param(f.Since.UnixMicro()))
	}
	// Of two ends the nearer one alone: given both, a database may begin at the other, and
	// read up to the page again each time.
	until := !f.Until.IsZero() && (from == nil || from.time >= f.Until.UnixMicro())
	if until {
		where = append(where, "time < "+q.param(f.Until.UnixMicro()))
	}
	if from != nil && !until {
		where = append(where, "(time, id) < ("+q.param(from.time)+", "+q.param(from.id)+")")
	}
	text := "SELECT " + columns + " FROM events"
	if len(where) > 0 {
		text += " WHERE " + strings.Join(where, " AND ")
	}
	return text + " ORDER BY time DESC, id DESC LIMIT "
}

// statement returns the statement for a page of f and its arguments.
func statement(f Filter, from *position, limit, scan int) (string, []any) {
	var q query
	equal := f.equal()
	if len(equal) < 2 {
		text := q.page("time, id, body", f, from)
		return text + q.param(limit), q.args
	}
	columns := "time, id, body"
	for _, c := range equal[1:] {
		columns += ", " + c.column
	}
	text := "SELECT time, id, body FROM (" + q.page(columns, f, from) + q.param(scan) + ") AS looked WHERE "
	for i, c := range equal[1:] {
		if i > 0 {
			text += " AND "
		}
		text += c.column + " = " + q.param(c.value)
	}
	return text + " ORDER BY time DESC, id DESC LIMIT " + q.param(limit), q.args
}

// lastLooked returns the statement for the last event that the page looked at, if there may be more.
func lastLooked(f Filter, from *position, scan int) (string, []any) {
	var q query
	text := q.page("time, id", f, from)
	return text + "1 OFFSET " + q.param(scan-1), q.args
}
