package clientip

import (
	"net/netip"
	"strings"
)

// walkForwarded returns the client by the Forwarded header (RFC 7239). Scheme
// and host are those that the proxy noted which saw the client.
func (s *Stage) walkForwarded(peer netip.Addr, lines []string) Client {
	c := Client{Addr: peer, Forwarded: true}
	hops := 0
	for i := len(lines) - 1; i >= 0; i-- {
		rest, more := lines[i], true
		for more {
			var text string
			rest, text, more = cutLastElement(rest)
			e, ok := parseElement(trim(text))
			hops++
			if !ok || hops > maxHops {
				return c
			}
			addr, ok := parseNode(e.node)
			if !ok {
				return c
			}
			c.Addr, c.Proto, c.Host = addr, proto(e.proto), host(e.host)
			if !s.trusts(addr) {
				return c
			}
		}
	}
	return c
}

// cutLastElement cuts the last element off a list whose members may hold
// quoted strings. It reads backwards: what stands left of the comma that it
// finds was written by somebody further away and cannot change the result.
func cutLastElement(list string) (rest, last string, more bool) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch c := list[i]; {
		case c == '"' && !quoted:
			quoted = true
		case c == '"':
			// Inside a string a quote is escaped by an odd run of backslashes.
			run := 0
			for j := i - 1; j >= 0 && list[j] == '\\'; j-- {
				run++
			}
			quoted = run%2 == 1
		case c == ',' && !quoted:
			return list[:i], list[i+1:], true
		}
	}
	return "", list, false
}

// element is one forwarded-element (RFC 7239 section 4).
type element struct{ node, proto, host string }

// parseElement parses strictly; parameters that we do not read must be well
// formed too.
func parseElement(s string) (element, bool) {
	var e element
	var seen struct{ node, proto, host bool }
	for more := true; more; {
		name, after, ok := strings.Cut(s, "=")
		if !ok || !isToken(name) {
			return element{}, false
		}
		value, rest, ok := cutValue(after)
		if !ok {
			return element{}, false
		}
		switch {
		case rest == "":
			more = false
		case rest[0] == ';':
			s = rest[1:]
		default:
			return element{}, false
		}
		switch {
		case strings.EqualFold(name, "for"):
			ok, seen.node, e.node = !seen.node, true, value
		case strings.EqualFold(name, "proto"):
			ok, seen.proto, e.proto = !seen.proto, true, value
		case strings.EqualFold(name, "host"):
			ok, seen.host, e.host = !seen.host, true, value
		}
		if !ok { // section 4: each parameter at most once per element
			return element{}, false
		}
	}
	return e, true
}

// cutValue cuts a token or a quoted-string (RFC 9110 sections 5.6.2 and 5.6.4)
// off the front of s.
func cutValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexByte(s, ';')
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:], isToken(s[:i])
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return s[1:i], s[i+1:], true
		case '\\':
			// The escape stays in the value: no address, scheme or host needs one,
			// so such a value is none. Yet the element is well formed: a client
			// that sends an odd Host must not make its address unreadable.
			i++
		}
	}
	return "", "", false
}

// parseNode parses a node (RFC 7239 section 6): IPv4, or IPv6 in brackets, with
// an optional port, which may be obfuscated. Obfuscated identifiers in place of
// addresses, and "unknown", are no addresses.
func parseNode(s string) (netip.Addr, bool) {
	if addr, port, ok := strings.Cut(s, ":_"); ok {
		if !isToken(port) {
			return netip.Addr{}, false
		}
		s = addr
	}
	if !strings.HasPrefix(s, "[") && strings.Count(s, ":") > 1 {
		return netip.Addr{}, false
	}
	return parseHop(s)
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
