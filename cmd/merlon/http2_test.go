//go:build unix

package main_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rawHTTP2 sends one request as it is told to, right or wrong, and returns the
// status of the answer, or "reset".
func rawHTTP2(t *testing.T, s secure, method, path, length, body string, header ...string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", s.tlsAddress, &tls.Config{RootCAs: s.pool, ServerName: "api.example.com", NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience)) // a connection has deadlines
	if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
		t.Fatalf("negotiated %q, want h2", got)
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	fields := append([]string{":method", method, ":scheme", "https", ":authority", "api.example.com", ":path", path}, header...)
	if length != "" {
		fields = append(fields, "content-length", length)
	}
	for i := 0; i < len(fields); i += 2 {
		if err := encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	write := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write(framer.WriteSettings())
	write(framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: body == ""}))
	if body != "" {
		write(framer.WriteData(1, true, []byte(body)))
	}
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return "reset"
		case *http2.GoAwayFrame:
			t.Fatalf("the connection ends: %v", f.ErrCode)
		}
	}
}

// RFC 9113 section 8.1.1: a body that is not as long as the request says makes the
// request malformed. Nothing of it may count.
func TestHTTP2BodiesAreAsLongAsTheySay(t *testing.T) {
	t.Parallel()
	s := startSecure(t, t.TempDir(), "")
	login := `{"username":"warden","password":"` + passphrase + `"}`
	n := func(i int) string { return strconv.Itoa(i) }
	kind := []string{"content-type", "application/json"}
	for _, tt := range []struct {
		name                       string
		method, path, length, body string
		want                       string
	}{
		{"a body as long as it says", "POST", "/api/v1/auth/login", n(len(login)), login, "200"},
		{"a body that does not say", "POST", "/api/v1/auth/login", "", login, "200"},
		{"a body that is shorter", "POST", "/api/v1/auth/login", n(len(login) + 1), login, "400"},
		{"a body that is much shorter", "POST", "/api/v1/auth/login", "9999", login, "400"},
		{"a body that is longer", "POST", "/api/v1/auth/login", n(len(login) - 1), login, "reset"},
		{"a body that never begins", "POST", "/api/v1/auth/login", n(len(login)), "", "400"},
		{"a route that takes no body, and a length", "GET", "/csrf/token", "5", "", "400"},
		{"a route that takes no body, and a shorter one", "GET", "/csrf/token", "5", "{}", "400"},
		{"a route that takes no body, and none", "GET", "/csrf/token", "0", "", "200"},
		{"a probe, and a length", "GET", "/health", "5", "", "400"},
		{"an invented method", "BREW", "/csrf/token", "", "", "405"},
		{"an invented method on a path that is not there", "BREW", "/nowhere", "", "", "405"},
	} {
		got := rawHTTP2(t, s, tt.method, tt.path, tt.length, tt.body, kind...)
		// What is too long is noticed while it comes: by the connection or by who reads.
		if got != tt.want && !(tt.want == "reset" && got == "400") {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	s.stop()
}

// A connection that ends is taken up again with a ticket, until another certificate is
// served.
func TestTLSSessionsAreResumedUntilAnotherCertificateIsServed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startSecure(t, dir, "", "--no-watch")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(read(t, filepath.Join(dir, "cert.pem"))))
		cfg := &tls.Config{RootCAs: pool, ServerName: "api.example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1), MinVersion: version, MaxVersion: version}
		resumed := func() bool {
			t.Helper()
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", s.tlsAddress, cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if a, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(a, []byte("HTTP/1.1 200 ")) {
				t.Fatalf("%v: %s", err, a)
			}
			return conn.ConnectionState().DidResume
		}
		if resumed() {
			t.Errorf("%s: the first one was resumed", tls.VersionName(version))
		}
		if !resumed() {
			t.Errorf("%s: the second one was not resumed", tls.VersionName(version))
		}
		certificate(t, dir)
		pool.AppendCertsFromPEM([]byte(read(t, filepath.Join(dir, "cert.pem"))))
		before := strings.Count(s.stderr.String(), "a new certificate is served")
		s.signal(syscall.SIGHUP)
		eventually(t, "another certificate", func() bool { return strings.Count(s.stderr.String(), "a new certificate is served") > before })
		if resumed() {
			t.Errorf("%s: a session of the former certificate was resumed", tls.VersionName(version))
		}
	}
}

func TestSuitesOfTLS12(t *testing.T) {
	t.Parallel()
	s := startSecure(t, t.TempDir(), "")
	for suite, want := range map[uint16]bool{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       true,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: true,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          false, // a separate MAC
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          false,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256:               false, // no forward secrecy
		tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA:              false,
	} {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", s.tlsAddress, &tls.Config{RootCAs: s.pool, ServerName: "api.example.com",
			MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
		if (err == nil) != want {
			t.Errorf("%s: %v, want accepted: %v", tls.CipherSuiteName(suite), err, want)
		}
		if err == nil {
			conn.Close()
		}
	}
}
