package csrf

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/origin"
	"github.com/merlonhq/merlon/problem"
)

// maxLoggedOrigin bounds what an event keeps of a foreign origin, in bytes.
const maxLoggedOrigin = 256

// Origin returns the stage "csrf", which belongs before authentication. It refuses
// a request (403 cross-site-request) if its method is unsafe and the browser says
// that a page of another origin sent it, which is not trusted.
func (p *Protection) Origin() exchange.Stage { return originStage{p} }

type originStage struct{ p *Protection }

func (originStage) Name() string { return "csrf" }

func (s originStage) Decide(x *exchange.Exchange) exchange.Outcome {
	if safe(x.Request.Method) {
		return exchange.Continue()
	}
	x.AddHeader("Vary", "Sec-Fetch-Site, Origin")
	h := x.Request.Header
	if scriptedCredential(x.Credential, h) {
		return exchange.Continue()
	}
	why := fault(h, x.Host, x.Secure, s.p.trusted.At(x.Request.Method, x.Request.URL.Path))
	if why == "" {
		return exchange.Continue()
	}
	from := h.Get("Origin")
	return exchange.Refuse(
		problem.New(problem.CrossSiteRequest, "This request was made by a page of another site."), audit.MaliciousCSRF,
		slog.String("reason", why), slog.String("origin", from[:min(len(from), maxLoggedOrigin)]))
}

// scriptedCredential reports whether the only credential is one that no browser
// sends unless a script names it, which across origins takes a preflight.
// Authorization alone does not say so: browsers answer the schemes Basic,
// Digest and Negotiate by themselves, and https://user@host/ in a form sends
// Basic (RFC 7617) to whoever it names.
func scriptedCredential(kind identity.Kind, h http.Header) bool {
	switch kind {
	case identity.APIKey:
		return true
	case identity.Token:
		_, bearer := identity.Bearer(h.Get("Authorization"))
		return bearer
	}
	return false
}

// fault returns what shows that a request came from elsewhere than host and the
// origins that its route trusts, or "".
func fault(h http.Header, host string, secure bool, trusted *origin.Set) string {
	sites, origins := h["Sec-Fetch-Site"], h["Origin"]
	if len(sites) > 1 || len(origins) > 1 {
		return "repeated headers" // which one counts would be a guess
	}
	var site, from string
	if len(sites) > 0 {
		site = sites[0]
	}
	if len(origins) > 0 {
		from = origins[0]
	}
	switch site {
	case "same-origin", "none":
		// Not even an Origin that says otherwise counts: browsers send "null" for
		// their own pages under Referrer-Policy: no-referrer, and no page can
		// forge Sec-Fetch-Site (Fetch Metadata section 2).
		return ""
	case "":
		// Without Origin too it is not a browser: they send it with every unsafe method.
		if from == "" || ownOrigin(from, host, secure) || trusted.Has(from) {
			return ""
		}
		return "origin"
	}
	// cross-site, same-site, and what may be invented yet. A neighbour on another
	// subdomain is as foreign as any other origin.
	if trusted.Has(from) {
		return ""
	}
	return "fetch metadata"
}

// ownOrigin reports whether from is the origin of the host that was asked for.
// It compares whole origins: what a browser sends has no user name, path or
// query that a parser could look past. A page in clear text is a stranger to an
// encrypted site, since anybody on the way can write it. The other way round is
// let pass: a proxy that is not trusted may have taken off the encryption.
func ownOrigin(from, host string, secure bool) bool {
	if host == "" {
		return false
	}
	rest, ok := strings.CutPrefix(from, "https://")
	if !ok && !secure {
		rest, ok = strings.CutPrefix(from, "http://")
	}
	return ok && rest == host
}
