package cors

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/origin"
	"github.com/merlonhq/merlon/route"
)

// A policy says which pages may do what: on the whole site, or on one route that
// changes something.
type policy struct {
	origins     *origin.Set
	anyOrigin   bool // pages of all other origins may read answers, without credentials
	credentials bool
	methods     []string
	headers     nameSet

	// The values of the headers of the same name, built once.
	allowMethods, allowHeaders, exposeHeaders, maxAge string
}

func newPolicy(cfg Config, set *origin.Set) *policy {
	p := &policy{
		origins:       set,
		anyOrigin:     cfg.InsecureAnyOrigin != "",
		credentials:   cfg.Credentials,
		methods:       slices.Clone(cfg.Methods),
		headers:       newNameSet(cfg.RequestHeaders),
		exposeHeaders: strings.Join(cfg.ExposedHeaders, ", "),
		maxAge:        strconv.FormatInt(int64(max(cfg.MaxAge, 0)/time.Second), 10),
	}
	if slices.Contains(p.methods, http.MethodGet) && !slices.Contains(p.methods, http.MethodHead) {
		p.methods = append(p.methods, http.MethodHead)
	}
	// The whole lists, not only what was asked for: browsers remember them and
	// ask again less often.
	p.allowMethods = strings.Join(p.methods, ", ")
	p.allowHeaders = strings.Join(cfg.RequestHeaders, ", ")
	return p
}

// changed returns what the route r makes of cfg, the configuration of the site with
// its defaults, and all that is wrong with the change but for its origins.
func (cfg Config) changed(r *route.Route) (Config, []string) {
	method, _, _ := strings.Cut(r.Pattern, " ")
	c, listed := r.CORS, slices.Contains(cfg.Methods, method)
	if c.Off {
		return Config{Methods: []string{}, RequestHeaders: []string{}, ExposedHeaders: []string{}}, nil
	}
	var faults []string
	report := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if cfg.InsecureAnyOrigin != "" && (c.Origins != nil || len(c.AddOrigins) > 0 || c.InsecureAnyOrigin != "") {
		report("InsecureAnyOrigin of the policy lets in every origin; list the policy's origins instead, and set InsecureAnyOrigin of the routes that are for everybody")
	}
	switch {
	case c.AddMethod && listed:
		report("AddMethod adds %s, which the policy has; leave it out", method)
	case !c.AddMethod && !listed:
		report("the policy's Methods lack %s, so that pages could not use what CORS changes; set AddMethod, or leave CORS out", method)
	}

	other := cfg
	other.Methods = []string{method}
	other.RequestHeaders = slices.Concat(cfg.RequestHeaders, c.AddRequestHeaders)
	other.ExposedHeaders = slices.Concat(cfg.ExposedHeaders, c.AddExposedHeaders)
	other.Credentials = cfg.Credentials && !c.NoCredentials
	other.InsecureAnyOrigin = cmp.Or(c.InsecureAnyOrigin, cfg.InsecureAnyOrigin)
	other.MaxAge = cmp.Or(c.MaxAge, cfg.MaxAge)
	known := cfg.faults()
	for _, f := range other.faults() {
		if !slices.Contains(known, f) { // the site has been told of those
			faults = append(faults, f)
		}
	}
	return other, faults
}

// allows reports whether pages of the origin may read answers. Two Origin
// headers are nobody: which one counts would be a guess.
func (p *policy) allows(origins []string) bool {
	return len(origins) == 1 && origins[0] != "" && (p.anyOrigin || p.origins.Has(origins[0]))
}

// allow names the origin, which is allowed, in the answer.
func (p *policy) allow(x *exchange.Exchange, from string) {
	if !p.origins.Has(from) {
		x.SetHeader("Access-Control-Allow-Origin", "*") // anybody, and so without credentials
		return
	}
	x.SetHeader("Access-Control-Allow-Origin", from)
	if p.credentials {
		x.SetHeader("Access-Control-Allow-Credentials", "true")
	}
}
