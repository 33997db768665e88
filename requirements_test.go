package merlon_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// requirements are what the tutorial names, by the headings under which it does.
// docs/requirements.md answers each of them.
var requirements = map[string][]string{
	"Security Principles": {"Defense in Depth", "Fail-Safe Defaults", "Least Privilege", "Zero Trust", "Secure by Design"},
	"Common Security Threats": {"SQL injection", "command injection", "weak session management", "JWT vulnerabilities", "unencrypted data", "weak encryption",
		"XML External Entities (XXE)", "Broken Access Control", "default configurations", "exposed debug info", "Cross-Site Scripting (XSS)",
		"Insecure Deserialization", "Using Components with Known Vulnerabilities", "Insufficient Logging & Monitoring"},
	"CORS Configuration":     {"CORSSettings", "CORSMiddleware", "allow_origins", "allow_credentials", "allow_methods", "allow_headers", "max_age"},
	"Environment-Based CORS": {"get_cors_origins", "production", "development", "X-Requested-With"},
	"Basic Rate Limiting with Redis": {"RateLimiter", "max_requests", "window_seconds", "is_allowed", "Redis", "expire", "RateLimitMiddleware", "endpoint_limits",
		"/api/v1/auth/login", "/api/v1/users", "default_limiter", "key of client address and endpoint", "429", "Retry-After", "_get_client_ip", "direct client"},
	"Advanced Rate Limiting": {"AdvancedRateLimiter", "check_rate_limit", "sliding window", "burst_limit", "allowed", "remaining", "reset_time", "oldest request",
		"periodic cleanup", "rate_limit_dependency", "user id", "X-RateLimit-Remaining", "X-RateLimit-Reset", "headers on the answer"},
	"Security Middleware": {"SecurityHeadersMiddleware", "csp_directives", "unsafe-inline", "X-Content-Type-Options", "X-Frame-Options", "X-XSS-Protection",
		"Referrer-Policy", "Permissions-Policy", "Content-Security-Policy", "Strict-Transport-Security", "Server header"},
	"HTTPS Redirection": {"HTTPSRedirectMiddleware", "HTTPS already", "development"},
	"Advanced Input Validation": {"InputSanitizer", "sanitize_html`: script, iframe, object, embed", "event handlers", "validate_no_sql_injection",
		"SecureUserCreate", "`username`", "reserved words", "validate_username`: no SQL", "lower-cased and trimmed", "`email`", "`password`", "`full_name`",
		"validate_full_name", "`bio`", "validate_bio`: sanitized", "three URLs", "`website`",
		"SecurePostCreate", "`title`", "validate_title", "`content`", "validate_content", "`excerpt`", "`tags`", "validate_tags`: lower-cased", "validate_tags`: no duplicates", "is_draft"},
	"CSRF Token Implementation": {"CSRFMiddleware", "secret_key", "exempt_methods", "CSRF token missing", "CSRF token invalid", "_get_csrf_token`: header", "_get_csrf_token`: form",
		"_get_csrf_token`: JSON", "_verify_csrf_token`: bound", "_verify_csrf_token`: expiry", "_verify_csrf_token`: entropy", "_verify_csrf_token`: comparison", "_generate_csrf_token"},
	"CSRF Token Endpoints": {"get_csrf_token", "/csrf/token", "current session"},
	"API Key Model": {"APIKey", "api_keys", "`id`", "key_hash", "`name`", "user_id", "`user`", "`scopes`", "is_active", "expires_at", "last_used_at", "created_at",
		"generate_key", "set_key", "verify_key"},
	"API Key Authentication": {"api_key_header", "API key required", "look-up", "Invalid API key", "API key expired", "last use updated", "get_api_key_with_scopes",
		"required_scopes", "Insufficient API key permissions"},
	"Environment Variables": {"SecuritySettings", "`secret_key`", "jwt_algorithm", "access_token_expire_minutes", "bcrypt_rounds", "allowed_origins", "allow_credentials",
		"rate_limit_requests", "rate_limit_window", "enable_hsts", "hsts_max_age", "env_file", "validate_secret_key`: required", "validate_secret_key`: generated", "validate_origins"},
	"Docker Security": {"base image", "non-root user", "security updates", "working directory", "requirements copied first", "owner", "directory for logs", "HEALTHCHECK",
		"/health", "port exposed", "security options"},
	"Secrets Management":           {"SecretsManager", "get_secret", "environment first", "/run/secrets", "stripped", "default", "not found", "get_database_url", "get_jwt_secret", "get_redis_url"},
	"Security Event Logging":       {"SecurityLogger", "security_logger", "logs/security.log", "JSON", "log_auth_attempt", "log_rate_limit_exceeded", "log_suspicious_activity", "levels", "UTC"},
	"Defense in Depth":             {"Input Validation", "Authentication: strong", "multi-factor", "Authorization", "Session Management", "Error Handling", "Logging", "Encryption in transit", "Encryption at rest"},
	"Secure Development Lifecycle": {"Security Requirements", "Secure Coding", "Code Review", "Testing", "Monitoring", "Incident Response"},
	"Exercise 1: CORS and Rate Limiting": {"1. Configure CORS", "2. Implement rate limiting with Redis", "3. Test different rate limit scenarios",
		"4. Add rate limit headers to responses"},
	"Exercise 2: Security Headers and Input Validation": {"1. Implement security headers middleware", "2. Create comprehensive input validation schemas",
		"3. Add CSRF protection to sensitive endpoints", "4. Test validation with malicious inputs"},
	"Exercise 3: API Key Authentication": {"1. Implement API key generation and validation", "2. Add scope-based permissions", "3. Create API key management endpoints",
		"4. Test authentication and authorization"},
	"Next Steps and Additional Resources": {"JWT Auth", "Advanced Auth", "OWASP Top 10", "FastAPI Security", "OAuth 2.0", "Security Headers Reference"},
}

// absent is what a row says, in both columns, of what this version does not have.
const absent = "not in this version"

// Each item of the tutorial has a row, and each row says where it is answered and
// which test shows it. Tests that are named exist: see
// TestTestsNamedInTheDocumentsExist; settings too: see package server.
func TestEveryRequirementIsAnswered(t *testing.T) {
	text, err := os.ReadFile("docs/requirements.md")
	if err != nil {
		t.Fatal(err)
	}
	items, faults := readRequirements(string(text))
	for _, f := range faults {
		t.Error("docs/requirements.md:", f)
	}
	for heading, want := range requirements {
		for _, item := range want {
			if !slices.ContainsFunc(items[heading], func(row string) bool { return strings.Contains(row, item) }) {
				t.Errorf("docs/requirements.md: no row for %q below %q", item, heading)
			}
		}
		delete(items, heading)
	}
	for heading := range items {
		t.Errorf("docs/requirements.md: rows below %q, which the tutorial does not have", heading)
	}
}

var (
	quoted     = regexp.MustCompile("`([^`]+)`")
	testName   = regexp.MustCompile(`^((Test|Fuzz)[A-Z]|Example)\w*$`)
	relLink    = regexp.MustCompile(`\]\(([^)#:]+)`)
	settingRow = regexp.MustCompile("setting `[a-z_.]+`")
)

// readRequirements returns the first cells of the rows by heading, and what is wrong
// with the rows.
func readRequirements(text string) (items map[string][]string, faults []string) {
	items = map[string][]string{}
	heading := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if h, ok := strings.CutPrefix(line, "### "); ok {
			heading = h
		} else if h, ok := strings.CutPrefix(line, "## "); ok {
			heading = h
		}
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| the tutorial names |") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		if len(cells) != 4 {
			faults = append(faults, "want four cells: "+line)
			continue
		}
		for i := range cells {
			if cells[i] = strings.TrimSpace(cells[i]); cells[i] == "" {
				faults = append(faults, "an empty cell: "+line)
			}
		}
		items[heading] = append(items[heading], cells[0])
		if cells[2] == "–" && cells[3] == "nothing: "+absent && strings.Contains(cells[1], absent) {
			continue
		}
		places := quotedFiles(cells[2])
		for _, m := range relLink.FindAllStringSubmatch(cells[2], -1) {
			places = append(places, filepath.Join("docs", m[1]))
		}
		for _, p := range places {
			if _, err := os.Stat(p); err != nil {
				faults = append(faults, "no file "+p+": "+line)
			}
		}
		if len(places) == 0 && !settingRow.MatchString(cells[2]) {
			faults = append(faults, "no place: "+line)
		}
		shown := 0
		for _, m := range quoted.FindAllStringSubmatch(cells[3], -1) {
			if m[1] != ".ci/test" && !testName.MatchString(m[1]) {
				faults = append(faults, m[1]+" is no test: "+line)
			}
			shown++
		}
		if shown == 0 {
			faults = append(faults, "no test: "+line)
		}
	}
	return items, faults
}

// quotedFiles returns what is quoted and is no setting.
func quotedFiles(cell string) []string {
	var out []string
	for _, m := range quoted.FindAllStringSubmatch(settingRow.ReplaceAllString(cell, ""), -1) {
		out = append(out, m[1])
	}
	return out
}

func TestRowsOfRequirementsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		row   string
		fault string // "" means that it is right
	}{
		{"| a | the same | `doc.go` | `TestX` |", ""},
		{"| a | the same | setting `hosts` | `TestX`, `FuzzX` |", ""},
		{"| a | the same | [here](api.md#x), `doc.go` | `.ci/test` |", ""},
		{"| a | not in this version | – | nothing: not in this version |", ""},
		{"| a | the same | – | nothing: not in this version |", "no place"},
		{"| a | the same | `doc.go` | nothing: not in this version |", "no test"},
		{"| a | the same | `doc.go` | |", "empty"},
		{"| a | the same | `doc.go` |", "four cells"},
		{"| a |  | `doc.go` | `TestX` |", "empty"},
		{"| a | the same | `doc.gone` | `TestX` |", "no file"},
		{"| a | the same | [here](gone.md) | `TestX` |", "no file"},
		{"| a | the same | somewhere | `TestX` |", "no place"},
		{"| a | the same | `doc.go` | `doc.go` |", "is no test"},
	} {
		_, faults := readRequirements("## x\n" + tt.row + "\n")
		if got := strings.Join(faults, "\n"); (got == "") != (tt.fault == "") || !strings.Contains(got, tt.fault) {
			t.Errorf("%s: %q, want %q", tt.row, got, tt.fault)
		}
	}
}
