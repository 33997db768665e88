package config

import (
	"net/netip"
	"strings"
	"time"
)

// spec is what a value must be beyond the type of its field.
type spec struct {
	required bool                                // empty text is an error
	min, max int64                               // whole numbers; durations in units
	oneOf    []string                            // the choices, of a text or of each element
	check    func(string) *fault                 // the form, of a non-empty text or of each element
	network  func(string) (netip.Prefix, *fault) // the form of a network; nil means that of a trusted proxy
	hide     string                              // the value that is not printed, because it says nothing
	unit     time.Duration                       // of durations: what min and max count, and they are whole; zero is a second
}

// field is one setting: its name, where it is kept, and its rule. The type that
// place points to says how the value is written.
type field[T any] struct {
	name  string
	place func(*T) any
	spec  spec
}

// hides reports whether the value at place says nothing, so that it is not printed.
func (f field[T]) hides(place any) bool {
	return f.spec.hide != "" && yamlValue(place) == f.spec.hide
}

const (
	day       = 24 * 60 * 60
	hour      = 60 * 60
	maxWindow = 31 * day
	maxLimit  = 1_000_000
)

// settings are all settings in the order in which they are printed.
func settings() []field[Settings] {
	seconds := func(low, high int64) spec { return spec{min: low, max: high} }
	whole := seconds
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	return []field[Settings]{
		{"environment", func(s *Settings) any { return &s.Environment }, spec{required: true, oneOf: []string{Production, Development}}},
		{"listen", func(s *Settings) any { return &s.Listen }, spec{required: true, check: checkListen}},
		{"database_url", func(s *Settings) any { return &s.DatabaseURL }, spec{check: checkDatabaseURL}},
		{"redis_url", func(s *Settings) any { return &s.RedisURL }, spec{check: checkRedisURL}},
		{"secret_key", func(s *Settings) any { return &s.SecretKey }, spec{check: checkSecretKey}},
		{"secret_key_previous", func(s *Settings) any { return &s.SecretKeyPrevious }, spec{check: checkSecretKey}},
		{"origins", func(s *Settings) any { return &s.Origins }, spec{check: checkOrigin}},
		{"hosts", func(s *Settings) any { return &s.Hosts }, spec{check: checkHost}},
		{"trusted_proxies", func(s *Settings) any { return &s.TrustedProxies }, spec{}},
		{"cors.credentials", func(s *Settings) any { return &s.CORS.Credentials }, spec{}},
		{"cors.methods", func(s *Settings) any { return &s.CORS.Methods }, spec{oneOf: methods}},
		{"cors.request_headers", func(s *Settings) any { return &s.CORS.RequestHeaders }, spec{check: checkRequestHeader}},
		{"cors.exposed_headers", func(s *Settings) any { return &s.CORS.ExposedHeaders }, spec{check: checkExposedHeader}},
		{"cors.max_age", func(s *Settings) any { return &s.CORS.MaxAge }, seconds(0, day)},
		{"cors.debug", func(s *Settings) any { return &s.CORS.Debug }, spec{}},
		{"cors.insecure_private_network", func(s *Settings) any { return &s.CORS.InsecurePrivateNetwork }, spec{check: checkReason}},
		{"tls.cert", func(s *Settings) any { return &s.TLS.Cert }, spec{check: checkPath}},
		{"tls.key", func(s *Settings) any { return &s.TLS.Key }, spec{check: checkPath}},
		{"acme.domains", func(s *Settings) any { return &s.ACME.Domains }, spec{check: checkDomain}},
		{"acme.email", func(s *Settings) any { return &s.ACME.Email }, spec{check: checkEmail}},
		{"acme.directory_url", func(s *Settings) any { return &s.ACME.DirectoryURL }, spec{required: true, check: checkDirectoryURL}},
		{"acme.terms_agreed", func(s *Settings) any { return &s.ACME.TermsAgreed }, spec{}},
		{"acme.storage", func(s *Settings) any { return &s.ACME.Storage }, spec{required: true, check: checkPath}},
		{"acme.ca_file", func(s *Settings) any { return &s.ACME.CAFile }, spec{check: checkPath}},
		{"redirect_listen", func(s *Settings) any { return &s.RedirectListen }, spec{check: checkListen}},
		{"redirect_port", func(s *Settings) any { return &s.RedirectPort }, whole(1, 65535)},
		{"operations_listen", func(s *Settings) any { return &s.OperationsListen }, spec{check: checkListen}},
		{"drain_time", func(s *Settings) any { return &s.DrainTime }, seconds(0, 5*60)},
		{"traces.endpoint", func(s *Settings) any { return &s.Traces.Endpoint }, spec{check: checkEndpoint}},
		{"traces.one_in", func(s *Settings) any { return &s.Traces.OneIn }, whole(1, 1_000_000)},
		{"connections.max", func(s *Settings) any { return &s.Connections.Max }, whole(10, 1_000_000)},
		{"connections.per_address", func(s *Settings) any { return &s.Connections.PerAddress }, whole(1, 1_000_000)},
		{"security_contact", func(s *Settings) any { return &s.SecurityContact }, spec{check: checkContact}},
		{"password.algorithm", func(s *Settings) any { return &s.Password.Algorithm }, spec{required: true, oneOf: []string{"argon2id", "bcrypt"}}},
		{"password.memory_kib", func(s *Settings) any { return &s.Password.MemoryKiB }, whole(argonMemoryFloor, 1<<20)},
		{"password.time", func(s *Settings) any { return &s.Password.Time }, whole(1, 16)},
		{"password.threads", func(s *Settings) any { return &s.Password.Threads }, whole(1, 16)},
		{"password.bcrypt_cost", func(s *Settings) any { return &s.Password.BcryptCost }, whole(10, 16)},
		{"password.min_length", func(s *Settings) any { return &s.Password.MinLength }, whole(8, 64)},
		{"sessions.idle_timeout", func(s *Settings) any { return &s.Sessions.IdleTimeout }, seconds(60, day)},
		{"sessions.absolute_timeout", func(s *Settings) any { return &s.Sessions.AbsoluteTimeout }, seconds(60, 30*day)},
		{"tokens.algorithm", func(s *Settings) any { return &s.Tokens.Algorithm }, spec{required: true, oneOf: []string{"EdDSA", "ES256", "RS256", "HS256"}}},
		{"tokens.access_ttl", func(s *Settings) any { return &s.Tokens.AccessTTL }, seconds(60, hour)},
		{"tokens.refresh_ttl", func(s *Settings) any { return &s.Tokens.RefreshTTL }, seconds(60, 90*day)},
		{"tokens.issuer", func(s *Settings) any { return &s.Tokens.Issuer }, spec{check: checkIssuer}},
		{"tokens.audience", func(s *Settings) any { return &s.Tokens.Audience }, spec{check: checkAudience}},
		{"headers.profile", func(s *Settings) any { return &s.Headers.Profile }, spec{required: true, oneOf: []string{"api", "web"}}},
		{"headers.hsts_max_age", func(s *Settings) any { return &s.Headers.HSTSMaxAge }, seconds(300, 87600*hour)},
		{"rate_limits.default.limit", func(s *Settings) any { return &s.RateLimits.Default.Limit }, spec{min: 1, max: maxLimit, hide: "0"}},
		{"rate_limits.default.window", func(s *Settings) any { return &s.RateLimits.Default.Window }, spec{min: 1, max: maxWindow, hide: "0s"}},
		{"rate_limits.default.limits", func(s *Settings) any { return &s.RateLimits.Default.Limits }, spec{hide: "[]"}},
		{"rate_limits.default.algorithm", func(s *Settings) any { return &s.RateLimits.Default.Algorithm }, algorithms()},
		{"rate_limits.default.burst", func(s *Settings) any { return &s.RateLimits.Default.Burst }, spec{max: maxLimit, hide: "0"}},
		{"rate_limits.default.by", func(s *Settings) any { return &s.RateLimits.Default.By }, spec{required: true, check: checkDefaultBy}},
		{"rate_limits.address.limit", func(s *Settings) any { return &s.RateLimits.Address.Limit }, whole(1, maxLimit)},
		{"rate_limits.address.window", func(s *Settings) any { return &s.RateLimits.Address.Window }, seconds(1, maxWindow)},
		{"rate_limits.bad_credentials.limit", func(s *Settings) any { return &s.RateLimits.BadCredentials.Limit }, whole(1, maxLimit)},
		{"rate_limits.bad_credentials.window", func(s *Settings) any { return &s.RateLimits.BadCredentials.Window }, seconds(1, maxWindow)},
		{"rate_limits.on_store_error", func(s *Settings) any { return &s.RateLimits.OnStoreError }, spec{required: true, oneOf: []string{"deny", "allow", "local"}}},
		{"rate_limits.expected_nodes", func(s *Settings) any { return &s.RateLimits.ExpectedNodes }, whole(1, 10_000)},
		{"rate_limits.store_timeout", func(s *Settings) any { return &s.RateLimits.StoreTimeout }, spec{min: 5, max: 1000, unit: time.Millisecond}},
		{"rate_limits.ipv4_prefix", func(s *Settings) any { return &s.RateLimits.IPv4Prefix }, whole(8, 32)},
		{"rate_limits.ipv6_prefix", func(s *Settings) any { return &s.RateLimits.IPv6Prefix }, whole(16, 128)},
		{"rate_limits.insecure_exempt.addresses", func(s *Settings) any { return &s.RateLimits.InsecureExempt.Addresses }, spec{network: parseExempt}},
		{"rate_limits.insecure_exempt.reason", func(s *Settings) any { return &s.RateLimits.InsecureExempt.Reason }, spec{}},
		{"rate_limits.rules", func(s *Settings) any { return &s.RateLimits.Rules }, spec{}},
		{"audit.log", func(s *Settings) any { return &s.Audit.Log }, spec{check: checkPath}},
		{"audit.stdout", func(s *Settings) any { return &s.Audit.Stdout }, spec{}},
		{"audit.max_size_mib", func(s *Settings) any { return &s.Audit.MaxSizeMiB }, whole(1, 10240)},
		{"audit.keep", func(s *Settings) any { return &s.Audit.Keep }, whole(1, 1000)},
		{"audit.max_age", func(s *Settings) any { return &s.Audit.MaxAge }, seconds(0, 366*day)},
		{"audit.keep_for", func(s *Settings) any { return &s.Audit.KeepFor }, seconds(0, 3660*day)},
		{"audit.compress", func(s *Settings) any { return &s.Audit.Compress }, spec{}},
		{"audit.checkpoint_interval", func(s *Settings) any { return &s.Audit.CheckpointInterval }, seconds(1, hour)},
		{"audit.database_keep_for", func(s *Settings) any { return &s.Audit.DatabaseKeepFor }, seconds(hour, 3660*day)},
		{"audit.addresses", func(s *Settings) any { return &s.Audit.Addresses }, spec{required: true, oneOf: []string{"whole", "truncated", "hashed"}}},
		{"audit.names", func(s *Settings) any { return &s.Audit.Names }, spec{required: true, oneOf: []string{"whole", "hashed"}}},
		{"audit.canaries", func(s *Settings) any { return &s.Audit.Canaries }, spec{check: checkCanary}},
		{"audit.wait", func(s *Settings) any { return &s.Audit.Wait }, spec{min: 0, max: 100, unit: time.Millisecond}},
		{"audit.wait_for", func(s *Settings) any { return &s.Audit.WaitFor }, spec{oneOf: categories()}},
		{"audit.spool_for", func(s *Settings) any { return &s.Audit.SpoolFor }, spec{oneOf: categories()}},
		{"audit.file_only.categories", func(s *Settings) any { return &s.Audit.FileOnly.Categories }, spec{oneOf: categories()}},
		{"audit.file_only.severity", func(s *Settings) any { return &s.Audit.FileOnly.Severity }, spec{required: true, oneOf: severities()}},
		{"audit.file_only.outcomes", func(s *Settings) any { return &s.Audit.FileOnly.Outcomes }, spec{oneOf: outcomes()}},
		{"audit.database_only.categories", func(s *Settings) any { return &s.Audit.DatabaseOnly.Categories }, spec{oneOf: categories()}},
		{"audit.database_only.severity", func(s *Settings) any { return &s.Audit.DatabaseOnly.Severity }, spec{required: true, oneOf: severities()}},
		{"audit.database_only.outcomes", func(s *Settings) any { return &s.Audit.DatabaseOnly.Outcomes }, spec{oneOf: outcomes()}},
		{"audit.stdout_only.categories", func(s *Settings) any { return &s.Audit.StdoutOnly.Categories }, spec{oneOf: categories()}},
		{"audit.stdout_only.severity", func(s *Settings) any { return &s.Audit.StdoutOnly.Severity }, spec{required: true, oneOf: severities()}},
		{"audit.stdout_only.outcomes", func(s *Settings) any { return &s.Audit.StdoutOnly.Outcomes }, spec{oneOf: outcomes()}},
		{"insecure_shadow.controls", func(s *Settings) any { return &s.InsecureShadow.Controls }, spec{check: checkShadowControl}},
		{"insecure_shadow.reason", func(s *Settings) any { return &s.InsecureShadow.Reason }, spec{}},
		{"check.silence", func(s *Settings) any { return &s.Check.Silence }, spec{}},
	}
}

// onlyInFile reports whether the setting is a list of objects, which no variable holds.
func onlyInFile(name string) bool { return name == "rate_limits.rules" || name == "check.silence" }

func algorithms() spec {
	return spec{required: true, oneOf: []string{SlidingWindow, TokenBucket}, hide: SlidingWindow}
}

// ruleFields are the members of a rule.
func ruleFields() []field[Rule] {
	return []field[Rule]{
		{"name", func(r *Rule) any { return &r.Name }, spec{required: true, check: checkRuleName}},
		{"match", func(r *Rule) any { return &r.Match }, spec{required: true, check: checkMatch}},
		{"limit", func(r *Rule) any { return &r.Limit }, spec{min: 1, max: maxLimit, hide: "0"}},
		{"window", func(r *Rule) any { return &r.Window }, spec{min: 1, max: maxWindow, hide: "0s"}},
		{"limits", func(r *Rule) any { return &r.Limits }, spec{hide: "[]"}},
		{"algorithm", func(r *Rule) any { return &r.Algorithm }, algorithms()},
		{"burst", func(r *Rule) any { return &r.Burst }, spec{max: maxLimit, hide: "0"}},
		{"by", func(r *Rule) any { return &r.By }, spec{required: true, check: checkBy}},
		{"count", func(r *Rule) any { return &r.Count }, spec{required: true, oneOf: []string{CountRequests, CountFailures}}},
	}
}

// later are the settings of the contract that this version does not serve, a
// section standing for everything below it. The neutral value, where there is
// one, says what this version does and is accepted.
type later struct{ name, neutral, instead string }

func laterSettings() []later {
	return []later{
		{"upstreams", "", "remove it; the gateway comes later"},
		{"routes", "", "remove it; the gateway comes later"},
	}
}

func findLater(path string) (later, bool) {
	for _, l := range laterSettings() {
		if path == l.name || strings.HasPrefix(path, l.name+".") {
			return l, true
		}
	}
	return later{}, false
}

// isSection reports whether settings lie below path.
func isSection(path string) bool {
	for _, f := range settings() {
		if strings.HasPrefix(f.name, path+".") {
			return true
		}
	}
	return false
}

// secretNames are the settings of type secret.
func secretNames() []string {
	return []string{"secret_key", "secret_key_previous", "database_url", "redis_url"}
}
