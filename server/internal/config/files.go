package config

import (
	"path/filepath"
	"strings"
)

// sqliteScheme is how a database_url begins.
const sqliteScheme = "sqlite:"

func checkDatabaseURL(v string) *fault {
	const fix = "write sqlite:FILE, such as sqlite:merlon.db, or postgres://user:password@host:5432/database"
	file, ok := strings.CutPrefix(v, sqliteScheme)
	scheme, _, _ := strings.Cut(v, ":")
	switch {
	case scheme == "postgres" || scheme == "postgresql":
		return checkPostgresURL(v)
	case !ok:
		return &fault{idDatabaseURL, "does not begin with sqlite: or postgres:", fix}
	case file == "" || strings.HasPrefix(file, "//") || strings.HasPrefix(file, ":") || strings.HasPrefix(file, "file:") || strings.ContainsAny(file, "?#"):
		return &fault{idDatabaseURL, "is not the path of a database file", fix}
	}
	return nil
}

// checkPath catches contents pasted where a path belongs.
func checkPath(v string) *fault {
	if strings.Contains(v, "-----BEGIN") {
		return &fault{idWrongType, "is a key or certificate itself", "write the path of the file"}
	}
	return nil
}

// checkFiles finds two settings that name one file: the service would write the
// one over the other.
func (l *loader) checkFiles(s *Settings) {
	type named struct{ setting, file string }
	read := []named{{"the settings file", l.src.File}, {"tls.cert", s.TLS.Cert}, {"tls.key", s.TLS.Key}, {"acme.ca_file", s.ACME.CAFile}}
	for _, setting := range secretNames() {
		for _, g := range l.given[setting] {
			read = append(read, named{"the file of " + setting, g.file})
		}
	}
	database := s.DatabaseFile()
	written := []named{{"database_url", database}, {"audit.log", s.Audit.Log}}
	others := append(read, named{"database_url", database})
	if database != "" {
		others = append(others, named{"the journal of database_url", database + "-wal"}, named{"the index of database_url", database + "-shm"})
	}
	for _, w := range written {
		for _, o := range others {
			if w.file == "" || o.file == "" || o.setting == w.setting || filepath.Clean(w.file) != filepath.Clean(o.file) || !l.fine(w.setting, o.setting) {
				continue
			}
			l.report(l.where(w.setting), fault{idSameFile, w.setting + " names the same file as " + o.setting, "give each a file of its own"})
		}
	}
}
