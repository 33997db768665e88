package server

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// toldAMinute is how many lines of net/http are logged in a minute.
const toldAMinute = 20

// httpLog takes what net/http has to say of connections, such as each handshake that fails. Whoever can connect can
// make it say so as often as they like, so there are some lines a minute and a count of the others.
type httpLog struct {
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	begun   time.Time // of the minute
	told    int
	leftOut int // before the line that is told next
}

func newHTTPLog(to *slog.Logger) *log.Logger {
	return log.New(&httpLog{log: to, now: time.Now}, "", 0)
}

// Write is that of [io.Writer]. A call is a line.
func (l *httpLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	if now := l.now(); now.Sub(l.begun) >= time.Minute {
		l.begun, l.told = now, 0
	}
	if l.told >= toldAMinute {
		l.leftOut++
		l.mu.Unlock()
		return len(line), nil
	}
	l.told++
	var attrs []slog.Attr
	if l.leftOut > 0 {
		attrs = append(attrs, slog.Int("left_out_before", l.leftOut))
		l.leftOut = 0
	}
	l.mu.Unlock()
	l.log.LogAttrs(context.Background(), slog.LevelWarn, strings.TrimSuffix(string(line), "\n"), attrs...)
	return len(line), nil
}
