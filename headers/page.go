package headers

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/merlonhq/merlon/exchange"
)

// A Page is what a set of headers for pages says. The zero Page is the strict one.
type Page struct {
	// CSP is what the page may load and do.
	CSP CSP
	// ReportOnly is a second policy that is not enforced: what it would block is
	// reported to [Config.Reports], which it needs. It is for trying a stricter
	// policy out. Default: none.
	ReportOnly *CSP
	// Referrer is what requests that leave the page tell of where they come from.
	// Default: NoReferrer; SameOrigin for the profile Form.
	Referrer ReferrerPolicy
	// Allow are the features of the browser that the page may use. Nil means
	// PublicKeyCredentialsGet, without which nobody can log in with a passkey; an
	// empty list means none.
	Allow []Feature
}

// A ReferrerPolicy is a value of Referrer-Policy (Referrer Policy section 3).
type ReferrerPolicy string

// The policies that tell other sites nothing. Pages with forms need SameOrigin:
// from a page under no-referrer browsers send "Origin: null" with the form, and
// those that do not send Fetch-Metadata then say nothing that proves whose page
// it was.
const (
	NoReferrer ReferrerPolicy = "no-referrer"
	SameOrigin ReferrerPolicy = "same-origin"
)

// reportGroup is the name of the endpoint in Reporting-Endpoints. It is not
// "default", which would draw reports on everything a browser can report on.
const reportGroup = "reports"

// set is a compiled set of headers.
type set struct {
	fixed      []field
	csp        *policy
	reportOnly *policy
}

type field struct{ name, value string }

// apiSet is the set for answers that are data.
func apiSet() *set {
	return &set{fixed: []field{
		{"Cache-Control", "no-store"},
		{"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Referrer-Policy", "no-referrer"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"},
	}}
}

// compile returns the set of p and everything that is wrong with it.
func (p *Page) compile(reports string) (*set, []error) {
	referrer, allow := p.Referrer, p.Allow
	if referrer == "" {
		referrer = NoReferrer
	}
	if allow == nil {
		allow = []Feature{PublicKeyCredentialsGet}
	}
	var errs []error
	if referrer != NoReferrer && referrer != SameOrigin {
		errs = append(errs, fmt.Errorf("%s %q: want %q or %q", "Referrer", referrer, NoReferrer, SameOrigin))
	}
	permitted, faults := permissions(allow)
	errs = append(errs, faults...)
	s := &set{fixed: []field{
		{"Cache-Control", "no-store, max-age=0"},
		{"Cross-Origin-Embedder-Policy", "require-corp"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Permissions-Policy", permitted},
		{"Referrer-Policy", string(referrer)},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Dns-Prefetch-Control", "off"},
		{"X-Frame-Options", "DENY"},
		{"X-Permitted-Cross-Domain-Policies", "none"},
	}}
	if reports != "" {
		s.fixed = append(s.fixed, field{"Reporting-Endpoints", reportGroup + `="` + reports + `"`})
	}
	s.csp, faults = p.CSP.compile(reports, true)
	for _, err := range faults {
		errs = append(errs, fmt.Errorf("CSP: %w", err))
	}
	if p.ReportOnly != nil {
		if reports == "" {
			errs = append(errs, errors.New("ReportOnly without Reports: nobody would be told; set Reports of the Config"))
		}
		s.reportOnly, faults = p.ReportOnly.compile(reports, false)
		for _, err := range faults {
			errs = append(errs, fmt.Errorf("ReportOnly: %w", err))
		}
	}
	return s, errs
}

// apply sets the headers of the answer.
func (s *set) apply(x *exchange.Exchange) {
	for i := range s.fixed {
		x.SetHeader(s.fixed[i].name, s.fixed[i].value)
	}
	if s.csp == nil {
		return
	}
	if x.Nonce == "" && (s.csp.nonced() || s.reportOnly != nil && s.reportOnly.nonced()) {
		x.Nonce = newNonce()
	}
	x.SetHeader("Content-Security-Policy", s.csp.text(x.Secure, x.Nonce))
	if s.reportOnly != nil {
		x.SetHeader("Content-Security-Policy-Report-Only", s.reportOnly.text(x.Secure, x.Nonce))
	}
}

// checkReports says what is wrong with where reports go, or nil.
func checkReports(to string) error {
	if to == "" {
		return nil
	}
	u, err := url.Parse(to)
	own := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//")
	other := err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
	for _, c := range []byte(to) {
		own = own && c > ' ' && c < 0x7f && strings.IndexByte(`;,"\'`, c) < 0
		other = other && c > ' ' && c < 0x7f && strings.IndexByte(`;,"\'`, c) < 0
	}
	if !own && !other {
		return fmt.Errorf("headers: Reports %q: want a path of this host such as %q, or an https URL", to, "/reports")
	}
	return nil
}
