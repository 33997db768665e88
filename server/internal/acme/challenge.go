package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// challenges are those that the authority may ask about now. They are few: one for
// each name that is being ordered.
type challenges struct {
	mu   sync.Mutex
	http map[string]acme.Challenge   // by token
	tls  map[string]*tls.Certificate // by name
}

func newChallenges() *challenges {
	return &challenges{http: map[string]acme.Challenge{}, tls: map[string]*tls.Certificate{}}
}

// httpSolver and tlsSolver let [acmez] put challenges there and take them away.
type (
	httpSolver struct{ *challenges }
	tlsSolver  struct{ *challenges }
)

func (c httpSolver) Present(_ context.Context, ch acme.Challenge) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.http[ch.Token] = ch
	return nil
}

func (c httpSolver) CleanUp(_ context.Context, ch acme.Challenge) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.http, ch.Token)
	return nil
}

func (c tlsSolver) Present(_ context.Context, ch acme.Challenge) error {
	pair, err := acmez.TLSALPN01ChallengeCert(ch)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tls[ch.Identifier.Value] = pair
	return nil
}

func (c tlsSolver) CleanUp(_ context.Context, ch acme.Challenge) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tls, ch.Identifier.Value)
	return nil
}

// wellKnown is where HTTP-01 is asked about (RFC 8555 section 8.3).
const wellKnown = "/.well-known/acme-challenge/"

// Handler answers the authority in clear text, and hands all else to next. What it
// answers is no secret, and it answers only while a challenge is open, for its token at
// its host.
func (m *Manager) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.URL.Path, wellKnown)
		if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		m.challenges.mu.Lock()
		ch, ok := m.challenges.http[token]
		m.challenges.mu.Unlock()
		if !ok || !strings.EqualFold(hostOnly(r.Host), ch.Identifier.Value) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, ch.KeyAuthorization) // the authority tells whether it got it
	})
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// protocol is that of TLS-ALPN-01 (RFC 8737 section 4).
const protocol = "acme-tls/1"

var errNoChallenge = errors.New("acme: no challenge is open for this name")

// Serve makes cfg serve the certificates and answer TLS-ALPN-01. A client that asks for
// that protocol and no other gets the certificate of an open challenge or nothing, and no
// other client can come to speak it.
func (m *Manager) Serve(cfg *tls.Config) {
	answer := &tls.Config{
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{protocol},
		SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			m.challenges.mu.Lock()
			defer m.challenges.mu.Unlock()
			if pair := m.challenges.tls[strings.ToLower(hello.ServerName)]; pair != nil {
				return pair, nil
			}
			return nil, errNoChallenge
		},
	}
	next := cfg.GetConfigForClient
	cfg.GetCertificate = m.certificate
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		switch {
		case len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == protocol:
			return answer, nil
		case next != nil:
			return next(hello)
		}
		return nil, nil
	}
}
