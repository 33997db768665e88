package cors

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/route"
)

// What the answer depends on. An OPTIONS request may be a preflight or not, and
// a request without Origin is answered differently from one with it, so Vary is
// sent on every answer (Fetch standard, section 3.3.5, "CORS protocol and HTTP caches").
const (
	varyActual  = "Origin"
	varyOptions = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network"
)

// maxLoggedOrigin bounds what an event keeps of a foreign origin, in bytes.
const maxLoggedOrigin = 256

// A Stage answers preflights and marks the answers that pages of other origins
// may read. It does not change after [New].
type Stage struct {
	site    *policy
	routes  *route.Table             // nil when no route changes anything
	byRoute map[*route.Route]*policy // of the routes that change something

	privateNetwork bool
	debug          bool
}

// policy returns the policy for requests with the given method and path. Without a
// route it is the site's: what there is not needs no other, and an answer of its
// own would tell which paths there are.
func (s *Stage) policy(method, path string) *policy {
	if s.byRoute == nil {
		return s.site
	}
	if r := s.routes.Match(method, path).Route; r != nil {
		if p, ok := s.byRoute[r]; ok {
			return p
		}
	}
	return s.site
}

// methods returns the methods that p allows at a path. Browsers remember them for
// the path, so those that another policy decides there are not among them.
func (s *Stage) methods(p *policy, path string) string {
	if s.byRoute == nil {
		return p.allowMethods
	}
	same := func(method string) bool { return s.policy(method, path) == p }
	if !slices.ContainsFunc(p.methods, func(m string) bool { return !same(m) }) {
		return p.allowMethods
	}
	var out []string
	for _, m := range p.methods {
		if same(m) {
			out = append(out, m)
		}
	}
	return strings.Join(out, ", ")
}

// Name returns "cors".
func (s *Stage) Name() string { return "cors" }

// Handler returns a handler that answers preflights itself and calls next for
// all else.
func (s *Stage) Handler(next http.Handler) http.Handler { return exchange.Handler(s, next) }

// Decide answers x if it is a preflight that passes (204), refuses it if it is
// one that does not (403), and continues otherwise, with the headers set that
// let a page of a listed origin read the answer.
func (s *Stage) Decide(x *exchange.Exchange) exchange.Outcome {
	h := x.Request.Header
	origins := h["Origin"]
	if x.Request.Method == http.MethodOptions {
		x.AddHeader("Vary", varyOptions)
		// Fetch standard, section 3.3.2: a preflight is an OPTIONS request with
		// both headers. One without them is for the handler.
		if len(origins) > 0 && len(h["Access-Control-Request-Method"]) > 0 {
			return s.preflight(x, origins)
		}
	} else {
		x.AddHeader("Vary", varyActual)
	}
	if len(origins) == 0 {
		return exchange.Continue()
	}
	if p := s.policy(x.Request.Method, x.Request.URL.Path); p.allows(origins) {
		p.allow(x, origins[0])
		if p.exposeHeaders != "" {
			x.SetHeader("Access-Control-Expose-Headers", p.exposeHeaders)
		}
	}
	return exchange.Continue()
}

// preflight decides by the route that the request to come would have: that of the
// method it asks for, not of OPTIONS.
func (s *Stage) preflight(x *exchange.Exchange, origins []string) exchange.Outcome {
	h, path := x.Request.Header, x.Request.URL.Path
	method := h["Access-Control-Request-Method"]
	p := s.site
	if len(method) == 1 {
		p = s.policy(method[0], path)
	}
	if why := s.fault(p, h, origins); why != "" {
		return s.refuse(x, p, origins, why)
	}
	p.allow(x, origins[0])
	s.list(x, p)
	if s.privateNetwork && len(h["Access-Control-Request-Private-Network"]) > 0 {
		x.SetHeader("Access-Control-Allow-Private-Network", "true")
	}
	x.SetHeader("Access-Control-Max-Age", p.maxAge)
	return exchange.Answer(http.StatusNoContent)
}

// list names the methods and headers in the answer to a preflight.
func (s *Stage) list(x *exchange.Exchange, p *policy) {
	if methods := s.methods(p, x.Request.URL.Path); methods != "" {
		x.SetHeader("Access-Control-Allow-Methods", methods)
	}
	if p.allowHeaders != "" {
		x.SetHeader("Access-Control-Allow-Headers", p.allowHeaders)
	}
}

// fault returns what keeps a preflight from passing, or "".
func (s *Stage) fault(p *policy, h http.Header, origins []string) string {
	method := h["Access-Control-Request-Method"]
	switch {
	case !p.allows(origins):
		return "origin"
	case len(method) != 1 || !slices.Contains(p.methods, method[0]):
		return "method"
	case !p.headers.holds(h["Access-Control-Request-Headers"]):
		return "headers"
	case !s.privateNetwork && len(h["Access-Control-Request-Private-Network"]) > 0:
		return "private network"
	}
	return ""
}

// refused is the answer to a preflight that does not pass. It is the same
// whatever the reason, so that the lists cannot be guessed from it.
const refused = "This request was made by a page that may not make it."

func (s *Stage) refuse(x *exchange.Exchange, p *policy, origins []string, why string) exchange.Outcome {
	detail := refused
	if s.debug {
		detail = "CORS: the " + why + " of this preflight is not allowed."
		if p.allows(origins) {
			// Browsers show what failed only if the answer may be read at all.
			p.allow(x, origins[0])
			s.list(x, p)
		}
	}
	from := origins[0]
	return exchange.Refuse(problem.New(problem.CrossSiteRequest, detail), audit.MaliciousCORS,
		slog.String("reason", why), slog.String("origin", from[:min(len(from), maxLoggedOrigin)]))
}
