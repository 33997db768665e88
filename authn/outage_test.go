package authn_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
)

// told is an outage that the operator knows of.
type told bool

func (t told) Error() string { return fmt.Sprintf("away, told %v", bool(t)) }
func (t told) Told() bool    { return bool(t) }

// failing is a verifier whose store is away.
type failing struct{ err error }

func (f failing) Verify(context.Context, string, netip.Addr, time.Time) (identity.Principal, error) {
	return identity.Principal{}, fmt.Errorf("verify: %w", f.err)
}

// counter counts events and lines of a log.
type counter struct {
	audit.Recorder
	mu            sync.Mutex
	events, lines int
}

func (c *counter) Record(audit.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events++
}

func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines++
	return len(p), nil
}

// An outage that was told of when it began is not told of again with each request that it fails.
func TestAnOutageThatIsKnownIsNotToldWithEachRequest(t *testing.T) {
	for _, tt := range []struct {
		err  error
		told int
	}{{errors.New("away"), 1}, {told(false), 1}, {told(true), 0}} {
		a, err := authn.New(authn.Config{Keys: failing{tt.err}})
		if err != nil {
			t.Fatal(err)
		}
		c := &counter{}
		chain := exchange.New(exchange.Config{Stages: []exchange.Stage{a}, Recorder: c, ErrorLog: slog.New(slog.NewTextHandler(c, nil))})
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-API-Key", "mrl_x")
		w := httptest.NewRecorder()
		chain.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%v: status %d, Retry-After %q, want 503 and seconds", tt.err, w.Code, w.Header().Get("Retry-After"))
		}
		if c.events != tt.told || c.lines != tt.told {
			t.Errorf("%v: %d events and %d lines, want %d of each", tt.err, c.events, c.lines, tt.told)
		}
	}
}
