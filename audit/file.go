package audit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
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
	// MaxAge is the age of the first line at which the file is rotated: a second to
	// 366 days; 0 is never.
	MaxAge time.Duration
	// KeepFor is how long a rotated file is kept, within Keep: a second to 20 years; 0 is
	// for as long as Keep has room.
	KeepFor time.Duration
	// Compress compresses rotated files with gzip (RFC 1952), beside the writing.
	Compress bool
	// ChainSecret is at least 32 random bytes. When it is set, every line carries the hash
	// of the one before, and the node signs checkpoints with a key that is made of it,
	// see [NodeKey] and [Verify].
	ChainSecret []byte
	// CheckpointInterval is how long lines of a chain may be without a checkpoint:
	// a second to an hour, default a minute. There is one after 1,000 lines at the latest.
	CheckpointInterval time.Duration
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
// newline, so that it spoils no other line (see [File.TornLine]); in a chain, a
// checkpoint names it.
//
// A chain goes on over restarts and rotated files. A file that is there and does not
// end in a line of a chain, such as one from before there was a ChainSecret, is
// rotated first.
//
// One process at a time: a lock on Path + ".lock" makes a second one fail. (Not
// on Windows, Solaris and AIX, where nothing is locked.)
type File struct {
	path string
	max  int64
	keep int
	now  func() time.Time

	maxAge  time.Duration
	keepFor time.Duration
	packer  *packer // nil: rotated files stay as they are
	chain   *chain  // nil: lines are written as they come
	node    string  // of the chain, "" without one

	resigned atomic.Pointer[signer] // by [File.SetChainSecret], in the place of that of chain

	lock   *os.File
	file   *os.File  // nil after a failure: the next Write opens it again
	begun  time.Time // when the first line of file was written
	torn   bool
	closed bool
	buf    []byte
}

var _ Checkpointer = (*File)(nil)

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
	cfg.CheckpointInterval = cmp.Or(cfg.CheckpointInterval, time.Minute)
	errs = append(errs, cfg.checkTimes())
	if len(cfg.ChainSecret) > 0 && len(cfg.ChainSecret) < minSecret {
		errs = append(errs, fmt.Errorf("audit: ChainSecret has %d bytes: give it %d or more", len(cfg.ChainSecret), minSecret))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(cfg.Path) // the log does not move with the working directory
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	f := &File{path: path, max: int64(cfg.MaxSizeMiB) << 20, keep: cfg.Keep, maxAge: cfg.MaxAge, keepFor: cfg.KeepFor, now: cfg.Now}
	if f.now == nil {
		f.now = time.Now
	}
	if cfg.Compress {
		f.packer = newPacker()
	}
	cfg.Path = path
	if err := f.begin(cfg); err != nil {
		_ = f.Close() // err says what is wrong
		return nil, err
	}
	return f, nil
}

func (cfg FileConfig) checkTimes() error {
	var errs []error
	for _, c := range []struct {
		name     string
		v        time.Duration
		min, max time.Duration
		off      bool
	}{
		{"MaxAge", cfg.MaxAge, time.Second, 366 * 24 * time.Hour, true},
		{"KeepFor", cfg.KeepFor, time.Second, 20 * 366 * 24 * time.Hour, true},
		{"CheckpointInterval", cfg.CheckpointInterval, time.Second, time.Hour, false},
	} {
		if (c.v < c.min || c.v > c.max) && !(c.off && c.v == 0) {
			errs = append(errs, fmt.Errorf("audit: %s is %v: must be %v to %v", c.name, c.v, c.min, c.max))
		}
	}
	return errors.Join(errs...)
}

// begin opens the log for the first time.
func (f *File) begin(cfg FileConfig) error {
	if len(cfg.ChainSecret) == 0 {
		return f.open()
	}
	if err := f.check(); err != nil {
		return err
	}
	var err error
	if f.chain, err = newChain(cfg); err != nil {
		return err
	}
	f.node = f.chain.node
	return f.open()
}

// TornLine tells whether the file ended in half a line when it was last opened:
// the process before this one crashed, or was killed, while it wrote.
func (f *File) TornLine() bool { return f.torn }

// Write appends lines and syncs the file. When either fails, what was written of
// them is cut off again. A sync that has begun cannot be ended: while the disk
// hangs, so does Write.
func (f *File) Write(ctx context.Context, batch []Event, lines [][]byte) error {
	if f.closed {
		return errSinkClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(lines) == 0 {
		return nil
	}
	n := int64(0)
	for _, line := range lines {
		n += int64(len(line)) + 1
	}
	size, err := f.ready(n)
	if err != nil {
		return err
	}
	if f.chain == nil {
		f.buf = f.buf[:0]
		for _, line := range lines {
			f.buf = append(append(f.buf, line...), '\n')
		}
		return f.append(size, chain{})
	}
	next := f.current()
	f.buf = next.appendLines(f.buf[:0], batch, lines, f.now())
	return f.append(size, next)
}

// append writes buf at size and syncs the file. The chain is next then, if there is one.
func (f *File) append(size int64, next chain) error {
	_, err := f.file.Write(f.buf)
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
	if f.chain != nil {
		*f.chain = next
	}
	if size == 0 {
		f.begun = f.now()
	}
	return nil
}

// Close closes the file and gives up the lock. It may be called twice.
func (f *File) Close() error {
	f.closed = true
	f.packer.stop()
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

// overhead is more than a link adds to a line, and room for the last checkpoint.
const overhead = 4 << 10

// ready makes f.file the file at path, with room for n bytes of lines more, and
// returns its size. For 0 bytes it does not rotate.
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
	room := f.max - fi.Size() - n
	if f.chain != nil {
		room -= n/2 + overhead // a line is longer than twice its link
	}
	old := f.maxAge > 0 && f.now().Sub(f.begun) >= f.maxAge
	if fi.Size() == 0 || n == 0 || room >= 0 && !old {
		return fi.Size(), nil
	}
	if f.chain != nil && f.chain.last.seq > f.chain.signed {
		if err := f.writeCheckpoint(byRotation); err != nil {
			return 0, err
		}
	}
	if err := f.rotate(); err != nil {
		return 0, err
	}
	fi, err = f.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("audit: %w", err)
	}
	return fi.Size(), nil
}

var errNotRegular = errors.New("not a regular file: a directory, link, pipe or device cannot be the log")

// check makes the directory, and takes the lock.
func (f *File) check() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	// Before anything is made beside it. What is opened is checked again.
	if fi, err := os.Lstat(f.path); err == nil && !fi.Mode().IsRegular() {
		return fmt.Errorf("audit: %s: %w", f.path, errNotRegular)
	}
	return f.acquire()
}

// open opens the file for appending, at a whole line.
func (f *File) open() error {
	if err := f.check(); err != nil {
		return err
	}
	f.torn = false
	file, err := f.openFile()
	if errors.Is(err, errForeign) { // of another program, or from before there was a chain
		if err = f.setAside(); err == nil {
			file, err = f.openFile()
		}
	}
	if err != nil {
		return err
	}
	f.file = file
	return nil
}

func (f *File) openFile() (*os.File, error) {
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND|noFollow, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	err = checkFile(file)
	if err == nil && f.chain != nil {
		err = f.resume(file)
	} else if err == nil {
		f.torn, err = closeTorn(file)
	}
	if err == nil {
		f.begun, err = f.firstTime(file)
	}
	if err == nil {
		err = syncDir(filepath.Dir(f.path))
	}
	if err != nil {
		_ = file.Close() // err is what matters
		return nil, fmt.Errorf("audit: %s: %w", f.path, err)
	}
	return file, nil
}

// firstTime returns when the first line of file was written: what it says, or the
// time of the file.
func (f *File) firstTime(file *os.File) (time.Time, error) {
	fi, err := file.Stat()
	if err != nil {
		return time.Time{}, err
	}
	head := make([]byte, 256)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return time.Time{}, err
	}
	if _, rest, ok := bytes.Cut(head[:n], []byte(`"time":"`)); ok && len(rest) > len(timeFormat) {
		if t, err := time.Parse(timeFormat, string(rest[:len(timeFormat)])); err == nil {
			return t, nil
		}
	}
	return fi.ModTime(), nil
}

// checkFile checks what was opened.
func checkFile(file *os.File) error {
	fi, err := file.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return errNotRegular
	}
	if fi.Mode().Perm()&0o007 != 0 { // not ours; a group that reads it is the operator's choice
		return file.Chmod(0o600)
	}
	return nil
}

// closeTorn closes a torn last line.
func closeTorn(file *os.File) (torn bool, err error) {
	size, err := fileSize(file)
	if err != nil || size == 0 {
		return false, err
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], size-1); err != nil {
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
