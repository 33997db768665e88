//go:build unix

package main_test

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
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The server on this machine is found by its settings, from the file and from the
// environment, and by its certificate, whose name leads elsewhere.
func TestHealthFindsTheServerBySettings(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	certificate(t, dir)
	certificate(t, other)
	s := startService(t, merlon("--config", write(t, dir, "merlon.yaml", productionTLS)).in(dir))
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	plain := startService(t, merlon("--config", write(t, t.TempDir(), "merlon.yaml", developmentConfig)))

	for _, tt := range []struct {
		name   string
		config string
		env    []string
		args   []string
		code   int
		says   string
	}{
		{name: "TLS on the address of the settings", config: productionTLS + "listen: " + s.address},
		{name: "TLS on all addresses", config: productionTLS + `listen: ":` + port + `"`},
		{name: "TLS on all addresses of version 4", config: productionTLS + "listen: 0.0.0.0:" + port},
		{name: "the port of the environment", config: productionTLS, env: []string{"MERLON_LISTEN=:" + port}},
		{name: "clear text", config: developmentConfig + "listen: " + plain.address},
		{name: "settings of the environment alone", env: []string{"MERLON_ENVIRONMENT=development", "MERLON_LISTEN=" + plain.address}},
		{name: "clear text asked of TLS", config: production + keyAndHosts + "trusted_proxies: [10.0.0.1]\nlisten: " + s.address, code: 1, says: "status 400"},
		{name: "another certificate for the same name", config: strings.ReplaceAll(productionTLS, "cert.pem, key: ", filepath.Join(other, "cert.pem")+", key: ") + "listen: " + s.address,
			code: 1, says: "certificate signed by unknown authority"},
		{name: "no certificate", config: strings.ReplaceAll(productionTLS, "cert.pem", "nothing.pem") + "listen: " + s.address, code: 1, says: "nothing.pem"},
		{name: "a key for a certificate", config: strings.ReplaceAll(productionTLS, "cert.pem", "key.pem") + "listen: " + s.address, code: 1, says: "no certificate"},
		{name: "a port where nothing is", config: productionTLS + "listen: 127.0.0.1:1", code: 1, says: "refused"},
		{name: "settings that are wrong", config: "hots: []\n", code: 1, says: "merlon.E003 "},
		{name: "no file of settings", args: []string{"--config", filepath.Join(other, "nothing.yaml")}, code: 1, says: "merlon.E001 "},
		{name: "a URL and settings", config: productionTLS, args: []string{"--url", "https://api.example.com"}, code: 2, says: "--url"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"health"}, tt.args...)
			if tt.config != "" {
				args = append(args, "--config", write(t, t.TempDir(), "merlon.yaml", tt.config))
			}
			r := run(t, merlon(args...).in(dir).with(tt.env...))
			if r.code != tt.code || !strings.Contains(r.stderr, tt.says) || (r.stdout != "") != (tt.code == 0) {
				t.Errorf("exit %d, want %d and %q:\n%s%s", r.code, tt.code, tt.says, r.stdout, r.stderr)
			}
		})
	}
}

// Certificates as they come, and those that a client would not take either.
func TestHealthTrustsTheCertificateOfTheSettingsOnly(t *testing.T) {
	t.Parallel()
	soonOver := time.Now().Add(time.Hour)
	authority := newAuthority(t)
	for _, tt := range []struct {
		name string
		leaf x509.Certificate
		code int
	}{
		{"a name", x509.Certificate{DNSNames: []string{"api.example.com"}, NotAfter: soonOver}, 0},
		{"a wildcard", x509.Certificate{DNSNames: []string{"*.example.com"}, NotAfter: soonOver}, 0},
		{"an address", x509.Certificate{IPAddresses: []net.IP{net.IPv4(192, 0, 2, 7)}, NotAfter: soonOver}, 0},
		{"no name", x509.Certificate{NotAfter: soonOver}, 1},
		{"expired", x509.Certificate{DNSNames: []string{"api.example.com"}, NotAfter: time.Now().Add(-time.Minute)}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pair, chain := authority.issue(t, tt.leaf)
			write(t, dir, "cert.pem", chain)
			renewed, _ := authority.issue(t, tt.leaf)
			stranger, _ := newAuthority(t).issue(t, tt.leaf)
			for what, served := range map[string]struct {
				pair tls.Certificate
				code int
			}{
				"the certificate of the file":     {pair, tt.code},
				"one of the same chain, renewed":  {renewed, tt.code},
				"one of a stranger for this name": {stranger, 1},
			} {
				srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"status":"ok"}`) }))
				srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it is refused on purpose
				srv.TLS = &tls.Config{Certificates: []tls.Certificate{served.pair}}
				srv.StartTLS()
				t.Cleanup(srv.Close)
				config := write(t, t.TempDir(), "merlon.yaml", productionTLS+"listen: "+srv.Listener.Addr().String())
				r := run(t, merlon("health", "--config", config).in(dir))
				if r.code != served.code {
					t.Errorf("%s: exit %d, want %d:\n%s", what, r.code, served.code, r.stderr)
				}
			}
		})
	}
}

// An authority issues certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

// issue returns a new certificate like leaf, and the file of its chain.
func (a authority) issue(t *testing.T, leaf x509.Certificate) (pair tls.Certificate, chain string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf.SerialNumber, leaf.NotBefore = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour)
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, &leaf, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{der, a.cert.Raw} {
		chain += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b}))
	}
	return tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}, chain
}
