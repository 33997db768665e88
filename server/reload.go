package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/config"
)

// Reload reads the files of the certificate again. A good one is served to the
// connections that are made from then on, and those that are open go on; a bad one
// changes nothing. All else needs a restart: Reload reads src to tell which settings
// have changed since the start, and what is wrong with them. It is called between
// [Server.Listen] and [Server.Close], by one goroutine.
func (s *Server) Reload(src Source) {
	s.reloadCertificate()
	set, problems := config.Load(config.Source(src))
	if config.Fatal(problems) {
		for _, p := range problems {
			s.log.Error("reload: the settings are wrong: a restart would fail", "problem", p.String())
		}
		s.configChanged(audit.Failure, slog.String("what", "settings"))
		return
	}
	if names := config.Changed(s.settings, set); len(names) > 0 {
		s.log.Warn("reload: settings have changed that need a restart", "settings", strings.Join(names, " "))
		return
	}
	s.log.Info("reload: the settings are those in force")
}

func (s *Server) reloadCertificate() {
	if s.tls == nil || s.acme != nil {
		return
	}
	pair, unnamed, problems := config.Certificate(s.settings.TLS, s.settings.Hosts, time.Now())
	if len(problems) > 0 {
		for _, p := range problems {
			s.log.Error("reload: the certificate cannot be served: the one before is", "problem", p.String())
		}
		s.configChanged(audit.Failure, slog.String("what", "certificate"), slog.String("id", problems[0].ID))
		return
	}
	if before := s.certificate.pair.Load(); bytes.Equal(before.Certificate[0], pair.Certificate[0]) && len(before.Certificate) == len(pair.Certificate) {
		s.log.Info("reload: the certificate is the one in force", "not_after", pair.Leaf.NotAfter.UTC())
		return
	}
	s.certificate.pair.Store(pair)
	sum := sha256.Sum256(pair.Certificate[0])
	fingerprint := hex.EncodeToString(sum[:])
	s.log.Info("reload: a new certificate is served", "not_after", pair.Leaf.NotAfter.UTC(), "sha256", fingerprint)
	if len(unnamed) > 0 {
		s.log.Warn("reload: the certificate does not name some of hosts", "id", "merlon.W036", "hosts", strings.Join(unnamed, " "))
	}
	s.configChanged(audit.Success, slog.String("what", "certificate"), slog.String("sha256", fingerprint))
}

func (s *Server) configChanged(outcome audit.Outcome, detail ...slog.Attr) {
	e := audit.Event{Type: audit.SysConfigChanged, Outcome: outcome, Detail: detail}
	if outcome == audit.Failure {
		e.Severity = audit.Medium
	}
	s.events.Record(e)
}
