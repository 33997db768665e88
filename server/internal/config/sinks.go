package config

import (
	"slices"

	"github.com/merlonhq/merlon/audit"
)

// The words of events, as settings have them.
func categories() []string { return texts(audit.Categories()) }
func severities() []string { return texts(audit.Severities()) }
func outcomes() []string   { return texts(audit.Outcomes()) }

// waitFor are the categories that wait for room by default: about what changes who may do
// what, and about none that strangers cause.
func waitFor() []string { return []string{"account", "api_key", "system"} }

func texts[T ~string](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, string(v))
	}
	return out
}

// checkSinks finds what is said of sinks, waits and spools that are not there.
func (l *loader) checkSinks(s *Settings) {
	a := s.Audit
	// The lists of the defaults are nobody's wish, also where they were printed and read again.
	if a.Wait == 0 && len(a.WaitFor) > 0 && !slices.Equal(a.WaitFor, waitFor()) && l.fine("audit.wait", "audit.wait_for") {
		l.report(l.where("audit.wait_for"), fault{idNoWait, "audit.wait_for: nobody waits, for audit.wait is 0s", "raise audit.wait, or write wait_for: []"})
	}
	if a.Log == "" && len(a.SpoolFor) > 0 && !slices.Equal(a.SpoolFor, categories()) && l.fine("audit.log", "audit.spool_for") {
		l.report(l.where("audit.spool_for"), fault{idNoSpool, "audit.spool_for: there is no spool without audit.log, beside which it lies", "write audit.log, or remove it"})
	}
	for _, sink := range []struct {
		name       string
		there      bool
		switchedBy string
		filter     EventFilter
	}{{"audit.file_only", a.Log != "", "audit.log", a.FileOnly}, {"audit.stdout_only", a.Stdout, "audit.stdout", a.StdoutOnly}} {
		parts := []string{sink.name + ".categories", sink.name + ".severity", sink.name + ".outcomes"}
		if sink.there || sink.filter.Everything() || !l.fine(append(parts, sink.switchedBy)...) {
			continue
		}
		for _, part := range parts {
			if l.isGiven(part) {
				l.report(l.where(part), fault{idNoSink, sink.name + ": events do not go there at all", "set " + sink.switchedBy + ", or remove it"})
				break
			}
		}
	}
}
