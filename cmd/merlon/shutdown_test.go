//go:build unix

package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// An upload is a request whose body is on its way.
type upload struct {
	conn net.Conn
	in   *bufio.Reader
	rest string
}

// beginUpload sends a request up to the half of its body. When it returns, the
// server is reading the body: it has said 100 Continue.
func beginUpload(t *testing.T, d demo, body string) upload {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.samples.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience)) // a connection has deadlines
	fmt.Fprintf(conn, "POST /api/v1/posts HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		d.APIKey, len(body))
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 100 {
		t.Fatalf("%v, %v: want 100 Continue", resp, err)
	}
	if _, err := io.WriteString(conn, body[:len(body)/2]); err != nil {
		t.Fatal(err)
	}
	return upload{conn, in, body[len(body)/2:]}
}

// finish sends the rest and returns the answer.
func (u upload) finish(t *testing.T) (status int, body string) {
	t.Helper()
	if _, err := io.WriteString(u.conn, u.rest); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(u.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func isRefused(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return true
	}
	conn.Close()
	return false
}

func TestOrderlyEnd(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]os.Signal{"Ctrl-C": os.Interrupt, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := startDemo(t, merlon("--data", dir))
			d.call(t, 200, "GET", "/health", nil) // leaves an idle connection
			u := beginUpload(t, d, `{"title":"In flight","content":"<p>Sent before, <script>x</script>answered after.</p>"}`)
			d.signal(s)
			eventually(t, "nothing new is accepted", func() bool { return isRefused(strings.TrimPrefix(d.samples.URL, "http://")) })
			if !d.isRunning() {
				t.Fatal("it ended with a request in flight")
			}
			status, body := u.finish(t)
			if status != 201 || !strings.Contains(body, "answered after.") {
				t.Errorf("the request in flight: status %d, want 201: %s", status, body)
			}
			r := d.wait(patience)
			if r.code != 0 {
				t.Errorf("exit %d, want 0:\n%s", r.code, r.stderr)
			}

			inFile := unsigned(logged(t, filepath.Join(dir, "security.log")))
			if n := len(inFile); n == 0 || inFile[n-1].Type != "sys_shutdown" {
				t.Errorf("the last event is not sys_shutdown: %+v", inFile)
			}
			if count(inFile, "suspicious_content") != 1 {
				t.Errorf("the event of the request in flight is missing: %+v", inFile)
			}

			// Another server takes the directory over, with the same events.
			next := startDemo(t, merlon("--data", dir))
			inAPI := events(t, next.login(t, next.Admin.Username, next.Admin.Password), "until="+inFile[len(inFile)-1].Time.Add(time.Microsecond).Format(time.RFC3339Nano))
			if diff := cmp.Diff(inFile, inAPI); diff != "" {
				t.Errorf("the events of the file (-) are not those of the database (+):\n%s", diff)
			}
			posts := next.call(t, 200, "GET", "/api/v1/posts", nil)
			if !strings.Contains(string(posts.body), "answered after.") {
				t.Errorf("the post is gone: %s", posts.body)
			}
			next.stop()
		})
	}
}

// Clients that say nothing, or not all, do not keep a server from ending.
func TestOrderlyEndDespiteClients(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*testing.T, demo) net.Conn{
		"one that says nothing": func(t *testing.T, d demo) net.Conn { return say(t, d, "") },
		"one that stops within a header": func(t *testing.T, d demo) net.Conn {
			return say(t, d, "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
		},
		"one that keeps its connection": func(t *testing.T, d demo) net.Conn {
			conn := say(t, d, "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
			if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
				t.Fatal(err)
			}
			return conn
		},
		"one that goes away within a body": func(t *testing.T, d demo) net.Conn {
			u := beginUpload(t, d, `{"title":"Gone","content":"<p>Never sent.</p>"}`)
			u.conn.Close()
			return u.conn
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := startDemo(t, merlon("--data", dir))
			conn := begin(t, d)
			defer conn.Close()
			d.signal(syscall.SIGTERM)
			if r := d.wait(15 * time.Second); r.code != 0 {
				t.Errorf("exit %d, want 0:\n%s", r.code, r.stderr)
			}
			all := unsigned(logged(t, filepath.Join(dir, "security.log")))
			if !slices.ContainsFunc(all, func(e event) bool { return e.Type == "sys_shutdown" }) {
				t.Errorf("no sys_shutdown: %+v", all)
			}
		})
	}
}

// A request that never finishes is waited for, but not for ever, and nothing that
// was recorded is lost with it.
func TestEndDespiteAnEndlessRequest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := startDemo(t, merlon("--data", dir))
	beginUpload(t, d, `{"title":"Endless","content":"<p>Never sent.</p>"}`)
	d.signal(syscall.SIGTERM)
	r := d.wait(patience)
	if r.code != 1 || !strings.Contains(complaint(t, r), "still running") {
		t.Errorf("exit %d, want 1 and why:\n%s", r.code, r.stderr)
	}
	all := unsigned(logged(t, filepath.Join(dir, "security.log")))
	if n := len(all); n == 0 || all[n-1].Type != "sys_shutdown" {
		t.Errorf("the last event is not sys_shutdown: %+v", all)
	}
}

// Whoever presses Ctrl-C again does not want to wait.
func TestSecondCtrlC(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := startDemo(t, merlon("--data", dir))
	beginUpload(t, d, `{"title":"Endless","content":"<p>Never sent.</p>"}`)
	d.signal(os.Interrupt)
	eventually(t, "nothing new is accepted", func() bool { return isRefused(strings.TrimPrefix(d.samples.URL, "http://")) })
	eventually(t, "it ends at a further Ctrl-C", func() bool {
		_ = d.cmd.Process.Signal(os.Interrupt) // may have ended
		return !d.isRunning()
	})
	status, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("ended with %v, want by SIGINT", d.cmd.ProcessState)
	}
	startDemo(t, merlon("--data", dir)).stop()
}

func say(t *testing.T, d demo, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.samples.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}
