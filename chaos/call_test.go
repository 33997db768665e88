//go:build unix

package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// hung is how long a client waits: an answer that takes longer counts as none. Nothing else here asserts a time below
// a second.
const hung = 10 * time.Second

// A call is a request and the answers that it may have.
type call struct {
	name         string
	method, path string
	body         any
	header       []string
	// well are the statuses while everything works.
	well []int
	// noStore says that the answer needs no database: it is the same while that is away.
	noStore bool
	// forged says that a control must refuse it, whatever else happens: no status below 300.
	forged bool
}

// An outcome is what became of a call.
type outcome struct {
	call
	node           int
	sent, received time.Time
	status         int
	code           string
	body           []byte
	answer         http.Header
	err            error
}

func (o outcome) took() time.Duration { return o.received.Sub(o.sent) }

func (o outcome) String() string {
	said := fmt.Sprint(o.status, " ", o.code)
	if o.err != nil {
		said = o.err.Error()
	}
	return fmt.Sprintf("%s  node %d  %-28s %s %s: %s after %v", o.sent.Format("15:04:05.000"), o.node, o.name, o.method, o.path, said, o.took().Round(time.Millisecond))
}

func (o outcome) ok() bool { return o.err == nil && o.status < 300 }

// decode reads a member of the answer.
func (o outcome) text(member string) string {
	var all map[string]any
	if json.Unmarshal(o.body, &all) != nil {
		return ""
	}
	s, _ := all[member].(string)
	return s
}

// A client sends calls to the nodes in turn and keeps what became of them.
type client struct {
	c    *cluster
	next atomic.Uint64

	mu       sync.Mutex
	outcomes []outcome
}

// do sends a call to the next node. A node whose port is closed is passed over, as a load balancer does.
func (c *client) do(what call) outcome {
	for tries := 1; ; tries++ {
		o := c.to(int(c.next.Add(1)%nodes), what)
		if tries == nodes || !errors.Is(o.err, syscall.ECONNREFUSED) {
			return o
		}
	}
}

// to sends a call to one node.
func (c *client) to(n int, what call) outcome {
	o := c.send(n, what)
	kept := o
	kept.answer = nil
	if o.err == nil && o.status < 300 {
		kept.body = nil // much, and only wanted of refusals
	}
	c.mu.Lock()
	c.outcomes = append(c.outcomes, kept)
	c.mu.Unlock()
	return o
}

// send sends a call to one node and keeps nothing.
func (c *client) send(n int, what call) outcome {
	o := outcome{call: what, node: n, sent: time.Now()}
	o.err = func() error {
		var payload io.Reader
		if what.body != nil {
			text, err := json.Marshal(what.body)
			if err != nil {
				return err
			}
			payload = bytes.NewReader(text)
		}
		ctx, cancel := context.WithTimeout(context.Background(), hung)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, what.method, c.c.nodes[n].url+what.path, payload)
		if err != nil {
			return err
		}
		if what.body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i < len(what.header); i += 2 {
			req.Header.Add(what.header[i], what.header[i+1])
		}
		resp, err := c.c.nodes[n].transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		o.status, o.answer = resp.StatusCode, resp.Header
		o.body, err = io.ReadAll(resp.Body)
		return err
	}()
	o.received = time.Now()
	if o.status >= 400 {
		o.code = o.text("code")
	}
	return o
}

// all returns a copy of what is kept.
func (c *client) all() []outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.outcomes)
}

// as returns the header of a key.
func as(key string) []string { return []string{"X-API-Key", key} }

const cookieName = "__Host-merlon_session"

// sessionOf returns what a browser and its page send after a login.
func sessionOf(o outcome) (header []string) {
	for _, cookie := range (&http.Response{Header: o.answer}).Cookies() {
		if cookie.Name == cookieName {
			return []string{"Cookie", cookieName + "=" + cookie.Value, "X-CSRF-Token", o.text("csrf_token")}
		}
	}
	return nil
}

type members = map[string]any
