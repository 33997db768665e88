//go:build unix

package main_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// listen takes a port for the test and returns its address.
func listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// soon is within what time a server that cannot start says so.
const soon = 5 * time.Second

func TestSecondInstance(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	data := filepath.Join(home, "data")
	first := startDemo(t, merlon("--data", data).in(home))
	pid := "(process " + strconv.Itoa(first.cmd.Process.Pid) + ")"
	address := strings.TrimPrefix(first.samples.URL, "http://")
	link := filepath.Join(home, "link")
	if err := os.Symlink(data, link); err != nil {
		t.Fatal(err)
	}
	config := write(t, home, "merlon.yaml", developmentConfig)
	// Of relative paths: below a directory of its own nothing is shared but what is named.
	serve := func(listen string) invocation { return merlon("serve", "--config", config, "--listen", listen) }
	key, err := os.ReadFile(filepath.Join(data, "secret_key"))
	if err != nil {
		t.Fatal(err)
	}

	for _, tt := range []struct {
		name string
		i    invocation
		want []string
	}{
		{"a demo on the same port", merlon("demo", "--listen", address, "--data", filepath.Join(home, "other")), []string{address}},
		{"a demo on the same port, in a temporary directory", merlon("demo", "--listen", address), []string{address}},
		{"a demo on the same directory", merlon("demo", "--json", "--listen", "127.0.0.1:0", "--data", data), []string{data, pid}},
		{"a demo on the same directory by another name", merlon("demo", "--listen", "127.0.0.1:0", "--data", link), []string{link, pid}},
		{"a demo on the same directory and port", merlon("demo", "--listen", address, "--data", data), []string{data, pid}},
		{"a service on the same port", serve(address), []string{address}},
		{"a service on the same directory", serve("127.0.0.1:0").in(home), []string{"data directory data", pid}},
		{"a service on the same event log", serve("127.0.0.1:0").with("MERLON_AUDIT__LOG=" + filepath.Join(data, "security.log")),
			[]string{filepath.Join(data, "security.log")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.i.within = soon
			r := run(t, tt.i)
			line := complaint(t, r)
			if r.code != 1 || r.stdout != "" || !strings.HasPrefix(line, "merlon: ") {
				t.Errorf("exit %d, want 1, with one line and no output:\n%s%s", r.code, r.stdout, r.stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(line, want) {
					t.Errorf("%q does not name %s", line, want)
				}
			}
			first.call(t, 200, "GET", "/health/ready", nil)
		})
	}

	// The first is what it was.
	first.as("X-API-Key", first.APIKey).call(t, 201, "POST", "/api/v1/posts", members{"title": "Undisturbed", "content": "<p>Still here.</p>"})
	admin := first.login(t, first.Admin.Username, first.Admin.Password)
	if n := count(events(t, admin, "type=sys_startup"), "sys_startup"); n != 1 {
		t.Errorf("%d starts are recorded, want 1", n)
	}
	if again, err := os.ReadFile(filepath.Join(data, "secret_key")); err != nil || string(again) != string(key) {
		t.Errorf("the secret key was changed (%v)", err)
	}
	first.stop()
	if n := count(logged(t, filepath.Join(data, "security.log")), "sys_startup"); n != 1 {
		t.Errorf("%d starts are logged, want 1", n)
	}
	startDemo(t, merlon("--data", data)).stop()
}
