package eventdb

// Body is body, for tests.
var Body = body

// Reparse returns the cursor of the position that is in cursor.
func Reparse(cursor string) (string, error) {
	p, err := parseCursor(cursor)
	return p.cursor(), err
}

// Statement is statement, for tests.
func Statement(f Filter, cursor string, limit int) (string, []any) {
	if cursor == "" {
		return statement(f, nil, limit, DefaultScan)
	}
	p, err := parseCursor(cursor)
	if err != nil {
		panic(err)
	}
	return statement(f, &p, limit, DefaultScan)
}

// LastLooked is lastLooked, for tests.
func LastLooked(f Filter) (string, []any) { return lastLooked(f, nil, DefaultScan) }

// Look makes pages look at n events at most.
func (s *Store) Look(n int) { s.scan = n }

// CountStatement is count, for tests.
const CountStatement = count
