package findings

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
)

// certificateProblems returns what keeps clients from accepting the certificate, which
// a start refuses too.
func (s *subject) certificateProblems() []config.Problem {
	if s.Places.Bad("tls.cert") || s.Places.Bad("tls.key") {
		return nil
	}
	_, _, problems := config.Certificate(s.set.TLS, s.set.Hosts, s.Now)
	return problems
}

// served returns the certificate, and the hosts that it does not name. It is nil when
// there is none or certificateProblems tells what is wrong with it.
func (s *subject) served() (leaf *x509.Certificate, unnamed []string) {
	pair, unnamed, _ := config.Certificate(s.set.TLS, s.set.Hosts, s.Now)
	if pair == nil {
		return nil, nil
	}
	return pair.Leaf, unnamed
}

// certificateEnds expects a renewal when a third of the life is left, as ACME
// clients do, and a month before the end of a long one.
func certificateEnds(s *subject) []hit {
	leaf, _ := s.served()
	if leaf == nil {
		return nil
	}
	notice := min(30*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)/3)
	if leaf.NotAfter.Sub(s.Now) < notice {
		return s.at("tls.cert", "the certificate ends on "+leaf.NotAfter.UTC().Format(time.DateOnly), "renew it, and see why it was not")
	}
	return nil
}

func certificateForOthers(s *subject) []hit {
	var out []hit
	for _, host := range acmeUnnamed(s) {
		out = append(out, s.at("acme.domains", "no certificate is obtained for "+host, "add it, or remove the host")...)
	}
	_, unnamed := s.served()
	for _, host := range unnamed {
		out = append(out, s.at("tls.cert", "the certificate does not name "+host, "have it issued for all hosts, or remove the host")...)
	}
	return out
}

func certificateWeak(s *subject) []hit {
	leaf, _ := s.served()
	if leaf == nil {
		return nil
	}
	var weak []string
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			weak = append(weak, fmt.Sprintf("its RSA key has %d bits", key.N.BitLen()))
		}
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < 256 {
			weak = append(weak, fmt.Sprintf("its ECDSA key has %d bits", bits))
		}
	}
	switch leaf.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.MD5WithRSA, x509.MD2WithRSA, x509.DSAWithSHA1:
		weak = append(weak, "it is signed with "+leaf.SignatureAlgorithm.String())
	}
	if len(weak) == 0 {
		return nil
	}
	return s.at("tls.cert", strings.Join(weak, ", "), "have one issued for an ECDSA P-256 key or RSA of 2048 bits or more")
}

func selfSigned(s *subject) []hit {
	leaf, _ := s.served()
	if leaf == nil || !bytes.Equal(leaf.RawIssuer, leaf.RawSubject) || leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) != nil {
		return nil
	}
	return s.at("tls.cert", "the certificate is signed by its own key", "have one issued by an authority that clients trust")
}
