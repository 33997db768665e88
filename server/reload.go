package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/token"
)

// errReload is the error of a reload that was refused. What is wrong is in the log.
var errReload = errors.New("server: the reload was refused: the settings from before it are in force")

// ErrLater is in the error of a reload that was refused for what passes by itself: the
// database was away, and the settings change what is in there. It is worth trying again.
var ErrLater = errors.New("server: the database was away")

// Reload reads the settings and the certificate again, checks them as [CheckSettings]
// does, and puts them in force as a whole: requests that have begun end by the former
// ones, and counts, sessions and connections go on. Where anything is wrong, critical
// in production, or takes a restart, nothing of it is taken over, the log says what it
// is and an error is returned. A renewed certificate does not wait for settings to be
// mended: where these are refused, that of the settings in force is read all the same.
//
// It is called between [Server.Listen] and [Server.Close], by one goroutine. When ctx has
// ended, as that of a service that drains has, nothing is read, and nothing was refused.
func (s *Server) Reload(ctx context.Context, src Source) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.reload(ctx, src)
	s.reloads.ended(err == nil)
	return err
}

func (s *Server) reload(ctx context.Context, src Source) error {
	former := s.now()
	set, problems := CheckSettings(src)
	set.set.KeepGenerated(former.settings)
	if Fatal(problems) {
		return s.refuse(former, problems)
	}
	changed := config.Changed(former.settings, set.set)
	if restarts := config.Restarts(former.settings, set.set); len(restarts) > 0 {
		var names []string
		for _, r := range restarts {
			names = append(names, r.Name)
			s.log.Error("reload: a setting has changed that takes a restart: nothing is taken over", "setting", r.Name, "why", r.Why)
		}
		s.events.Record(audit.ConfigRefused("settings", slog.String("reason", "restart"), slog.String("settings", strings.Join(names, " "))))
		return s.onlyCertificate(former)
	}
	next, err := s.generate(set.set, former)
	later := error(nil)
	if err == nil {
		if err = s.startTokens(ctx, next, former); err != nil && !errors.Is(err, token.ErrOtherSecret) {
			later = ErrLater
		}
	}
	if err == nil && s.eventLog != nil {
		err = s.eventLog.SetChainSecret(secrets(set.set)[0])
	}
	if err != nil {
		if next != nil {
			next.end()
		}
		for _, one := range causes(err) {
			s.log.Error("reload: the settings cannot be served: those from before are", "error", one)
		}
		s.events.Record(audit.ConfigRefused("settings", slog.String("reason", "error")))
		return errors.Join(s.onlyCertificate(former), later)
	}
	for _, p := range problems {
		if p.AtLeast("medium") && p.Silenced == nil {
			s.log.Warn("reload: a finding", "problem", p.String())
		}
	}
	s.put(former, next, changed)
	return nil
}

// refuse says what is wrong with settings that are not taken over.
func (s *Server) refuse(former *generation, problems []Problem) error {
	first, settings := "", false
	for _, p := range problems {
		if !p.Fatal {
			continue
		}
		if first == "" {
			first = p.ID
		}
		if config.OfCertificate(p.ID) {
			s.log.Error("reload: the certificate cannot be served: the one before is, and nothing is taken over", "problem", p.String())
			continue
		}
		settings = true
		s.log.Error("reload: the settings are wrong: those from before are in force", "problem", p.String())
	}
	if !settings {
		s.events.Record(audit.ConfigRefused("certificate", slog.String("id", first)))
		return errReload
	}
	s.events.Record(audit.ConfigRefused("settings", slog.String("reason", "wrong"), slog.String("id", first)))
	return s.onlyCertificate(former)
}

// onlyCertificate takes over the certificate of the settings in force, though other
// settings were refused.
func (s *Server) onlyCertificate(former *generation) error {
	if s.tls == nil || s.acme != nil {
		return errReload
	}
	pair, unnamed, found := config.Certificate(former.settings.TLS, former.settings.Hosts, time.Now())
	for _, p := range found {
		s.log.Error("reload: the certificate cannot be served: the one before is", "problem", p.String())
	}
	if len(found) == 0 {
		s.serve(pair, unnamed)
	}
	return errReload
}

// put puts next in force.
func (s *Server) put(former, next *generation, changed []string) {
	s.connections.Change(connectionLimit(next.settings, s.log))
	s.events.SetPrivacy(next.privacy)
	s.take(next)
	if len(changed) > 0 {
		names := strings.Join(changed, " ")
		s.log.Info("reload: other settings are in force", "settings", names)
		s.events.Record(audit.ConfigChanged("settings", slog.String("settings", names)))
	} else {
		s.log.Info("reload: the settings are those in force")
	}
	if !former.settings.SecretKeyGenerated && !slices.ContainsFunc(next.settings.SecretKeyPrevious, former.settings.SecretKey.Equal) &&
		!next.settings.SecretKey.Equal(former.settings.SecretKey) {
		s.log.Warn("reload: secret_key is another and secret_key_previous does not hold the former one: what was signed with it has ended")
	}
	if slices.ContainsFunc(changed, func(name string) bool { return strings.HasPrefix(name, "insecure_shadow.") }) {
		s.recordShadow()
	}
	if next.pair != nil {
		s.serve(next.pair, next.unnamed)
	}
}

// serve serves pair, which is good, unless it is the one that is.
func (s *Server) serve(pair *tls.Certificate, unnamed []string) {
	if before := s.certificate.pair.Load(); slices.EqualFunc(before.Certificate, pair.Certificate, bytes.Equal) {
		s.log.Info("reload: the certificate is the one in force", "not_after", pair.Leaf.NotAfter.UTC())
		return
	}
	s.certificate.replace(pair)
	sum := sha256.Sum256(pair.Certificate[0])
	fingerprint := hex.EncodeToString(sum[:])
	s.log.Info("reload: a new certificate is served", "not_after", pair.Leaf.NotAfter.UTC(), "sha256", fingerprint)
	if len(unnamed) > 0 {
		s.log.Warn("reload: the certificate does not name some of hosts", "id", "merlon.W036", "hosts", strings.Join(unnamed, " "))
	}
	s.events.Record(audit.ConfigChanged("certificate", slog.String("sha256", fingerprint)))
}

// reloads are how the last reload ended, for the metrics.
type reloads struct {
	mu        sync.Mutex
	refused   bool
	succeeded time.Time
}

func (r *reloads) ended(ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = !ok
	if ok {
		r.succeeded = time.Now()
	}
}

func (r *reloads) last() (ok bool, succeeded time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.refused, r.succeeded
}
