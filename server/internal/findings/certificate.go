package findings

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
)

// maxPEM bounds what is read of a certificate or a key.
const maxPEM = 1 << 20

// leaf returns the certificate that would be served, nil when none is set.
func (s *subject) leaf() (*x509.Certificate, error) {
	if s.set.TLS.Cert == "" || s.set.TLS.Key == "" {
		return nil, nil
	}
	cert, err := readPEM(s.set.TLS.Cert)
	if err != nil {
		return nil, err
	}
	key, err := readPEM(s.set.TLS.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	return pair.Leaf, err
}

func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxPEM))
}

func certificateUnusable(s *subject) []hit {
	if _, err := s.leaf(); err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok { // it may be the key itself that was written
			err = fmt.Errorf("%s: %w", config.ShowPath(e.Path), e.Err)
		}
		return s.at("tls.cert", fmt.Sprintf("the certificate %s with the key %s: %v", config.ShowPath(s.set.TLS.Cert), config.ShowPath(s.set.TLS.Key), err), "name the PEM files of a certificate and of its key")
	}
	return nil
}

// served returns the certificate, nil when there is none or certificateUnusable
// tells why.
func (s *subject) served() *x509.Certificate {
	leaf, err := s.leaf()
	if err != nil {
		return nil
	}
	return leaf
}

func certificateNotValid(s *subject) []hit {
	leaf := s.served()
	switch {
	case leaf == nil:
	case s.Now.After(leaf.NotAfter):
		return s.at("tls.cert", "the certificate ended on "+leaf.NotAfter.UTC().Format(time.DateOnly), "renew it")
	case s.Now.Before(leaf.NotBefore):
		return s.at("tls.cert", "the certificate begins on "+leaf.NotBefore.UTC().Format(time.DateOnly), "set the clock, or wait with it")
	}
	return nil
}

// certificateEnds expects a renewal when a third of the life is left, as ACME
// clients do, and a month before the end of a long one.
func certificateEnds(s *subject) []hit {
	leaf := s.served()
	if leaf == nil || s.Now.After(leaf.NotAfter) {
		return nil
	}
	notice := min(30*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)/3)
	if leaf.NotAfter.Sub(s.Now) < notice {
		return s.at("tls.cert", "the certificate ends on "+leaf.NotAfter.UTC().Format(time.DateOnly), "renew it, and see why it was not")
	}
	return nil
}

func certificateForOthers(s *subject) []hit {
	leaf := s.served()
	if leaf == nil {
		return nil
	}
	var out []hit
	for _, host := range s.set.Hosts {
		if leaf.VerifyHostname(host) != nil {
			out = append(out, s.at("tls.cert", "the certificate does not name "+host, "have it issued for all hosts, or remove the host")...)
		}
	}
	return out
}

func certificateWeak(s *subject) []hit {
	leaf := s.served()
	if leaf == nil {
		return nil
	}
	var weak []string
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		weak = append(weak, fmt.Sprintf("its RSA key has %d bits", key.N.BitLen()))
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
