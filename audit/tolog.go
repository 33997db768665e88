package audit

import (
	"context"
	"log/slog"
)

// ToLog returns a [Recorder] that writes events to a logger, for programs that
// keep no event log. It is as durable as the logger is.
func ToLog(l *slog.Logger) Recorder { return toLog{l} }

type toLog struct{ log *slog.Logger }

func (t toLog) Record(e Event) { _ = t.Commit(context.Background(), e) }

func (t toLog) Commit(ctx context.Context, e Event) error {
	if e.Type == "" {
		return nil
	}
	e = e.Complete()
	level := slog.LevelInfo
	if e.Severity != Info && e.Severity != Low {
		level = slog.LevelWarn
	}
	t.log.LogAttrs(ctx, level, "security event",
		slog.String("type", string(e.Type)),
		slog.String("category", string(e.Category)),
		slog.String("severity", string(e.Severity)),
		slog.String("outcome", string(e.Outcome)),
		slog.String("request_id", e.RequestID),
		slog.String("address", e.Address),
		slog.String("principal", e.Principal),
		slog.String("route", e.Route),
		slog.GroupAttrs("detail", e.Detail...),
	)
	return nil
}
