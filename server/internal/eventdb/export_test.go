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
		return statement(f, nil, limit)
	}
	p, err := parseCursor(cursor)
	if err != nil {
		panic(err)
	}
	return statement(f, &p, limit)
}

// CountStatement is count, for tests.
const CountStatement = count
