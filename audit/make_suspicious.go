package audit

import (
	"log/slog"
	"net/netip"
	"time"
)

// The events of attacks that show in no single request are of an instant and of the client
// that was the last straw; the network is that of many.

// CredentialStuffing is logins to so many accounts that failed from one network.
func CredentialStuffing(at time.Time, client netip.Addr, network netip.Prefix, accounts int) Event {
	return seen(SuspiciousCredentialStuffing, at, client, "", slog.String("prefix", network.String()), slog.Int("accounts", accounts))
}

// PasswordSpraying is one password that failed on so many accounts.
func PasswordSpraying(at time.Time, client netip.Addr, accounts int) Event {
	return seen(SuspiciousPasswordSpraying, at, client, "", slog.Int("accounts", accounts))
}

// DistributedLogin is logins to one account that failed from so many networks. The account
// is empty when there is none of the name that was tried.
func DistributedLogin(at time.Time, client netip.Addr, account string, networks int) Event {
	return seen(SuspiciousDistributedLogin, at, client, account, slog.Int("prefixes", networks))
}

// PathScan is so many paths that are not there, asked for from one network.
func PathScan(at time.Time, client netip.Addr, network netip.Prefix, paths int) Event {
	return seen(MaliciousExcess404, at, client, "", slog.String("prefix", network.String()), slog.Int("paths", paths))
}

// CanaryTouched is the use of what nobody has a reason to use: an account or a path, by the
// name that the operator gave it.
func CanaryTouched(at time.Time, client netip.Addr, network netip.Prefix, account, kind, name string) Event {
	return seen(SuspiciousCanary, at, client, account,
		slog.String("prefix", network.String()), slog.String("canary", kind), slog.String("name", name))
}

func seen(t Type, at time.Time, client netip.Addr, account string, detail ...slog.Attr) Event {
	e := Event{Type: t, Outcome: Failure, Time: at, Principal: account, Detail: detail}
	if client.IsValid() {
		e.Address = client.String()
	}
	return e
}

// MarkupFound is markup or script in text that a client sent, in the member at pointer.
// Refused says whether the request was refused, for this or another reason.
func MarkupFound(control, pointer, kind, found string, refused bool) Event {
	return contentFound(SuspiciousContent, Low, control, pointer, kind, found, refused)
}

// ContentFound is other text that reads as an attack.
func ContentFound(control, pointer, kind, found string, refused bool) Event {
	return contentFound(SuspiciousContent, "", control, pointer, kind, found, refused)
}

// SQLFound is SQL in prose, which may well speak of it: it is data, and stays data.
func SQLFound(control, pointer, kind, found string, refused bool) Event {
	return contentFound(MaliciousSQLi, Low, control, pointer, kind, found, refused)
}

func contentFound(t Type, s Severity, control, pointer, kind, found string, refused bool) Event {
	e := Event{Type: t, Severity: s, Outcome: Success, Detail: []slog.Attr{
		slog.String("control", control), slog.String("pointer", pointer), slog.String("kind", kind), slog.String("found", found)}}
	if refused {
		e.Outcome = Refused
	}
	return e
}

// PolicyViolated is a report of a browser that the content security policy of a document
// kept something out, or would have, when it is not enforced.
func PolicyViolated(document, directive, blocked, disposition string, enforced bool) Event {
	e := Event{Type: MaliciousCSPViolation, Outcome: Refused, Detail: []slog.Attr{
		slog.String("document", document), slog.String("directive", directive),
		slog.String("blocked", blocked), slog.String("disposition", disposition)}}
	if !enforced {
		e.Outcome = WouldRefuse
	}
	return e
}

// ForeignObject is a try to reach what belongs to another account. The description is one
// fixed sentence, of nothing that a client sent.
func ForeignObject(description string) Event {
	return Event{Type: MaliciousDirectReference, Severity: Low, Outcome: Refused, Description: description}
}
