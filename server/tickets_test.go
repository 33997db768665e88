package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

func selfSigned(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"api.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// resumes makes a connection with the tickets of cache, reads a byte, so that new tickets
// arrive, and reports whether the session was resumed.
func resumes(t *testing.T, cfg *tls.Config, version uint16, cache tls.ClientSessionCache) bool {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = tls.Server(conn, cfg).Write([]byte("x"))
	}()
	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{
		InsecureSkipVerify: true, ServerName: "api.example.com", // nothing but resumption is looked at here
		ClientSessionCache: cache, MinVersion: version, MaxVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().DidResume
}

func TestSessionTicketsAreGoodForTwoDaysAtMost(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, tt := range []struct {
			name  string
			turns []time.Duration // after the ticket, since the first key was made
			want  bool
		}{
			{"a ticket of the key that makes them", nil, true},
			{"a second before the key is a day old", []time.Duration{24*time.Hour - time.Second}, true},
			{"a ticket of the day before", []time.Duration{24 * time.Hour}, true},
			{"a second before the second day is over", []time.Duration{24 * time.Hour, 48*time.Hour - time.Second}, true},
			{"a ticket of two days ago", []time.Duration{24 * time.Hour, 48 * time.Hour}, false},
			{"the machine slept for two days", []time.Duration{48 * time.Hour}, false},
		} {
			start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			var served serving
			cfg := encryption(selfSigned(t), &served)
			served.tickets.begin(cfg, start)
			cache := tls.NewLRUClientSessionCache(1)
			if resumes(t, cfg, version, cache) {
				t.Fatal("a session was resumed that there was not")
			}
			for _, after := range tt.turns {
				served.tickets.turn(start.Add(after))
			}
			if got := resumes(t, cfg, version, cache); got != tt.want {
				t.Errorf("%s: %s: resumed %v, want %v", tls.VersionName(version), tt.name, got, tt.want)
			}
			if n := len(served.tickets.keys); n > 2 {
				t.Errorf("%s: %d keys are kept", tt.name, n)
			}
		}
	}
}

func TestAnotherCertificateEndsTheTicketsOfTheFormer(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var served serving
		cfg := encryption(selfSigned(t), &served)
		former := tls.NewLRUClientSessionCache(1)
		resumes(t, cfg, version, former)
		served.replace(selfSigned(t))
		if resumes(t, cfg, version, former) {
			t.Errorf("%s: a session of the former certificate was resumed", tls.VersionName(version))
		}
		// Which made a ticket of the new one, and that is good.
		if !resumes(t, cfg, version, former) {
			t.Errorf("%s: a session of the new certificate was not resumed", tls.VersionName(version))
		}
	}
}

func TestTheKeysOfTicketsAreOfOneProcess(t *testing.T) {
	pair := selfSigned(t)
	var one, other serving
	cfg, second := encryption(pair, &one), encryption(pair, &other)
	cache := tls.NewLRUClientSessionCache(1)
	resumes(t, cfg, tls.VersionTLS13, cache)
	if resumes(t, second, tls.VersionTLS13, cache) {
		t.Error("another process resumed the session")
	}
	if encryption(nil, &serving{}) != nil {
		t.Error("TLS without a certificate")
	}
	(&tickets{}).turn(time.Now()) // clear text has none
}
