package audit

import (
	"log/slog"
	"time"
)

// Started is the start of a service.
func Started(version, environment string) Event {
	return Event{Type: SysStartup, Outcome: Success, Detail: []slog.Attr{slog.String("version", version), slog.String("environment", environment)}}
}

// Stopped is its orderly end.
func Stopped() Event { return Event{Type: SysShutdown, Outcome: Success} }

// LogTorn is a crash that is seen from the half line that it left at the end of the log.
func LogTorn() Event {
	return Event{Type: SysCrash, Severity: High, Outcome: Failure,
		Description: "The last line of the event log was torn by a crash; it was closed."}
}

// Misconfigured is something that only running shows, by the id of its note.
func Misconfigured(id string, detail ...slog.Attr) Event {
	return Event{Type: SysMisconfigured, Outcome: Failure, Detail: append([]slog.Attr{slog.String("id", id)}, detail...)}
}

// MonitorDisabled is a control that does not refuse, and the operator's reason for it.
func MonitorDisabled(control, mode, reason string) Event {
	return Event{Type: SysMonitorDisabled, Outcome: Success, Detail: []slog.Attr{
		slog.String("control", control), slog.String("mode", mode), slog.String("reason", reason)}}
}

// ConfigChanged is a change of what a running service works with, such as its certificate.
func ConfigChanged(what string, detail ...slog.Attr) Event {
	return Event{Type: SysConfigChanged, Outcome: Success, Detail: append([]slog.Attr{slog.String("what", what)}, detail...)}
}

// ConfigRefused is such a change that was wrong: what was before stays in force.
func ConfigRefused(what string, detail ...slog.Attr) Event {
	return Event{Type: SysConfigChanged, Severity: Medium, Outcome: Failure, Detail: append([]slog.Attr{slog.String("what", what)}, detail...)}
}

// StoreLost is a store of rate limits that does not answer, and what happens meanwhile.
func StoreLost(store, reason, onStoreError string) Event {
	return Event{Type: SysDegraded, Outcome: Failure, Description: "The rate limits are without their store.", Detail: []slog.Attr{
		slog.String("store", store), slog.String("reason", reason), slog.String("on_store_error", onStoreError)}}
}

// StoreBack is its return, after so long and so many calls that were not made.
func StoreBack(store string, away time.Duration, skipped uint64) Event {
	return Event{Type: SysRecovered, Outcome: Success, Description: "The rate limits have their store again.", Detail: []slog.Attr{
		slog.String("store", store), slog.Int64("away_ms", away.Milliseconds()), slog.Uint64("calls_skipped", skipped)}}
}

// DatabaseLost is a database that does not answer, such as "postgres".
func DatabaseLost(store string) Event {
	return Event{Type: SysDegraded, Outcome: Failure, Description: "The database does not answer.",
		Detail: []slog.Attr{slog.String("store", store)}}
}

// DatabaseBack is its return, after so long and so many calls that were not made.
func DatabaseBack(store string, away time.Duration, skipped uint64) Event {
	return Event{Type: SysRecovered, Outcome: Success, Description: "The database answers again.", Detail: []slog.Attr{
		slog.String("store", store), slog.Int64("away_ms", away.Milliseconds()), slog.Uint64("calls_skipped", skipped)}}
}

// CertificateNotObtained is a certificate that an ACME authority did not issue, and why.
func CertificateNotObtained(host, reason string) Event {
	return Event{Type: SysDegraded, Outcome: Failure, Description: "A certificate was not obtained.", Detail: []slog.Attr{
		slog.String("what", "certificate"), slog.String("host", host), slog.String("reason", reason)}}
}

// CertificatesObtained is its end.
func CertificatesObtained(host string) Event {
	return Event{Type: SysRecovered, Outcome: Success, Description: "Certificates are obtained again.", Detail: []slog.Attr{
		slog.String("what", "certificate"), slog.String("host", host)}}
}

// sinkLost is a sink of a [Pipeline] that does not take events.
func sinkLost(sink string) Event {
	return Event{Type: SysDegraded, Outcome: Failure, Description: "Security events cannot be written to one of their sinks.",
		Detail: []slog.Attr{slog.String("sink", sink)}}
}

// sinkBack is a sink that takes events again, how many it will never get, and of when.
func sinkBack(sink string, lost uint64, span ...slog.Attr) Event {
	return Event{Type: SysRecovered, Outcome: Success, Description: "Security events are written again to a sink that failed.",
		Detail: append([]slog.Attr{slog.String("sink", sink), slog.Uint64("lost", lost)}, span...)}
}

// sinkBehind is how many events a sink that works will never get, because it was too slow,
// and of when.
func sinkBehind(sink string, lost uint64, span ...slog.Attr) Event {
	return Event{Type: SysDegraded, Outcome: Failure, Description: "Security events were lost because one of their sinks was too slow.",
		Detail: append([]slog.Attr{slog.String("sink", sink), slog.Uint64("lost", lost)}, span...)}
}

// queueFull is how many events were not taken, because the queue was full, and of when.
func queueFull(at time.Time, dropped uint64, span ...slog.Attr) Event {
	return Event{Type: SysDegraded, Outcome: Failure, Time: at, Description: "Security events were lost because the queue was full.",
		Detail: append([]slog.Attr{slog.Uint64("dropped", dropped)}, span...)}
}

// logSigned is a checkpoint, see [Checkpoint].
func logSigned(id string, at time.Time, detail ...slog.Attr) Event {
	return Event{ID: id, Time: at, Type: SysLogCheckpoint, Outcome: Success, Detail: detail}
}
