package findings

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
)

func shortHSTS(s *subject) []hit {
	const year = 365 * 24 * time.Hour
	if s.set.Headers.HSTSMaxAge < year {
		return s.at("headers.hsts_max_age", "browsers forget https after "+short(s.set.Headers.HSTSMaxAge), "write 8760h or more; the default is 17520h")
	}
	return nil
}

func wildcardWithCredentials(s *subject) []hit {
	var out []hit
	for i, o := range s.set.Origins {
		if s.set.CORS.Credentials && strings.Contains(o, "://*.") {
			out = append(out, s.at(entry("origins", i), o+" may act with cookies", "list the names that pages are served from, or write cors: {credentials: false}")...)
		}
	}
	return out
}

func localOrigins(s *subject) []hit {
	var out []hit
	for i, o := range s.set.Origins {
		u, err := url.Parse(o)
		if err != nil {
			continue // a wildcard below a name
		}
		if isLocal(u.Hostname()) {
			out = append(out, s.at(entry("origins", i), o+" is another machine to everybody", "remove it; use environment: development on a developer's machine")...)
		}
	}
	return out
}

// isLocal reports whether a host names another machine to everybody who uses it.
func isLocal(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified())
}

// Networks of proxies that are wider than these hold more than proxies.
const (
	narrowV4 = 16
	narrowV6 = 48
)

func wideProxies(s *subject) []hit {
	var out []hit
	for i, p := range s.set.TrustedProxies {
		// A whole network of RFC 1918, as narrow as it is.
		private := p.String() == "192.168.0.0/16"
		if p.Addr().Is4() && p.Bits() < narrowV4 || p.Addr().Is6() && p.Bits() < narrowV6 || private {
			out = append(out, s.at(entry("trusted_proxies", i), p.String()+" holds more machines than proxies",
				fmt.Sprintf("name the proxies, or their networks of /%d (IPv4) and /%d (IPv6) at most", narrowV4, narrowV6))...)
		}
	}
	return out
}

func manyOrigins(s *subject) []hit {
	const many = 20
	if n := len(s.set.Origins); s.set.CORS.Credentials && n > many {
		return s.at("origins", fmt.Sprintf("%d origins may act with cookies", n), "list those that need cookies, and serve the others by access tokens")
	}
	return nil
}

// clearOnTheNetwork is about the way between a proxy and this service.
func clearOnTheNetwork(s *subject) []hit {
	if s.set.TLS.Cert != "" || s.set.ListenPrivate() || len(s.set.TrustedProxies) == 0 {
		return nil
	}
	fix := "write tls, and let the proxy verify it; or keep others off that network"
	if !slices.ContainsFunc(s.set.TrustedProxies, func(p netip.Prefix) bool { return !p.Addr().IsLoopback() }) {
		fix = `all proxies are on this machine: write listen: "127.0.0.1:8443"`
	}
	return s.at("listen", s.set.Listen+" is served in clear text to other machines", fix)
}

func addressHosts(s *subject) []hit {
	var out []hit
	for i, h := range s.set.Hosts {
		if _, err := netip.ParseAddr(h); err == nil || isLocal(h) {
			out = append(out, s.at(entry("hosts", i), h+" is not a name of this service alone", "remove it; health checks need no host name")...)
		}
	}
	return out
}

func noContact(s *subject) []hit {
	if s.set.SecurityContact == "" {
		return s.at("security_contact", "is not set", "write security_contact: mailto:security@example.com, with an address of yours")
	}
	return nil
}

func developmentExposed(s *subject) []hit {
	host, _, err := net.SplitHostPort(s.set.Listen)
	if err != nil || host == "localhost" || !s.set.ServesTLS() && len(s.set.TrustedProxies) == 0 {
		return nil // clear text off loopback is an error already
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Unmap().IsLoopback() {
		return nil
	}
	return s.at("listen", "development listens where other machines reach it", "write environment: "+config.Production+", or listen on 127.0.0.1")
}

func tracesInClear(s *subject) []hit {
	if !s.set.Traces.InClear() {
		return nil
	}
	return s.at("traces.endpoint", "is in clear text and not on this machine", "write https://, or run a collector beside the service")
}

func operationsExposed(s *subject) []hit {
	if s.set.OperationsListen == "" || s.set.OperationsPrivate() {
		return nil
	}
	return s.at("operations_listen", s.set.OperationsListen+" is reached from other machines",
		"write 127.0.0.1 before the port; where metrics are collected over the network, let a firewall or a network policy admit the collector alone")
}

// entry names an entry of a list.
func entry(setting string, i int) string { return fmt.Sprintf("%s[%d]", setting, i) }
