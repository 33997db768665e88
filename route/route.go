// Package route holds what a policy says about single routes, and finds the
// route of a request.
//
// Patterns are those of [net/http.ServeMux] with a method and without a host,
// and the winner is the one that ServeMux would choose: the path that policy
// matches is the path that is served. Unlike ServeMux a Table never redirects:
// a path that no pattern matches has no route, and what has no route is refused.
package route

import (
	"fmt"
	"net/http"
	"strings"
)

// A Route is the policy of one route. Every route must say who may call it:
// Public, AccountOnly, Role or Scopes. A route that says none of these is an error.
type Route struct {
	// Pattern is a method, a space and a path, such as "GET /api/v1/posts/{id}".
	// GET matches HEAD too. The last segment may be "{rest...}" or "{$}".
	Pattern string

	// Public opens the route to callers without a credential. A caller that
	// presents a bad one is refused all the same.
	Public bool
	// AccountOnly closes the route to API keys: whoever calls it must be an
	// account's owner in person (by session or token) or, on a Public route, nobody.
	AccountOnly bool
	// Scopes must all be held by the caller.
	Scopes []string
	// Role, when set, must be the caller's role.
	Role string

	// Anonymous makes the route, which must be Public, blind to credentials: they
	// are neither looked at nor needed, whoever calls is nobody, and no CSRF token
	// is asked for. Requests that pages of other sites make are refused all the
	// same. It is for what browsers send by themselves, such as reports, with the
	// session cookie riding along, and for what is the same for everybody.
	Anonymous bool

	// Probe marks a health probe: public, and neither limited, nor checked
	// against the allowed hosts, nor kept from clear text.
	Probe bool

	// MaxBody is the largest body in bytes; 0 means the default of the
	// validate stage.
	MaxBody int64
	// ContentTypes are the media types accepted in a body; empty means
	// application/json only.
	ContentTypes []string
	// Headers names the set of security headers of the route's answers, such as
	// "web" for a page or "form" for a page with a form; see package headers. Empty
	// means the one of the whole policy.
	Headers string
	// Weight is how many requests one request counts for; 0 means 1.
	Weight uint32
}

// Open reports whether callers without a credential may call r.
func (r *Route) Open() bool { return r.Public || r.Probe }

// Check returns what is wrong with r, or nil: that it says who may call it, once,
// and that each field is in its range. A Route without a Pattern, such as a stage
// alone takes, is checked for the rest; whether a pattern is one that ServeMux
// takes, and conflicts with no other, only [New] can tell.
func (r *Route) Check() error {
	if r.Pattern != "" {
		if err := checkPattern(r.Pattern); err != nil {
			return err
		}
		if r.Probe && !strings.HasPrefix(r.Pattern, http.MethodGet+" ") {
			return r.errorf("a probe is a GET")
		}
	}
	asks := len(r.Scopes) > 0 || r.Role != ""
	switch {
	case r.Open() && asks || r.Probe && r.AccountOnly:
		return r.errorf("a route cannot be public and ask for scopes or a role")
	case r.Anonymous && (!r.Public || r.AccountOnly):
		return r.errorf("an anonymous route is public, and for accounts no more than for others")
	case !r.Open() && !asks && !r.AccountOnly:
		return r.errorf("say who may call it: Public, AccountOnly, Role or Scopes")
	}
	for _, s := range r.Scopes {
		if s == "" || strings.ContainsAny(s, " \"\\") {
			return r.errorf("scope %q: want a scope-token (RFC 6749 section 3.3)", s)
		}
	}
	if r.MaxBody < 0 {
		return r.errorf("MaxBody %d: want 0 or more bytes", r.MaxBody)
	}
	return nil
}

func checkPattern(pattern string) error {
	method, path, ok := strings.Cut(pattern, " ")
	switch {
	case !ok || method == "" || !strings.HasPrefix(path, "/"):
		return fmt.Errorf("route %q: want a method and a path, such as %q", pattern, "GET /items/{id}")
	case method != strings.ToUpper(method):
		return fmt.Errorf("route %q: methods are upper case (RFC 9110 section 9.1)", pattern)
	case method == http.MethodConnect || method == http.MethodTrace:
		return fmt.Errorf("route %q: %s cannot be routed", pattern, method)
	}
	return nil
}

// errorf is an error about r, named by its pattern if it has one.
func (r *Route) errorf(format string, args ...any) error {
	name := "route"
	if r.Pattern != "" {
		name = fmt.Sprintf("route %q", r.Pattern)
	}
	return fmt.Errorf("%s: %w", name, fmt.Errorf(format, args...))
}
