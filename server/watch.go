package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"maps"
	"os"
	"slices"

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

	begun bool
	last  [sha256.Size]byte
	// found is a change that is told of when nothing has changed since: whoever writes
	// several files, or one in parts, is given the time to.
	found bool
}

// maxWatched bounds what is read of one file.
const maxWatched = 1 << 20

// Watch returns a watch of what src names.
func (s *Server) Watch(src Source) *Watch { return &Watch{server: s, src: src} }

// Changed reports whether to call [Server.Reload]: something has changed, and nothing did
// any more between the last two calls. It is called every few seconds. What has changed
// since the start, before the first call, counts too.
func (w *Watch) Changed() bool {
	now, set, wrong := w.look()
	if !w.begun {
		w.begun, w.last = true, now
		w.found = wrong || len(config.Changed(w.server.now().settings, set)) > 0
		return false
	}
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
