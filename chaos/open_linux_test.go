package chaos_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// open lists what a node holds open, and to whom its connections go.
func (m *member) open(t *testing.T) string {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d", m.cmd.Process.Pid)
	peers := map[string]string{} // by socket
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(filepath.Join(proc, "net", table))
		if err != nil {
			t.Error(err)
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 10 {
				continue
			}
			peer := "listener"
			if _, hex, ok := strings.Cut(f[2], ":"); ok && f[3] != "0A" { // not LISTEN
				port, err := strconv.ParseUint(hex, 16, 16)
				if err != nil {
					continue // the heading
				}
				peer = fmt.Sprint("connection with port ", port)
				for name, addr := range map[string]string{"PostgreSQL": m.postgres.addr(), "Redis": m.redis.addr()} {
					if strings.HasSuffix(addr, fmt.Sprint(":", port)) {
						peer = "connection to " + name
					}
				}
			}
			peers["socket:["+f[9]+"]"] = peer
		}
	}
	fds, err := filepath.Glob(filepath.Join(proc, "fd", "*"))
	if err != nil {
		t.Error(err)
	}
	counted := map[string]int{}
	for _, fd := range fds {
		name, err := os.Readlink(fd)
		if err != nil {
			continue // closed meanwhile
		}
		if peer := peers[name]; peer != "" {
			name = peer
		}
		counted[name]++
	}
	var out []string
	for name, n := range counted {
		out = append(out, fmt.Sprintf("%d × %s", n, name))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
