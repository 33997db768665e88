package clientip

import (
	"net/netip"
	"strings"
)

// maxHops bounds the walk. A chain of that many trusted proxies is a loop.
const maxHops = 32

// walkXForwardedFor returns the client's address. The lines are one list in
// their order (RFC 9110 section 5.3), read from its end.
func (s *Stage) walkXForwardedFor(peer netip.Addr, lines []string) netip.Addr {
	client := peer
	hops := 0
	for i := len(lines) - 1; i >= 0; i-- {
		rest, more := lines[i], true
		for more {
			var hop string
			rest, hop, more = cutLast(rest)
			addr, ok := parseHop(trim(hop))
			hops++
			if !ok || hops > maxHops {
				return client
			}
			client = addr
			if !s.trusts(client) {
				return client
			}
		}
	}
	return client
}

// cutLast cuts the last member off a comma-separated list.
func cutLast(list string) (rest, last string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return "", list, false
	}
	return list[:i], list[i+1:], true
}

// trim removes optional white space (RFC 9110 section 5.6.3).
func trim(s string) string { return strings.Trim(s, " \t") }

// parseHop parses an address as proxies write it: IPv4 or IPv6, the latter with
// or without brackets, with or without a port. Zones mean nothing elsewhere and
// are cut.
func parseHop(hop string) (netip.Addr, bool) {
	const longest = 80 // an IPv6 address, a zone and a port fit
	if len(hop) > longest {
		return netip.Addr{}, false
	}
	if strings.HasPrefix(hop, "[") {
		addr, port, ok := strings.Cut(hop[1:], "]")
		if !ok || port != "" && !isPort(port) {
			return netip.Addr{}, false
		}
		return parseAddr(addr, true)
	}
	if strings.Count(hop, ":") == 1 {
		addr, _, _ := strings.Cut(hop, ":")
		if !isPort(hop[len(addr):]) {
			return netip.Addr{}, false
		}
		return parseAddr(addr, false)
	}
	return parseAddr(hop, strings.Contains(hop, ":"))
}

// parseAddr parses an address of the wanted family and folds IPv4 mapped into
// IPv6 (RFC 4291 section 2.5.5.2), so that one client has one address.
func parseAddr(s string, v6 bool) (netip.Addr, bool) {
	if v6 {
		s, _, _ = strings.Cut(s, "%")
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Is6() != v6 {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// isPort reports whether s is a colon and a port.
func isPort(s string) bool {
	if len(s) < 2 || len(s) > 6 || s[0] != ':' {
		return false
	}
	n := 0
	for _, c := range []byte(s[1:]) {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n > 0 && n <= 65535
}

// single returns the value of a header that must occur once. More than one
// line is returned as a list, which no reader of single values accepts.
func single(lines []string) string {
	switch len(lines) {
	case 0:
		return ""
	case 1:
		return trim(lines[0])
	}
	return ","
}

// proto reads a noted scheme, see [Client.Proto].
func proto(s string) string {
	switch {
	case s == "":
		return ""
	case strings.EqualFold(s, "https"):
		return "https"
	case strings.EqualFold(s, "http"):
		return "http"
	}
	return "unknown"
}

// host returns s if it has the syntax of a Host header (RFC 9110 section 7.2),
// and "" otherwise. Names are those of DNS with the underscore.
func host(s string) string {
	const longest = 253 + len(":65535")
	if s == "" || len(s) > longest {
		return ""
	}
	if s[0] == '[' {
		addr, port, ok := strings.Cut(s[1:], "]")
		if !ok || port != "" && !isPort(port) || strings.Contains(addr, "%") {
			return ""
		}
		if a, err := netip.ParseAddr(addr); err != nil || !a.Is6() {
			return ""
		}
		return s
	}
	name, _, hasPort := strings.Cut(s, ":")
	if name == "" || hasPort && !isPort(s[len(name):]) {
		return ""
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return ""
		}
	}
	return s
}
