// Package origin holds lists of origins that a site trusts. One [Set] serves the
// CORS stage, which answers these origins, and the CSRF stage, which accepts them:
// one list, so that what one of them lets in the other does not turn away. It can
// be used alone, wherever a handler must know the origin of a page, such as before
// a WebSocket handshake.
//
// An origin is the scheme, host and port of a page, as browsers write it into
// the Origin header (RFC 6454 section 6.2, HTML "serialization of an origin").
// [Compile] takes exact origins and "https://*.example.com", which stands for
// every host below example.com and not for example.com itself. It refuses what
// could never match, and what would trust strangers: "*", "null", clear text,
// wildcards over a public suffix. [Set.Has] compares the bytes of one Origin
// header with the set. It does not read requests: that a header occurs once, and
// what a missing one means, is for the caller to decide.
//
// A route may trust fewer origins than its site, or more ([route.CORS]): a Set that
// is compiled with [Options].Routes knows, and [Set.At] returns the list that counts.
package origin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/merlonhq/merlon/route"
)

const (
	httpsPrefix = "https://"
	httpPrefix  = "http://"

	// maxHost is the longest host name in text form (RFC 1035 section 2.3.4).
	maxHost = 253
	// maxOrigin is the longest origin that can be in a set.
	maxOrigin = len(httpsPrefix) + maxHost + len(":65535")
)

// Options say what a list may contain.
type Options struct {
	// Development also accepts http:// origins, of loopback hosts only:
	// localhost, 127.0.0.0/8 and [::1]. The default is production: https:// only.
	Development bool
	// Routes are the routes whose [route.CORS] may change the list. See [Set.At].
	// Default: none.
	Routes *route.Table
}

// A Set is a compiled list of origins. It does not change after [Compile]. A nil
// or empty Set holds no origin.
type Set struct {
	exact     map[string]struct{}
	wildcards []string // ".example.com" or ".example.com:8443", all https
	longest   int      // no member is longer, in bytes

	routes  *route.Table
	byRoute map[*route.Route]*Set // of the routes that change the list
}

// Compile returns the set of the listed origins. It reports every entry that is
// not acceptable at once, each with the value and what to write instead. An
// empty list is a valid set that holds no origin.
func Compile(list []string, opt Options) (*Set, error) {
	s := &Set{exact: make(map[string]struct{}, len(list))}
	seen := make(map[string]struct{}, len(list))
	var errs []error
	for _, v := range list {
		p, err := parse(v, opt)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if _, twice := seen[v]; twice {
			errs = append(errs, fmt.Errorf("origin %q: listed twice; remove one", v))
			continue
		}
		seen[v] = struct{}{}
		if p.wildcard {
			s.wildcards = append(s.wildcards, "."+p.host+p.port)
			s.longest = maxOrigin
			continue
		}
		s.exact[v] = struct{}{}
		s.longest = max(s.longest, len(v))
	}
	if len(errs) > 0 {
		_, err := (*Set)(nil).vary(list, opt)
		return nil, errors.Join(append(errs, err)...)
	}
	var err error
	s.routes = opt.Routes
	if s.byRoute, err = s.vary(list, opt); err != nil {
		return nil, err
	}
	return s, nil
}

// Has reports whether origin, the value of an Origin header, is in s. The
// comparison is of bytes: browsers write origins in one form only. It allocates
// nothing, and its cost depends on the set, not on what a client sends.
func (s *Set) Has(origin string) bool {
	if s == nil || len(origin) > s.longest {
		return false
	}
	if _, ok := s.exact[origin]; ok {
		return true
	}
	if len(s.wildcards) == 0 {
		return false
	}
	rest, ok := strings.CutPrefix(origin, httpsPrefix)
	if !ok {
		return false
	}
	for _, suffix := range s.wildcards {
		// The suffix begins with a dot, so evilexample.com has no ".example.com".
		if below, ok := strings.CutSuffix(rest, suffix); ok && areLabels(below) && hostLen(rest) <= maxHost {
			return true
		}
	}
	return false
}

// hostLen is the length of the host of an authority that has no IPv6 address.
func hostLen(authority string) int {
	if i := strings.IndexByte(authority, ':'); i >= 0 {
		return i
	}
	return len(authority)
}
