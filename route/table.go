package route

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A Table finds the route of a request. It does not change after [New] and
// allocates nothing when it finds one.
type Table struct {
	root   node
	routes []*Route
}

// node is one path segment of the patterns.
type node struct {
	literal map[string]*node
	few     []child // the same, where they are few: quicker than hashing
	single  *node   // {name}
	end     methods // the pattern ends here
	rest    methods // {name...} or a trailing slash
}

// child is a literal segment.
type child struct {
	segment string
	node    *node
}

const fewChildren = 8

// A Match is the answer of [Table.Match].
type Match struct {
	// Route is the route, or nil.
	Route *Route
	// Allow is, when Route is nil, the value of the Allow header: the methods
	// that the path has. Empty means that no pattern has the path.
	Allow string
}

// New compiles the routes. All errors are reported at once.
func New(routes []Route) (*Table, error) {
	t := &Table{}
	// ServeMux knows which patterns conflict; it is asked instead of repeated.
	mux := http.NewServeMux()
	var errs []error
	for i := range routes {
		r := routes[i]
		r.Scopes = slices.Clone(r.Scopes)
		r.ContentTypes = slices.Clone(r.ContentTypes)
		r.CORS = r.CORS.clone()
		if r.Pattern == "" {
			errs = append(errs, checkPattern(""))
			continue
		}
		if err := r.Check(); err != nil {
			errs = append(errs, err)
			continue
		}
		if err := register(mux, r.Pattern); err != nil {
			errs = append(errs, fmt.Errorf("route %q: %w", r.Pattern, err))
			continue
		}
		t.add(&r)
		t.routes = append(t.routes, &r)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return t, nil
}

// Routes returns the compiled routes in the order they were given. They are read-only.
func (t *Table) Routes() []*Route { return slices.Clone(t.routes) }

// register turns the panic of ServeMux about a bad or conflicting pattern into an error.
func register(mux *http.ServeMux, pattern string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	mux.Handle(pattern, http.NotFoundHandler())
	return nil
}

func (t *Table) add(r *Route) {
	method, path, _ := strings.Cut(r.Pattern, " ")
	n := &t.root
	segments := strings.Split(path[1:], "/")
	for i, seg := range segments {
		last := i == len(segments)-1
		switch {
		case last && seg == "" || last && strings.HasSuffix(seg, "...}"):
			put(&n.rest, method, r) // a trailing slash matches all below it
			return
		case last && seg == "{$}":
			n = n.child("") // the path with the slash and nothing more
		case strings.HasPrefix(seg, "{"):
			if n.single == nil {
				n.single = &node{}
			}
			n = n.single
		default:
			// ServeMux compares unescaped segments.
			if u, err := url.PathUnescape(seg); err == nil {
				seg = u
			}
			n = n.child(seg)
		}
	}
	put(&n.end, method, r)
}

func (n *node) child(seg string) *node {
	if n.literal == nil {
		n.literal = map[string]*node{}
	}
	c := n.literal[seg]
	if c == nil {
		c = &node{}
		n.literal[seg] = c
		n.few = append(n.few, child{seg, c})
	}
	return c
}

// methods are routes by method. They are few: a search beats a hash.
type methods []methodRoute

type methodRoute struct {
	method string
	route  *Route
}

func put(m *methods, method string, r *Route) { *m = append(*m, methodRoute{method, r}) }

func (m methods) get(method string) *Route {
	for i := range m {
		if m[i].method == method {
			return m[i].route
		}
	}
	return nil
}

// Match finds the route of a request with the given method and path. The path is
// the unescaped one: paths that mean something else when escaped (an encoded
// slash, a dot segment) must have been refused before policy relies on a match.
func (t *Table) Match(method, path string) Match {
	if !strings.HasPrefix(path, "/") {
		return Match{}
	}
	if r := t.root.find(method, path[1:]); r != nil {
		return Match{Route: r}
	}
	allowed := map[string]bool{}
	t.root.collect(path[1:], allowed)
	if len(allowed) == 0 {
		return Match{}
	}
	if allowed[http.MethodGet] {
		allowed[http.MethodHead] = true
	}
	return Match{Allow: strings.Join(slices.Sorted(maps.Keys(allowed)), ", ")}
}

// find prefers a literal segment over {name} over {name...}, and backtracks, which
// is the "most specific pattern wins" of ServeMux.
func (n *node) find(method, path string) *Route {
	seg, after, more := strings.Cut(path, "/")
	if c := n.literally(seg); c != nil {
		if r := c.step(method, after, more); r != nil {
			return r
		}
	}
	if n.single != nil && seg != "" {
		if r := n.single.step(method, after, more); r != nil {
			return r
		}
	}
	return byMethod(n.rest, method)
}

func (n *node) literally(seg string) *node {
	if len(n.few) > fewChildren {
		return n.literal[seg]
	}
	for i := range n.few {
		if n.few[i].segment == seg {
			return n.few[i].node
		}
	}
	return nil
}

func (n *node) step(method, after string, more bool) *Route {
	if more {
		return n.find(method, after)
	}
	return byMethod(n.end, method)
}

func byMethod(m methods, method string) *Route {
	if r := m.get(method); r != nil {
		return r
	}
	if method == http.MethodHead {
		return m.get(http.MethodGet)
	}
	return nil
}

func (n *node) collect(path string, into map[string]bool) {
	seg, after, more := strings.Cut(path, "/")
	for _, c := range []*node{n.literal[seg], n.single} {
		switch {
		case c == nil, c == n.single && seg == "":
		case more:
			c.collect(after, into)
		default:
			addMethods(c.end, into)
		}
	}
	addMethods(n.rest, into)
}

func addMethods(m methods, into map[string]bool) {
	for i := range m {
		into[m[i].method] = true
	}
}
