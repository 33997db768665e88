package config

import (
	"strings"
	"time"
)

// parseDuration reads a Go duration ("30m", "17520h"). A number without a unit
// is not a duration: 30 could be seconds, minutes or a mistake.
func parseDuration(s string) (time.Duration, bool) {
	if s == "0" {
		return 0, false
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

// formatDuration writes d as an operator would: "12h", not "12h0m0s".
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
