//go:build linux

package main_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// flooded is a service with few connections, one of which its operator watches.
func startFlooded(t *testing.T) (s secure, metric func(name string) float64) {
	t.Helper()
	s = startSecure(t, t.TempDir(), "connections: {max: 60, per_address: 25}\noperations_listen: \"127.0.0.1:0\"\n")
	operations := newClient(t, "http://"+s.line(s.stderr, `time=\S+ level=INFO msg="serving metrics" address=(\S+)`)[1])
	return s, func(name string) float64 {
		t.Helper()
		for _, l := range lines(string(operations.call(t, 200, "GET", "/metrics", nil).body)) {
			if text, ok := strings.CutPrefix(l, name+" "); ok {
				v, err := strconv.ParseFloat(text, 64)
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
		}
		t.Fatalf("no metric %s", name)
		return 0
	}
}

// hostile connects from an address of loopback that nobody else uses. It returns nil
// when it is refused before the system has told that it is connected.
func hostile(t *testing.T, to string) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}}
	conn, err := d.Dial("tcp", to)
	if errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func overTLS(s secure, conn net.Conn, protocol string) *tls.Conn {
	return tls.Client(conn, &tls.Config{RootCAs: s.pool, ServerName: "api.example.com", NextProtos: []string{protocol}})
}

// Whoever is slow, in any way, holds a bounded number of connections for a bounded
// time, and others are served meanwhile.
func TestSlowClientsDoNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	s, metric := startFlooded(t)
	const refused = `merlon_connections_refused_total{limit="per_address"}`
	for _, attack := range []struct {
		name string
		hold func(net.Conn)
		ends bool // within the patience of this test
	}{
		{"connections that say nothing", func(net.Conn) {}, true},
		{"handshakes that do not end", func(c net.Conn) { _, _ = c.Write([]byte{0x16, 3, 1, 2, 0, 1}) }, true},
		{"headers that do not end", func(c net.Conn) {
			_, _ = io.WriteString(overTLS(s, c, "http/1.1"), "GET /health HTTP/1.1\r\nHost: api.example.com\r\nX: ")
		}, true},
		{"bodies that do not end", func(c net.Conn) {
			_, _ = io.WriteString(overTLS(s, c, "http/1.1"), "POST /api/v1/auth/login HTTP/1.1\r\nHost: api.example.com\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		}, false},
		{"answers that nobody reads", func(c net.Conn) {
			_ = c.(*net.TCPConn).SetReadBuffer(1 << 10)
			_, _ = io.WriteString(overTLS(s, c, "http/1.1"), strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: api.example.com\r\n\r\n", 20))
		}, false},
	} {
		before := metric(refused)
		var held []net.Conn
		for range 40 {
			conn := hostile(t, s.tlsAddress)
			if conn == nil {
				continue
			}
			go attack.hold(conn) // those that are refused fail
			held = append(held, conn)
		}
		eventually(t, attack.name+": those beyond the limit are refused", func() bool { return metric(refused) >= before+15 })
		if open := metric("merlon_connections"); open > 60 {
			t.Errorf("%s: %v connections are open", attack.name, open)
		}
		s.call(t, 200, "GET", "/health/ready", nil)
		s.clear.call(t, 200, "GET", "/health", nil)
		if attack.ends {
			for _, conn := range held {
				if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("%s: the server waits on", attack.name)
				}
			}
		}
		for _, conn := range held {
			_ = conn.Close()
		}
		eventually(t, attack.name+": the places are given back", func() bool { return metric("merlon_connections") < 25 })
	}
	if heap := metric("go_memstats_heap_inuse_bytes"); heap > 256<<20 {
		t.Errorf("%v bytes of heap", heap)
	}
	if !strings.Contains(s.stderr.String(), "connections are refused: more connections of one address than connections.per_address") {
		t.Error("the log does not tell")
	}
}

// CVE-2023-44487: streams that are opened and reset at once start no more handlers
// than there may be streams.
func TestRapidResetsDoNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	s, metric := startFlooded(t)
	conn := overTLS(s, hostile(t, s.tlsAddress), "h2")
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	settings := make(chan uint32, 1)
	go func() { // reads whatever comes, so that the server is never held up by us
		for {
			f, err := framer.ReadFrame()
			if err != nil {
				return
			}
			if f, ok := f.(*http2.SettingsFrame); ok && !f.IsAck() {
				streams, _ := f.Value(http2.SettingMaxConcurrentStreams)
				select {
				case settings <- streams:
				default:
				}
			}
		}
	}()
	if streams := <-settings; streams != 100 {
		t.Errorf("the server allows %d streams at once, want 100", streams)
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	most := 0.0
	for i := range uint32(20_000) {
		block.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "api.example.com"}, {":path", "/openapi.json"}} {
			_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
		if err == nil {
			err = framer.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
		}
		if err != nil {
			break // the server has had enough, as it may
		}
		if i%2000 == 1000 {
			most = max(most, metric("go_goroutines"))
			s.call(t, 200, "GET", "/health/ready", nil)
		}
	}
	if most > 400 {
		t.Errorf("%v goroutines while streams are reset", most)
	}
	s.call(t, 200, "GET", "/health/ready", nil)
}
