package config

import (
	"net/mail"
	"net/url"
	"slices"
	"strings"
)

// LetsEncrypt is the default of [ACME.DirectoryURL].
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// ACME is the section acme: certificates that an authority issues by itself (RFC
// 8555), in place of TLS.
type ACME struct {
	// Domains are the names that certificates are obtained for, one each, and no
	// others: names of Hosts in DNS. Default none.
	Domains []string
	// Email is where the authority writes to. Default none.
	Email string
	// DirectoryURL is the https URL of the authority's directory (RFC 8555 section
	// 7.1.1). Default LetsEncrypt.
	DirectoryURL string
	// TermsAgreed says that the operator agrees to the terms of the authority. It is
	// required with Domains.
	TermsAgreed bool
	// Storage is the directory of the account key and the certificates. Default "acme".
	Storage string
	// CAFile is the path of PEM certificates that the authority's own is verified
	// with, for one that the system does not know. Default none.
	CAFile string
}

// ServesTLS reports whether the service itself speaks TLS.
func (s Settings) ServesTLS() bool { return s.TLS.Cert != "" || len(s.ACME.Domains) > 0 }

// checkDomain refuses names that no authority issues for.
func checkDomain(v string) *fault {
	const fix = "write the name that clients use in DNS, such as api.example.com; all else needs tls.cert and tls.key"
	bad := func(why string) *fault { return &fault{idACMEDomain, why, fix} }
	switch {
	case strings.Contains(v, "*"):
		return bad("is a wildcard, which would need the control of DNS")
	case isAddress(v):
		return bad("is an address")
	case !isHostName(v):
		return bad("is not a host name in lower case")
	case !strings.Contains(v, "."):
		return bad("is not a full name in DNS")
	}
	// RFC 6761 section 6, RFC 6762, RFC 7686, RFC 9476: they are never in DNS.
	switch last := v[strings.LastIndexByte(v, '.')+1:]; last {
	case "alt", "example", "invalid", "local", "localhost", "onion", "test":
		return bad("ends in ." + last + ", which is reserved and never in DNS")
	}
	return nil
}

// checkEmail wants the address alone, as it goes into a mailto URL.
func checkEmail(v string) *fault {
	a, err := mail.ParseAddress(v)
	if err != nil || a.Address != v || strings.ContainsAny(v, "?%&,\" ") {
		return &fault{idACMEEmail, "is not an e-mail address", "write it alone, such as ops@example.com"}
	}
	return nil
}

func checkDirectoryURL(v string) *fault {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return &fault{idACMEDirectory, "is not the https URL of a directory", "write that of the authority, such as " + LetsEncrypt}
	}
	return nil
}

// checkACME is about what acme needs beside itself.
func (l *loader) checkACME(s *Settings) {
	a := s.ACME
	if !l.fine("acme.domains") {
		return
	}
	if len(a.Domains) == 0 {
		for _, name := range []string{"acme.email", "acme.directory_url", "acme.terms_agreed", "acme.storage", "acme.ca_file"} {
			if l.isGiven(name) && l.fine(name) && l.says(name, s) {
				l.report(l.where(name), fault{idACMENames, name + " is set without acme.domains", "write acme.domains, or remove it"})
			}
		}
		return
	}
	if s.TLS.Cert != "" || s.TLS.Key != "" {
		l.report(l.where("acme.domains"), fault{idACMEBesideTLS, "acme.domains is set beside tls", "keep one of them"})
	}
	if !a.TermsAgreed && l.fine("acme.terms_agreed") {
		l.report(l.where("acme.domains"), fault{idACMETerms, "acme.terms_agreed is not true", "read the terms of " + show(a.DirectoryURL) + ", and write acme.terms_agreed: true if you agree"})
	}
	if s.RateLimits.ExpectedNodes > 1 && l.fine("rate_limits.expected_nodes") {
		l.report(l.where("acme.domains"), fault{idACMENodes, "acme is for one node, and rate_limits.expected_nodes tells of more", "have certificates issued in one place and give them to every node in tls.cert and tls.key"})
	}
	if len(s.Hosts) > 0 && l.fine("hosts") {
		for _, d := range a.Domains {
			if !slices.Contains(s.Hosts, d) {
				l.report(l.where("acme.domains"), fault{idACMEHosts, "acme.domains: " + show(d) + " is not in hosts, which requests for it need", "add it to hosts, or remove it"})
			}
		}
	}
	if strings.HasSuffix(a.DirectoryURL, LetsEncrypt[len("https://acme-v02."):]) {
		for _, d := range a.Domains {
			if strings.HasSuffix(d, ".internal") || strings.HasSuffix(d, ".home.arpa") {
				l.report(l.where("acme.domains"), fault{idACMEDomain, "acme.domains: " + show(d) + " is a private name, which no public authority issues for", "name your own authority in acme.directory_url"})
			}
		}
	}
}

// says reports whether a setting differs from its default.
func (l *loader) says(name string, s *Settings) bool {
	def := defaults(s.Environment)
	for _, f := range settings() {
		if f.name == name {
			return yamlValue(f.place(s)) != yamlValue(f.place(&def))
		}
	}
	return false
}
