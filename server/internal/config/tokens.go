package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// maxIssuer is how many bytes an issuer or an audience may have: every token carries them.
const maxIssuer = 255

// checkIssuer accepts what RFC 8414 section 2 calls an issuer identifier, and http, which production refuses.
func checkIssuer(v string) *fault {
	const fix = "write the URL of the service, such as https://api.example.com"
	u, err := url.Parse(v)
	switch {
	case err != nil || len(v) > maxIssuer || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return &fault{idIssuerMalformed, "is not an http or https URL of at most 255 bytes", fix}
	case u.User != nil || strings.ContainsAny(v, "?#"):
		return &fault{idIssuerMalformed, "has a user, a query or a fragment", fix}
	case u.String() != v || u.Host != strings.ToLower(u.Host):
		return &fault{idIssuerMalformed, "has another spelling than that of its URL", fix}
	}
	return nil
}

func checkAudience(v string) *fault {
	if len(v) <= maxIssuer && !strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil
	}
	return &fault{idAudience, "is not a name of at most 255 printable ASCII characters", "write a URL such as https://api.example.com, or a name"}
}

// checkTokens fills in who issues tokens and for whom, and finds what contradicts.
func (l *loader) checkTokens(s *Settings) {
	if s.Tokens.AccessTTL > s.Tokens.RefreshTTL && l.fine("tokens.access_ttl", "tokens.refresh_ttl") {
		where := l.where("tokens.refresh_ttl")
		if where == notSet {
			where = l.where("tokens.access_ttl")
		}
		l.report(where, fault{idAccessRefresh, "tokens.access_ttl (" + formatDuration(s.Tokens.AccessTTL) + ") is above tokens.refresh_ttl (" +
			formatDuration(s.Tokens.RefreshTTL) + ")", "lower the one or raise the other"})
	}
	if s.Environment == Production && strings.HasPrefix(s.Tokens.Issuer, "http://") && l.fine("tokens.issuer") {
		l.report(l.where("tokens.issuer"), fault{idIssuerClear, "tokens.issuer is plain HTTP in production", "write the https URL of the service"})
	}
	if s.Tokens.Issuer == "" {
		s.Tokens.Issuer = s.ownURL()
	}
	if s.Tokens.Audience == "" {
		s.Tokens.Audience = s.Tokens.Issuer
	}
}

// ownURL is the URL of the service as far as the settings tell: https and the first host. In development without
// hosts it is that of the listener.
func (s *Settings) ownURL() string {
	if len(s.Hosts) > 0 {
		return "https://" + inURL(s.Hosts[0])
	}
	scheme := "http"
	if s.ServesTLS() || s.Environment == Production {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return scheme + "://localhost"
	}
	if host == "" {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// IssuerAt returns tokens.issuer and tokens.audience of a service that listens on
// address, which may have another port than Listen asked for.
func (s Settings) IssuerAt(address string) (issuer, audience string) {
	issuer, audience = s.Tokens.Issuer, s.Tokens.Audience
	if issuer != s.ownURL() {
		return issuer, audience // written by somebody
	}
	s.Listen = address
	issuer = s.ownURL()
	if audience == s.Tokens.Issuer {
		audience = issuer
	}
	return issuer, audience
}

// inURL returns a host as URLs write it: IPv6 addresses in brackets.
func inURL(host string) string {
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		return "[" + host + "]"
	}
	return host
}
