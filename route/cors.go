package route

import (
	"errors"
	"slices"
	"time"
)

// CORS is what one route changes of the site's CORS policy. What it does not
// mention stays as the policy has it. Packages cors and csrf follow it: pages that
// may not read a route's answers are not trusted to send to it either.
type CORS struct {
	// Off closes the route to pages of other origins: their preflights are refused
	// and they cannot read its answers. Nothing else may be set beside it.
	Off bool

	// Origins, when not nil, are those of the policy's origins that this route
	// keeps. Each must be in the policy's list, or below one of its wildcards; an
	// empty list keeps none.
	Origins []string
	// AddOrigins are further origins whose pages may call this route and no other.
	// The rules are those of the policy's list.
	AddOrigins []string
	// InsecureAnyOrigin, when not empty, is the reason why pages of every origin may
	// read this route's answers, without credentials. For origins of the list
	// nothing changes, and only these may send requests that change something.
	InsecureAnyOrigin string

	// NoCredentials keeps pages from sending and receiving cookies here.
	NoCredentials bool
	// AddMethod lets pages use the method of the route (and HEAD where it is GET),
	// which the policy's list of methods lacks.
	AddMethod bool
	// AddRequestHeaders are request headers that pages may set here, beside those
	// of the policy.
	AddRequestHeaders []string
	// AddExposedHeaders are headers of the answer that pages may read here, beside
	// those of the policy.
	AddExposedHeaders []string
	// MaxAge is how long browsers may remember a preflight's answer: whole seconds
	// up to 24 h. 0 means as long as the policy says; a negative value means not
	// at all.
	MaxAge time.Duration
}

// check returns what contradicts within c itself; c may be nil.
func (c *CORS) check() error {
	if c == nil {
		return nil
	}
	more := c.Origins != nil || len(c.AddOrigins) > 0 || c.InsecureAnyOrigin != "" || c.NoCredentials || c.AddMethod ||
		len(c.AddRequestHeaders) > 0 || len(c.AddExposedHeaders) > 0 || c.MaxAge != 0
	switch {
	case c.Off && more:
		return errors.New("CORS.Off closes it to other origins, and CORS says more: remove one of them")
	case !c.Off && !more:
		return errors.New("CORS changes nothing: leave it out, or set Off to close the route to other origins")
	}
	return nil
}

// clone returns a copy that nobody else can change; c may be nil.
func (c *CORS) clone() *CORS {
	if c == nil {
		return nil
	}
	d := *c
	d.Origins, d.AddOrigins = slices.Clone(c.Origins), slices.Clone(c.AddOrigins)
	d.AddRequestHeaders, d.AddExposedHeaders = slices.Clone(c.AddRequestHeaders), slices.Clone(c.AddExposedHeaders)
	return &d
}
