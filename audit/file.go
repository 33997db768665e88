package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// FileConfig says where and how a [File] writes.
type FileConfig struct {
	// Path is the log file. Its directory is made if it does not exist, with mode 0700.
	Path string
	// MaxSizeMiB is the size at which the file is rotated: 1 to 1,048,576 MiB,
	// default 100. A batch of events is never split over two files.
	MaxSizeMiB int
	// Keep is how many rotated files are kept: 1 to 10,000, default 10.
	Keep int
	// Now is the clock that names rotated files; default [time.Now].
	Now func() time.Time
}

// A File is a [Sink] that writes JSON lines to a file of mode 0600. Every Write ends
// with fsync, so what it acknowledged survives the process and the machine.
//
// At MaxSizeMiB the file is renamed, security.log to
// security-20060102T150405.000000Z.log, and a new one begun; sorted by name, the
// files of a log are in order, the current one last. Somebody else may
// rotate, truncate or remove the file too: the next Write notices.
//
// When a crash left half a line at the end, the next start closes it with a
// newline, so that it spoils no other line (see [File.TornLine]).
//
// One process at a time: a lock on Path + ".lock" makes a second one fail. (Not
// on Windows, Solaris and AIX, where nothing is locked.)
type File struct {
	path string
	max  int64
	keep int
	now  func() time.Time

	lock   *os.File
	file   *os.File // nil after a failure: the next Write opens it again
	torn   bool
	closed bool
	buf    []byte
}

var _ Sink = (*File)(nil)

// ErrInUse is in the error of [NewFile] for a log that another process writes.
var ErrInUse = errors.New("is in use by another process")

// NewFile opens or begins the log file. It fails when the file cannot be
// written, is not a regular file, or belongs to another process.
func NewFile(cfg FileConfig) (*File, error) {
	cfg.MaxSizeMiB = cmp.Or(cfg.MaxSizeMiB, 100)
	cfg.Keep = cmp.Or(cfg.Keep, 10)
	var errs []error
	if cfg.Path == "" {
		errs = append(errs, errors.New("audit: Path is empty: name the log file"))
	}
	if cfg.MaxSizeMiB < 1 || cfg.MaxSizeMiB > 1<<20 {
		errs = append(errs, fmt.Errorf("audit: MaxSizeMiB is %d: must be 1 to 1048576", cfg.MaxSizeMiB))
	}
	if cfg.Keep < 1 || cfg.Keep > 10_000 {
		errs = append(errs, fmt.Errorf("audit: Keep is %d: must be 1 to 10000 files", cfg.Keep))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	path, err := filepath.Abs(cfg.Path) // the log does not move with the working directory
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	f := &File{path: path, max: int64(cfg.MaxSizeMiB) << 20, keep: cfg.Keep, now: cfg.Now}
	if f.now == nil {
		f.now = time.Now
	}
	if err := f.open(); err != nil {
		_ = f.Close() // the error of open says what is wrong
		return nil, err
	}
	return f, nil
}

// TornLine tells whether the file ended in half a line when it was last opened:
// the process before this one crashed, or was killed, while it wrote.
func (f *File) TornLine() bool { return f.torn }

// Write appends lines and syncs the file. When either fails, what was written of
// them is cut off again. A sync that has begun cannot be ended: while the disk
// hangs, so does Write.
func (f *File) Write(ctx context.Context, _ []Event, lines [][]byte) error {
	if f.closed {
		return errSinkClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(lines) == 0 {
		return nil
	}
	f.buf = f.buf[:0]
	for _, line := range lines {
		f.buf = append(append(f.buf, line...), '\n')
	}
	size, err := f.ready(int64(len(f.buf)))
	if err != nil {
		return err
	}
	_, err = f.file.Write(f.buf)
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		// After a failed fsync nobody knows what is on the disk, and a second one may
		// succeed without writing: begin again from a fresh descriptor. What cannot
		// be cut off now is a torn line, and closed by open.
		err = errors.Join(err, f.file.Truncate(size), f.file.Close())
		f.file = nil
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// Close closes the file and gives up the lock. It may be called twice.
func (f *File) Close() error {
	f.closed = true
	var errs []error
	if f.file != nil {
		errs = append(errs, f.file.Close())
		f.file = nil
	}
	if f.lock != nil {
		errs = append(errs, f.lock.Close())
		f.lock = nil
	}
	return errors.Join(errs...)
}

// ready makes f.file the file at path, with room for n bytes more, and returns its size.
func (f *File) ready(n int64) (size int64, err error) {
	if f.file != nil && !isAt(f.file, f.path) { // somebody else rotated or removed it
		_ = f.file.Close() // everything in it is synced
		f.file = nil
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return 0, err
		}
	}
	fi, err := f.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("audit: %w", err)
	}
	if fi.Size() == 0 || fi.Size()+n <= f.max {
		return fi.Size(), nil
	}
	if err := f.rotate(); err != nil {
		return 0, err
	}
	return 0, nil
}

var errNotRegular = errors.New("not a regular file: a directory, link, pipe or device cannot be the log")

// open opens the file for appending, at a whole line.
func (f *File) open() error {
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	// Before anything is made beside it. What is opened is checked again.
	if fi, err := os.Lstat(f.path); err == nil && !fi.Mode().IsRegular() {
		return fmt.Errorf("audit: %s: %w", f.path, errNotRegular)
	}
	if err := f.acquire(); err != nil {
		return err
	}
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND|noFollow, 0o600)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	torn, err := prepare(file)
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		_ = file.Close() // err is what matters
		return fmt.Errorf("audit: %s: %w", f.path, err)
	}
	f.file, f.torn = file, torn
	return nil
}

// prepare checks what was opened, and closes a torn last line.
func prepare(file *os.File) (torn bool, err error) {
	fi, err := file.Stat()
	if err != nil {
		return false, err
	}
	if !fi.Mode().IsRegular() {
		return false, errNotRegular
	}
	if fi.Mode().Perm()&0o007 != 0 { // not ours; a group that reads it is the operator's choice
		if err := file.Chmod(0o600); err != nil {
			return false, err
		}
	}
	if fi.Size() == 0 {
		return false, nil
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], fi.Size()-1); err != nil {
		return false, err
	}
	if last[0] == '\n' {
		return false, nil
	}
	_, err = file.Write([]byte("\n"))
	return true, err
}

// acquire takes the lock, or takes it again when its file was removed, because
// another process could take a new one then.
func (f *File) acquire() error {
	path := f.path + ".lock"
	if f.lock != nil {
		if isAt(f.lock, path) {
			return nil
		}
		_ = f.lock.Close() // of a file that is gone
		f.lock = nil
	}
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|noFollow, 0o600)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := lockFile(lock); err != nil {
		_ = lock.Close() // err is what matters
		if errors.Is(err, ErrInUse) {
			return fmt.Errorf("audit: %s %w: stop it, or give this one a log file of its own", f.path, ErrInUse)
		}
		return fmt.Errorf("audit: lock %s: %w", path, err)
	}
	f.lock = lock
	return nil
}

// isAt tells whether path still names the open file.
func isAt(file *os.File, path string) bool {
	there, err := os.Lstat(path)
	if err != nil {
		return false
	}
	here, err := file.Stat()
	return err == nil && os.SameFile(here, there)
}
