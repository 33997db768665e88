package config

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Redis is a server as redis_url names it.
type Redis struct {
	Network  string // "tcp" or "unix"
	Address  string // "host:port", or the path of a socket
	TLS      bool   // rediss: the certificate must hold for the host
	Username string // "" for the server's default user
	Password Secret
	Database int
}

// Redis returns what RedisURL says; the zero Redis when it is not set.
func (s Settings) Redis() Redis {
	if !s.RedisURL.IsSet() {
		return Redis{}
	}
	r, _ := parseRedisURL(s.RedisURL.Reveal()) // Load has refused what is wrong
	return r
}

func checkRedisURL(v string) *fault {
	_, f := parseRedisURL(v)
	return f
}

const (
	redisPort   = "6379"
	maxDatabase = 65535
)

// parseRedisURL reads "redis://user:password@host:port/database", "rediss://…" and
// "unix://user:password@/path?db=database". What it says of a URL holds nothing of it.
func parseRedisURL(v string) (Redis, *fault) {
	bad := func(message string) (Redis, *fault) {
		return Redis{}, &fault{idRedisURL, message, "write redis://:password@host:6379/0, rediss:// for TLS or unix://:password@/path/to/socket; percent-encode what is not a letter or digit in a password"}
	}
	u, err := url.Parse(v)
	if err != nil || u.Opaque != "" || strings.Contains(v, "#") {
		return bad("is not the URL of a server")
	}
	var r Redis
	database := ""
	switch u.Scheme {
	case "redis", "valkey", "rediss", "valkeys":
		r.Network, r.TLS = "tcp", u.Scheme == "rediss" || u.Scheme == "valkeys"
		host, port := u.Hostname(), u.Port()
		if host == "" {
			return bad("names no host")
		}
		if port == "" {
			if strings.HasSuffix(u.Host, ":") {
				return bad("has a bad port")
			}
			port = redisPort
		}
		if !isPort(port) || port == "0" {
			return bad("has a bad port")
		}
		r.Address = net.JoinHostPort(host, port)
		database = strings.TrimPrefix(u.Path, "/")
		if u.RawQuery != "" || u.ForceQuery {
			return bad("has parameters, which are not known")
		}
	case "unix":
		r.Network, r.Address = "unix", u.Path
		if u.Host != "" || len(u.Path) < 2 {
			return bad("names no socket")
		}
		q, err := url.ParseQuery(u.RawQuery)
		database = q.Get("db")
		if known := len(q["db"]); err != nil || len(q) > 1 || len(q) == 1 && known != 1 || u.ForceQuery {
			return bad("has parameters, which are not known")
		}
	default:
		return bad("has another scheme than redis, rediss, valkey, valkeys or unix")
	}
	if database != "" {
		n, err := strconv.Atoi(database)
		if err != nil || !isDecimal(database) || n < 0 || n > maxDatabase {
			return bad("does not name a database by its number")
		}
		r.Database = n
	}
	if u.User != nil {
		password, ok := u.User.Password()
		if !ok || password == "" {
			return bad("has a user name and no password")
		}
		r.Username, r.Password = u.User.Username(), NewSecret(password)
	}
	return r, nil
}
