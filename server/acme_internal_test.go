package server

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/merlonhq/merlon/server/internal/acme"
	"github.com/merlonhq/merlon/server/internal/config"
)

// A probe trusts what the server shows: the placeholder, where what is kept cannot be used.
func TestTheFileOfTheCertificateIsOneThatIsServed(t *testing.T) {
	const directory = "https://ca.example/directory"
	storage := t.TempDir()
	set := func(name string) Settings {
		return Settings{set: config.Settings{ACME: config.ACME{Domains: []string{name}, DirectoryURL: directory, Storage: storage}}}
	}
	made := selfSigned(t) // for api.example.com
	key, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Certificate[0]})
	both := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), cert...)
	placeholder := acme.PlaceholderFile(storage, directory)
	if err := os.MkdirAll(filepath.Dir(placeholder), 0o700); err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct {
		name string
		text []byte // nil for no file
		kept bool
	}{
		"no file":                         {"api.example.com", nil, false},
		"a certificate and its key":       {"api.example.com", both, true},
		"one for another name":            {"www.example.com", both, false},
		"the certificate without its key": {"api.example.com", cert, false},
		"half of a file":                  {"api.example.com", bytes.TrimSuffix(both, cert[len(cert)/2:]), false},
	} {
		file := acme.File(storage, directory, tt.name)
		_ = os.Remove(file)
		if tt.text != nil {
			if err := os.WriteFile(file, tt.text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want := placeholder
		if tt.kept {
			want = file
		}
		if got := set(tt.name).CertificateFile(); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
}
