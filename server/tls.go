package server

import (
	"crypto/tls"
	"sync/atomic"
	"time"
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

// modernTLS is how TLS is served, whatever the certificate.
func modernTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites(), NextProtos: []string{"h2", "http/1.1"}}
}

// serving is the certificate that is served with. Another can take its place while
// connections are made.
type serving struct {
	pair    atomic.Pointer[tls.Certificate]
	tickets tickets
}

func (s *serving) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.pair.Load(), nil }

// encryption returns how TLS is served, with the certificate and the session tickets of
// served; nil for clear text.
func encryption(pair *tls.Certificate, served *serving) *tls.Config {
	if pair == nil {
		return nil
	}
	served.pair.Store(pair)
	c := modernTLS()
	c.GetCertificate = served.get
	served.tickets.begin(c, time.Now().Round(0))
	return c
}

// replace serves another certificate to the connections that are made from now on.
func (s *serving) replace(pair *tls.Certificate) {
	s.pair.Store(pair)
	s.tickets.forget(time.Now().Round(0))
}
