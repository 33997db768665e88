package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// What a reload replaces is gone: no goroutine of it is left, and nothing holds it.
func TestFormerGenerationsAreGone(t *testing.T) {
	dir := t.TempDir()
	src := Source{File: filepath.Join(dir, "merlon.yaml"), Listen: "127.0.0.1:0"}
	base := "environment: development\ndatabase_url: sqlite:" + filepath.Join(dir, "merlon.db") + "\noperations_listen: \"127.0.0.1:0\"\ntraces: {endpoint: \"http://127.0.0.1:9\"}\n" +
		"audit: {log: " + filepath.Join(dir, "security.log") + "}\nsecret_key: "
	write := func(more string) {
		t.Helper()
		if err := os.WriteFile(src.File, []byte(base+more), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := rand.Text()+rand.Text(), rand.Text()+rand.Text()
	write(first + "\n")
	set, problems := CheckSettings(src)
	if Fatal(problems) {
		t.Fatal(problems)
	}
	s, err := New(t.Context(), Config{Settings: set, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	reload := func(i int) {
		t.Helper()
		switch i % 4 {
		case 0:
			write(second + "\nsecret_key_previous: [" + first + "]\n")
		case 1:
			write(second + "\nsecret_key_previous: [" + first + "]\nsessions: {idle_timeout: 10m}\nrate_limits: {on_store_error: deny}\n")
		case 2:
			write(second + "\nnonsense: 1\n")
		case 3:
			write(first + "\nsecret_key_previous: [" + second + "]\ntokens: {algorithm: ES256}\n")
		}
		if err := s.Reload(t.Context(), src); (err != nil) != (i%4 == 2) {
			t.Fatal(i, err)
		}
	}
	for i := range 4 {
		reload(i)
	}
	settled := func(most int) (n int) {
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if n = runtime.NumGoroutine(); n <= most {
				break
			}
		}
		return n
	}
	time.Sleep(500 * time.Millisecond)
	before := runtime.NumGoroutine()
	var made, gone atomic.Int64
	for i := range 48 {
		former := s.now()
		reload(i)
		if now := s.now(); now != former {
			made.Add(1)
			runtime.AddCleanup(former, func(int) { gone.Add(1) }, 0)
		}
	}
	if n := settled(before + 3); n > before+3 {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, and %d before 48 reloads\n%s", n, before, buf[:runtime.Stack(buf, true)])
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && gone.Load() < made.Load()-1; time.Sleep(50 * time.Millisecond) {
		runtime.GC()
	}
	if made.Load() != 36 || gone.Load() < made.Load()-1 {
		t.Errorf("%d generations were replaced, and %d of them are gone", made.Load(), gone.Load())
	}
}
