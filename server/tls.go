package server

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
)

// suites are those of TLS 1.2 that keep past traffic secret when the key leaks and
// have no separate MAC (RFC 9325 section 4.2). Those of TLS 1.3 are not a choice.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// serving is the certificate that is served with. Another can take its place while
// connections are made.
type serving struct {
	pair atomic.Pointer[tls.Certificate]
}

func (s *serving) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.pair.Load(), nil }

// encryption returns how TLS is served, with the certificate of the settings, which
// it gives to served; nil for clear text.
func encryption(set config.Settings, served *serving) (*tls.Config, error) {
	pair, _, found := config.Certificate(set.TLS, set.Hosts, time.Now())
	if len(found) > 0 {
		var errs []error
		for _, p := range found {
			errs = append(errs, errors.New(p.String()))
		}
		return nil, errors.Join(errs...)
	}
	if pair == nil {
		return nil, nil
	}
	served.pair.Store(pair)
	return &tls.Config{
		GetCertificate: served.get,
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   suites(),
		// crypto/tls issues tickets for seven days, which cannot be shortened: whoever
		// steals the key of the tickets reads, or resumes, as much of the past. Without
		// them each connection is a handshake of its own.
		SessionTicketsDisabled: true,
	}, nil
}
