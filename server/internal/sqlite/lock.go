package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// lockFile is the file in a data directory that the serving process holds locked. It is never removed: a lock on a
// removed file excludes nobody.
const lockFile = "merlon.lock"

// errHeld is what tryLock returns when somebody else holds the lock.
var errHeld = errors.New("lock is held")

// A DirLock is held by the one process that serves from a data directory.
type DirLock struct{ file *os.File }

// Lock takes the data directory dir, which is made when it does not exist, for the process that serves from it. It
// does not wait: when another process has it, the error wraps [ErrLocked] and names that process. The lock ends with
// [DirLock.Close] or with the process, however it dies. Processes that only use the database do not need it.
func Lock(dir string) (*DirLock, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, lockFile)
	f, err := tryLock(path)
	if errors.Is(err, errHeld) {
		return nil, fmt.Errorf("data directory %s: %w%s: stop it, or give this one a directory of its own", dir, ErrLocked, holder(path))
	}
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", dir, readOnly(err))
	}
	// The process id is for the message above only, so failing to write it is no failure.
	if f.Truncate(0) == nil {
		f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &DirLock{f}, nil
}

// Close gives the directory back.
func (l *DirLock) Close() error { return l.file.Close() }

// holder returns " (process 123)" if the lock file says so.
func holder(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 16))
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

// lockSetup takes the lock under which processes open and migrate the database at path, waiting for it until ctx ends.
func lockSetup(ctx context.Context, path string) (unlock func(), err error) {
	for {
		f, err := tryLock(path + ".lock")
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, errHeld) {
			return nil, fmt.Errorf("database %s: %w", path, readOnly(err))
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("database %s: another process is opening or migrating it: %w", path, context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}
