package server

import (
	"github.com/merlonhq/merlon/audit"
)

// recordShadow records, after the start and a reload that changes them, each control that does not refuse.
func (s *Server) recordShadow() {
	set := s.now().settings.InsecureShadow
	for _, name := range set.Controls {
		s.events.Record(audit.MonitorDisabled(name, "shadow", set.Reason))
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
