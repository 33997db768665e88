package bench

import (
	"io"
	"log/slog"
	"net/http"

	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/authz"
	"github.com/merlonhq/merlon/clientip"
	"github.com/merlonhq/merlon/cors"
	"github.com/merlonhq/merlon/csrf"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/firewall"
	"github.com/merlonhq/merlon/headers"
	"github.com/merlonhq/merlon/httpsonly"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/validate"
)

// Names of the contestants that bars are about.
const (
	NoStages     = "exchange alone"
	HeadersAlone = "exchange and headers"
	CORSAlone    = "exchange and cors"
)

// StageNames are the stages in the order of merlon.New.
var StageNames = []string{
	"+ clientip", "+ headers", "+ httpsonly", "+ firewall", "+ cors", "+ ratelimit before", "+ route",
	"+ csrf origin", "+ authn", "+ csrf token", "+ authz", "+ ratelimit after", "+ validate",
}

// Stages is the chain of merlon.New, built up stage by stage: what a contestant
// costs more than the one before it is what its stage costs. A stage that needs
// what earlier ones found gets it.
func Stages() Contest {
	c := Contest{"stages", nil}
	for _, p := range Middleware(false).Contestants {
		if p.Name == Bare || p.Name == SevenHeaders || p.Name == RSCors {
			c.Contestants = append(c.Contestants, p) // what stages are compared with
		}
	}
	c.Contestants = append(c.Contestants,
		stages(NoStages, 0, 0),
		stages(HeadersAlone, 1, 2), // whose figures are compared with a peer's alone
		stages(CORSAlone, 4, 5))
	for i, name := range StageNames {
		c.Contestants = append(c.Contestants, stages(name, 0, i+1))
	}
	return c
}

// stages is a chain of those stages of merlon.New that are numbered from first to
// before end.
func stages(name string, first, end int) Contestant {
	return Contestant{name, func(workers int) (*Instance, error) {
		b := &parts{}
		routes := part(b, route.New, []route.Route{routePolicy(true)})
		manager, keys, err := newKeys(workers)
		if err != nil {
			return nil, err
		}
		rate := limits()
		rate.Routes = routes
		limiter := part(b, ratelimit.New, rate)
		protection := part(b, csrf.New, csrf.Config{Key: make([]byte, 32), Origins: []string{pageOrigin}})
		if b.err != nil {
			return nil, b.err
		}
		all := []exchange.Stage{
			part(b, clientip.New, clientip.Config{}),
			part(b, headers.New, headers.Config{}),
			part(b, httpsonly.New, httpsonly.Config{Hosts: []string{apiHost}}),
			part(b, firewall.New, firewall.Config{Hosts: []string{apiHost}}),
			part(b, cors.New, cors.Config{Origins: []string{pageOrigin}}),
			limiter.Before(),
			authz.Routed{},
			protection.Origin(),
			part(b, authn.New, authn.Config{Keys: authn.Keys(manager, nil)}),
			protection.Token(),
			part(b, authz.New, authz.Config{}),
			limiter.After(),
			part(b, validate.New, validate.Config{}),
		}
		if b.err != nil {
			return nil, b.err
		}
		h := exchange.New(exchange.Config{
			Stages: all[first:end], Routes: routes, ErrorLog: slog.New(slog.NewTextHandler(io.Discard, nil)),
		}).Handler(http.HandlerFunc(bare))
		return alike(workers, func(w int) (func(int), error) { return serve(h, newRequest(w, keys[w], false)), nil })
	}}
}

// parts keeps the first error of several constructors.
type parts struct{ err error }

func part[C, T any](b *parts, compile func(C) (T, error), cfg C) T {
	t, err := compile(cfg)
	if b.err == nil {
		b.err = err
	}
	return t
}
