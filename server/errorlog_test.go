package server

import (
	"bytes"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A flood of handshakes that fail does not fill the operator's log.
func TestLinesOfConnectionsAreSomeAMinuteAndACount(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1e9, 0)
	l := &httpLog{log: slog.New(slog.NewTextHandler(&out, nil)), now: func() time.Time { return now }}
	logger := log.New(l, "", 0)
	say := func(n int) []string {
		out.Reset()
		for i := range n {
			logger.Printf("http: TLS handshake error from 192.0.2.7:%d: EOF", i)
		}
		return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	}
	if lines := say(20); len(lines) != 20 || strings.Contains(out.String(), "left_out") {
		t.Errorf("of 20 lines there are %d:\n%s", len(lines), out.String())
	}
	if lines := say(5); fmt.Sprint(lines) != "[]" {
		t.Errorf("of five more there are %q", lines)
	}
	now = now.Add(time.Minute)
	lines := say(2)
	if len(lines) != 2 || !strings.Contains(lines[0], "from 192.0.2.7:0: EOF") || !strings.Contains(lines[0], "left_out_before=5") || strings.Contains(lines[1], "left_out") {
		t.Errorf("a minute later: %q", lines)
	}
}
