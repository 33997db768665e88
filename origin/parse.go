package origin

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// pattern is one entry of the list, taken apart.
type pattern struct {
	wildcard bool
	host     string // below which the wildcard stands, or the host itself
	port     string // ":8443", or "" for the default port of the scheme
}

// parse takes one entry apart, or says what is wrong with it and the fix.
func parse(v string, opt Options) (pattern, error) {
	refuse := func(format string, args ...any) (pattern, error) {
		return pattern{}, fmt.Errorf("origin %q: %s", v, fmt.Sprintf(format, args...))
	}
	switch v {
	case "":
		return refuse("empty; remove it or write https://host")
	case "*":
		return refuse("a list that trusts everybody protects nobody; list each origin, or subdomains as https://*.example.com")
	case "null":
		return refuse("sandboxed frames and local files of anybody send it; remove it")
	}
	if strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return refuse("contains white space or control characters; remove them")
	}
	scheme, rest, ok := strings.Cut(v, "://")
	if !ok || scheme == "" {
		return refuse("want a scheme and a host, such as https://app.example.com")
	}
	prefix := strings.ToLower(scheme) + "://"
	if prefix != httpsPrefix && prefix != httpPrefix {
		return refuse("only the scheme https can be trusted; write https://host or remove it")
	}
	if _, host, ok := strings.Cut(rest, "@"); ok {
		// What stands before the @ may be a password: it is not repeated.
		return pattern{}, fmt.Errorf("origin at %q: an origin has no user name or password; remove all between :// and @", host)
	}
	if i := strings.IndexAny(rest, `/?#\`); i >= 0 {
		return refuse("an origin has no path, query or trailing slash; write %s", prefix+strings.ToLower(rest[:i]))
	}
	if !isASCII(rest) {
		host, port, _ := strings.Cut(rest, ":")
		ascii, err := idna.Lookup.ToASCII(strings.TrimPrefix(host, "*."))
		if err != nil {
			return refuse("not a valid international domain name; write it in its ASCII form (xn--)")
		}
		if strings.HasPrefix(host, "*.") {
			ascii = "*." + ascii
		}
		if port != "" {
			ascii += ":" + port
		}
		return refuse("browsers send the ASCII form; write %s", prefix+ascii)
	}
	if lower := strings.ToLower(v); lower != v {
		return refuse("browsers send lower case; write %s", lower)
	}

	var p pattern
	p.host, p.port = splitPort(rest)
	if why := checkPort(p.port, prefix, p.host); why != "" {
		return refuse("%s", why)
	}
	p.host, p.wildcard = strings.CutPrefix(p.host, "*.")
	if strings.Contains(p.host, "*") {
		return refuse("a wildcard stands only for whole labels in front; write https://*.example.com")
	}
	addr, err := checkHost(p.host)
	switch {
	case err != nil:
		return refuse("%s", err)
	case prefix == httpPrefix && !opt.Development:
		return refuse("pages from http:// can be rewritten by anybody on the way; write %s", httpsPrefix+rest)
	case prefix == httpPrefix && (p.wildcard || p.host != "localhost" && !addr.IsLoopback()):
		return refuse("http:// is for loopback only, also in development; write %s", httpsPrefix+rest)
	case p.wildcard && addr.IsValid():
		return refuse("an address has no subdomains; write %s", httpsPrefix+p.host+p.port)
	case p.wildcard && overPublicSuffix(p.host):
		return refuse("anybody can have a name below the public suffix %s; name a domain of your own", p.host)
	}
	return p, nil
}

// splitPort splits "host:port" at the port, if there is one.
func splitPort(authority string) (host, port string) {
	i := strings.LastIndexByte(authority, ':')
	if i < 0 || strings.HasSuffix(authority, "]") {
		return authority, ""
	}
	return authority[:i], authority[i:]
}

// checkPort returns what is wrong with a port, which is "" or begins with a colon.
func checkPort(port, prefix, host string) (why string) {
	if port == "" {
		return ""
	}
	n, err := strconv.ParseUint(port[1:], 10, 16)
	switch {
	case port == ":*":
		return "any port is anybody on that machine; list each port"
	case err != nil || n == 0 || strconv.FormatUint(n, 10) != port[1:]:
		return "want a port from 1 to 65535 without leading zeros, or none"
	case prefix == httpsPrefix && n == 443, prefix == httpPrefix && n == 80:
		return "browsers leave the default port out; write " + prefix + host
	}
	return ""
}

// checkHost checks that host is in the one form in which browsers write it. It
// returns the address that host is, if it is one.
func checkHost(host string) (netip.Addr, error) {
	if strings.HasPrefix(host, "[") {
		addr, err := netip.ParseAddr(strings.TrimSuffix(host[1:], "]"))
		switch {
		case err != nil || !strings.HasSuffix(host, "]") || !addr.Is6() || addr.Zone() != "":
			return netip.Addr{}, errors.New("not an IPv6 address; write it as [2001:db8::1]")
		case addr.Is4In6():
			return netip.Addr{}, fmt.Errorf("write the IPv4 address %s itself", addr.Unmap())
		case "["+addr.String()+"]" != host:
			return netip.Addr{}, fmt.Errorf("browsers send the shortest form; write [%s] (RFC 5952)", addr)
		}
		return addr, nil
	}
	switch {
	case host == "":
		return netip.Addr{}, errors.New("no host; write https://app.example.com")
	case len(host) > maxHost:
		return netip.Addr{}, fmt.Errorf("the host is longer than %d bytes (RFC 1035)", maxHost)
	case strings.HasSuffix(host, "."):
		return netip.Addr{}, errors.New("the dot at the end makes it another host; remove it")
	case !areLabels(host):
		return netip.Addr{}, errors.New("not a host name; want labels of 1 to 63 letters, digits and hyphens, separated by dots")
	}
	if endsInNumber(host) {
		// Whatever ends in a number is an IPv4 address for browsers (URL standard,
		// section 3.5), and they send it as four decimal numbers.
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return netip.Addr{}, errors.New("not an IPv4 address; write it as 192.0.2.1")
		}
		return addr, nil
	}
	if strings.Contains(host, "xn--") {
		if _, err := idna.Lookup.ToUnicode(host); err != nil {
			return netip.Addr{}, errors.New("not a valid international domain name in its ASCII form (xn--)")
		}
	}
	return netip.Addr{}, nil
}

// areLabels reports whether s is one or more labels as browsers send them: 1 to
// 63 lower-case letters, digits, hyphens and underscores, separated by dots.
func areLabels(s string) bool {
	n := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if n == 0 {
				return false
			}
			n = 0
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			if n++; n > 63 {
				return false
			}
		default:
			return false
		}
	}
	return n > 0
}

func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// overPublicSuffix reports whether strangers can have names directly below host:
// host is a public suffix, or the list says so of everything below it ("*.ck").
func overPublicSuffix(host string) bool {
	if suffix, _ := publicsuffix.PublicSuffix(host); suffix == host {
		return true
	}
	// No exception of the list ("!www.ck") is named like this.
	below := "any-name-at-all." + host
	suffix, _ := publicsuffix.PublicSuffix(below)
	return suffix == below
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
