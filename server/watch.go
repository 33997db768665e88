package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
)

// A Watch tells when what the settings are read from has changed: the settings file, the
// files of secrets, the certificate and its key. It compares what they hold, so that it
// sees files that are written, moved into place, or behind a link that is swapped, as
// Kubernetes does, and does not see those that are only touched. It is used by one
// goroutine.
type Watch struct {
	server *Server
	src    Source

	last [sha256.Size]byte
	// found is a change that is told of when nothing has changed since: whoever writes
	// several files, or one in parts, is given the time to.
	found bool
}

// maxWatched bounds what is read of one file.
const maxWatched = 1 << 20

// Watch returns a watch of what src names. What has changed between the start and now is
// a change, too.
func (s *Server) Watch(src Source) *Watch {
	w := &Watch{server: s, src: src}
	var set config.Settings
	var wrong bool
	w.last, set, wrong = w.look()
	w.found = wrong || len(config.Changed(s.now().settings, set)) > 0
	if s.tls != nil && s.acme == nil && !w.found {
		pair, _, _ := config.Certificate(set.TLS, set.Hosts, time.Now())
		w.found = pair == nil || !slices.EqualFunc(pair.Certificate, s.certificate.pair.Load().Certificate, bytes.Equal)
	}
	return w
}

// Changed reports whether to call [Server.Reload]: something has changed, and nothing did
// any more since the call before. It is called every few seconds.
func (w *Watch) Changed() bool {
	now, _, _ := w.look()
	if now != w.last {
		w.last, w.found = now, true
		return false
	}
	found := w.found
	w.found = false
	return found
}

// look returns a hash of all that the files hold.
func (w *Watch) look() (sum [sha256.Size]byte, set config.Settings, wrong bool) {
	files := map[string][sha256.Size]byte{}
	open := w.src.Open
	if open == nil {
		open = func(path string) (io.ReadCloser, error) { return os.Open(path) }
	}
	read := func(path string) (io.ReadCloser, error) {
		files[path] = [sha256.Size]byte{} // of one that cannot be read
		f, err := open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxWatched))
		if err != nil {
			return nil, err
		}
		files[path] = sha256.Sum256(text)
		return io.NopCloser(bytes.NewReader(text)), nil
	}
	src := config.Source(w.src)
	src.Open = read
	set, problems := config.Load(src)
	open = func(path string) (io.ReadCloser, error) { return os.Open(path) } // as the certificate is read
	for _, t := range []config.TLS{set.TLS, w.server.now().settings.TLS} {
		for _, path := range []string{t.Cert, t.Key} {
			if path != "" {
				_, _ = read(path) // what cannot be read is told of by the reload
			}
		}
	}
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(path))))
		h.Write([]byte(path))
		hash := files[path]
		h.Write(hash[:])
	}
	return [sha256.Size]byte(h.Sum(nil)), set, config.Fatal(problems)
}
