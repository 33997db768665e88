package audit

import "log/slog"

// LoginSucceeded is a login to the account.
func LoginSucceeded(account string) Event {
	return Event{Type: AuthnLoginSuccess, Outcome: Success, Principal: account}
}

// LoginSucceededAfterFailures is a login to the account after ones that failed.
func LoginSucceededAfterFailures(account string) Event {
	return Event{Type: AuthnLoginSuccessAfterFail, Outcome: Success, Principal: account}
}

// LoginFailed is a login that failed: to the account with this id, or to none when it is
// empty. The name that was typed has no place in it: people type passwords there.
func LoginFailed(account, reason string) Event {
	return Event{Type: AuthnLoginFail, Outcome: Failure, Principal: account, Detail: []slog.Attr{slog.String("reason", reason)}}
}

// PasswordChanged is a new password of the account.
func PasswordChanged(account string) Event {
	return Event{Type: AuthnPasswordChange, Outcome: Success, Principal: account}
}

// PasswordChangeFailed is a change of the account's password that failed.
func PasswordChangeFailed(account, reason string) Event {
	return Event{Type: AuthnPasswordChangeFail, Outcome: Failure, Principal: account, Detail: []slog.Attr{slog.String("reason", reason)}}
}

// TokenIssued is an access token of the session, which began with a login.
func TokenIssued(account, sessionID, grantType, tokenID string) Event {
	return Event{Type: AuthnTokenCreated, Outcome: Success, Principal: account, Detail: known(
		slog.String("grant_type", grantType), slog.String("token_id", tokenID), slog.String("session_id", sessionID))}
}

// TokenRejected is a token that opened nothing. Account and session are empty where they
// are not known. That one is expired is everyday life, and matters little.
func TokenRejected(account, sessionID, credential, reason string) Event {
	e := Event{Type: AuthnTokenRejected, Outcome: Failure, Principal: account, Detail: known(
		slog.String("credential", credential), slog.String("reason", reason), slog.String("session_id", sessionID))}
	if reason == "expired" {
		e.Severity = Low
	}
	return e
}

// TokenReused is a token of one use that came a second time: one of the two is a thief.
func TokenReused(account, sessionID, credential string) Event {
	return Event{Type: AuthnTokenReuse, Outcome: Failure, Principal: account, Detail: known(
		slog.String("credential", credential), slog.String("reason", "reused"), slog.String("session_id", sessionID))}
}

// SessionBegun is a session that a login began.
func SessionBegun(account, sessionID string) Event {
	return Event{Type: SessionCreated, Outcome: Success, Principal: account, Detail: []slog.Attr{slog.String("session_id", sessionID)}}
}

// SessionLoggedOut is a session that its account ended by logging out of it.
func SessionLoggedOut(account, sessionID string) Event {
	return Event{Type: SessionLogout, Outcome: Success, Principal: account, Detail: []slog.Attr{slog.String("session_id", sessionID)}}
}

// SessionEnded is a session that the account ended from elsewhere.
func SessionEnded(account, sessionID string) Event {
	return Event{Type: SessionRevoked, Outcome: Success, Principal: account, Detail: []slog.Attr{slog.String("session_id", sessionID)}}
}
