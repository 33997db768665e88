package config

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// checkOrigin accepts what RFC 6454 section 6.2 serialises, and
// "https://*.example.com" over a name that one party registered.
func checkOrigin(v string) *fault {
	const fix = "write an origin such as https://app.example.com: scheme, lower-case host, a port only if it is not the default"
	bad := func(message string) *fault { return &fault{idOriginMalformed, message, fix} }
	switch v {
	case "*", "null":
		return bad("is shared by strangers")
	}
	scheme, authority, ok := strings.Cut(v, "://")
	if !ok || scheme != "https" && scheme != "http" {
		return bad("does not begin with https://")
	}
	name, isWild := strings.CutPrefix(authority, "*.")
	host, port := name, ""
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.HasSuffix(name, "]") {
		host, port = name[:i], name[i+1:]
		if !isPort(port) || port == "0" {
			return bad("has a bad port")
		}
	}
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return bad("has the default port, which browsers leave out")
	}
	if inner, isV6 := strings.CutPrefix(host, "["); isV6 {
		inner, closed := strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		if !closed || err != nil || !a.Is6() || a.Zone() != "" || a.String() != inner || isWild {
			return bad("has a bad address")
		}
		return nil
	}
	if !isHostName(host) {
		return bad("has a bad host")
	}
	if isWild {
		if _, err := publicsuffix.EffectiveTLDPlusOne(host); err != nil || isAddress(host) {
			return bad("is a wildcard over names of strangers")
		}
	}
	return nil
}

func checkHost(v string) *fault {
	if isAddress(v) || isHostName(v) {
		return nil
	}
	return &fault{idHostMalformed, "is not a host name or address", "write a lower-case name such as api.example.com, without scheme, port or wildcard"}
}

// isHostName reports whether s is a name in lower-case letters, digits, hyphens
// (RFC 1123 section 2.1), or an IPv4 address: what ends in a number must be one.
func isHostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	last := labels[len(labels)-1]
	if strings.Trim(last, "0123456789") == "" {
		return isAddress(s)
	}
	return true
}

func isAddress(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == "" && a.String() == s
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil && (s == "0" || s[0] != '0')
}

// parseExempt reads a network that is not limited. Its rules are those of a trusted
// proxy: what covers a large part of the internet is everyone.
func parseExempt(v string) (netip.Prefix, *fault) {
	p, f := parseProxy(v)
	switch {
	case f != nil && f.id == idProxyEveryone:
		f = &fault{idExemptAddress, show(v) + " is a large part of the internet", "name the networks of your own machines"}
	case f != nil:
		f = &fault{idExemptAddress, f.message, f.fix}
	}
	return p, f
}

// parseProxy reads an address or a masked prefix. What covers a large part of
// the internet is everyone, also when it is written in several pieces.
func parseProxy(v string) (netip.Prefix, *fault) {
	const fix = "write an address such as 10.0.0.5 or a network such as 10.0.0.0/24"
	p, err := netip.ParsePrefix(v)
	if a, addrErr := netip.ParseAddr(v); addrErr == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil {
		return p, &fault{idProxyMalformed, show(v) + " is not an address or a network", fix}
	}
	if p != p.Masked() {
		return p, &fault{idProxyMalformed, show(v) + " has bits set after its prefix", "write " + p.Masked().String() + " or the address alone"}
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	mapped := netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff})
	if p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && (p.Bits() < 7 || p.Contains(mapped)) {
		return p, &fault{idProxyEveryone, show(v) + " trusts everyone to say who they are", "name the networks of your own proxies"}
	}
	return p, nil
}

func checkListen(v string) *fault {
	host, port, err := net.SplitHostPort(v)
	if err != nil || !isPort(port) || host != "" && host != "localhost" && !isAddress(host) {
		return &fault{idListenMalformed, "is not a listening address", `write host:port such as ":8443" or "127.0.0.1:8080"`}
	}
	return nil
}

// onLoopback reports whether listen reaches this machine only.
func onLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// samePort reports whether two addresses to listen on are one.
func samePort(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || isAnyHost(hostA) || isAnyHost(hostB)
}

// isAnyHost reports whether a listener on the host takes all addresses.
func isAnyHost(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// checkReason wants words: a reason is read by whoever finds the setting.
func checkReason(v string) *fault {
	if strings.TrimSpace(v) == "" {
		return &fault{idEmpty, "is no reason", "write why, or remove the line"}
	}
	return nil
}

func checkContact(v string) *fault {
	u, err := url.Parse(v)
	if err == nil {
		switch {
		case u.Scheme == "https" && u.Host != "" && u.User == nil,
			u.Scheme == "mailto" && strings.Count(u.Opaque, "@") == 1 && !strings.ContainsAny(v, " <>"),
			u.Scheme == "tel" && u.Opaque != "":
			return nil
		}
	}
	return &fault{idContactMalformed, "is not a contact URI", "write mailto:security@example.com, or an https: or tel: URI"}
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return true
}

// checkRequestHeader refuses "*" and the forbidden request-headers of the Fetch
// standard (section 2.2.2), which no page can send however they are listed.
func checkRequestHeader(v string) *fault {
	if f := checkFieldName(v); f != nil {
		return f
	}
	name := http.CanonicalHeaderKey(v)
	switch name {
	case "Accept-Charset", "Accept-Encoding", "Access-Control-Request-Headers", "Access-Control-Request-Method",
		"Access-Control-Request-Private-Network", "Connection", "Content-Length", "Cookie", "Cookie2", "Date", "Dnt",
		"Expect", "Host", "Keep-Alive", "Origin", "Referer", "Set-Cookie", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Via":
	default:
		if !strings.HasPrefix(name, "Sec-") && !strings.HasPrefix(name, "Proxy-") {
			return nil
		}
	}
	return &fault{idFieldName, "is a header that pages cannot send", "remove it"}
}

// checkExposedHeader refuses "*" and the forbidden response-header names.
func checkExposedHeader(v string) *fault {
	if f := checkFieldName(v); f != nil {
		return f
	}
	switch http.CanonicalHeaderKey(v) {
	case "Set-Cookie", "Set-Cookie2":
		return &fault{idFieldName, "is a header that pages cannot read", "remove it"}
	}
	return nil
}

func checkFieldName(v string) *fault {
	if v != "*" && isToken(v) {
		return nil
	}
	return &fault{idFieldName, "is not a field name", "list each header by its name"}
}
