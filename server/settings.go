package server

import (
	"errors"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/cors"
	"github.com/merlonhq/merlon/headers"
	"github.com/merlonhq/merlon/httpsonly"
	"github.com/merlonhq/merlon/password"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/server/internal/api"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/findings"
	"github.com/merlonhq/merlon/server/internal/pages"
	"github.com/merlonhq/merlon/server/module"
)

// Settings are the settings of the service. They are made by [LoadSettings] or
// [DemoSettings] and do not change; the zero Settings serve nothing.
type Settings struct {
	set  config.Settings
	demo bool // one process that nobody shares tokens with
}

// Environment returns "production" or "development".
func (s Settings) Environment() string { return s.set.Environment }

// Listen returns the TCP address to serve, such as ":8443".
func (s Settings) Listen() string { return s.set.Listen }

// CertificateFile returns the path of the PEM file of the certificate that is served
// with, "" for clear text. With acme it is that of the first name, or what stands in for
// it, and holds the key too.
func (s Settings) CertificateFile() string {
	if len(s.set.ACME.Domains) > 0 {
		return s.acmeFile()
	}
	return s.set.TLS.Cert
}

// A Source is everything that settings are read from.
type Source struct {
	// File is the path of the YAML file. Empty means none.
	File string
	// Listen is the address of the flag --listen; it wins over file and
	// environment. Empty means that the flag was not given.
	Listen string
	// Environ are the environment variables, "NAME=value", such as those of
	// [os.Environ]; of two with one name the first counts. Nil means none.
	Environ []string
	// Open opens File, .env in the working directory, and the files of secrets.
	// A missing file is [fs.ErrNotExist]. Nil means [os.Open].
	Open func(path string) (io.ReadCloser, error)
}

// A Problem is one thing that is wrong with the settings. It holds no secret and
// no value that may be one.
type Problem struct {
	// ID is stable: "merlon.E001" for what stops the service, "merlon.W001" for a
	// finding.
	ID string
	// Severity is low, medium, high or critical; what stops the service for its id
	// is critical.
	Severity string
	// Fatal says that the problem stops the service: an error, and in production a
	// critical finding.
	Fatal bool
	// Where is the place: "merlon.yaml:12", "MERLON_HOSTS", the file of a secret,
	// or "settings" for what is missing.
	Where string
	// Message says what is wrong.
	Message string
	// Why says what it makes possible.
	Why string
	// Fix says what to do.
	Fix string
	// Help is the link that explains the id.
	Help string
	// Silenced says why and until when the finding is borne, by check.silence; it is nil
	// for what counts.
	Silenced *Silence
}

// A Silence is an entry of check.silence that is in force.
type Silence struct {
	Reason string
	Until  string // the last day, in UTC: "2027-01-31"
}

// String returns the problem as one line. That of a finding has its severity.
func (p Problem) String() string {
	id := p.ID
	if strings.HasPrefix(id, "merlon.W") {
		id += " " + p.Severity
	}
	return config.Problem{ID: id, Where: p.Where, Message: p.Message, Fix: p.Fix}.String()
}

// LoadSettings reads the settings: the file, then the environment. It reports
// every problem at once; [Fatal] tells whether one of them stops the service.
func LoadSettings(src Source) (Settings, []Problem) {
	set, found := config.Load(config.Source(src))
	return Settings{set: set}, problems(found, set)
}

func problems(found []config.Problem, set config.Settings) []Problem {
	var all []findings.Finding
	for _, p := range found {
		all = append(all, findings.Of(p))
	}
	findings.Quiet(all, set.Check.Silence, time.Now())
	var out []Problem
	for _, f := range all {
		out = append(out, problem(f, set.Environment))
	}
	return out
}

// Fatal reports whether one of the problems stops the service.
func Fatal(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Fatal })
}

// ErrSettings is in the error of [New] and [CreateUser] when what they were given
// cannot work: settings, a certificate, modules. Nothing was opened or made then.
var ErrSettings = errors.New("server: wrong settings")

// settingsError is an ErrSettings that says what is wrong and no more.
type settingsError struct{ error }

func (e settingsError) Unwrap() []error { return []error{ErrSettings, e.error} }

// policy makes the policy of the guard of the settings and the routes.
func policy(set config.Settings, routes []module.Route, log *slog.Logger) merlon.Config {
	var declared []merlon.Route
	for _, r := range routes {
		declared = append(declared, r.Policy)
	}
	cfg := merlon.Config{
		Environment: merlon.Environment(set.Environment),
		Routes:      declared,
		Hosts:       inBrackets(set.Hosts),
		Origins:     set.Origins,
		Secret:      []byte(set.SecretKey.Reveal()),
		ErrorLog:    log,
		Headers: headers.Config{
			Profile: headers.Profile(set.Headers.Profile), HSTSMaxAge: set.Headers.HSTSMaxAge, Reports: api.ReportsPath, Pages: pages.Profiles(),
		},
		HTTPSOnly: httpsonly.Config{RedirectPort: set.RedirectPort},
		CORS: cors.Config{
			Credentials: set.CORS.Credentials, Methods: set.CORS.Methods, RequestHeaders: set.CORS.RequestHeaders,
			ExposedHeaders: set.CORS.ExposedHeaders, MaxAge: set.CORS.MaxAge,
			Debug: set.CORS.Debug, InsecurePrivateNetwork: set.CORS.InsecurePrivateNetwork,
		},
		RateLimit: limits(set.RateLimits, declared, log),

		InsecureShadow: merlon.InsecureShadow(set.InsecureShadow),
	}
	if set.CORS.MaxAge == 0 {
		cfg.CORS.MaxAge = -1 // the settings' 0 means not at all, the stage's means the default
	}
	for _, secret := range set.SecretKeyPrevious {
		cfg.PreviousSecrets = append(cfg.PreviousSecrets, []byte(secret.Reveal()))
	}
	for _, p := range set.TrustedProxies {
		cfg.ClientIP.TrustedProxies = append(cfg.ClientIP.TrustedProxies, p.String())
	}
	return cfg
}

// inBrackets writes addresses of IPv6 as they stand in a Host header (RFC 3986
// section 3.2.2).
func inBrackets(hosts []string) []string {
	out := slices.Clone(hosts)
	for i, h := range out {
		if strings.Contains(h, ":") {
			out[i] = "[" + h + "]"
		}
	}
	return out
}

func limits(set config.RateLimits, routes []merlon.Route, log *slog.Logger) ratelimit.Config {
	one := func(l config.Limit) []ratelimit.Limit { return []ratelimit.Limit{{Max: l.Limit, Window: l.Window}} }
	cfg := ratelimit.Config{
		Default:        ratelimit.Rule{Limits: quotas(set.Default.All(), set.Default.Algorithm, set.Default.Burst), By: parts(set.Default.By)},
		Address:        ratelimit.Rule{Limits: one(set.Address)},
		BadCredentials: ratelimit.Rule{Limits: one(set.BadCredentials)},
		OnStoreError:   ratelimit.OnStoreError(set.OnStoreError),
		ExpectedNodes:  set.ExpectedNodes,
		IPv4Bits:       set.IPv4Prefix,
		IPv6Bits:       set.IPv6Prefix,
		InsecureExempt: ratelimit.InsecureExempt(set.InsecureExempt),
	}
	for _, r := range set.Rules {
		rule := ratelimit.Rule{Name: r.Name, By: parts(r.By), Limits: quotas(r.All(), r.Algorithm, r.Burst)}
		if r.Count == config.CountFailures {
			rule.Count = ratelimit.CountFailures
		}
		for _, pattern := range r.Match {
			found := covered(pattern, routes)
			if len(found) == 0 {
				// One file may serve several versions and sets of modules.
				log.Warn("a rate limit matches no route of this server", "id", "merlon.N005", "rule", r.Name, "match", pattern)
			}
			for _, p := range found {
				if !slices.Contains(rule.Match, p) {
					rule.Match = append(rule.Match, p)
				}
			}
		}
		if len(rule.Match) > 0 {
			cfg.Rules = append(cfg.Rules, rule)
		}
	}
	return cfg
}

func quotas(all []config.Quota, algorithm string, burst int) []ratelimit.Limit {
	var out []ratelimit.Limit
	for _, q := range all {
		l := ratelimit.Limit{Max: q.Limit, Window: q.Window}
		if algorithm == config.TokenBucket {
			l.Algorithm, l.Burst = ratelimit.TokenBucket, burst
		}
		out = append(out, l)
	}
	return out
}

// covered returns the patterns of the routes that a rule's pattern covers: the
// route itself, or all routes below "/api/{rest...}".
func covered(pattern string, routes []merlon.Route) []string {
	table, err := route.New([]route.Route{{Pattern: pattern, Public: true}})
	if err != nil {
		return nil // the settings have refused it
	}
	var found []string
	for _, r := range routes {
		method, path, _ := strings.Cut(r.Pattern, " ")
		if r.Pattern == pattern || table.Match(method, variable.ReplaceAllString(path, "x")).Route != nil {
			found = append(found, r.Pattern)
		}
	}
	return found
}

// variable is a segment of a pattern that stands for any.
var variable = regexp.MustCompile(`\{[^}]+\}`)

func parts(by []string) []ratelimit.Part {
	var out []ratelimit.Part
	for _, p := range by {
		out = append(out, ratelimit.Part(p))
	}
	return out
}

func hasher(set config.Password) (*password.Hasher, error) {
	return password.NewHasher(password.HasherConfig{
		Algorithm: password.Algorithm(set.Algorithm), MemoryKiB: uint32(set.MemoryKiB), Time: uint32(set.Time),
		Threads: uint8(set.Threads), BcryptCost: set.BcryptCost,
	})
}

// passwordPolicy knows the names of the service, which are guessed first after the
// common passwords and those of the account.
func passwordPolicy(set config.Settings) (*password.Policy, error) {
	cfg := password.PolicyConfig{MinLength: set.Password.MinLength, ContextWords: append([]string{"merlon"}, set.Hosts...)}
	if set.Password.Algorithm == string(password.Bcrypt) {
		cfg.MaxBytes = 72 // bcrypt reads no more; what is longer is refused, not cut
	}
	return password.NewPolicy(cfg)
}
