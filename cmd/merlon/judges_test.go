//go:build unix

package main_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tools of this file were written by others, who know what a TLS or an HTTP/2
// server does wrong.

// A hardened is a service as production runs it, by the name localhost, which the tools
// can resolve.
type hardened struct {
	service
	client             // over clear text, to the port of metrics
	host, port         string
	clearPort, ca, dir string
}

func startHardened(t *testing.T, more string) hardened {
	t.Helper()
	dir := t.TempDir()
	issue(t, dir)
	listen := freeAddress(t)
	_, port, _ := net.SplitHostPort(listen)
	config := write(t, dir, "merlon.yaml", "environment: production\nsecret_key: 3f9b2c71d84e60a5f7c1290eb46d8a53\nhosts: [localhost]\n"+
		"tls: {cert: cert.pem, key: key.pem}\ndatabase_url: sqlite:data/merlon.db\nredirect_listen: \"127.0.0.1:0\"\nredirect_port: "+port+
		"\noperations_listen: \"127.0.0.1:0\"\nconnections: {max: 30000, per_address: 30000}\nrate_limits:\n  address: {limit: 1000000, window: 1m}\n"+more)
	p := start(t, merlon("serve", "--listen", listen, "--config", config).in(dir))
	clearAt := p.line(p.stderr, `time=\S+ level=INFO msg="redirecting clear text to https" address=(\S+)`)[1]
	metrics := p.line(p.stderr, `time=\S+ level=INFO msg="serving metrics" address=(\S+)`)[1]
	p.line(p.stderr, `time=\S+ level=INFO msg=serving .*`)
	_, clearPort, _ := net.SplitHostPort(clearAt)
	return hardened{service{process: p, address: listen}, newClient(t, "http://"+metrics), "localhost", port, clearPort, filepath.Join(dir, "ca.pem"), dir}
}

// issue writes a certificate for localhost as a public authority would make it, and
// that of the authority, below dir.
func issue(t *testing.T, dir string) {
	t.Helper()
	serial := func() *big.Int {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	sign := func(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parentKey == nil {
			parentKey = key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
		if err != nil {
			t.Fatal(err)
		}
		return key, der
	}
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Authority of the tests"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	authorityKey, root := sign(authority, authority, nil)
	key, der := sign(&x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, 89), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, CRLDistributionPoints: []string{"http://crl.localhost/1.crl"},
	}, authority, authorityKey)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "ca.pem": {Type: "CERTIFICATE", Bytes: root}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		write(t, dir, name, string(pem.EncodeToMemory(block)))
	}
}

// needs skips where a program is missing, and fails where CI is true.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("%s is not installed", program)
	}
}

// judge runs a tool to its end and returns what it printed. What it thinks is in
// there; its exit code often is not.
func judge(t *testing.T, dir string, within time.Duration, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); ctx.Err() != nil {
		t.Fatalf("%s: %v\n%s", name, err, out.String())
	}
	return out.String()
}

// modernSuites are the cipher suites of TLS 1.3 and those of TLS 1.2 with forward
// secrecy and authenticated encryption (RFC 9325 section 4.2), by their OpenSSL names.
var modernSuites = []string{
	"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
	"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
}

func TestSSLScanFindsModernTLSOnly(t *testing.T) {
	needs(t, "sslscan")
	t.Parallel()
	s := startHardened(t, "")
	out := judge(t, s.dir, patience, nil, "sslscan", "--no-colour", "--xml="+filepath.Join(s.dir, "sslscan.xml"), net.JoinHostPort(s.host, s.port))
	var report struct {
		Test struct {
			Protocols []struct {
				Type    string `xml:"type,attr"`
				Version string `xml:"version,attr"`
				Enabled int    `xml:"enabled,attr"`
			} `xml:"protocol"`
			Renegotiation struct {
				Supported int `xml:"supported,attr"`
			} `xml:"renegotiation"`
			Heartbleed []struct {
				Vulnerable int `xml:"vulnerable,attr"`
			} `xml:"heartbleed"`
			Ciphers []struct {
				Name string `xml:"cipher,attr"`
			} `xml:"cipher"`
		} `xml:"ssltest"`
	}
	if err := xml.Unmarshal([]byte(read(t, filepath.Join(s.dir, "sslscan.xml"))), &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var enabled []string
	for _, p := range report.Test.Protocols {
		if p.Enabled == 1 {
			enabled = append(enabled, p.Type+p.Version)
		}
	}
	if !slices.Equal(enabled, []string{"tls1.2", "tls1.3"}) {
		t.Errorf("enabled are %v", enabled)
	}
	if report.Test.Renegotiation.Supported != 0 {
		t.Error("a client can renegotiate")
	}
	for _, h := range report.Test.Heartbleed {
		if h.Vulnerable != 0 {
			t.Error("heartbleed")
		}
	}
	for _, c := range report.Test.Ciphers {
		if !slices.Contains(modernSuites, c.Name) {
			t.Errorf("cipher suite %s", c.Name)
		}
	}
	if len(report.Test.Ciphers) < len(modernSuites) {
		t.Errorf("%d cipher suites were found:\n%s", len(report.Test.Ciphers), out)
	}
}

// What net/http does not refuse as RFC 7540 asks. RFC 9113 asks the first two no more
// of who reads. The last two are answered with a refusal before the body is seen to
// be of another length than its Content-Length, so that no stream error is left to
// send; a body that is read is refused (TestHTTP2BodiesAreAsLongAsTheySay).
var h2specMisses = []string{"8.1.2.2/1", "8.1.2.2/2", "6.5.3/1", "6.9.1/3", "4.2/3", "8.1.2.6/1", "8.1.2.6/2"}

func TestH2SpecFindsNothingNew(t *testing.T) {
	t.Parallel()
	tool, err := filepath.Abs(filepath.Join("..", "..", "tools", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	s := startHardened(t, "")
	report := filepath.Join(s.dir, "h2spec.xml")
	out := judge(t, filepath.Dir(tool), 5*time.Minute, nil, "go", "tool", "h2spec", "-h", s.host, "-p", s.port, "-t", "-k", "-P", "/health", "-o", "5", "-j", report)
	var suites struct {
		Suites []struct {
			Cases []struct {
				Package string    `xml:"package,attr"`
				Name    string    `xml:"classname,attr"`
				Error   *struct{} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(read(t, report)), &suites); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	total, missed := 0, []string{}
	for _, suite := range suites.Suites {
		for i, c := range suite.Cases {
			total++
			if c.Error == nil {
				continue
			}
			section := c.Package[strings.LastIndexByte(c.Package, '/')+1:]
			miss := fmt.Sprintf("%s/%d", section, i+1)
			missed = append(missed, miss)
			if !slices.Contains(h2specMisses, miss) {
				t.Errorf("missed %s: %s", miss, c.Name)
			}
		}
	}
	if total < 140 {
		t.Errorf("%d cases ran:\n%s", total, out)
	}
	t.Logf("%d of %d; missed %v", total-len(missed), total, missed)
}

// Takes a minute: make testssl.
func TestTestSSLFindsNothing(t *testing.T) {
	program := os.Getenv("TESTSSL")
	if program == "" {
		t.Skip("TESTSSL is not set; make testssl sets it")
	}
	s := startHardened(t, "")
	report := filepath.Join(s.dir, "testssl.json")
	out := judge(t, s.dir, 10*time.Minute, nil, program, "--quiet", "--color", "0", "--warnings", "off", "--add-ca", s.ca,
		"--jsonfile", report, "--ip", "127.0.0.1", "https://"+net.JoinHostPort(s.host, s.port)+"/docs")
	var findings []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal([]byte(read(t, report)), &findings); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ok := 0
	for _, f := range findings {
		switch f.Severity {
		case "OK", "INFO":
			ok++
		case "LOW", "MEDIUM", "HIGH", "CRITICAL", "FATAL":
			switch f.ID {
			case "DNS_CAArecord": // localhost has none
			case "TLS_session_ticket": // the hint of crypto/tls is seven days whatever the keys, which are gone after two
			case "cert_expirationStatus", "cert_notAfter": // shorter than the 90 days it was written for
			default:
				t.Errorf("%s %s: %s", f.Severity, f.ID, f.Finding)
			}
		default:
			t.Logf("%s %s: %s", f.Severity, f.ID, f.Finding)
		}
	}
	if ok < 50 {
		t.Errorf("%d findings are fine:\n%s", ok, out)
	}
	t.Logf("%d checks, %d fine", len(findings), ok)
}

// Needs npm: make observatory.
func TestObservatoryGivesItsBestGrade(t *testing.T) {
	dir := os.Getenv("OBSERVATORY")
	if dir == "" {
		t.Skip("OBSERVATORY is not set; make observatory sets it")
	}
	s := startHardened(t, "")
	for path, want := range map[string]string{"/docs": "grade A+ 135", "/signed-out": "grade A+ 130"} { // the latter loads no script that a bonus could be for
		out := judge(t, s.dir, patience, []string{"NODE_EXTRA_CA_CERTS=" + s.ca}, "node", filepath.Join(dir, "evaluate.mjs"), s.host, s.clearPort, s.port, (&url.URL{Path: path}).String())
		t.Logf("%s\n%s", path, out)
		if !strings.HasSuffix(strings.TrimSpace(out), want) || strings.Contains(out, "FAIL") {
			t.Errorf("%s: want %s", path, want)
		}
	}
}
