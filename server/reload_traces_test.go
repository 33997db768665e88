package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A proxy that is not trusted any more does not decide what is traced.
func TestAReloadChangesWhoseTracesAreContinued(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var sent strings.Builder
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		sent.Write(body)
	}))
	t.Cleanup(collector.Close)
	secret := "secret_key: " + key() + "\ntraces: {endpoint: \"" + collector.URL + "\", one_in: 1}\n"
	r := startReloading(t, secret)
	ask := func(last string) (trusted bool) {
		t.Helper()
		trace := strings.Repeat(last, 32)
		mu.Lock()
		sent.Reset()
		mu.Unlock()
		// By these flags a proxy that is trusted keeps its request from being traced.
		if status, _, text := r.ask(t, "GET", "/api/v1/light", "", "X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https", "Traceparent", "00-"+trace+"-00f067aa0ba902b7-00"); status != 204 {
			t.Fatalf("status %d: %s", status, text)
		}
		if status, _, text := r.ask(t, "GET", "/health", "", "X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https"); status != 200 { // the next span of all
			t.Fatalf("status %d: %s", status, text)
		}
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			mu.Lock()
			text := sent.String()
			mu.Unlock()
			if strings.Contains(text, "GET /health") {
				return !strings.Contains(text, "GET /api/v1/light")
			}
		}
		t.Fatal("nothing was traced")
		return false
	}
	if ask("1") {
		t.Error("a stranger decides that nothing is traced")
	}
	r.reload(t, secret+"trusted_proxies: [127.0.0.1]\n")
	if !ask("2") {
		t.Error("a proxy that is trusted now does not decide")
	}
	r.reload(t, secret)
	if ask("3") {
		t.Error("a proxy that is trusted no more decides")
	}
}
