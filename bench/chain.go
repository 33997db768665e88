package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-chi/httprate"
	"github.com/gorilla/csrf"
	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/route"
	"github.com/rs/cors"
	"github.com/unrolled/secure"
)

// Names of the contestants that bars are about.
const (
	Bare           = "bare handler"
	TwelveHeaders  = "12 constant headers (floor)"
	SevenHeaders   = "7 constant headers (floor of the headers stage)"
	RSCors         = "rs/cors 1.11.1"
	LeanStack      = "lean stack: rs/cors + secure + httprate + CrossOriginProtection"
	Chain          = "merlon.New, the whole chain with an API key"
	ChainAnonymous = "merlon.New, the whole chain on a public route, no key"
	ChainShared    = "merlon.New, the whole chain, every worker the same client and key"
)

// most is a limit that no benchmark reaches, the highest that Merlon takes.
const most = ratelimit.MaxMax

// Names of the two contests that differ in the request.
const (
	Program = "middleware, a program's request"
	Browser = "middleware, a browser's request"
)

// Middleware is one accepted GET through each chain. A browser's request has
// eleven fields, a program's six.
func Middleware(browser bool) Contest {
	name := Program
	if browser {
		name = Browser
	}
	layers := func(name string, layers ...func(http.Handler) http.Handler) Contestant {
		return Contestant{name, func(workers int) (*Instance, error) {
			h := http.Handler(http.HandlerFunc(bare))
			for i := len(layers) - 1; i >= 0; i-- {
				h = layers[i](h)
			}
			return alike(workers, func(w int) (func(int), error) { return serve(h, newRequest(w, "", browser)), nil })
		}}
	}
	return Contest{name, []Contestant{
		layers(Bare),
		layers(SevenHeaders, constantHeaders(7)),
		layers(TwelveHeaders, constantHeaders(12)),
		layers("net/http CrossOriginProtection", crossOriginProtection),
		layers(RSCors, rsCORS),
		layers("unrolled/secure 1.17.0, full set", secureHeaders(fullSet())),
		layers("go-chi/httprate 0.16.1", rateByAddress),
		layers(LeanStack, rsCORS, secureHeaders(fullSet()), rateByAddress, crossOriginProtection),
		layers("lean stack with the headers of Merlon's api profile", rsCORS, secureHeaders(apiSet()), rateByAddress, crossOriginProtection),
		{"typical stack: rs/cors + secure + httprate + gorilla/csrf 1.7.3", func(workers int) (*Instance, error) { return typicalStack(workers, browser) }},
		{Chain, func(workers int) (*Instance, error) { return chain(workers, browser, true, false) }},
		{ChainShared, func(workers int) (*Instance, error) { return chain(workers, browser, true, true) }},
		{ChainAnonymous, func(workers int) (*Instance, error) { return chain(workers, browser, false, false) }},
	}}
}

func chain(workers int, browser, withKey, shared bool) (*Instance, error) {
	manager, keys, err := newKeys(workers)
	if err != nil {
		return nil, err
	}
	guard, err := merlon.New(merlon.Config{
		Routes:    []merlon.Route{routePolicy(withKey)},
		Hosts:     []string{apiHost},
		Origins:   []string{pageOrigin},
		Recorder:  audit.Discard{},
		ErrorLog:  slog.New(slog.NewTextHandler(io.Discard, nil)),
		RateLimit: limits(),
		Authn:     authn.Config{Keys: authn.Keys(manager, nil)},
	})
	if err != nil {
		return nil, err
	}
	h := guard.Handler(http.HandlerFunc(bare))
	return alike(workers, func(w int) (func(int), error) {
		if shared {
			w = 0
		}
		if !withKey {
			return serve(h, newRequest(w, "", browser)), nil
		}
		return serve(h, newRequest(w, keys[w], browser)), nil
	})
}

func routePolicy(withKey bool) route.Route {
	r := route.Route{Pattern: pattern, Public: true}
	if withKey {
		r.Public, r.Scopes = false, []string{scope}
	}
	return r
}

// limits are the default rules with numbers that are never reached.
func limits() ratelimit.Config {
	rule := ratelimit.Rule{Limits: []ratelimit.Limit{{Max: most, Window: time.Minute}}}
	return ratelimit.Config{
		Address: rule,
		Default: ratelimit.Rule{Limits: rule.Limits, By: []ratelimit.Part{ratelimit.ByPrincipalOrAddress, ratelimit.ByRoute}},
	}
}

// newKeys makes an API key for each worker.
func newKeys(n int) (*apikey.Manager, []string, error) {
	store, err := apikey.NewMemory(n)
	if err != nil {
		return nil, nil, err
	}
	m, err := apikey.New(apikey.Config{Store: store, Scopes: []string{scope}})
	if err != nil {
		return nil, nil, err
	}
	keys := make([]string, n)
	for i := range keys {
		keys[i], _, err = m.Create(context.Background(), apikey.NewKey{
			Owner: fmt.Sprintf("usr_0193a5b2-7c41-7d5e-9b1f-%012d", i), Name: "bench", Scopes: []string{scope}, MakerScopes: []string{scope},
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return m, keys, nil
}

// constantHeaders sets the first n of twelve headers in the cheapest way there is:
// canonical names, shared values, no logic.
func constantHeaders(n int) func(http.Handler) http.Handler {
	type header struct {
		name  string
		value []string
	}
	list := []header{
		{"Cache-Control", []string{"no-store"}},
		{"Content-Security-Policy", []string{"default-src 'none'; frame-ancestors 'none'"}},
		{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
		{"Referrer-Policy", []string{"no-referrer"}},
		{"X-Content-Type-Options", []string{"nosniff"}},
		{"X-Frame-Options", []string{"DENY"}},
		{"Strict-Transport-Security", []string{"max-age=63072000; includeSubDomains"}},
		{"Cross-Origin-Opener-Policy", []string{"same-origin"}},
		{"Cross-Origin-Embedder-Policy", []string{"require-corp"}},
		{"Permissions-Policy", []string{"camera=(), geolocation=(), microphone=()"}},
		{"X-Dns-Prefetch-Control", []string{"off"}},
		{"X-Permitted-Cross-Domain-Policies", []string{"none"}},
	}[:n]
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			for i := range list {
				h[list[i].name] = list[i].value
			}
			next.ServeHTTP(w, r)
		})
	}
}

func crossOriginProtection(next http.Handler) http.Handler {
	return http.NewCrossOriginProtection().Handler(next)
}

func rsCORS(next http.Handler) http.Handler {
	return cors.New(cors.Options{
		AllowedOrigins: []string{pageOrigin},
		AllowedMethods: []string{"GET", "POST", "PUT", "PATCH", "DELETE"},
		AllowedHeaders: []string{"Authorization", "Content-Type", "X-API-Key", "X-CSRF-Token", "X-Requested-With"},
		ExposedHeaders: []string{"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"},
		MaxAge:         86400,
	}).Handler(next)
}

// apiSet are the headers of Merlon's api profile, and its firewall's host list.
func apiSet() secure.Options {
	return secure.Options{
		AllowedHosts:              []string{apiHost},
		SSLRedirect:               true,
		STSSeconds:                63072000,
		STSIncludeSubdomains:      true,
		FrameDeny:                 true,
		ContentTypeNosniff:        true,
		ContentSecurityPolicy:     "default-src 'none'; frame-ancestors 'none'",
		ReferrerPolicy:            "no-referrer",
		CrossOriginResourcePolicy: "same-origin",
	}
}

// fullSet is every header that secure has and a site would send today.
func fullSet() secure.Options {
	o := apiSet()
	o.PermissionsPolicy = "camera=(), geolocation=(), microphone=()"
	o.CrossOriginOpenerPolicy = "same-origin"
	o.CrossOriginEmbedderPolicy = "require-corp"
	o.XDNSPrefetchControl = "off"
	o.XPermittedCrossDomainPolicies = "none"
	return o
}

func secureHeaders(o secure.Options) func(http.Handler) http.Handler {
	return secure.New(o).Handler
}

func rateByAddress(next http.Handler) http.Handler {
	return httprate.LimitBy(most, time.Minute, func(r *http.Request) (string, error) {
		ip, _, err := net.SplitHostPort(r.RemoteAddr)
		return httprate.CanonicalizeIP(ip), err
	})(next)
}

// typicalStack gives each client the cookie that a first answer set.
func typicalStack(workers int, browser bool) (*Instance, error) {
	protect := csrf.Protect(make([]byte, 32), csrf.Path("/"), csrf.TrustedOrigins([]string{"app.example.com"}))
	h := rsCORS(secureHeaders(fullSet())(rateByAddress(protect(http.HandlerFunc(bare)))))
	return alike(workers, func(w int) (func(int), error) {
		r, first := newRequest(w, "", browser), newDiscard()
		h.ServeHTTP(first, r)
		cookies := (&http.Response{Header: first.header}).Cookies()
		if len(cookies) != 1 {
			return nil, errors.New("bench: gorilla/csrf set no cookie")
		}
		r.AddCookie(&http.Cookie{Name: cookies[0].Name, Value: cookies[0].Value})
		return serve(h, r), nil
	})
}
