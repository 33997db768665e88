//go:build unix

package findings

import (
	"os"
	"syscall"
)

// ownerOf returns the account that a file belongs to; ok is false where there is none.
func ownerOf(path string) (uid int, ok bool) {
	if path == "" {
		return 0, false
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

// OpenFiles returns how many files this process may have open, 0 when that is not known.
// The runtime raises the soft limit to the hard one.
func OpenFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Max)
}
