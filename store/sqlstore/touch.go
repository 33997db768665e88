package sqlstore

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A touch is the instant, in microseconds, at which something was seen or used.
type touch struct {
	id string
	at int64
}

// touchSizes are how many rows one statement touches. A batch that went row by row would take as many round trips, and
// with a database at some distance more time than a call has.
var touchSizes = [...]int{64, 8, 1}

// touchRows returns the statement that moves an instant forward in so many rows of a table.
func touchRows(table, column string, rows int) string {
	var values strings.Builder
	for i := range rows {
		if i > 0 {
			values.WriteString(", ")
		}
		fmt.Fprintf(&values, "(CAST($%d AS BIGINT), CAST($%d AS TEXT))", 2*i+1, 2*i+2)
	}
	// Both engines name the columns of VALUES so.
	return `UPDATE ` + table + ` SET ` + column + ` = v.column1 FROM (VALUES ` + values.String() + `) AS v
		WHERE ` + table + `.id = v.column2 AND (` + column + ` IS NULL OR ` + column + ` < v.column1)`
}

// A toucher is the statements of touchSizes for one column.
type toucher [len(touchSizes)]string

func newToucher(table, column string) (t toucher) {
	for i, rows := range touchSizes {
		t[i] = touchRows(table, column, rows)
	}
	return t
}

// all touches everything in seen, in the order of the ids, so that two processes do not each wait for the other.
func (t *toucher) all(tx *Tx, seen []touch) error {
	slices.SortFunc(seen, func(a, b touch) int { return cmp.Or(strings.Compare(a.id, b.id), cmp.Compare(b.at, a.at)) })
	seen = slices.CompactFunc(seen, func(a, b touch) bool { return a.id == b.id }) // the latest of each
	for i, rows := range touchSizes {
		for ; len(seen) >= rows; seen = seen[rows:] {
			args := make([]any, 0, 2*rows)
			for _, s := range seen[:rows] {
				args = append(args, s.at, s.id)
			}
			if _, err := tx.Exec(t[i], args...); err != nil {
				return err
			}
		}
	}
	return nil
}
