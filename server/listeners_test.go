package server

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server/internal/listener"
)

// listening returns a server that has taken its addresses and serves nothing yet.
func listening(t *testing.T, environ ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	set, problems := LoadSettings(Source{
		Listen: "127.0.0.1:0",
		Environ: append(environ, "MERLON_ENVIRONMENT=development", "MERLON_SECRET_KEY="+rand.Text()+rand.Text(),
			"MERLON_DATABASE_URL=sqlite:"+filepath.Join(dir, "merlon.db"), "MERLON_AUDIT__LOG="+filepath.Join(dir, "security.log")),
		Open: func(string) (io.ReadCloser, error) { return nil, fs.ErrNotExist },
	})
	if Fatal(problems) {
		t.Fatal(problems)
	}
	s, err := New(t.Context(), Config{Settings: set, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryListenerHasItsLimits(t *testing.T) {
	s := listening(t, "MERLON_OPERATIONS_LISTEN=127.0.0.1:0")
	for name, srv := range map[string]*http.Server{"the public": s.httpServer(nil), "the operator's": s.operationsServer()} {
		write := map[string]time.Duration{"the public": time.Minute, "the operator's": 2 * time.Minute}[name]
		if srv.ReadHeaderTimeout != 5*time.Second || srv.ReadTimeout != 30*time.Second || srv.WriteTimeout != write ||
			srv.IdleTimeout != 2*time.Minute || srv.MaxHeaderBytes != 32768 {
			t.Errorf("%s: header %v, read %v, write %v, idle %v, %d bytes", name, srv.ReadHeaderTimeout, srv.ReadTimeout, srv.WriteTimeout, srv.IdleTimeout, srv.MaxHeaderBytes)
		}
	}
	h2 := s.httpServer(nil).HTTP2
	if h2.MaxConcurrentStreams != 100 || h2.MaxReadFrameSize != 16384 || h2.MaxDecoderHeaderTableSize != 4096 || h2.MaxEncoderHeaderTableSize != 4096 ||
		h2.MaxReceiveBufferPerConnection != 1048576 || h2.MaxReceiveBufferPerStream != 262144 || h2.WriteByteTimeout != 30*time.Second ||
		h2.SendPingTimeout != 30*time.Second || h2.PingTimeout != 15*time.Second {
		t.Errorf("HTTP/2: %+v", h2)
	}
}

// The time-outs are those of the service, a fiftieth of their length.
func TestWhoeverIsSlowIsDisconnected(t *testing.T) {
	s := listening(t)
	srv := s.httpServer(nil)
	for _, d := range []*time.Duration{&srv.ReadHeaderTimeout, &srv.ReadTimeout, &srv.WriteTimeout, &srv.IdleTimeout} {
		*d /= 50
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(s.listener) }()
	defer func() {
		_ = srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	const prompt = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for _, tt := range []struct {
		name, sends string
		reads       bool
	}{
		{"who says nothing", "", true},
		{"who does not end the header", "GET /health HTTP/1.1\r\nHost: localhost\r\nX: ", true},
		{"who does not end the body", "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", true},
		{"who does not read", strings.Repeat(prompt, 400), false},
		{"who has no more to ask", prompt, true},
	} {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		if !tt.reads {
			_ = conn.(*net.TCPConn).SetReadBuffer(1 << 10)
		}
		go func() { _, _ = io.WriteString(conn, tt.sends) }()
		if tt.reads {
			_, err = io.Copy(io.Discard, conn)
		} else {
			// What is not read holds the answers up, until nobody takes the requests any more.
			for end := time.Now().Add(30 * time.Second); s.connections.Counts().Open > 0; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s is waited for", tt.name)
				}
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s is waited for", tt.name)
		}
		_ = conn.Close()
		// Its neighbour, who is not slow.
		resp, err := http.Get("http://" + s.Addr() + "/health")
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("after %s: %v", tt.name, err)
		}
		_ = resp.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	}
}

func TestAHeaderThatIsTooLargeIsRefused(t *testing.T) {
	s := listening(t)
	srv := s.httpServer(nil)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(s.listener) }()
	defer func() { _ = srv.Close(); <-served }()
	for size, want := range map[int]string{1 << 10: "200", 40 << 10: "431", 4 << 20: "431"} {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		go func() {
			_, _ = io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: "+strings.Repeat("x", size)+"\r\n\r\n")
		}()
		line, err := bufio.NewReader(conn).ReadString('\n')
		if !strings.HasPrefix(line, "HTTP/1.1 "+want+" ") && !(size > 1<<20 && err != nil) { // a reset may come first
			t.Errorf("a header of %d bytes: %q, %v, want %s", size, line, err, want)
		}
		_ = conn.Close()
	}
}

func TestTheOperatorsListenerHoldsAHundredConnections(t *testing.T) {
	l := listener.New(operationsLimit(slog.New(slog.DiscardHandler)))
	at, err := listenWithin(l, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := at.Accept()
			if err != nil {
				return
			}
			go func() { // each gets a byte, and is held
				_, _ = conn.Write([]byte{1})
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
		}
	}()
	defer at.Close()
	dial := func() bool {
		conn, err := net.Dial("tcp", at.Addr().String())
		if err != nil {
			return false
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, err = io.ReadFull(conn, make([]byte, 1))
		return err == nil
	}
	for i := range 100 {
		if !dial() {
			t.Fatalf("connection %d was refused", i+1)
		}
	}
	if dial() {
		t.Error("one more than a hundred was accepted")
	}
	// And the service uses it.
	s := listening(t, "MERLON_OPERATIONS_LISTEN=127.0.0.1:0")
	if _, plain := s.operations.(*net.TCPListener); plain {
		t.Error("the operator's listener has no limit")
	}
}
