package audit

// Description returns what an event of type t tells, as one sentence for
// people, or "" for a type that is not one of this package's.
func (t Type) Description() string {
	switch t {
	case AuthnLoginSuccess:
		return "A login succeeded."
	case AuthnLoginSuccessAfterFail:
		return "A login succeeded after failed ones."
	case AuthnLoginFail:
		return "A login failed."
	case AuthnCredentialInClear:
		return "A credential was sent in clear text, where others may have read it."
	case AuthnPasswordChange:
		return "A password was changed."
	case AuthnPasswordChangeFail:
		return "A change of password failed."
	case AuthnTokenCreated:
		return "An access token was issued."
	case AuthnTokenRejected:
		return "A token was rejected."
	case AuthnTokenReuse:
		return "A refresh token was used a second time; all tokens of its login were ended."
	case AuthzFail:
		return "The caller may not do what it asked for."
	case ExcessRateLimitExceeded:
		return "A rate limit was exceeded."
	case InputValidationFail:
		return "A request was not valid."
	case SuspiciousContent:
		return "Content looks like an attack and was removed or let pass as prose."
	case SuspiciousCredentialStuffing:
		return "Logins to many accounts failed from one network."
	case SuspiciousPasswordSpraying:
		return "One password failed on many accounts."
	case SuspiciousDistributedLogin:
		return "Logins to one account failed from many networks."
	case SuspiciousCanary:
		return "Somebody used what nobody has a reason to use."
	case MaliciousExcess404:
		return "One network asked for many paths that are not there."
	case MaliciousSQLi:
		return "Content looks like SQL injection."
	case MaliciousCSPViolation:
		return "A browser reported what a Content-Security-Policy blocked."
	case MaliciousCORS:
		return "An origin that is not allowed asked across origins."
	case MaliciousCSRF:
		return "A request looks forged across sites."
	case MaliciousDirectReference:
		return "The caller reached for an object of somebody else."
	case SessionCreated:
		return "A session was created."
	case SessionLogout:
		return "A session ended by logout."
	case SessionRevoked:
		return "A session was revoked."
	case SessionUseAfterExpire:
		return "A session was used after its end."
	case APIKeyCreated:
		return "An API key was created."
	case APIKeyUsedFirst:
		return "An API key was used for the first time."
	case APIKeyUpdated:
		return "An API key was changed."
	case APIKeyRotated:
		return "An API key was replaced by a new one."
	case APIKeyRevoked:
		return "An API key was revoked."
	case APIKeyRejected:
		return "An API key was rejected."
	case UserCreated:
		return "An account was created."
	case UserUpdated:
		return "An account was changed."
	case SysStartup:
		return "The service started."
	case SysShutdown:
		return "The service shut down."
	case SysCrash:
		return "The service crashed."
	case SysDegraded:
		return "A part of the service stopped working as it should."
	case SysMisconfigured:
		return "What arrives does not fit the configuration."
	case SysMonitorDisabled:
		return "A control does not refuse: it is switched off, or in shadow."
	case SysLogCheckpoint:
		return "The event log up to here was signed."
	case SysConfigChanged:
		return "The configuration of the running service was to change."
	case SysRecovered:
		return "A part of the service works again."
	}
	return ""
}
