//go:build unix

package server

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/merlonhq/merlon/internal/redistest"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/redis"
)

// ear is a broadcast that counts what it hears.
type ear struct {
	*broadcast
	client *redis.Client
	heard  atomic.Int64
	log    lines
}

type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// listen starts a broadcast, whose end is waited for, on a server that may be away.
func listen(t *testing.T, url string) (l *ear, stop func()) {
	t.Helper()
	set, problems := config.Load(config.Source{Environ: []string{"MERLON_ENVIRONMENT=development", "MERLON_REDIS_URL=" + url}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	l = &ear{client: redis.New(set.Redis())}
	l.broadcast = newBroadcast(l.client, func() { l.heard.Add(1) }, slog.New(slog.NewTextHandler(&l.log, nil)))
	_ = l.client.Connect(t.Context()) // may be away
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			l.client.Close()
		})
	}
	t.Cleanup(stop)
	return l, stop
}

// until waits for something, and does what brings it about in between.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestNodesTellEachOtherByRedisAndSurviveItsDeath(t *testing.T) {
	server := redistest.Start(t)
	before := runtime.NumGoroutine()
	a, stopA := listen(t, "redis://"+server.Addr)
	b, stopB := listen(t, "redis://"+server.Addr)
	hears := func(what string) {
		t.Helper()
		n := b.heard.Load()
		until(t, what, func() bool { a.tell(); return b.heard.Load() > n })
	}
	hears("one hears the other")
	server.Kill()
	for range 100 {
		a.tell() // waits for nothing
	}
	server.Restart()
	until(t, "they are connected again", func() bool { return a.client.Connect(t.Context()) == nil && b.client.Connect(t.Context()) == nil })
	hears("one hears the other after the server died")
	stopA()
	stopB()
	until(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

func TestARedisThatForbidsTheChannelIsToldOf(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "limits", "on", ">hush-hush", "~merlon:*", "+ping", "+info", "+hello", "+client", "+eval")
	l, _ := listen(t, "redis://limits:hush-hush@"+server.Addr)
	until(t, "the log says so", func() bool { return strings.Contains(l.log.String(), "does not let nodes tell each other") })
	if strings.Contains(l.log.String(), "hush-hush") {
		t.Errorf("the password is shown: %s", l.log.String())
	}
}

// Without Redis there is nobody to tell.
func TestWithoutRedisNobodyIsTold(t *testing.T) {
	var b *broadcast
	b.tell()
	l, stop := listen(t, "redis://127.0.0.1:1")
	for range 10 {
		l.tell()
	}
	stop()
	if l.heard.Load() != 0 {
		t.Error("something was heard of nobody")
	}
}
