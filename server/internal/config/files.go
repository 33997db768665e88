package config

import "strings"

// sqliteScheme is how a database_url begins.
const sqliteScheme = "sqlite:"

func checkDatabaseURL(v string) *fault {
	const fix = "write sqlite:FILE, such as sqlite:merlon.db"
	file, ok := strings.CutPrefix(v, sqliteScheme)
	scheme, _, _ := strings.Cut(v, ":")
	switch {
	case scheme == "postgres" || scheme == "postgresql":
		return &fault{idNotInThisVersion, "is PostgreSQL, and this version supports sqlite only", fix}
	case !ok:
		return &fault{idDatabaseURL, "does not begin with sqlite:", fix}
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
