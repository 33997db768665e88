package findings_test

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/findings"
)

// A world is a settings file in a directory of its own, with what it names.
type world struct {
	t    *testing.T
	dir  string
	yaml map[string]string // top-level settings as they are written
	env  []string
	uid  int           // the account that serves
	late time.Duration // after the check, that the settings file was written
	open uint64        // files that may be open
	more []string      // variables that are no settings
}

// newWorld is one that nothing is found in.
func newWorld(t *testing.T) *world {
	dir := t.TempDir()
	chmod(t, dir, 0o700)
	uid := os.Geteuid()
	if uid == 0 {
		uid = 4000 // the files are root's, which is expected
	}
	w := &world{t, dir, map[string]string{
		"listen": `"127.0.0.1:8443"`, "hosts": "[api.example.com]", "trusted_proxies": "[10.1.0.0/16]", "password": "{min_length: 15}", "database_url": "sqlite:" + dir + "/merlon.db",
		"audit": "{log: " + dir + "/security.log}", "security_contact": "mailto:security@example.com",
	}, nil, uid, 0, 0, nil}
	w.env = []string{"MERLON_SECRET_KEY_FILE=" + w.file("secret_key", config.GenerateKey().Reveal(), 0o640)}
	return w
}

func (w *world) set(name, value string) *world { w.yaml[name] = value; return w }

// file writes a file of this mode and returns its path.
func (w *world) file(name, text string, mode fs.FileMode) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	chmod(w.t, path, mode)
	w.written(path, 0)
	return path
}

// written sets when the file was written, from the moment of the check.
func (w *world) written(path string, after time.Duration) {
	w.t.Helper()
	if err := os.Chtimes(path, day.Add(after), day.Add(after)); err != nil {
		w.t.Fatal(err)
	}
}

// directory makes a directory of this mode and returns its path.
func (w *world) directory(name string, mode fs.FileMode) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		w.t.Fatal(err)
	}
	chmod(w.t, path, mode)
	return path
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// day is the day of the tests: certificates live around it.
var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A request is a certificate that a test wants: days from the day of the tests.
type request struct {
	from, to int
	name     string
	bits     int // RSA instead of ECDSA
}

// issuer is who signs the certificates of tests.
var issuer = &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "an authority"}, IsCA: true}

// certificate sets a certificate and its key.
func (w *world) certificate(r request) *world { return w.signed(r, nil) }

// signed is certificate, signed by an authority, or where curve is not nil by its own key
// on that curve.
func (w *world) signed(r request, curve elliptic.Curve) *world {
	w.t.Helper()
	var key crypto.Signer
	var err error
	if r.bits > 0 {
		key, err = rsa.GenerateKey(rand.Reader, r.bits)
	} else {
		key, err = ecdsa.GenerateKey(cmp.Or(curve, elliptic.P256()), rand.Reader)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: r.name}, DNSNames: []string{r.name},
		NotBefore: day.AddDate(0, 0, r.from), NotAfter: day.AddDate(0, 0, r.to)}
	parent, signer := issuer, crypto.Signer(nil)
	if signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		w.t.Fatal(err)
	}
	if curve != nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		w.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	cert := w.file("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
	private := w.file("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), 0o640)
	return w.set("tls", "{cert: "+cert+", key: "+private+"}")
}

// check writes the settings and judges them.
func (w *world) check() []findings.Finding {
	w.t.Helper()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(w.yaml)) {
		b.WriteString(name + ": " + w.yaml[name] + "\n")
	}
	path := filepath.Join(w.dir, "merlon.yaml")
	if _, err := os.Stat(path); err != nil {
		w.file("merlon.yaml", b.String(), 0o640)
	} else if err := os.WriteFile(path, []byte(b.String()), 0); err != nil { // it has the mode of the test
		w.t.Fatal(err)
	}
	w.written(path, w.late)
	set, places, problems := config.LoadPlaces(config.Source{File: path, Environ: w.env})
	return findings.Check(findings.Input{Settings: set, Places: places, Problems: problems, File: path, Environ: w.more, UID: w.uid, OpenFiles: w.open, Now: day})
}

func (w *world) want(id string, n int) {
	w.t.Helper()
	found := w.check()
	for _, f := range found {
		if f.ID != id || f.Where == "" || f.Message == "" || f.Why == "" || f.Fix == "" || !slices.Contains(findings.Severities(), f.Severity) {
			w.t.Errorf("not asked for, or incomplete: %+v", f)
		}
	}
	if len(found) != n {
		w.t.Errorf("%d findings, want %d: %s", len(found), n, lines(found))
	}
}

func lines(found []findings.Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "\n%s %s %s: %s; %s", f.ID, f.Severity, f.Where, f.Message, f.Fix)
	}
	return b.String()
}
