//go:build unix && !linux

package chaos_test

import "testing"

// open lists what a node holds open, where there is /proc.
func (m *member) open(*testing.T) string { return "" }
