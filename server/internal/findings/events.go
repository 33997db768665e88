package findings

import "fmt"

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
