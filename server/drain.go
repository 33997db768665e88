package server

import (
	"net/http"
	"time"
)

// notReady makes readiness red and serves on for the drain time, so that whoever sends requests here notices and
// sends them elsewhere. It returns early when serving fails.
func (s *Server) notReady(failed <-chan error) error {
	s.draining.Store(true)
	if s.now().settings.DrainTime == 0 {
		return nil
	}
	s.log.Info("draining: not ready any more, and serving for a while", "drain_time", s.now().settings.DrainTime)
	select {
	case err := <-failed:
		return err
	case <-time.After(s.now().settings.DrainTime):
		return nil
	}
}

// closing is h, whose answers end their connections while the server drains: the next request of a client that keeps
// one open finds another node. Connections at rest are left alone until the end, as a request may be on its way. With
// HTTP/2 net/http sends a GOAWAY for it (RFC 9113 section 6.8).
func (s *Server) closing(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}
