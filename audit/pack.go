package audit

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// A packer compresses rotated files beside the writing. What it did not get to is
// compressed after the next rotation.
type packer struct {
	mu      sync.Mutex // held by the one that packs
	stopped chan struct{}
	once    sync.Once
	done    sync.WaitGroup
}

func newPacker() *packer { return &packer{stopped: make(chan struct{})} }

// pack begins to compress files, and returns at once. A nil packer does nothing.
func (p *packer) pack(files []string) {
	if p == nil || len(files) == 0 {
		return
	}
	p.done.Go(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, path := range files {
			if p.one(path) != nil { // the file stays as it is: nothing is lost
				return
			}
		}
	})
}

// stop ends the packing and waits for the end.
func (p *packer) stop() {
	if p == nil {
		return
	}
	p.once.Do(func() { close(p.stopped) })
	p.done.Wait()
}

var errPackerStopped = errors.New("audit: stopped")

// one replaces the file by a compressed one, which has the name when it is complete
// and on the disk.
func (p *packer) one(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	unfinished := path + gzipped + ".tmp"
	out, err := os.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|noFollow, 0o600)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, stoppable{in, p.stopped})
	if err == nil {
		err = z.Close()
	}
	if err == nil {
		err = out.Sync()
	}
	err = errors.Join(err, out.Close())
	if err == nil {
		err = os.Rename(unfinished, path+gzipped)
	}
	if err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return os.Remove(path)
}

// stoppable is a reader that ends with an error when its packer stops.
type stoppable struct {
	r       io.Reader
	stopped <-chan struct{}
}

func (s stoppable) Read(b []byte) (int, error) {
	select {
	case <-s.stopped:
		return 0, errPackerStopped
	default:
		return s.r.Read(b)
	}
}

// OpenLog opens a file of an event log to read its lines, compressed or not.
func OpenLog(path string) (io.ReadCloser, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if !strings.HasSuffix(path, gzipped) {
		return file, nil
	}
	z, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("audit: %s: %w", path, errors.Join(err, file.Close()))
	}
	return struct {
		io.Reader
		io.Closer
	}{z, file}, nil
}
