package audit

import "log/slog"

// AccountCreated is a new account. By says what made it, such as "registration".
func AccountCreated(account, role, by string) Event {
	return Event{Type: UserCreated, Outcome: Success, Principal: account, Detail: []slog.Attr{slog.String("by", by), slog.String("role", role)}}
}

// AccountUpdated is a change of what an account says of its owner.
func AccountUpdated(account string) Event {
	return Event{Type: UserUpdated, Outcome: Success, Principal: account}
}

// AccountDisabled is an account whose owner is let in no more, and whose sessions, tokens and
// keys have ended.
func AccountDisabled(account, by string) Event {
	return Event{Type: UserUpdated, Severity: High, Outcome: Success, Principal: account, Detail: []slog.Attr{
		slog.String("by", by), slog.String("change", "disabled")}}
}

// AccountEnabled is an account that is given back to its owner with another password.
func AccountEnabled(account, by string) Event {
	return Event{Type: UserUpdated, Outcome: Success, Principal: account, Detail: []slog.Attr{
		slog.String("by", by), slog.String("change", "enabled, with another password")}}
}

// KeyCreated is a new API key: its id, not its text. Who asked for it, if it is not the owner,
// is the principal of the request.
func KeyCreated(id, owner string, scopes []string) Event {
	return keyEvent(APIKeyCreated, id, owner, scopes)
}

// KeyUpdated is a change of what an API key may do.
func KeyUpdated(id, owner string, scopes []string) Event {
	return keyEvent(APIKeyUpdated, id, owner, scopes)
}

// KeyRotated is a new API key in the place of another.
func KeyRotated(id, owner string, scopes []string, replaces string) Event {
	return keyEvent(APIKeyRotated, id, owner, scopes).With(slog.String("replaces", replaces))
}

// KeyRevoked is the end of an API key.
func KeyRevoked(id, owner string, scopes []string) Event {
	return keyEvent(APIKeyRevoked, id, owner, scopes)
}

func keyEvent(t Type, id, owner string, scopes []string) Event {
	return Event{Type: t, Outcome: Success, Detail: []slog.Attr{
		slog.String("key_id", id), slog.String("owner", owner), slog.Any("scopes", scopes)}}
}

// KeyFirstUsed is an API key that opened something for the first time: it has arrived.
func KeyFirstUsed(id string) Event {
	return Event{Type: APIKeyUsedFirst, Outcome: Success, Detail: []slog.Attr{slog.String("key_id", id)}}
}
