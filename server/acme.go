package server

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/acme"
	"github.com/merlonhq/merlon/server/internal/operations"
)

// prepareACME makes what obtains certificates, if the settings name an authority's
// names, and makes encryption serve them.
func (s *Server) prepareACME() error {
	set := s.settings.ACME
	if len(set.Domains) == 0 {
		return nil
	}
	roots, err := authorities(set.CAFile)
	if err != nil {
		return err
	}
	s.acme, err = acme.New(acme.Config{
		Domains: set.Domains, Email: set.Email, DirectoryURL: set.DirectoryURL, Storage: set.Storage, Roots: roots,
		ClearText: s.settings.RedirectListen != "", Log: s.log, Obtained: s.obtained,
		Failed:    func(name string, r acme.Reason) { s.events.Record(audit.CertificateNotObtained(name, r.Code)) },
		Recovered: func(name string) { s.events.Record(audit.CertificatesObtained(name)) },
	})
	if err != nil {
		return err
	}
	s.tls = modernTLS()
	s.acme.Serve(s.tls)
	s.certificate.tickets.begin(s.tls, time.Now().Round(0))
	return nil
}

// obtained records a certificate that is served from now on.
func (s *Server) obtained(name string, leaf *x509.Certificate) {
	sum := sha256.Sum256(leaf.Raw)
	s.certificate.tickets.forget(time.Now().Round(0))
	s.events.Record(audit.ConfigChanged("certificate", slog.String("host", name), slog.String("sha256", hex.EncodeToString(sum[:]))))
}

// authorities returns the certificates of a PEM file; nil are those of the system.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("acme.ca_file: %w: correct the path, or the permissions of the file", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("acme.ca_file: holds no certificate in PEM: write those that the authority's own is verified with")
	}
	return pool, nil
}

// clearText returns the handler of the clear-text listener.
func (s *Server) clearText() http.Handler {
	h := s.closing(http.HandlerFunc(s.serveHTTP))
	if s.acme == nil {
		return h
	}
	return s.acme.Handler(h)
}

// acmeSources is where the metrics of certificates are read.
func (s *Server) acmeSources(src *operations.Sources) {
	if s.acme == nil {
		return
	}
	src.Certificates = func() []operations.Certificate {
		var out []operations.Certificate
		for _, c := range s.acme.Certificates() {
			out = append(out, operations.Certificate(c))
		}
		return out
	}
	src.Orders = func() operations.Orders {
		obtained, failed := s.acme.Counts()
		return operations.Orders{Obtained: obtained, Failed: failed}
	}
}

// acmeFile returns the file of the certificate that a server with these settings shows
// for its first name: what it cannot use counts as none, as it does for the server.
func (s Settings) acmeFile() string {
	a := s.set.ACME
	file := acme.File(a.Storage, a.DirectoryURL, a.Domains[0])
	if pair, err := tls.LoadX509KeyPair(file, file); err != nil || pair.Leaf.VerifyHostname(a.Domains[0]) != nil {
		return acme.PlaceholderFile(a.Storage, a.DirectoryURL)
	}
	return file
}
