package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Values of [Settings.Environment].
const (
	Production  = "production"
	Development = "development"
)

// Settings are all settings of the service. [Load] makes them; the comments
// give the key in the file, the range and the default.
type Settings struct {
	// Environment is Production (default) or Development.
	Environment string
	// Listen is the TCP address to serve, "host:port". Default ":8443";
	// in development "127.0.0.1:8080".
	Listen string
	// DatabaseURL is "sqlite:FILE" or "postgres://user:password@host:port/database".
	// Default "sqlite:merlon.db".
	DatabaseURL Secret
	// RedisURL is the server that limits are shared in, see [Settings.Redis]:
	// "redis://:password@host:6379/0", "rediss://…" over TLS, "unix://…". Default none:
	// limits are kept in memory.
	RedisURL Secret
	// SecretKey is text of 32 to 4096 bytes. Required in production; generated
	// anew at each load in development when it is not set.
	SecretKey Secret
	// SecretKeyGenerated says that SecretKey will not survive a restart.
	SecretKeyGenerated bool
	// SecretKeyPrevious are former keys, accepted for reading while rotating.
	SecretKeyPrevious []Secret
	// Origins are the web origins of CORS and CSRF: "https://app.example.com"
	// or "https://*.example.com"; http only in development. Default none; in
	// development three local ones.
	Origins []string
	// Hosts are the host names or addresses the service answers to, lower case
	// and without a port. Required in production; in development the server
	// accepts loopback names beside them.
	Hosts []string
	// TrustedProxies are the networks whose forwarding headers are believed,
	// masked and with v4-mapped networks unmapped. Default none.
	TrustedProxies []netip.Prefix
	// CORS is what origins may do.
	CORS CORS
	// TLS is the certificate to serve with; empty means clear text.
	TLS TLS
	// ACME are certificates from an authority, in place of TLS.
	ACME ACME
	// RedirectListen is a second TCP address, "host:port", that is served in clear
	// text beside TLS: page navigations are redirected to https, all else is refused.
	// With ACME it answers the authority's HTTP-01 challenges.
	// Default none.
	RedirectListen string
	// RedirectPort is the port of https that navigations are redirected to, 1 to
	// 65535. Default 443.
	RedirectPort int
	// OperationsListen is the TCP address, "host:port", of metrics and, on loopback,
	// pprof: never the port of Listen or RedirectListen. Default none.
	OperationsListen string
	// DrainTime is how long requests are served after the end was asked for and readiness
	// is red: 0s to 5m, whole seconds. Default 5s; in development 0s.
	DrainTime time.Duration
	// Traces are where spans of requests go.
	Traces Traces
	// Connections is how many connections there may be at once.
	Connections Connections
	// SecurityContact is the Contact of security.txt (RFC 9116 section 2.5.3):
	// a mailto:, https: or tel: URI. Default none.
	SecurityContact string
	// Password is how passwords are hashed and judged.
	Password Password
	// Sessions is how long sessions live.
	Sessions Sessions
	// Tokens is how access and refresh tokens are made.
	Tokens Tokens
	// Headers are the security headers.
	Headers Headers
	// RateLimits are the guards and the rules.
	RateLimits RateLimits
	// Audit is where security events go.
	Audit Audit
	// InsecureShadow are the controls that record what they would refuse.
	InsecureShadow InsecureShadow
	// Check is what a check does with its findings.
	Check Check
}

// CORS is the section cors.
type CORS struct {
	Credentials    bool          // default true
	Methods        []string      // of GET HEAD POST PUT PATCH DELETE OPTIONS; default all but HEAD and OPTIONS
	RequestHeaders []string      // field names; "*" is refused
	ExposedHeaders []string      // field names; "*" is refused
	MaxAge         time.Duration // 0s to 24h, whole seconds; default 24h
	// Debug makes refused preflights say why to whoever asks. Default false.
	Debug bool
	// InsecurePrivateNetwork is the reason why pages of origins on the internet may
	// reach this service in a private network. Default none: they may not.
	InsecurePrivateNetwork string
}

// TLS is the section tls: paths of PEM files, both or none.
type TLS struct {
	Cert string
	Key  string
}

// Connections is the section connections, of Listen and RedirectListen together.
type Connections struct {
	Max        int // 10 to 1000000; default 10000
	PerAddress int // 1 to 1000000, of one address; not of trusted proxies; default 500
}

// Password is the section password. The floor of argon2id is memory 19456 KiB
// with time 2, or 47104 KiB with time 1 (OWASP Password Storage).
type Password struct {
	Algorithm  string // argon2id (default) or bcrypt
	MemoryKiB  int    // 19456 to 1048576; default 19456
	Time       int    // 1 to 16; default 2
	Threads    int    // 1 to 16; default 1
	BcryptCost int    // 10 to 16; default 12
	MinLength  int    // 8 to 64 code points; default 8
}

// Sessions is the section sessions.
type Sessions struct {
	IdleTimeout     time.Duration // 1m to 24h, not above AbsoluteTimeout; default 30m
	AbsoluteTimeout time.Duration // 1m to 720h; default 12h
}

// Tokens is the section tokens.
type Tokens struct {
	Algorithm  string        // EdDSA (default), ES256, RS256 or HS256
	AccessTTL  time.Duration // 1m to 1h, not above RefreshTTL; default 15m
	RefreshTTL time.Duration // 1m to 2160h, from the login; default 720h
	Issuer     string        // a URL; default https:// and the first host
	Audience   string        // default Issuer
}

// Headers is the section headers.
type Headers struct {
	Profile    string        // api (default) or web, of answers that are data; pages are web anyway
	HSTSMaxAge time.Duration // 5m to 87600h; default 17520h (RFC 6797 section 6.1.1)
}

// RateLimits is the section rate_limits.
type RateLimits struct {
	// Default limits routes without a rule of their own: 100 per minute by
	// principal_or_address and route.
	Default Limit
	// Address is the guard over all routes before authentication: 1000 per minute.
	// Its By is always address.
	Address Limit
	// BadCredentials is the guard on refused credentials by address: 30 per minute.
	// Its By is always address.
	BadCredentials Limit
	// OnStoreError is deny, allow or local (default): what happens while Redis fails.
	// In memory nothing fails.
	OnStoreError string
	// ExpectedNodes is how many nodes share Redis, 1 to 10000: under local each grants
	// a share of the limits. Default 1.
	ExpectedNodes int
	// StoreTimeout is how long a request waits for Redis: 5ms to 1s. Default 25ms.
	StoreTimeout time.Duration
	// IPv4Prefix and IPv6Prefix are the lengths of the networks that count as one
	// address: 8 to 32, default 32; 16 to 128, default 64.
	IPv4Prefix, IPv6Prefix int
	// InsecureExempt are clients that no rule counts.
	InsecureExempt InsecureExempt
	// Rules replace Default on the routes they match. Default login,
	// login-account, register and reports; a list in the file replaces them as a whole.
	Rules []Rule
}

// InsecureExempt is the section rate_limits.insecure_exempt: both or none.
type InsecureExempt struct {
	Addresses []netip.Prefix // masked; default none
	Reason    string         // required with Addresses; logged at start
}

// Values of [Limit.Algorithm] and [Rule.Algorithm].
const (
	SlidingWindow = "sliding_window"
	TokenBucket   = "token_bucket"
)

// Limit is so many requests in each window of that length.
type Limit struct {
	Limit     int           // 1 to 1000000; 0 with Limits
	Window    time.Duration // 1s to 744h, whole seconds; 0 with Limits
	Limits    []Quota       // several windows at once, in place of Limit and Window
	Algorithm string        // SlidingWindow (default) or TokenBucket
	Burst     int           // of a TokenBucket: 1 to 1000000 at once; else 0
	By        []string      // what is counted apart, see Rule.By
}

// Quota is one entry of limits, written "100/1m".
type Quota struct {
	Limit  int           // 1 to 1000000
	Window time.Duration // 1s to 744h, whole seconds
}

// Values of [Rule.Count].
const (
	CountRequests = "requests"
	CountFailures = "failures"
)

// Rule is one entry of rate_limits.rules.
type Rule struct {
	// Name is unique, lower case, up to 24 characters, and none of default, address,
	// bad_credentials, key, event, probe.
	Name string
	// Match are route patterns such as "POST /api/v1/auth/login".
	Match []string
	// Limit (1 to 1000000) requests per Window (1s to 744h) are admitted; or, with
	// Limits, so many in each of several windows, and these two are 0.
	Limit  int
	Window time.Duration
	Limits []Quota
	// Algorithm is SlidingWindow (default), or TokenBucket: Limit per Window as a
	// steady rate, and Burst (1 to 1000000) at once.
	Algorithm string
	Burst     int
	// By are the parts of the key: address, account, principal,
	// principal_or_address, session, key, header:<Name>, route.
	By []string
	// Count is CountRequests (default) or CountFailures.
	Count string
}

// Audit is the section audit.
type Audit struct {
	Log        string // path of the event log; empty only with Stdout; default logs/security.log
	Stdout     bool   // default false
	MaxSizeMiB int    // 1 to 10240; default 100
	Keep       int    // rotated files kept, 1 to 1000; default 10

	MaxAge   time.Duration // at which the file is rotated, 0s to 8784h; 0s, the default, is never
	KeepFor  time.Duration // of rotated files, 0s to 87840h; 0s, the default, is as long as Keep has room
	Compress bool          // rotated files; default false
	// CheckpointInterval is how long events may be in the file without a signature: 1s
	// to 1h, default 1m.
	CheckpointInterval time.Duration
	// DatabaseKeepFor is how long events are in the database: 1h to 87840h, default 2160h.
	DatabaseKeepFor time.Duration
	// Addresses is whole (default), truncated or hashed; Names is whole (default) or hashed.
	Addresses, Names string
	// Canaries are account names and paths, which begin with "/", that nobody has a
	// reason to use. Default none.
	Canaries []string
	// Wait is how long a request waits for room when the queue of events is full, 0s to
	// 100ms, default 50ms, and WaitFor for events of which categories: default account,
	// api_key and system. Those of others are dropped at once.
	Wait    time.Duration
	WaitFor []string
	// SpoolFor are the categories that wait on disk, beside Log, for a database that is away
	// when memory has no room for them. Default all.
	SpoolFor []string
	// What each sink gets.
	FileOnly, DatabaseOnly, StdoutOnly EventFilter
}

// EventFilter says which events a sink gets: those that match each of its parts. What must
// be recorded before it happens every sink gets.
type EventFilter struct {
	Categories []string // default none, which is all
	Severity   string   // the lowest; default info
	Outcomes   []string // default none, which is all
}

// Takes reports whether the sink gets an event.
func (f EventFilter) Takes(category, severity, outcome string) bool {
	return (len(f.Categories) == 0 || slices.Contains(f.Categories, category)) &&
		slices.Index(severities(), severity) >= slices.Index(severities(), f.Severity) &&
		(len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, outcome))
}

// Everything reports whether the sink gets every event.
func (f EventFilter) Everything() bool {
	return len(f.Categories) == 0 && f.Severity == severities()[0] && len(f.Outcomes) == 0
}

// InsecureShadow is the section insecure_shadow: both or none.
type InsecureShadow struct {
	Controls []string // of merlon.ShadowControls; default none
	Reason   string   // required with Controls; logged at start
}

// OperationsPrivate reports whether only this machine reaches OperationsListen.
func (s Settings) OperationsPrivate() bool { return onLoopback(s.OperationsListen) }

// ListenPrivate reports whether only this machine reaches Listen.
func (s Settings) ListenPrivate() bool { return onLoopback(s.Listen) }

// DatabaseFile returns the FILE of a DatabaseURL "sqlite:FILE", and "" for a database
// that is no file.
func (s Settings) DatabaseFile() string {
	file, ok := strings.CutPrefix(s.DatabaseURL.Reveal(), sqliteScheme)
	if !ok {
		return ""
	}
	return file
}

func defaults(environment string) Settings {
	s := Settings{
		Environment: environment,
		Listen:      ":8443",
		DatabaseURL: NewSecret(sqliteScheme + "merlon.db"),
		CORS: CORS{
			Credentials:    true,
			Methods:        []string{"GET", "POST", "PUT", "PATCH", "DELETE"},
			RequestHeaders: []string{"Authorization", "Content-Type", "X-API-Key", "X-CSRF-Token", "X-Requested-With"},
			ExposedHeaders: []string{"RateLimit", "RateLimit-Policy", "Retry-After", "X-RateLimit-Limit",
				"X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id"},
			MaxAge: 24 * time.Hour,
		},
		ACME:         ACME{DirectoryURL: LetsEncrypt, Storage: "acme"},
		RedirectPort: 443,
		DrainTime:    5 * time.Second,
		Traces:       Traces{OneIn: 10},
		Connections:  Connections{Max: 10_000, PerAddress: 500},

		Password: Password{Algorithm: "argon2id", MemoryKiB: 19456, Time: 2, Threads: 1, BcryptCost: 12, MinLength: 8},
		Sessions: Sessions{IdleTimeout: 30 * time.Minute, AbsoluteTimeout: 12 * time.Hour},
		Tokens:   Tokens{Algorithm: "EdDSA", AccessTTL: 15 * time.Minute, RefreshTTL: 720 * time.Hour},
		Headers:  Headers{Profile: "api", HSTSMaxAge: 17520 * time.Hour},
		RateLimits: RateLimits{
			Default:        Limit{Limit: 100, Window: time.Minute, Algorithm: SlidingWindow, By: []string{"principal_or_address", "route"}},
			Address:        Limit{Limit: 1000, Window: time.Minute, By: []string{"address"}},
			BadCredentials: Limit{Limit: 30, Window: time.Minute, By: []string{"address"}},
			OnStoreError:   "local",
			ExpectedNodes:  1,
			StoreTimeout:   25 * time.Millisecond,
			IPv4Prefix:     32,
			IPv6Prefix:     64,
			Rules: []Rule{
				{Name: "login", Match: slices.Clone(passwordRoutes[:]), Limit: 5, Window: 5 * time.Minute, Algorithm: SlidingWindow,
					By: []string{"address"}, Count: CountFailures},
				{Name: "login-account", Match: slices.Clone(passwordRoutes[:]), Limit: 50, Window: time.Hour, Algorithm: SlidingWindow,
					By: []string{"account"}, Count: CountFailures},
				{Name: "register", Match: []string{registerRoute}, Limit: 10, Window: time.Minute, Algorithm: SlidingWindow,
					By: []string{"address"}, Count: CountRequests},
				{Name: "reports", Match: []string{reportsRoute}, Limit: 60, Window: time.Minute,
					By: []string{"address"}, Count: CountRequests, Algorithm: SlidingWindow},
			},
		},
		Audit: Audit{Log: "logs/security.log", MaxSizeMiB: 100, Keep: 10,
			CheckpointInterval: time.Minute, DatabaseKeepFor: 2160 * time.Hour, Addresses: "whole", Names: "whole",
			Wait: 50 * time.Millisecond, WaitFor: waitFor(), SpoolFor: categories(),
			FileOnly: EventFilter{Severity: "info"}, DatabaseOnly: EventFilter{Severity: "info"}, StdoutOnly: EventFilter{Severity: "info"}},
	}
	if environment == Development {
		// Plain HTTP is served on loopback only, so the default listens there.
		s.Listen = "127.0.0.1:8080"
		s.DrainTime = 0 // no load balancer has to notice
		s.Origins = []string{"http://localhost:3000", "http://localhost:8080", "http://127.0.0.1:3000"}
	}
	return s
}
