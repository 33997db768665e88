package findings

import (
	"fmt"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/config"
)

func noEventFile(s *subject) []hit {
	if s.set.Audit.Log == "" {
		return s.at("audit.log", "events are written to standard output only", "write audit: {log: logs/security.log}, or keep what standard output is collected in")
	}
	return nil
}

func smallEventFiles(s *subject) []hit {
	const least = 100
	a := s.set.Audit
	if a.Log != "" && a.MaxSizeMiB*(a.Keep+1) < least {
		setting := "audit.max_size_mib"
		if s.Places.Where(setting) == s.Places.Where("") { // not written anywhere
			setting = "audit.keep"
		}
		return s.at(setting, fmt.Sprintf("%d MiB of events are kept", a.MaxSizeMiB*(a.Keep+1)), "raise max_size_mib or keep; the default is 100 and 10")
	}
	return nil
}

// keptNowhere finds events that matter and that no sink gets.
func keptNowhere(s *subject) []hit {
	a := s.set.Audit
	sinks := []config.EventFilter{a.DatabaseOnly}
	if a.Log != "" {
		sinks = append(sinks, a.FileOnly)
	}
	if a.Stdout {
		sinks = append(sinks, a.StdoutOnly)
	}
	taken := func(category, severity, outcome string) bool {
		for _, f := range sinks {
			if f.Takes(category, severity, outcome) {
				return true
			}
		}
		return false
	}
	for _, category := range audit.Categories() {
		for _, severity := range []audit.Severity{audit.Medium, audit.High, audit.Critical} {
			for _, outcome := range audit.Outcomes() {
				if !taken(string(category), string(severity), string(outcome)) {
					return s.at("audit.database_only.categories", fmt.Sprintf("events of category %s, severity %s and outcome %s go nowhere", category, severity, outcome),
						"let one of file_only, database_only and stdout_only take them")
				}
			}
		}
	}
	return nil
}

func shortRetention(s *subject) []hit {
	const least = 90 * 24 * time.Hour
	var out []hit
	if d := s.set.Audit.KeepFor; d > 0 && d < least && s.set.Audit.Log != "" {
		out = append(out, s.at("audit.keep_for", "rotated files are deleted after "+short(d), "write 2160h or more, or 0s")...)
	}
	if d := s.set.Audit.DatabaseKeepFor; d < least {
		out = append(out, s.at("audit.database_keep_for", "events leave the database after "+short(d), "write 2160h or more")...)
	}
	return out
}

func longUnsigned(s *subject) []hit {
	if d := s.set.Audit.CheckpointInterval; s.set.Audit.Log != "" && d > 10*time.Minute {
		return s.at("audit.checkpoint_interval", short(d)+" of events may have no signature", "write 10m or less; the default is 1m")
	}
	return nil
}
