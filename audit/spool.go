package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
)

// maxSpool is how large the spool of a sink becomes, in bytes.
const maxSpool = 256 << 20

// A spool keeps on disk what one sink missed and memory has no room for, until the sink
// works again, over restarts too. It is not synced: a crash of the machine may lose of it
// what the system had not written, and a crash of the program nothing.
type spool struct {
	path    string
	waiting atomic.Uint64 // lines

	mu         sync.Mutex
	closed     bool
	file       *os.File // nil while there was nothing to keep
	size, read int64    // what is in it, and how much of that the sink has
	cut        uint64   // lines that somebody took away, not counted as lost yet
	buf        []byte
}

// openSpool opens the spool that an earlier run left, if there is one.
func openSpool(path string) (*spool, error) {
	s := &spool{path: path}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|noFollow, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("audit: spool: %w", err)
	}
	s.file = file
	if err = checkFile(file); err == nil {
		_, err = closeTorn(file)
	}
	if err == nil {
		s.size, err = fileSize(file)
	}
	if err == nil {
		var lines uint64
		lines, err = countLines(io.NewSectionReader(file, 0, s.size))
		s.waiting.Store(lines)
	}
	if err != nil {
		return nil, fmt.Errorf("audit: spool %s: %w", path, errors.Join(err, file.Close()))
	}
	return s, nil
}

func countLines(r io.Reader) (n uint64, err error) {
	buf := make([]byte, 64<<10)
	for {
		m, err := r.Read(buf)
		n += uint64(bytes.Count(buf[:m], []byte{'\n'}))
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// empty reports whether there is nothing to catch up on. A nil spool is empty.
func (s *spool) empty() bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read >= s.size
}

// add puts items at the end, and returns how many it took: all, or what fits, or none
// when the disk does not take them.
func (s *spool) add(items []item) int {
	if s == nil || len(items) == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.sizeUp() != nil {
		return 0
	}
	s.buf = s.buf[:0]
	n := 0
	for _, it := range items {
		if s.size+int64(len(s.buf)+len(it.line)) >= maxSpool {
			break
		}
		s.buf = append(append(s.buf, it.line...), '\n')
		n++
	}
	if n == 0 {
		return 0
	}
	if s.file == nil {
		file, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_APPEND|noFollow, 0o600)
		if err != nil {
			return 0
		}
		s.file = file
	}
	if _, err := s.file.Write(s.buf); err != nil {
		if s.file.Truncate(s.size) != nil { // half a line is skipped when it is read
			s.size, _ = fileSize(s.file)
		}
		return 0
	}
	s.size += int64(len(s.buf))
	s.waiting.Add(uint64(n))
	return n
}

// sizeUp looks whether somebody cut the file short, to make room for example. What is left
// is read from its beginning then: what the sink has already, it is given again.
func (s *spool) sizeUp() error {
	if s.file == nil {
		return nil
	}
	size, err := fileSize(s.file)
	if err != nil || size >= s.size {
		return err
	}
	lines, err := countLines(io.NewSectionReader(s.file, 0, size))
	if err != nil {
		return err
	}
	if before := s.waiting.Load(); before > lines {
		s.cut += before - lines
	}
	s.size, s.read = size, 0
	s.waiting.Store(lines)
	return nil
}

// next returns up to n of the oldest items, how many lines they and what is no event are,
// and where the next ones begin.
func (s *spool) next(n int) (items []item, lines int, end int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.sizeUp(); err != nil {
		return nil, 0, 0, err
	}
	end = s.read
	r := bufio.NewReaderSize(io.NewSectionReader(s.file, s.read, s.size-s.read), maxLine)
	for lines < n {
		line, err := r.ReadBytes('\n')
		if len(line) == 0 || errors.Is(err, io.EOF) {
			end += int64(len(line))
			break
		}
		if err != nil {
			return nil, 0, 0, err
		}
		end += int64(len(line))
		lines++
		line = line[:len(line)-1]
		if e, err := ParseJSON(line); err == nil {
			items = append(items, item{event: e, line: line})
		}
	}
	return items, lines, end, nil
}

// takeCut returns how many lines somebody took away since it was asked last.
func (s *spool) takeCut() (n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, s.cut = s.cut, 0
	return n
}

// done forgets what was read up to end. An empty spool takes no room.
func (s *spool) done(lines int, end int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = end
	s.waiting.Add(-uint64(lines))
	if s.read < s.size {
		return nil
	}
	s.size, s.read = 0, 0
	s.waiting.Store(0)
	return s.file.Truncate(0)
}

func (s *spool) close() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
