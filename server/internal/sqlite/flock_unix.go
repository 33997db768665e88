//go:build unix

package sqlite

import (
	"errors"
	"os"
	"syscall"
)

// tryLock opens the file at path and locks it, or returns errHeld. The lock belongs to the open file: it excludes a
// second opener in this process too, and ends when the file is closed or the process dies.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errHeld
	}
	return nil, &os.PathError{Op: "flock", Path: path, Err: err}
}

func isReadOnlyFS(err error) bool { return errors.Is(err, syscall.EROFS) }
