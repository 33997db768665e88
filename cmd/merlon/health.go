package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/merlonhq/merlon/server"
)

type healthCommand struct {
	URL    *string `name:"url" help:"The server to ask." placeholder:"URL" xor:"server"`
	Config string  `help:"Ask the server on this machine that runs with this YAML file." placeholder:"FILE" type:"path" xor:"server"`
}

// demoURL is where a demo listens unless told otherwise.
const demoURL = "http://127.0.0.1:8080"

func (healthCommand) examples() string {
	return `Examples:
  merlon health
  merlon health --config /etc/merlon/merlon.yaml
  merlon health --url https://api.example.com

Without --url the server on this machine is asked, where the settings say that it
listens: --config and the MERLON_ variables, as serve reads them, or ` + demoURL + `
without either. When it serves TLS, it must show the certificate of tls.cert. With
--url the system's authorities decide whose certificate is good.

Exit codes: 0 ready, 1 not.
`
}

// Run asks /health/ready, which knows the stores. It follows no redirect: what is
// somewhere else is not this server.
func (cmd healthCommand) Run(ctx context.Context, c console) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	base, err := cmd.server(c, transport)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("health", "ready").String(), nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("not healthy: %w", err)
	}
	defer resp.Body.Close()
	var body struct {
		Status string `json:"status"`
	}
	// Whatever answers there may not be Merlon: nothing of its text is printed.
	err = json.NewDecoder(io.LimitReader(resp.Body, 4<<10)).Decode(&body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not healthy: status %d", resp.StatusCode)
	}
	if err != nil || body.Status != "ok" {
		return fmt.Errorf("not healthy: %s does not answer as Merlon does", base.Host)
	}
	_, err = fmt.Fprintln(c.out, `{"status":"ok"}`)
	return err
}

// server returns the server to ask, and prepares t for one of this machine.
func (cmd healthCommand) server(c console, t *http.Transport) (*url.URL, error) {
	address := demoURL
	switch {
	case cmd.URL != nil:
		address = *cmd.URL
	case cmd.Config != "" || slices.ContainsFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MERLON_") }):
		return cmd.local(c, t)
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("--url %q: want a URL such as %s", address, demoURL)
	}
	return base, nil
}

// local returns the server of the settings. With wrong ones no server runs.
func (cmd healthCommand) local(c console, t *http.Transport) (*url.URL, error) {
	set, problems := server.LoadSettings(server.Source{File: cmd.Config, Environ: os.Environ()})
	if server.Fatal(problems) {
		for _, p := range problems {
			fmt.Fprintln(c.err, p)
		}
		return nil, exit(exitFailed)
	}
	host, port, err := net.SplitHostPort(set.Listen())
	if err != nil {
		return nil, err
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() {
			host = "::1"
		}
	}
	t.Proxy = nil // it is this machine
	base := &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}
	if set.CertificateFile() == "" {
		return base, nil
	}
	base.Scheme = "https"
	t.TLSClientConfig, err = trustOnly(set.CertificateFile())
	return base, err
}

// trustOnly returns how to talk to a server with the certificates of file and with
// no other: they are the only authorities, and the first of them tells the name, since
// the name that its clients use need not lead here.
func trustOnly(file string) (*tls.Config, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("tls.cert: %w", err)
	}
	cfg := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("tls.cert: %s: %w", file, err)
		}
		cfg.RootCAs.AddCert(cert)
		if cfg.ServerName == "" {
			cfg.ServerName = nameOf(cert)
		}
	}
	if cfg.ServerName == "" {
		return nil, fmt.Errorf("tls.cert: %s holds no certificate with a name", file)
	}
	return cfg, nil
}

// nameOf returns a name that the certificate holds for.
func nameOf(cert *x509.Certificate) string {
	switch {
	case len(cert.DNSNames) > 0:
		return strings.Replace(cert.DNSNames[0], "*", "health", 1)
	case len(cert.IPAddresses) > 0:
		return cert.IPAddresses[0].String()
	}
	return ""
}
