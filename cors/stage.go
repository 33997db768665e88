package cors

import (
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/origin"
	"github.com/merlonhq/merlon/problem"
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
	origins        *origin.Set
	anyOrigin      bool
	credentials    bool
	methods        []string
	headers        nameSet
	privateNetwork bool
	debug          bool

	// The values of the headers of the same name, built once.
	allowMethods, allowHeaders, exposeHeaders, maxAge string
}

func compile(cfg Config, set *origin.Set) *Stage {
	s := &Stage{
		origins:        set,
		anyOrigin:      cfg.InsecureAnyOrigin != "",
		credentials:    cfg.Credentials,
		methods:        slices.Clone(cfg.Methods),
		headers:        newNameSet(cfg.RequestHeaders),
		privateNetwork: cfg.InsecurePrivateNetwork != "",
		debug:          cfg.Debug,
		exposeHeaders:  strings.Join(cfg.ExposedHeaders, ", "),
		maxAge:         strconv.FormatInt(int64(max(cfg.MaxAge, 0)/time.Second), 10),
	}
	if slices.Contains(s.methods, http.MethodGet) && !slices.Contains(s.methods, http.MethodHead) {
		s.methods = append(s.methods, http.MethodHead)
	}
	// The whole lists, not only what was asked for: browsers remember them and
	// ask again less often.
	s.allowMethods = strings.Join(s.methods, ", ")
	s.allowHeaders = strings.Join(cfg.RequestHeaders, ", ")
	return s
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
	if s.allows(origins) {
		s.allow(x, origins[0])
		if s.exposeHeaders != "" {
			x.SetHeader("Access-Control-Expose-Headers", s.exposeHeaders)
		}
	}
	return exchange.Continue()
}

// allows reports whether pages of the origin may read answers. Two Origin
// headers are nobody: which one counts would be a guess.
func (s *Stage) allows(origins []string) bool {
	return len(origins) == 1 && origins[0] != "" && (s.anyOrigin || s.origins.Has(origins[0]))
}

// allow names the origin in the answer.
func (s *Stage) allow(x *exchange.Exchange, origin string) {
	if s.anyOrigin {
		origin = "*"
	}
	x.SetHeader("Access-Control-Allow-Origin", origin)
	if s.credentials {
		x.SetHeader("Access-Control-Allow-Credentials", "true")
	}
}

// list names the methods and headers in the answer to a preflight.
func (s *Stage) list(x *exchange.Exchange) {
	if s.allowMethods != "" {
		x.SetHeader("Access-Control-Allow-Methods", s.allowMethods)
	}
	if s.allowHeaders != "" {
		x.SetHeader("Access-Control-Allow-Headers", s.allowHeaders)
	}
}

func (s *Stage) preflight(x *exchange.Exchange, origins []string) exchange.Outcome {
	if why := s.fault(x.Request.Header, origins); why != "" {
		return s.refuse(x, origins, why)
	}
	s.allow(x, origins[0])
	s.list(x)
	if s.privateNetwork && len(x.Request.Header["Access-Control-Request-Private-Network"]) > 0 {
		x.SetHeader("Access-Control-Allow-Private-Network", "true")
	}
	x.SetHeader("Access-Control-Max-Age", s.maxAge)
	return exchange.Answer(http.StatusNoContent)
}

// fault returns what keeps a preflight from passing, or "".
func (s *Stage) fault(h http.Header, origins []string) string {
	method := h["Access-Control-Request-Method"]
	switch {
	case !s.allows(origins):
		return "origin"
	case len(method) != 1 || !slices.Contains(s.methods, method[0]):
		return "method"
	case !s.headers.holds(h["Access-Control-Request-Headers"]):
		return "headers"
	case !s.privateNetwork && len(h["Access-Control-Request-Private-Network"]) > 0:
		return "private network"
	}
	return ""
}

// refused is the answer to a preflight that does not pass. It is the same
// whatever the reason, so that the lists cannot be guessed from it.
const refused = "This request was made by a page that may not make it."

func (s *Stage) refuse(x *exchange.Exchange, origins []string, why string) exchange.Outcome {
	detail := refused
	if s.debug {
		detail = "CORS: the " + why + " of this preflight is not allowed."
		if s.allows(origins) {
			// Browsers show what failed only if the answer may be read at all.
			s.allow(x, origins[0])
			s.list(x)
		}
	}
	from := origins[0]
	return exchange.Refuse(problem.New(problem.CrossSiteRequest, detail), audit.MaliciousCORS,
		slog.String("reason", why), slog.String("origin", from[:min(len(from), maxLoggedOrigin)]))
}
