// Package route holds what a policy says about single routes, and finds the
// route of a request.
//
// Patterns are those of [net/http.ServeMux] with a method and without a host,
// and the winner is the one that ServeMux would choose: the path that policy
// matches is the path that is served. Unlike ServeMux a Table never redirects:
// a path that no pattern matches has no route, and what has no route is refused.
package route

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

	// Probe marks a health probe: public, and neither limited, nor checked
	// against the allowed hosts, nor kept from clear text.
	Probe bool

	// MaxBody is the largest body in bytes; 0 means the default of the
	// validate stage.
	MaxBody int64
	// ContentTypes are the media types accepted in a body; empty means
	// application/json only.
	ContentTypes []string
	// Weight is how many requests one request counts for; 0 means 1.
	Weight uint32
}

// Open reports whether callers without a credential may call r.
func (r *Route) Open() bool { return r.Public || r.Probe }
