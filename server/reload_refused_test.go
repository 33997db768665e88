package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server"
	"github.com/merlonhq/merlon/server/internal/sqlite"
)

// pair writes a certificate and its key, and returns the settings that name them.
func pair(t *testing.T, dir string, serial int64) string {
	t.Helper()
	made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, made.Public(), made)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(made)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "tls: {cert: " + filepath.Join(dir, "cert.pem") + ", key: " + filepath.Join(dir, "key.pem") + "}\n"
}

// A renewed certificate does not wait for a database that is away.
func TestACertificateIsServedThoughTheSettingsBesideItCannotBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tls, former := pair(t, dir, 1), key()
	r := startReloading(t, tls+"secret_key: "+former+"\n")
	db, err := sqlite.New(sqlite.Config{Path: filepath.Join(r.dir, "merlon.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Writer().ExecContext(t.Context(), "ALTER TABLE token_keys RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	pair(t, dir, 2)
	r.write(t, tls+"secret_key: "+key()+"\nsecret_key_previous: ["+former+"]\n")
	if err := r.Reload(t.Context(), r.src); !errors.Is(err, server.ErrLater) {
		t.Errorf("%v, want ErrLater", err)
	}
	if !strings.Contains(r.log.String(), "reload: a new certificate is served") {
		t.Errorf("the certificate before is served:\n%s", r.log)
	}
	if strings.Contains(r.log.String(), "reload: other settings are in force") {
		t.Errorf("the settings are in force:\n%s", r.log)
	}
}

// What does not pass by itself is not tried again and again.
func TestAnotherSecretKeyIsNoReasonToTryLater(t *testing.T) {
	t.Parallel()
	more := "environment: production\nhosts: [api.example.com]\ntrusted_proxies: [127.0.0.1]\nlisten: 127.0.0.1:0\nsecret_key: "
	former := key()
	r := startReloadingProduction(t, more+former+"\n")
	r.write(t, more+key()+"\n")
	if err := r.Reload(t.Context(), r.src); err == nil || errors.Is(err, server.ErrLater) {
		t.Errorf("%v, want an error that stays", err)
	}
	if !strings.Contains(r.log.String(), "merlon.N140") {
		t.Errorf("the log does not say what to do:\n%s", r.log)
	}
	r.reload(t, more+key()+"\nsecret_key_previous: ["+former+"]\n")
}

// With acme there is no certificate among the files: that is no change.
func TestAWatchBesideACMESeesNoChangeAtTheStart(t *testing.T) {
	t.Parallel()
	more := "environment: production\nhosts: [api.merlon-acme.dev]\nlisten: 127.0.0.1:0\nsecret_key: " + key() + "\n" +
		"acme: {domains: [api.merlon-acme.dev], terms_agreed: true, directory_url: \"https://127.0.0.1:9/dir\", storage: " + filepath.Join(t.TempDir(), "acme") + "}\n"
	r := startReloadingProduction(t, more)
	w := r.Watch(r.src)
	if seen(w, 3) {
		t.Error("a change that there was not")
	}
	r.write(t, more+"security_contact: mailto:security@example.com\n")
	if !seen(w, 3) {
		t.Error("a change was not seen")
	}
	if err := r.Reload(t.Context(), r.src); err != nil {
		t.Errorf("%v:\n%s", err, r.log)
	}
}

// The steps of docs/operating.md for a secret key that leaked, in production, where a key
// that is another than the database's is refused.
func TestASecretKeyThatLeakedIsReplacedInProduction(t *testing.T) {
	t.Parallel()
	more := "environment: production\nhosts: [api.example.com]\ntrusted_proxies: [127.0.0.1]\nlisten: 127.0.0.1:0\nsecret_key: "
	leaked, next := key(), key()
	r := startReloadingProduction(t, more+leaked+"\n")
	r.reload(t, more+next+"\nsecret_key_previous: ["+leaked+"]\n")
	set, problems := server.LoadSettings(r.src)
	if server.Fatal(problems) {
		t.Fatal(problems)
	}
	if made, err := server.RotateTokenKeys(t.Context(), set, 0, true); err != nil || made.Removed != 1 {
		t.Fatalf("%+v, %v: want the key before to be removed", made, err)
	}
	r.reload(t, more+next+"\n")
	again, err := server.RotateTokenKeys(t.Context(), set, 0, true)
	if err != nil || again.Removed != 1 {
		t.Errorf("%+v, %v: want one key of the new secret", again, err)
	}
}

// A file that changes while the service drains is no refusal that a monitor is told of.
func TestAReloadAfterTheEndWasAskedForDoesNothing(t *testing.T) {
	t.Parallel()
	former := key()
	r := startReloading(t, "secret_key: "+former+"\n")
	before := r.log.String()
	r.write(t, "secret_key: "+key()+"\nsecret_key_previous: ["+former+"]\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Reload(ctx, r.src); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that of the context", err)
	}
	if said := r.log.String()[len(before):]; said != "" {
		t.Errorf("it says:\n%s", said)
	}
	if err := r.Reload(t.Context(), r.src); err != nil {
		t.Errorf("%v:\n%s", err, r.log)
	}
}
