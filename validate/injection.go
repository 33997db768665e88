package validate

import libinjection "github.com/corazawaf/libinjection-go"

// SQLInjection reports whether s reads as a piece of an SQL statement that was
// made to break out of a value or to stand in place of one, and the fingerprint
// of the pattern: up to five letters, one per token class, that hold nothing of s.
//
// It is a signal, not a boundary: SQL is parameterised whatever it says. The
// detector tokenises s as a database would, which is why it leaves honest text
// alone (O'Brien; SELECT a book; -- really; Union Square; select few; drop me a
// line) where lists of words do not. What looks exactly like an attack is found
// though it may be meant well: "1 or 1=1", "select * from users where id = 1",
// "sleep(5)". That is acceptable in a name or a title, which are refused, and
// not in prose, where it is only recorded.
func SQLInjection(s string) (fingerprint string, found bool) {
	found, fingerprint = libinjection.IsSQLi(s)
	return fingerprint, found
}

// ScriptInjection reports whether s would run a script if a page printed it
// unescaped: as text, or inside a quoted or unquoted attribute. It is a signal
// for an event; removing markup is what package sanitize does.
func ScriptInjection(s string) bool { return libinjection.IsXSS(s) }
