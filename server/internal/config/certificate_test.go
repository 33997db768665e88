package config_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
)

// The ids of certificates, which are not found by Load.
var ofCertificates = []string{"merlon.E052", "merlon.E053", "merlon.E054"}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// issue makes a self-signed certificate and its key, in PEM.
func issue(t *testing.T, change func(*x509.Certificate)) (cert, key []byte) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"api.example.com"}, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, secret.Public(), secret)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func TestCertificate(t *testing.T) {
	cert, key := issue(t, nil)
	otherCert, otherKey := issue(t, nil)
	hosts := []string{"api.example.com"}
	for _, tt := range []struct {
		name      string
		cert, key []byte // nil: no file
		hosts     []string
		now       time.Time
		want      []string // id, file and a part of the message, separated by spaces
		unnamed   []string
	}{
		{"all is well", cert, key, hosts, noon, nil, nil},
		{"a chain", slices.Concat(cert, otherCert), key, hosts, noon, nil, nil},
		{"the key in front of the certificate in one file", slices.Concat(key, cert), key, hosts, noon, nil, nil},
		{"no files", nil, nil, hosts, noon, []string{"E052 cert.pem cannot be read: no such file", "E052 key.pem cannot be read: no such file"}, nil},
		{"no key", cert, nil, hosts, noon, []string{"E052 key.pem cannot be read: no such file"}, nil},
		{"the key of another", cert, otherKey, hosts, noon, []string{"E052 key.pem not the key of"}, nil},
		{"the chain in the wrong order", slices.Concat(otherCert, cert), key, hosts, noon, []string{"E052 key.pem not the key of"}, nil},
		{"the files exchanged", key, cert, hosts, noon, []string{"E052 cert.pem holds no certificate"}, nil},
		{"an empty file", []byte{}, key, hosts, noon, []string{"E052 cert.pem holds no certificate"}, nil},
		{"not PEM", cert, []byte("hello"), hosts, noon, []string{"E052 key.pem not the key of"}, nil},
		{"a certificate that is none", []byte("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"), key, hosts, noon, []string{"E052 cert.pem malformed certificate"}, nil},
		{"the last second", cert, key, hosts, noon.Add(time.Hour), nil, nil},
		{"expired", cert, key, hosts, noon.Add(time.Hour + time.Second), []string{"E053 cert.pem expired at 2026-05-01T13:00:00Z"}, nil},
		{"the first second", cert, key, hosts, noon.Add(-time.Hour), nil, nil},
		{"not yet valid", cert, key, hosts, noon.Add(-time.Hour - time.Second), []string{"E053 cert.pem not valid before 2026-05-01T11:00:00Z"}, nil},
		{"another host", cert, key, []string{"www.example.com"}, noon, []string{"E054 cert.pem names none of hosts"}, nil},
		{"one of two hosts", cert, key, []string{"api.example.com", "www.example.com"}, noon, nil, []string{"www.example.com"}},
		{"no hosts", cert, key, nil, noon, nil, nil},
		{"all at once", cert, otherKey, []string{"www.example.com"}, noon.Add(48 * time.Hour),
			[]string{"E052 key.pem not the key of", "E053 cert.pem expired", "E054 cert.pem names none"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir()) // the path of it looks like a secret, and would not be shown
			for name, text := range map[string][]byte{"cert.pem": tt.cert, "key.pem": tt.key} {
				if text == nil {
					continue
				}
				if err := os.WriteFile(name, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			pair, unnamed, problems := config.Certificate(config.TLS{Cert: "cert.pem", Key: "key.pem"}, tt.hosts, tt.now)
			if (pair != nil) != (len(tt.want) == 0) || !slices.Equal(unnamed, tt.unnamed) {
				t.Errorf("pair %v, unnamed %v; want unnamed %v", pair != nil, unnamed, tt.unnamed)
			}
			if len(problems) != len(tt.want) {
				t.Fatalf("problems:\n%swant %q", lines(problems), tt.want)
			}
			for i, p := range problems {
				id, rest, _ := strings.Cut(tt.want[i], " ")
				file, message, _ := strings.Cut(rest, " ")
				if p.ID != "merlon."+id || p.Where != file || !strings.Contains(p.Message, message) || p.Fix == "" || p.Severity != config.SeverityError {
					t.Errorf("%+v; want %s", p, tt.want[i])
				}
				if !slices.Contains(ofCertificates, p.ID) {
					t.Errorf("%s is not among the ids of certificates", p.ID)
				}
				if text := p.String(); bytes.Contains(tt.key, []byte("PRIVATE")) && strings.Contains(text, string(tt.key[40:60])) {
					t.Errorf("the key is shown: %s", text)
				}
			}
		})
	}
}

func TestCertificatesThatAreNotForServers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		usage []x509.ExtKeyUsage
		hosts []string
		want  bool
	}{
		{"for clients", []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, []string{"api.example.com"}, false},
		{"for both", []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, []string{"api.example.com"}, true},
		{"for anything", []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, []string{"api.example.com"}, true},
		{"without a word about it", nil, []string{"api.example.com"}, true},
	} {
		dir := t.TempDir()
		cert, key := issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = tt.usage })
		set := config.TLS{Cert: filepath.Join(dir, "c"), Key: filepath.Join(dir, "k")}
		for path, text := range map[string][]byte{set.Cert: cert, set.Key: key} {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, problems := config.Certificate(set, tt.hosts, noon); (len(problems) == 0) != tt.want {
			t.Errorf("%s:\n%s", tt.name, lines(problems))
		}
	}
	if pair, _, problems := config.Certificate(config.TLS{}, nil, noon); pair != nil || problems != nil {
		t.Errorf("without TLS: %v", problems)
	}
}
