package cors

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/merlonhq/merlon/origin"
	"github.com/merlonhq/merlon/route"
)

// Config says which pages may do what. The zero Config trusts no origin.
type Config struct {
	// Origins are the origins whose pages may read answers: exact ones such as
	// "https://app.example.com" or "https://app.example.com:8443", and
	// "https://*.example.com" for every host below example.com. Default: none.
	Origins []string
	// Routes are the routes whose [route.CORS] may change this policy. Default: none.
	Routes *route.Table
	// OriginSet is the list compiled by [origin.Compile], with the routes, to share it
	// with package csrf. Give it, or Origins and Routes. Default: nil.
	OriginSet *origin.Set
	// Development also accepts http:// origins of loopback hosts in Origins.
	// Default: false, https:// only.
	Development bool

	// Credentials lets pages send and receive cookies and client certificates.
	// Default: false.
	Credentials bool
	// Methods are the methods that pages may use, in upper case. GET includes
	// HEAD. Nil means GET, POST, PUT, PATCH and DELETE; an empty list means none,
	// which leaves what a form could do.
	Methods []string
	// RequestHeaders are the request headers that pages may set, in any case and
	// at most 128 bytes each. Nil means Authorization, Content-Type, X-API-Key,
	// X-CSRF-Token and X-Requested-With; an empty list means none.
	RequestHeaders []string
	// ExposedHeaders are the answer's headers that pages may read, beside those
	// that they always may. Nil means RateLimit, RateLimit-Policy, Retry-After,
	// X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset and
	// X-Request-Id; an empty list means none.
	ExposedHeaders []string
	// MaxAge is how long browsers may remember a preflight's answer: whole
	// seconds up to 24 h. 0 means 24 h; a negative value means not at all.
	MaxAge time.Duration

	// Debug makes refused preflights say why, and what would pass, to everybody
	// who asks. Default: false, they reveal nothing.
	Debug bool

	// InsecureAnyOrigin, when not empty, is the reason why pages of every origin
	// may read answers; Origins must be empty and Credentials false.
	InsecureAnyOrigin string
	// InsecurePrivateNetwork, when not empty, is the reason why pages of listed
	// origins on the internet may reach this service in a private network or on
	// loopback. Without it their preflights, which carry
	// Access-Control-Request-Private-Network, are refused, also those of pages of the
	// same site (WICG Private Network Access, section 3).
	//
	// That draft is history: no browser ever made the refusal of such a preflight
	// binding by default, and Chrome 142 asks the user instead (WICG Local Network
	// Access), with no header that a server sees. So this protects users of the
	// browsers that still send the header, and is no reason to leave out the list of
	// origins, the CSRF stage or authentication of a service in a private network.
	InsecurePrivateNetwork string
}

const (
	maxAge        = 24 * time.Hour // no browser remembers for longer
	maxHeaderName = 128            // bytes of a name in RequestHeaders
)

func (cfg Config) withDefaults() Config {
	if cfg.Methods == nil {
		cfg.Methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}
	}
	if cfg.RequestHeaders == nil {
		cfg.RequestHeaders = []string{"Authorization", "Content-Type", "X-API-Key", "X-CSRF-Token", "X-Requested-With"}
	}
	if cfg.ExposedHeaders == nil {
		cfg.ExposedHeaders = []string{"RateLimit", "RateLimit-Policy", "Retry-After", "X-RateLimit-Limit",
			"X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id"}
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = maxAge
	}
	return cfg
}

// check returns all that is wrong with cfg but for the origins and the routes.
func (cfg Config) check() []error {
	var errs []error
	report := func(format string, args ...any) { errs = append(errs, fmt.Errorf("cors: "+format, args...)) }

	if cfg.OriginSet != nil && (len(cfg.Origins) > 0 || cfg.Routes != nil) {
		report("both Origins or Routes and OriginSet; give one of them")
	}
	if cfg.InsecureAnyOrigin != "" {
		if cfg.Credentials {
			report("any origin with credentials would open every account to every page; list the origins or leave Credentials out")
		}
		if !cfg.OriginSet.Empty() || len(cfg.Origins) > 0 {
			report("any origin and a list of origins; give one of them")
		}
	}
	if cfg.InsecurePrivateNetwork != "" && strings.TrimSpace(cfg.InsecurePrivateNetwork) == "" {
		report("InsecurePrivateNetwork %q: want a reason, or nothing", cfg.InsecurePrivateNetwork)
	}
	for _, f := range cfg.faults() {
		report("%s", f)
	}
	return errs
}

// faults returns what is wrong with the lists of cfg, of a site or of a route.
func (cfg Config) faults() []string {
	var faults []string
	report := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }

	if cfg.InsecureAnyOrigin != "" && strings.TrimSpace(cfg.InsecureAnyOrigin) == "" {
		report("InsecureAnyOrigin %q: want a reason, or nothing", cfg.InsecureAnyOrigin)
	}
	if cfg.MaxAge > maxAge || cfg.MaxAge > 0 && cfg.MaxAge%time.Second != 0 {
		report("max age %s: want whole seconds, at most %s", cfg.MaxAge, maxAge)
	}
	seen := map[string]bool{}
	for _, m := range cfg.Methods {
		if why := checkMethod(m); why != "" {
			report("method %q: %s", m, why)
		} else if seen[m] {
			report("method %q: listed twice; remove one", m)
		}
		seen[m] = true
	}
	clear(seen)
	for _, h := range cfg.RequestHeaders {
		if why := checkRequestHeader(h); why != "" {
			report("request header %q: %s", h, why)
		} else if seen[strings.ToLower(h)] {
			report("request header %q: listed twice; remove one", h)
		}
		seen[strings.ToLower(h)] = true
	}
	clear(seen)
	for _, h := range cfg.ExposedHeaders {
		if why := checkExposedHeader(h); why != "" {
			report("exposed header %q: %s", h, why)
		} else if seen[strings.ToLower(h)] {
			report("exposed header %q: listed twice; remove one", h)
		}
		seen[strings.ToLower(h)] = true
	}
	return faults
}

// origins returns the compiled list, or all that is wrong with it.
func (cfg Config) origins() (*origin.Set, error) {
	if cfg.OriginSet != nil {
		return cfg.OriginSet, nil
	}
	return origin.Compile(cfg.Origins, origin.Options{Development: cfg.Development, Routes: cfg.Routes})
}

// New compiles cfg. All errors are reported at once.
func New(cfg Config) (*Stage, error) {
	cfg = cfg.withDefaults()
	errs := cfg.check()
	set, err := cfg.origins()
	if err != nil {
		errs = append(errs, err)
	}
	s := &Stage{privateNetwork: cfg.InsecurePrivateNetwork != "", debug: cfg.Debug}
	if s.routes = set.Routes(); s.routes == nil {
		s.routes = cfg.Routes
	}
	s.site = newPolicy(cfg, set)
	if s.routes != nil {
		for _, r := range s.routes.Routes() {
			if r.CORS == nil {
				continue
			}
			other, faults := cfg.changed(r)
			for _, f := range faults {
				errs = append(errs, fmt.Errorf("cors: route %q: %s", r.Pattern, f))
			}
			if s.byRoute == nil {
				s.byRoute = map[*route.Route]*policy{}
			}
			s.byRoute[r] = newPolicy(other, set.For(r))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return s, nil
}

func checkMethod(m string) (why string) {
	switch {
	case m == "*":
		return "browsers take * for a method of that name when credentials are sent; list the methods"
	case !isToken(m):
		return "not a method (RFC 9110 section 9.1)"
	case m != strings.ToUpper(m):
		return "methods are compared with regard to case (RFC 9110 section 9.1); write " + strings.ToUpper(m)
	case m == http.MethodConnect || m == http.MethodTrace || m == "TRACK":
		return "browsers never send it (Fetch standard, \"forbidden method\"); remove it"
	}
	return ""
}

func checkRequestHeader(h string) (why string) {
	lower := strings.ToLower(h)
	switch {
	case h == "*":
		return "browsers take * for a header of that name when credentials are sent; list the headers"
	case !isToken(h) || len(h) > maxHeaderName:
		return fmt.Sprintf("not a header name of at most %d bytes (RFC 9110 section 5.1)", maxHeaderName)
	case strings.HasPrefix(lower, "access-control-"):
		return "belongs to the CORS protocol itself; remove it"
	case strings.HasPrefix(lower, "sec-"), strings.HasPrefix(lower, "proxy-"), lower == "cookie", lower == "host",
		lower == "origin", lower == "referer", lower == "content-length", lower == "connection":
		return "browsers never let a page set it (Fetch standard, \"forbidden request-header\"); remove it"
	}
	return ""
}

func checkExposedHeader(h string) (why string) {
	lower := strings.ToLower(h)
	switch {
	case h == "*":
		return "browsers take * for a header of that name when credentials are sent; list the headers"
	case !isToken(h):
		return "not a header name (RFC 9110 section 5.1)"
	case strings.HasPrefix(lower, "access-control-"):
		return "belongs to the CORS protocol itself; remove it"
	case lower == "set-cookie", lower == "set-cookie2":
		return "browsers never let a page read it (Fetch standard, \"forbidden response-header name\"); remove it"
	}
	return ""
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
