package server

import (
	"log/slog"

	"github.com/merlonhq/merlon/audit"
)

// recordShadow records, after the start and a reload that changes them, each control that does not refuse.
func (s *Server) recordShadow() {
	set := s.now().settings.InsecureShadow
	for _, name := range set.Controls {
		s.events.Record(audit.Event{Type: audit.SysMonitorDisabled, Detail: []slog.Attr{
			slog.String("control", name), slog.String("mode", "shadow"), slog.String("reason", set.Reason)}})
	}
}

// logShadow tells the operator what each control in shadow would have refused so far,
// and what it refused all the same.
func (s *Server) logShadow() {
	for _, c := range s.counts() {
		if c.Shadow {
			s.log.Info("a control in shadow", "control", c.Control, "would_refuse", c.WouldRefuse, "refused", c.Refused)
		}
	}
}
