package acmetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// authority is a Pebble at an address that is known before it answers there, so that
// the program can be started first and its ports told to Pebble.
type authority struct {
	t        *testing.T
	listener net.Listener
	url      string // of the directory
	file     string // what verifies the authority's own certificate
	pair     tls.Certificate

	server *http.Server
	orders atomic.Int32
	// instead of Pebble answers, once it is set.
	instead atomic.Pointer[http.HandlerFunc]
	roots   *x509.CertPool // of what it issues
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, listener: l, url: "https://" + l.Addr().String() + "/dir", file: filepath.Join(t.TempDir(), "authority.pem")}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a.pair = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.stop)
	return a
}

// how Pebble behaves.
type how struct {
	http, tls int           // the ports that it validates at; 0 are those where nobody is
	life      time.Duration // of what it issues
	blocked   []string      // names that it does not issue for
}

// serve makes Pebble answer.
func (a *authority) serve(h how) {
	a.t.Helper()
	for _, port := range []*int{&h.http, &h.tls} {
		if *port == 0 {
			*port = 1 // nobody listens there
		}
	}
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	for _, name := range h.blocked {
		if err := store.AddBlockedDomain(name); err != nil {
			a.t.Fatal(err)
		}
	}
	issuer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: uint64(h.life / time.Second)}})
	front := wfe.New(quiet, store, va.New(quiet, h.http, h.tls, false, resolver(a.t), store), issuer, []string{"pebble.letsencrypt.org"}, false, false, 1, 1)
	a.roots = x509.NewCertPool()
	a.roots.AppendCertsFromPEM(issuer.GetRootCert(0).PEM())
	handler := front.Handler()
	a.server = &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{a.pair}}, ErrorLog: quiet,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if instead := a.instead.Load(); instead != nil {
				(*instead)(w, r)
				return
			}
			s := &status{ResponseWriter: w}
			handler.ServeHTTP(s, r)
			if r.URL.Path == "/order-plz" && s.code == http.StatusCreated { // others had a nonce that was refused
				a.orders.Add(1)
			}
		}),
	}
	go a.server.ServeTLS(a.listener, "", "")
}

// status notes the status of an answer.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// stop makes the authority a host where nobody listens.
func (a *authority) stop() {
	if a.server != nil {
		_ = a.server.Close()
	}
	_ = a.listener.Close() // may be closed
}

// resolver serves a DNS in which every name is this machine, and returns its address.
func resolver(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		for _, question := range q.Question {
			if question.Qtype == dns.TypeA {
				m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)})
			}
		}
		_ = w.WriteMsg(m) // the other end may be gone
	})}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = s.Shutdown() })
	return l.Addr().String()
}

// served returns the certificate that is shown for a name, verified with roots if there
// are any.
func served(address, name string, roots *x509.CertPool) (*x509.Certificate, error) {
	cfg := &tls.Config{ServerName: name, RootCAs: roots, InsecureSkipVerify: roots == nil}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", address, cfg)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port
}

func isPlaceholder(c *x509.Certificate) bool {
	return strings.HasSuffix(c.Subject.CommonName, ".invalid")
}
