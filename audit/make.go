package audit

import "log/slog"

// Events are made by functions, one for each thing that can happen, in the files make*.go:
// what an event must tell are parameters, so that one that lacks them does not compile,
// and what follows from it (type, severity, outcome) is said once, here. Where a request
// is, the exchange that records the event adds who asked for what from where. A test of
// the repository refuses events that are made in another way. What this package has no
// function for is a [Kind] of the caller's own.

// Verdict is the event of what the controls decided about a request, as the exchange
// writes it. An empty severity is the one of the type.
func Verdict(t Type, s Severity, o Outcome, detail ...slog.Attr) Event {
	return Event{Type: t, Severity: s, Outcome: o, Detail: detail}
}

// With returns e with more to its detail.
func (e Event) With(detail ...slog.Attr) Event {
	e.Detail = append(e.Detail[:len(e.Detail):len(e.Detail)], detail...)
	return e
}

// NotDone returns e as the event of something that was recorded before it was to happen
// and then did not: somebody else came first, or a store did not answer.
func (e Event) NotDone() Event {
	e.Outcome = Failure
	return e
}

// known returns the attributes that have a value.
func known(attrs ...slog.Attr) []slog.Attr {
	kept := attrs[:0]
	for _, a := range attrs {
		if a.Value.String() != "" {
			kept = append(kept, a)
		}
	}
	return kept
}
