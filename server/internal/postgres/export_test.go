package postgres

import "fmt"

// Explain is explain, for tests.
func (db *DB) Explain(err error) error { return db.explain(err) }

// Encryption returns the name that the server's certificate must have, "anybody" for any certificate, or "clear".
func (db *DB) Encryption() string {
	c := db.config.TLSConfig
	switch {
	case c == nil:
		return "clear"
	case c.InsecureSkipVerify:
		return "anybody"
	}
	return c.ServerName
}

// Target returns whom it would connect to, and how.
func (db *DB) Target() string {
	return fmt.Sprintf("%s %d %s %s %s", db.config.Host, db.config.Port, db.config.User, db.config.Password, db.Encryption())
}
