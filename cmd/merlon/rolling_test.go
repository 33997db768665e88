//go:build unix

package main_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/merlonhq/merlon/e2e/postgrestest"
)

// A balancer sends requests to the nodes that are ready, in turn.
type balancer struct {
	next  atomic.Int64
	mu    sync.Mutex
	nodes map[string]bool // by URL: whether it is ready
}

// pick returns the URL of a node that is ready.
func (b *balancer) pick() (url string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ready []string
	for url, is := range b.nodes {
		if is {
			ready = append(ready, url)
		}
	}
	if len(ready) == 0 {
		return "", false
	}
	return ready[int(b.next.Add(1))%len(ready)], true
}

// add asks a node whether it is ready, until ended.
func (b *balancer) add(c client, ended <-chan struct{}, asking *sync.WaitGroup) {
	asking.Go(func() {
		for {
			a, err := c.try("GET", "/health/ready", nil)
			b.mu.Lock()
			b.nodes[c.url] = err == nil && a.status == 200
			b.mu.Unlock()
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
}

func (b *balancer) isReady(url string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.nodes[url]
}

// Both nodes are restarted in turn under load, and no request fails: neither reads nor writes, which nobody repeats.
func TestARollingRestartFailsNoRequest(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	startOne := func() node {
		dir := t.TempDir()
		// As long as a busy machine may need to notice.
		config := write(t, dir, "merlon.yaml", onPostgres(url)+"drain_time: 3s\n")
		return node{startService(t, merlon("--config", config).in(dir)), dir, config}
	}
	nodes := []node{startOne(), startOne()}
	createUser(t, merlon("--config", nodes[0].config).in(nodes[0].dir), "warden", passphrase, "admin")
	admin := nodes[0].login(t, "warden", passphrase)

	b := &balancer{nodes: map[string]bool{}}
	ended := make(chan struct{})
	var asking sync.WaitGroup
	for _, n := range nodes {
		b.add(n.client, ended, &asking)
	}
	eventually(t, "both are ready", func() bool { return b.isReady(nodes[0].url) && b.isReady(nodes[1].url) })

	var done, made atomic.Int64
	var load sync.WaitGroup
	for worker := range 4 {
		load.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-ended:
					return
				default:
				}
				c := admin
				var ok bool
				if c.url, ok = b.pick(); !ok {
					t.Error("no node is ready")
					return
				}
				want, method, path, body := 200, "GET", "/api/v1/users/me", any(nil)
				if i%4 == 0 {
					want, method, path, body = 201, "POST", "/api/v1/api-keys", members{"name": fmt.Sprintf("%d of %d", i, worker), "scopes": []string{"events:read"}}
				}
				a, err := c.try(method, path, body)
				if err != nil || a.status != want {
					t.Errorf("%s %s: %v, status %d, want %d: %s", method, path, err, a.status, want, a.body)
					return
				}
				if done.Add(1); want == 201 {
					made.Add(1)
				}
			}
		})
	}
	for i := range nodes {
		before := done.Load()
		eventually(t, "there is load", func() bool { return t.Failed() || done.Load() > before+50 })
		nodes[i].stop()
		nodes[i] = startOne()
		b.add(nodes[i].client, ended, &asking)
		eventually(t, "the new one is ready", func() bool { return t.Failed() || b.isReady(nodes[i].url) })
	}
	before := done.Load()
	eventually(t, "there is load on the new ones", func() bool { return t.Failed() || done.Load() > before+50 })
	close(ended)
	load.Wait()
	asking.Wait()
	// What was acknowledged is there.
	admin.url = nodes[0].url
	keys, cursor := int64(0), ""
	for {
		page := get[struct {
			Items      []struct{ ID string }
			NextCursor string `json:"next_cursor"`
		}](t, admin, "/api/v1/api-keys?limit=100&cursor="+cursor)
		keys += int64(len(page.Items))
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if keys != made.Load() {
		t.Errorf("%d keys are there and %d were acknowledged", keys, made.Load())
	}
	for _, n := range nodes {
		n.kill() // no more load: a drain would be waited for in vain
	}
}

// While it drains it says so, serves, and asks clients to connect elsewhere.
func TestADrainIsSaidAndServes(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			config, tr := developmentConfig+"drain_time: 5m\n", newTransport()
			t.Cleanup(tr.CloseIdleConnections)
			if protocol == "HTTP/2.0" {
				config = strings.Replace(productionTLS, "drain_time: 0s", "drain_time: 5m", 1)
				tr.ForceAttemptHTTP2, tr.TLSClientConfig = true, &tls.Config{RootCAs: certificate(t, dir), ServerName: "api.example.com"}
			}
			p := startService(t, merlon("--config", write(t, dir, "merlon.yaml", config)).in(dir))
			c := client{url: p.url, transport: tr}
			if protocol == "HTTP/2.0" {
				c.url, c.header = "https://"+p.address, []string{"Host", "api.example.com"}
			}
			c.call(t, 200, "GET", "/health/ready", nil)
			p.signal(syscall.SIGTERM)
			eventually(t, "readiness says draining", func() bool {
				a, err := c.try("GET", "/health/ready", nil)
				if err != nil {
					t.Fatal(err)
				}
				return a.status == 503 && decode[readiness](t, a).Status == "draining"
			})
			another := func() bool {
				reused := false
				req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
					GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused },
				}), "GET", c.url+"/health", nil)
				if err != nil {
					t.Fatal(err)
				}
				if len(c.header) > 0 {
					req.Host = c.header[1]
				}
				resp, err := c.transport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != 200 || resp.Proto != protocol {
					t.Errorf("status %d over %s, want 200 over %s", resp.StatusCode, resp.Proto, protocol)
				}
				if protocol == "HTTP/1.1" && (reused || !resp.Close) {
					t.Errorf("the connection was used before (%v) or goes on (%v)", reused, !resp.Close)
				}
				return !reused
			}
			for range 3 {
				eventually(t, "a request has a connection of its own", another) // with HTTP/2 one may be on its way before the GOAWAY
			}
			p.signal(syscall.SIGTERM) // whoever is impatient
			p.wait(patience)
		})
	}
}
