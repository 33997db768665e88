package firewall

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
)

// authority is a host and port (RFC 3986 section 3.2) in a form that can be
// compared: a name in lower case or an address. Port 0 means none, or any.
type authority struct {
	name string
	addr netip.Addr
	port uint16
}

// parseAuthority parses the value of a Host header. It allocates nothing for
// names in lower case.
func parseAuthority(s string) (authority, bool) {
	var a authority
	host := s
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		var ok bool
		if a.port, ok = parsePort(s[i+1:]); !ok {
			return authority{}, false
		}
		host = s[:i]
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		// Zones mean nothing elsewhere; mapped addresses are a second spelling.
		if !ok || err != nil || !addr.Is6() || addr.Is4In6() || addr.Zone() != "" {
			return authority{}, false
		}
		a.addr = addr
		return a, true
	}
	if !isName(host) {
		return authority{}, false
	}
	if numeric(host) {
		// Nothing else may look like IPv4 (WHATWG URL, "ends in a number").
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return authority{}, false
		}
		a.addr = addr
		return a, true
	}
	a.name = strings.ToLower(host)
	return a, true
}

func parsePort(s string) (uint16, bool) {
	if s == "" || len(s) > 5 || s[0] == '0' {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return uint16(n), n <= 65535
}

// isName reports whether s is a DNS name (RFC 1123 section 2.1, and the
// underscore that people use), at most with a final dot.
func isName(s string) bool {
	if len(s) > 254 {
		return false
	}
	label := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
			continue
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			label++
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return s != ""
}

// numeric reports whether the last label of s is a number.
func numeric(s string) bool {
	s = strings.TrimSuffix(s, ".")
	last := s[strings.LastIndexByte(s, '.')+1:]
	return strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") || strings.HasPrefix(last, "0X")
}

func (a authority) loopback() bool {
	return a.name == "localhost" || a.addr.IsLoopback()
}

// listHosts compiles the list of hosts.
func (s *Stage) listHosts(cfg Config) error {
	var errs []error
	for _, h := range cfg.Hosts {
		a, ok := parseAuthority(h)
		switch {
		case !ok || strings.HasSuffix(a.name, "."):
			errs = append(errs, fmt.Errorf("firewall: Hosts %q: want a host and at most a port, such as %q; names in ASCII (IDNA: xn--...), IPv6 in brackets", h, "api.example.com"))
		case h != strings.ToLower(h):
			errs = append(errs, fmt.Errorf("firewall: Hosts %q: write %q", h, strings.ToLower(h)))
		case a.addr.Is6() && !strings.HasPrefix(h, "["+a.addr.String()+"]"):
			errs = append(errs, fmt.Errorf("firewall: Hosts %q: write the address as %q", h, "["+a.addr.String()+"]"))
		default:
			s.hosts[a] = true
			s.written[h] = true
		}
	}
	switch {
	case len(cfg.Hosts) == 0 && !s.anyHost && !s.loopbackHosts:
		errs = append(errs, errors.New("firewall: Hosts: none: list the hosts that clients use, such as \"api.example.com\""))
	case len(cfg.Hosts) > 0 && s.anyHost:
		errs = append(errs, fmt.Errorf("firewall: Hosts %q: means nothing beside InsecureAnyHost: remove one of them", cfg.Hosts))
	}
	return errors.Join(errs...)
}

// Allows reports whether host, as in a Host header, is well formed, and whether
// it is served.
func (s *Stage) Allows(host string) (wellFormed, allowed bool) {
	if s.written[host] {
		return true, true // as configured, byte by byte: nothing to find out
	}
	a, ok := parseAuthority(host)
	if !ok {
		return false, false
	}
	if s.anyHost || s.hosts[a] || s.loopbackHosts && a.loopback() {
		return true, true
	}
	a.port = 0
	return true, s.hosts[a]
}

// checkHost decides about the host the client asked for. Probes are exempt:
// whoever runs them knows the address only.
func (s *Stage) checkHost(x *exchange.Exchange) exchange.Outcome {
	if r := x.Route(); r != nil && r.Probe {
		return exchange.Continue()
	}
	wellFormed, allowed := s.Allows(x.Host)
	switch {
	case x.Host == "":
		return malformed("host missing", "The request names no host.").refuse().Firmly()
	case !wellFormed:
		return malformed("host", "The host of the request is malformed.").refuse().Firmly()
	case !allowed:
		p := problem.New(problem.HostNotAllowed, "This host is not served here.")
		return exchange.Refuse(p, audit.InputValidationFail, slog.String("reason", "host not allowed"))
	}
	return exchange.Continue()
}
