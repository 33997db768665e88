package server

import (
	"crypto/tls"
	"errors"
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

// encryption returns how TLS is served, nil for clear text.
func encryption(set config.Settings) (*tls.Config, error) {
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
	return &tls.Config{
		Certificates: []tls.Certificate{*pair},
		MinVersion:   tls.VersionTLS12,
		CipherSuites: suites(),
		// crypto/tls issues tickets for seven days, which cannot be shortened: whoever
		// steals the key of the tickets reads, or resumes, as much of the past. Without
		// them each connection is a handshake of its own.
		SessionTicketsDisabled: true,
	}, nil
}
