//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package audit

import "os"

const noFollow = 0

// lockFile locks nothing: there is no flock here.
func lockFile(*os.File) error { return nil }

// syncDir does nothing: directories cannot be synced everywhere.
func syncDir(string) error { return nil }
