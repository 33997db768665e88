package origin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/merlonhq/merlon/route"
)

// At returns the list for requests with the given method and path: what their
// route makes of s, and s itself where the route changes nothing, or there is none.
func (s *Set) At(method, path string) *Set {
	if s == nil || s.byRoute == nil {
		return s
	}
	if r := s.routes.Match(method, path).Route; r != nil {
		if other, ok := s.byRoute[r]; ok {
			return other
		}
	}
	return s
}

// For returns the list for a route of [Set.Routes].
func (s *Set) For(r *route.Route) *Set {
	if s == nil {
		return nil
	}
	if other, ok := s.byRoute[r]; ok {
		return other
	}
	return s
}

// Routes returns the routes that s was compiled with, or nil.
func (s *Set) Routes() *route.Table {
	if s == nil {
		return nil
	}
	return s.routes
}

// Empty reports whether s holds no origin. Its routes may add some.
func (s *Set) Empty() bool { return s == nil || len(s.exact)+len(s.wildcards) == 0 }

// vary compiles the lists of the routes that change list, of which s was made.
// A nil s was not acceptable; the lists of the routes are checked all the same.
func (s *Set) vary(list []string, opt Options) (map[*route.Route]*Set, error) {
	if opt.Routes == nil {
		return nil, nil
	}
	var byRoute map[*route.Route]*Set
	var errs []error
	for _, r := range opt.Routes.Routes() {
		c := r.CORS
		if c == nil || !c.Off && c.Origins == nil && len(c.AddOrigins) == 0 {
			continue
		}
		other, err := s.change(list, c, opt)
		if err != nil {
			for _, e := range unjoin(err) {
				errs = append(errs, fmt.Errorf("route %q: %w", r.Pattern, e))
			}
			continue
		}
		if byRoute == nil {
			byRoute = map[*route.Route]*Set{}
		}
		byRoute[r] = other
	}
	return byRoute, errors.Join(errs...)
}

// change returns what one route makes of list.
func (s *Set) change(list []string, c *route.CORS, opt Options) (*Set, error) {
	if c.Off {
		return &Set{}, nil
	}
	opt.Routes = nil
	kept := list
	if c.Origins != nil {
		kept = c.Origins
	}
	if s == nil {
		kept = c.Origins // the list itself has been told of
	}
	other, err := Compile(slices.Concat(kept, c.AddOrigins), opt)
	if err != nil || s == nil {
		return nil, err
	}
	var errs []error
	for _, v := range c.Origins {
		if !s.covers(v) {
			errs = append(errs, fmt.Errorf("origin %q: CORS.Origins keeps some of the policy's origins, and this is none of them; write it into AddOrigins, or into the policy's list", v))
		}
	}
	for _, v := range c.AddOrigins {
		if c.Origins == nil && s.covers(v) {
			errs = append(errs, fmt.Errorf("origin %q: the policy's list has it already; remove it from AddOrigins", v))
		}
	}
	return other, errors.Join(errs...)
}

// covers reports whether every origin that an entry of a list stands for is in s.
// The entry must be acceptable.
func (s *Set) covers(entry string) bool {
	below, isWild := strings.CutPrefix(entry, httpsPrefix+"*")
	if !isWild {
		return s.Has(entry)
	}
	return slices.ContainsFunc(s.wildcards, func(suffix string) bool { return strings.HasSuffix(below, suffix) })
}

// unjoin returns the errors that err joins.
func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
