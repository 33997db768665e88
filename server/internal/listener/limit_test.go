package listener_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server/internal/listener"
)

// An echo serves accepted connections: each gets a byte, and is then read to its end.
func echo(t *testing.T, l *listener.Limit) string {
	t.Helper()
	inner, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	outer := l.Listen(inner)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := outer.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				return
			}
			served.Go(func() {
				_, _ = c.Write([]byte{1})
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
				_ = c.Close() // twice is once
			})
		}
	})
	t.Cleanup(func() { _ = outer.Close(); served.Wait() })
	return inner.Addr().String()
}

// dial connects from an address of loopback and reports whether it was accepted.
func dial(t *testing.T, from, to string) (net.Conn, bool) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", to)
	if err != nil {
		return nil, false
	}
	t.Cleanup(func() { _ = c.Close() })
	_, err = c.Read(make([]byte, 1))
	return c, err == nil
}

func config(log io.Writer) listener.Config {
	return listener.Config{Max: 5, PerAddress: 2, IPv4Bits: 32, IPv6Bits: 64, Log: slog.New(slog.NewTextHandler(log, nil)),
		Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}}
}

func TestConnectionsAreBoundedByAddressAndInAll(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.2:0"); err != nil {
		t.Skip("this machine has one address of loopback:", err)
	} else {
		_ = l.Close()
	}
	var log bytes.Buffer
	l := listener.New(config(&log))
	at := echo(t, l)
	var kept []net.Conn
	for _, step := range []struct {
		name, from string
		want       bool
	}{
		{"the first of an address", "127.0.0.1", true},
		{"its second", "127.0.0.1", true},
		{"its third", "127.0.0.1", false},
		{"another address", "127.0.0.2", true},
		{"a proxy", "127.0.0.9", true},
		{"its second, the fifth of all", "127.0.0.9", true},
		{"one more than all", "127.0.0.3", false},
		{"a proxy beyond all", "127.0.0.9", false},
	} {
		c, ok := dial(t, step.from, at)
		if ok != step.want {
			t.Fatalf("%s: accepted %v, want %v", step.name, ok, step.want)
		}
		if ok {
			kept = append(kept, c)
		}
	}
	if c := l.Counts(); c != (listener.Counts{Open: 5, RefusedMax: 2, RefusedPerAddress: 1}) {
		t.Errorf("counts %+v", c)
	}
	// A place that is given back is taken by another, and no more than one.
	end(t, l, kept[0], 4)
	if _, ok := dial(t, "127.0.0.1", at); !ok {
		t.Error("the place of a connection that ended is not given back")
	}
	if _, ok := dial(t, "127.0.0.3", at); ok {
		t.Error("one place was given back twice")
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 2 {
		t.Errorf("%d lines of log, want one for each reason:\n%s", n, log.String())
	}
}

// A proxy has as many as there are in all.
func TestProxiesAreNotCountedByAddress(t *testing.T) {
	cfg := config(io.Discard)
	cfg.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	l := listener.New(cfg)
	at := echo(t, l)
	for i := range 5 {
		if _, ok := dial(t, "127.0.0.1", at); !ok {
			t.Fatalf("connection %d of a proxy is refused", i+1)
		}
	}
	if _, ok := dial(t, "127.0.0.1", at); ok {
		t.Error("a sixth is accepted")
	}
}

// end closes c and waits until the limit knows.
func end(t *testing.T, l *listener.Limit, c net.Conn, want int) {
	t.Helper()
	_ = c.Close()
	for deadline := time.Now().Add(10 * time.Second); l.Counts().Open != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are open, want %d", l.Counts().Open, want)
		}
	}
}

func TestLimitsChangeWhileConnectionsAreOpen(t *testing.T) {
	var log bytes.Buffer
	cfg := config(&log)
	l := listener.New(cfg)
	at := echo(t, l)
	for _, want := range []bool{true, true, false} {
		if _, ok := dial(t, "127.0.0.1", at); ok != want {
			t.Fatalf("accepted %v, want %v", ok, want)
		}
	}
	cfg.PerAddress = 3
	l.Change(cfg)
	for _, want := range []bool{true, false} {
		if _, ok := dial(t, "127.0.0.1", at); ok != want {
			t.Fatalf("with one more: accepted %v, want %v", ok, want)
		}
	}
	cfg.PerAddress, cfg.Max = 1, 1
	l.Change(cfg)
	if c := l.Counts(); c.Open != 3 {
		t.Errorf("%d connections are open, want those that were", c.Open)
	}
	if _, ok := dial(t, "127.0.0.1", at); ok {
		t.Error("one more than the new limit was accepted")
	}
}
