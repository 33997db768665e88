package eventdb

import (
	"context"
	"errors"
	"time"

	"github.com/merlonhq/merlon/store/sqlstore"
)

// A Count is how many events of a type began in a span of time.
type Count struct {
	Start time.Time
	Type  string
	Count int
}

// ErrSpan: the spans that were asked for are too short or too many.
var ErrSpan = errors.New("eventdb: spans of a second or more, and no more than 10,000 of them")

const maxSpans = 10_000

// count looks up each type in the index of types, which holds all that is counted: the events themselves are not read.
// The types are found by steps from each to the next, and CROSS JOIN keeps SQLite from beginning with the events.
const count = `WITH RECURSIVE types(type) AS (SELECT MIN(type) FROM events
	UNION ALL SELECT (SELECT MIN(events.type) FROM events WHERE events.type > types.type) FROM types WHERE types.type IS NOT NULL)
	SELECT (events.time / $1) * $1 AS span, events.type, COUNT(*) FROM types CROSS JOIN events
	WHERE events.type = types.type AND events.time >= $2 AND events.time < $3
	GROUP BY span, events.type ORDER BY span, events.type`

// Stats counts the events from since to until by type and span, in the order of both.
// Spans begin at multiples of their length since 1970; spans without events are left out.
func (s *Store) Stats(ctx context.Context, since, until time.Time, span time.Duration) ([]Count, error) {
	if span < time.Second || until.Sub(since)/span > maxSpans {
		return nil, ErrSpan
	}
	var counts []Count
	err := s.db.Each(ctx, count, []any{span.Microseconds(), since.UnixMicro(), until.UnixMicro()}, func(r sqlstore.Row) error {
		var start int64
		var c Count
		if err := r.Scan(&start, &c.Type, &c.Count); err != nil {
			return err
		}
		c.Start = time.UnixMicro(start).UTC()
		counts = append(counts, c)
		return nil
	})
	return counts, err
}
