package browser_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// production is a service in production: `merlon serve` over TLS at app.example.com,
// with one account, an admin's.
type production struct {
	url    string         // for browsers
	flags  map[string]any // with which a browser finds and trusts it
	admin  account
	client *http.Client // logged in as the admin
}

func serveProduction(t *testing.T) *production {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app.example.com"}, DNSNames: []string{"app.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(40 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	file := filepath.Join(dir, "merlon.yaml")
	for name, text := range map[string][]byte{
		"cert.pem": cert, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		"merlon.yaml": fmt.Appendf(nil, "listen: 127.0.0.1:0\ndrain_time: 0s\nhosts: [app.example.com]\ntls: {cert: %[1]s/cert.pem, key: %[1]s/key.pem}\n"+
			"database_url: sqlite:%[1]s/merlon.db\naudit: {log: %[1]s/security.log}\n", dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"MERLON_SECRET_KEY=" + rand.Text() + rand.Text()}
	p := &production{admin: account{"root-of-all", rand.Text()}}
	create := exec.Command(binary, "users", "create", "--config", file, "--username", p.admin.Username, "--email", "admin@example.com", "--role", "admin", "--password-stdin")
	create.Env, create.Stdin = append(os.Environ(), environ...), bytes.NewReader([]byte(p.admin.Password))
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, stderr := start(t, environ, "serve", "--config", file)
	serving := regexp.MustCompile(`msg=serving .*address=(\S+)`)
	var address []string
	for end := time.Now().Add(30 * time.Second); address == nil; time.Sleep(20 * time.Millisecond) {
		if address = serving.FindStringSubmatch(stderr.String()); time.Now().After(end) {
			t.Fatalf("the service does not say that it serves:\n%s", stderr)
		}
	}
	_, port, err := net.SplitHostPort(address[1])
	if err != nil {
		t.Fatal(err)
	}
	p.url = "https://app.example.com:" + port
	sum := sha256.Sum256(public)
	p.flags = map[string]any{
		"host-resolver-rules":                 "MAP app.example.com 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"ignore-certificate-errors-spki-list": base64.StdEncoding.EncodeToString(sum[:]),
		"short-reporting-delay":               true, // reports come at once, not within a minute
	}
	p.logIn(t, cert, address[1])
	return p
}

// logIn makes the client.
func (p *production) logIn(t *testing.T, cert []byte, address string) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	p.client = &http.Client{Transport: transport, Jar: jar}
	resp, err := p.client.Post(p.url+"/api/v1/auth/login", "application/json", bytes.NewReader([]byte(quote(t, p.admin))))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Fatalf("logging in: status %d", resp.StatusCode)
	}
}

// violations returns the details of the events of violated policies.
func (p *production) violations(t *testing.T) []map[string]any {
	t.Helper()
	resp, err := p.client.Get(p.url + "/api/v1/events?limit=100&type=malicious_csp_violation")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var list struct {
		Items []struct{ Detail map[string]any }
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || resp.StatusCode != 200 {
		t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	var out []map[string]any
	for _, item := range list.Items {
		out = append(out, item.Detail)
	}
	return out
}
