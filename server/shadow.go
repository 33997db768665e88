package server

import (
	"github.com/merlonhq/merlon/audit"
)

// recordShadow records, after the start, each control that does not refuse.
func (s *Server) recordShadow() {
	for _, name := range s.settings.InsecureShadow.Controls {
		s.events.Record(audit.MonitorDisabled(name, "shadow", s.settings.InsecureShadow.Reason))
	}
}

// logShadow tells the operator what each control in shadow would have refused so far,
// and what it refused all the same.
func (s *Server) logShadow() {
	for _, c := range s.guard.Counts() {
		if c.Shadow {
			s.log.Info("a control in shadow", "control", c.Control, "would_refuse", c.WouldRefuse, "refused", c.Refused)
		}
	}
}
