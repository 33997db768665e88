package config

import (
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// postgresParameters are the parameters of a PostgreSQL URL and what they may be.
func postgresParameters() map[string]func(string) bool {
	text := func(v string) bool { return v != "" && !strings.ContainsFunc(v, unicode.IsControl) }
	return map[string]func(string) bool{
		"sslmode": func(v string) bool {
			return v == "disable" || v == "require" || v == "verify-ca" || v == "verify-full"
		},
		"sslrootcert": text, "sslcert": text, "sslkey": text, "search_path": text,
		"host": func(v string) bool { return strings.HasPrefix(v, "/") },
		"pool_max_conns": func(v string) bool {
			n, err := strconv.Atoi(v)
			return err == nil && n >= 1 && n <= 1000
		},
	}
}

// checkPostgresURL says what is wrong with the URL of a PostgreSQL database. It shows nothing of it: where it is not as
// it should be, anything in it may be the password.
func checkPostgresURL(v string) *fault {
	const form = "write postgres://user:password@host:5432/database, with the password percent-encoded (%40 for @, %2F for /, %23 for #, %3F for ?)"
	malformed := func(message string) *fault { return &fault{idPostgresURL, message, form} }
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Opaque != "" || strings.Contains(v, "#") || strings.HasSuffix(u.Host, ":"):
		return malformed("is not the URL of a PostgreSQL database")
	case u.User == nil || u.User.Username() == "":
		return malformed("names no user")
	case u.Path == "" || u.Path == "/" || strings.Contains(u.Path[1:], "/"):
		return malformed("names no database")
	}
	password, _ := u.User.Password()
	if strings.ContainsFunc(u.User.Username()+password+u.Host+u.Path, unicode.IsControl) {
		return malformed("has a control character")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return malformed("names a port that does not exist")
		}
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return malformed("is not the URL of a PostgreSQL database")
	}
	if (u.Hostname() == "") == (q.Get("host") == "") {
		return malformed("names no host, or two: one after the @, or the directory of a Unix socket as ?host=/run/postgresql")
	}
	known := postgresParameters()
	for name, values := range q {
		if check, ok := known[name]; !ok || len(values) != 1 || !check(values[0]) {
			return &fault{idPostgresParameter, "has a parameter that is not known, is given twice, or cannot have this value",
				"the parameters are sslmode (disable, require, verify-ca or verify-full), sslrootcert, sslcert, sslkey, search_path, host (the directory of a socket) and pool_max_conns (1 to 1000)"}
		}
	}
	return nil
}

// PostgresKeyFile returns the file that sslkey of a PostgreSQL DatabaseURL names, or "".
func (s Settings) PostgresKeyFile() string {
	u, err := url.Parse(s.DatabaseURL.Reveal())
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		return ""
	}
	return u.Query().Get("sslkey")
}
