package eventdb

import (
	"cmp"
	"context"
	"errors"
	"slices"
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

// The steps in which events are counted: an hour or more, and so many at most.
const (
	leastStep = time.Hour
	maxSteps  = 1000
)

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
	// A month of many events takes longer than one call to a database may.
	type of struct {
		start int64
		kind  string
	}
	sums := map[of]int{}
	step := max(leastStep, until.Sub(since)/maxSteps)
	for from := since; from.Before(until); from = from.Add(step) {
		to := from.Add(step)
		if to.After(until) {
			to = until
		}
		err := s.db.Each(ctx, count, []any{span.Microseconds(), from.UnixMicro(), to.UnixMicro()}, func(r sqlstore.Row) error {
			var in of
			var n int
			if err := r.Scan(&in.start, &in.kind, &n); err != nil {
				return err
			}
			sums[in] += n
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var counts []Count
	for in, n := range sums {
		counts = append(counts, Count{Start: time.UnixMicro(in.start).UTC(), Type: in.kind, Count: n})
	}
	slices.SortFunc(counts, func(a, b Count) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Type, b.Type))
	})
	return counts, nil
}
