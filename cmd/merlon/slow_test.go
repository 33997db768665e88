//go:build unix

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// secured returns a client over TLS that makes a connection for each request.
func (s hardened) secured(t *testing.T) client {
	t.Helper()
	tr := newTransport()
	tr.DisableKeepAlives = true
	tr.TLSClientConfig = s.trust(t)
	return client{url: "https://" + net.JoinHostPort(s.host, s.port), transport: tr}
}

func (s hardened) trust(t *testing.T) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(read(t, s.ca))) {
		t.Fatal("no certificate")
	}
	return &tls.Config{RootCAs: pool, ServerName: s.host}
}

var gauge = regexp.MustCompile(`(?m)^(\S+) (\S+)$`)

// metric reads one of the metrics.
func (s hardened) metric(t *testing.T, name string) int {
	t.Helper()
	for _, m := range gauge.FindAllStringSubmatch(string(s.client.call(t, 200, "GET", "/metrics", nil).body), -1) {
		if m[1] == name {
			v, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(v)
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// slowModes are the attacks of slowhttptest and what ends them.
var slowModes = []struct {
	name  string
	short bool // whether it is one of every run
	held  bool // whether connections are held for a while
	args  []string
}{
	{"slow headers, ended by the header time-out of 5 s", true, true, []string{"-H", "-u", "/health", "-i", "2"}},
	{"slow bodies that a route reads, ended by the read time-out of 30 s", false, true, []string{"-B", "-u", "/api/v1/users", "-t", "POST", "-f", "application/json", "-s", "4096", "-i", "2"}},
	{"slow bodies that no route wants, refused at once", true, false, []string{"-B", "-u", "/health", "-i", "2"}},
	{"slow readers, whose answers wait in the kernel, ended by the idle time-out of 2 min", false, true, []string{"-X", "-u", "/openapi.json", "-k", "10", "-w", "512", "-y", "1024", "-n", "5", "-z", "32"}},
	{"ranges, which are ignored", true, false, []string{"-R", "-u", "/openapi.json", "-a", "1", "-b", "1000", "-t", "HEAD"}},
}

// Each attack of 200 connections ends by itself, while others are served: the number
// of connections that the server holds falls again, though the attacker goes on for
// longer than any time-out. make slowhttptest runs all of them and prints for how long
// the connections were held.
func TestSlowClientsAreCutOffAndOthersServed(t *testing.T) {
	needs(t, "slowhttptest")
	t.Parallel()
	for _, mode := range slowModes {
		t.Run(mode.name, func(t *testing.T) {
			if !mode.short && os.Getenv("SLOWHTTPTEST") == "" {
				t.Skip("SLOWHTTPTEST is not set; make slowhttptest sets it")
			}
			s := startHardened(t, "  rules: [{name: register, match: [POST /api/v1/users], limit: 1000000, window: 1m, by: [address]}]\n")
			others := s.secured(t)
			before := s.metric(t, "merlon_connections")

			ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
			defer cancel()
			args := append([]string{"-c", "200", "-r", "200", "-l", "180", "-p", "3"}, mode.args...)
			for i, a := range args {
				if a == "-u" {
					args[i+1] = "https://" + net.JoinHostPort(s.host, s.port) + args[i+1]
				}
			}
			cmd := exec.CommandContext(ctx, "slowhttptest", args...)
			cmd.Dir = s.dir
			var said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &said, &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				_ = cmd.Wait() // it is killed when it has been seen to fail
				close(ended)
			}()
			defer func() {
				cancel()
				<-ended
			}()

			begun, most, served := time.Now(), 0, 0
			var held time.Duration
			for over := false; !over; {
				n := s.metric(t, "merlon_connections") - before
				most = max(most, n)
				if n > 20 {
					held = time.Since(begun)
				}
				if a, err := others.try("GET", "/health", nil); err != nil || a.status != 200 {
					t.Errorf("after %v, others are answered %d, %v", time.Since(begun).Round(time.Millisecond), a.status, err)
				}
				served++
				select {
				case <-ended:
					over = true
				case <-time.After(100 * time.Millisecond):
					// The attack goes on, or its tool waits for what was in buffers.
					over = most > 100 && n <= 20
				}
				if time.Since(begun) > 5*time.Minute {
					t.Fatalf("%d connections are still held", n)
				}
			}
			if mode.held && most < 20 {
				cancel()
				<-ended
				t.Errorf("at most %d connections were held:\n%s", most, said.String())
			}
			t.Logf("at most %d connections, the last of them held for %.1f s; others were served %d of %d times", most, held.Seconds(), served, served)
		})
	}
}

// Connections that were used once and then do nothing cost little memory and nobody
// else's requests. IDLE_CONNECTIONS says how many; make idle opens 10,000.
func TestIdleConnectionsAreCheapAndOthersServed(t *testing.T) {
	t.Parallel()
	count := 500
	if n, err := strconv.Atoi(os.Getenv("IDLE_CONNECTIONS")); err == nil {
		count = n
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Max < uint64(count)+500 {
		t.Skipf("a process may open %d files, %d connections need more (%v)", files.Max, count, err)
	}
	s := startHardened(t, "")
	cfg := s.trust(t)
	cfg.NextProtos = []string{"http/1.1"}
	before, memory := s.metric(t, "merlon_connections"), s.metric(t, "process_resident_memory_bytes")

	conns := make([]net.Conn, count)
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close() // they were looked at
			}
		}
	}()
	var wg sync.WaitGroup
	var failed atomic.Int64
	todo := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range todo {
				c, err := idle(s.address, cfg, s.host)
				if err != nil && failed.Add(1) == 1 {
					t.Errorf("connection %d: %v", i, err)
				}
				conns[i] = c
			}
		})
	}
	for i := range count {
		todo <- i
	}
	close(todo)
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Fatalf("%d of %d connections failed", n, count)
	}
	if n := s.metric(t, "merlon_connections") - before; n < count {
		t.Errorf("the server holds %d connections of %d", n, count)
	}
	each := (s.metric(t, "process_resident_memory_bytes") - memory) / count
	others := s.secured(t)
	var worst time.Duration
	for range 20 {
		begun := time.Now()
		others.call(t, 200, "GET", "/health", nil)
		worst = max(worst, time.Since(begun))
	}
	t.Logf("%d idle connections over TLS: %d KiB each; with them a new connection and request took others %.1f ms at most", count, each>>10, worst.Seconds()*1000)
	// The race detector makes memory larger, and few connections say little.
	if !raceEnabled && count >= 5000 && each > 64<<10 {
		t.Errorf("a connection takes %d bytes", each)
	}
}

// idle opens a connection, is answered once, and leaves it.
func idle(address string, cfg *tls.Config, host string) (net.Conn, error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, cfg)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return c, err
	}
	if _, err := fmt.Fprintf(c, "GET /health HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		return c, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || strings.EqualFold(resp.Header.Get("Connection"), "close") {
		return c, fmt.Errorf("status %d, %v", resp.StatusCode, resp.Header)
	}
	return c, nil
}
