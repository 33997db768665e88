// Package audit holds the security events of Merlon: what is worth telling an
// operator, under the names of the OWASP Logging Vocabulary.
//
// One event is under construction per request; further facts of the same
// request are events of their own with the same request id. An event never
// holds a secret: no password, token, key, session id or cookie.
package audit

import (
	"log/slog"
	"time"
)

// An Outcome says how what the event tells of ended.
type Outcome string

// The outcomes. WouldRefuse is a refusal of a control in shadow mode: decided
// and recorded, not enforced.
const (
	Success     Outcome = "success"
	Failure     Outcome = "failure"
	Refused     Outcome = "refused"
	WouldRefuse Outcome = "would_refuse"
)

// A Severity is how much an event matters.
type Severity string

// The severities, in rising order.
const (
	Info     Severity = "info"
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// A Category groups event types.
type Category string

// The categories.
const (
	Authentication     Category = "authentication"
	RateLimit          Category = "rate_limit"
	SuspiciousActivity Category = "suspicious_activity"
	Authorization      Category = "authorization"
	Session            Category = "session"
	APIKey             Category = "api_key"
	Account            Category = "account"
	System             Category = "system"
)

// An Event is one thing that happened and is worth telling. Category and
// Severity follow from Type (see [Type.Category] and [Type.Severity]) unless set.
type Event struct {
	// ID is "evt_" and a UUIDv7. [Recorder] implementations set it when empty.
	ID string
	// Time is when it happened. [Recorder] implementations set it when zero.
	Time time.Time
	// Type is what happened. An event without a type is not recorded.
	Type     Type
	Category Category
	Severity Severity
	Outcome  Outcome
	// RequestID ties the event to a request and its answer.
	RequestID string
	// Address is the client's address as the clientip stage believes it.
	Address string
	// Principal is the account id of the caller, or "".
	Principal string
	// Route is the pattern of the route, never the raw path.
	Route string
	// Method, Host, Path and UserAgent describe the request. They come from the
	// client; whoever writes them bounds and escapes them.
	Method, Host, Path, UserAgent string
	// Description is one fixed sentence for people. It holds nothing that a
	// client sent.
	Description string
	// Detail holds what is special about this event.
	Detail []slog.Attr
}

// Complete returns e with Category, Severity and Description filled in from
// its type where they are empty.
func (e Event) Complete() Event {
	if e.Category == "" {
		e.Category = e.Type.Category()
	}
	if e.Severity == "" {
		e.Severity = e.Type.Severity()
	}
	if e.Outcome == "" {
		e.Outcome = Success
	}
	if e.Description == "" {
		e.Description = e.Type.Description()
	}
	return e
}
