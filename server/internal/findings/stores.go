package findings

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/merlonhq/merlon/server/internal/config"
)

// store is a server that the service keeps its data in.
type store struct {
	setting, user string
	password      config.Secret
	local         bool   // on this machine
	sslmode       string // of PostgreSQL, as it is in force; "" for others
	tls           bool
}

// stores returns the database and Redis, where they are servers.
func (s *subject) stores() []store {
	var out []store
	if u, err := url.Parse(s.set.DatabaseURL.Reveal()); err == nil && strings.HasPrefix(u.Scheme, "postgres") {
		password, _ := u.User.Password()
		one := store{setting: "database_url", user: u.User.Username(), password: config.NewSecret(password), local: u.Hostname() == "" || isThisMachine(u.Hostname()), sslmode: u.Query().Get("sslmode")}
		if one.sslmode == "" {
			one.sslmode = "verify-full" // as package postgres does
			if one.local {
				one.sslmode = "disable"
			}
		}
		one.tls = one.sslmode != "disable"
		out = append(out, one)
	}
	if r := s.set.Redis(); r.Network != "" {
		one := store{setting: "redis_url", user: r.Username, password: r.Password, tls: r.TLS, local: r.Network == "unix"}
		if host, _, err := net.SplitHostPort(r.Address); err == nil && isThisMachine(host) {
			one.local = true
		}
		out = append(out, one)
	}
	return out
}

func isThisMachine(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

func storeInClear(s *subject) []hit {
	var out []hit
	for _, one := range s.stores() {
		if !one.local && !one.tls {
			fix := "write rediss://, with a certificate that holds for the host"
			if one.sslmode != "" {
				fix = "leave sslmode out, which is verify-full then, and name a private authority in sslrootcert"
			}
			out = append(out, s.at(one.setting, "the server is on another machine, and spoken to without TLS", fix)...)
		}
	}
	return out
}

func storeUnverified(s *subject) []hit {
	for _, one := range s.stores() {
		if !one.local && (one.sslmode == "require" || one.sslmode == "verify-ca") {
			return s.at(one.setting, "sslmode is "+one.sslmode, "write verify-full, and name a private authority in sslrootcert")
		}
	}
	return nil
}

func superuser(s *subject) []hit {
	for _, one := range s.stores() {
		if one.sslmode != "" && one.user == "postgres" {
			return s.at(one.setting, "the user is postgres", "make a role that owns the database of the service and nothing else")
		}
	}
	return nil
}

func redisOpen(s *subject) []hit {
	for _, one := range s.stores() {
		if one.sslmode == "" && !one.local && !one.password.IsSet() {
			return s.at(one.setting, "the server is on another machine, and asks for no password", "give it a user of its own (ACL SETUSER), and write rediss://user:password@host")
		}
	}
	return nil
}

func weakStorePassword(s *subject) []hit {
	var out []hit
	for _, one := range s.stores() {
		if !one.password.IsSet() {
			continue
		}
		if why := config.GuessablePassword(one.password, one.user); why != "" {
			out = append(out, s.at(one.setting, "the password "+why, "make a random one, such as with merlon secrets generate")...)
		}
	}
	return out
}

func sharedSecret(s *subject) []hit {
	type use struct {
		setting string
		secret  config.Secret
	}
	uses := []use{{"secret_key", s.set.SecretKey}}
	for i, former := range s.set.SecretKeyPrevious {
		uses = append(uses, use{entry("secret_key_previous", i), former})
	}
	var out []hit
	for _, one := range s.stores() {
		if !one.password.IsSet() {
			continue
		}
		for _, other := range uses {
			if one.password.Equal(other.secret) {
				out = append(out, s.at(one.setting, "its password is that of "+other.setting, "give each a secret of its own")...)
			}
		}
		uses = append(uses, use{one.setting, one.password})
	}
	return out
}
