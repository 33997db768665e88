package audit

import "strings"

// A Type is the kind of an event: a name of the OWASP Logging Vocabulary, or
// one made in its manner.
type Type string

// The event types that Merlon writes. The first word names the area.
const (
	AuthnLoginSuccess          Type = "authn_login_success"
	AuthnLoginSuccessAfterFail Type = "authn_login_successafterfail"
	AuthnLoginFail             Type = "authn_login_fail"
	AuthnCredentialInClear     Type = "authn_credential_in_clear"
	AuthnPasswordChange        Type = "authn_password_change"
	AuthnPasswordChangeFail    Type = "authn_password_change_fail"
	AuthnTokenCreated          Type = "authn_token_created"
	AuthnTokenRejected         Type = "authn_token_rejected"
	AuthnTokenReuse            Type = "authn_token_reuse"

	AuthzFail Type = "authz_fail"

	ExcessRateLimitExceeded Type = "excess_rate_limit_exceeded"

	InputValidationFail Type = "input_validation_fail"
	SuspiciousContent   Type = "suspicious_content"

	// What package pattern recognises.
	SuspiciousCredentialStuffing Type = "suspicious_credential_stuffing"
	SuspiciousPasswordSpraying   Type = "suspicious_password_spraying"
	SuspiciousDistributedLogin   Type = "suspicious_distributed_login"
	SuspiciousCanary             Type = "suspicious_canary"
	MaliciousExcess404           Type = "malicious_excess_404"

	MaliciousSQLi            Type = "malicious_sqli"
	MaliciousCORS            Type = "malicious_cors"
	MaliciousCSRF            Type = "malicious_csrf"
	MaliciousCSPViolation    Type = "malicious_csp_violation"
	MaliciousDirectReference Type = "malicious_direct_reference"

	SessionCreated        Type = "session_created"
	SessionLogout         Type = "session_logout"
	SessionRevoked        Type = "session_revoked"
	SessionUseAfterExpire Type = "session_use_after_expire"

	APIKeyCreated   Type = "apikey_created"
	APIKeyUsedFirst Type = "apikey_used_first"
	APIKeyUpdated   Type = "apikey_updated"
	APIKeyRotated   Type = "apikey_rotated"
	APIKeyRevoked   Type = "apikey_revoked"
	APIKeyRejected  Type = "apikey_rejected"

	UserCreated Type = "user_created"
	UserUpdated Type = "user_updated"

	SysStartup   Type = "sys_startup"
	SysShutdown  Type = "sys_shutdown"
	SysCrash     Type = "sys_crash"
	SysDegraded  Type = "sys_degraded"
	SysRecovered Type = "sys_recovered"
	// SysMisconfigured is something that only running shows: what arrives does not
	// fit the configuration.
	SysMisconfigured Type = "sys_misconfigured"

	SysMonitorDisabled Type = "sys_monitor_disabled"
	// SysLogCheckpoint is a signature over the event log up to it, see [Checkpoint].
	SysLogCheckpoint Type = "sys_log_checkpoint"
	// SysConfigChanged is a change of what a running service works with, or, with the
	// outcome failure, one that was refused.
	SysConfigChanged Type = "sys_config_changed"
)

// Category returns the category of t, which follows from its first word, but
// for input_validation_fail, malicious_* and suspicious_*, which are one category.
func (t Type) Category() Category {
	word, _, _ := strings.Cut(string(t), "_")
	switch word {
	case "authn":
		return Authentication
	case "authz", "privilege":
		return Authorization
	case "excess":
		return RateLimit
	case "malicious", "suspicious", "input":
		return SuspiciousActivity
	case "session":
		return Session
	case "apikey":
		return APIKey
	case "user", "sensitive":
		return Account
	}
	return System
}

// Severity returns how much an event of type t matters unless its maker knows better.
func (t Type) Severity() Severity {
	switch t {
	case SysCrash:
		return Critical
	case AuthnCredentialInClear, AuthnTokenReuse, MaliciousSQLi, MaliciousCSRF, SysDegraded, SysMonitorDisabled,
		SuspiciousCredentialStuffing, SuspiciousPasswordSpraying, SuspiciousDistributedLogin, SuspiciousCanary:
		return High
	case ExcessRateLimitExceeded, MaliciousExcess404, MaliciousCORS, MaliciousCSPViolation,
		MaliciousDirectReference, SuspiciousContent, APIKeyRejected, AuthnTokenRejected, SessionUseAfterExpire:
		return Medium
	case AuthnLoginFail, AuthnPasswordChangeFail, AuthzFail, InputValidationFail, SysMisconfigured:
		return Low
	}
	return Info
}
