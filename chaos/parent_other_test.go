//go:build unix && !linux

package chaos_test

import "syscall"

// dieWithParent puts a node in a group of its own; elsewhere than on Linux nothing ends it with the test.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
