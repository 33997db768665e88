//go:build unix

package main_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// managerSocket is where a service manager hears of a service (sd_notify(3)).
func managerSocket(t *testing.T) (path string, next func() string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "m") // a path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // it is in the temporary directory of the system
	path = filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return path, func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 4<<10)
		n, err := conn.Read(text)
		if err != nil {
			t.Fatal("the manager was told nothing:", err)
		}
		return string(text[:n])
	}
}

func TestTheServiceManagerIsToldWhenItServesAndWhenItStops(t *testing.T) {
	t.Parallel()
	path, next := managerSocket(t)
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", developmentConfig)
	s := startService(t, merlon("--config", config).in(dir).with("NOTIFY_SOCKET="+path))
	if got := next(); got != "READY=1\n" {
		t.Errorf("after the start: %q, want READY=1", got)
	}
	s.call(t, 200, "GET", "/health/ready", nil)
	s.stop()
	if got := next(); got != "STOPPING=1\n" {
		t.Errorf("at the end: %q, want STOPPING=1", got)
	}
}

func TestAManagerThatIsNotThereDoesNotKeepItFromServing(t *testing.T) {
	t.Parallel()
	for name, socket := range map[string]string{
		"nobody listens": "/nonexistent/notify", "not a path": "notify", "an abstract name without a listener": "@merlon-of-no-manager",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			config := write(t, dir, "merlon.yaml", developmentConfig)
			s := startService(t, merlon("--config", config).in(dir).with("NOTIFY_SOCKET="+socket))
			s.call(t, 200, "GET", "/health/ready", nil)
			if r := s.stop(); !strings.Contains(r.stderr, "NOTIFY_SOCKET") {
				t.Errorf("nothing is said of it:\n%s", r.stderr)
			}
		})
	}
}
