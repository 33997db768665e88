// Package redis connects the rate limits to a Redis or Valkey server, alone or a cluster.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/store/redisstore"
)

const (
	dialTimeout = 500 * time.Millisecond // also of the first words on a connection
	idleTimeout = time.Second            // a connection that is silent longer is asked, and given up after as long again
	buffer      = 16 << 10               // of a connection, each way; a call takes some 200 bytes
	// maxInFlight is how many calls are under way at a time; others wait. Those whose deadline has passed still
	// have a place in the client's queues, which have several times as many.
	maxInFlight = 512
	// oldest is the first major version whose scripts may ask for the time and then write.
	oldest = 5
)

// A Client is a [ratelimit.Store] on a server that need not be there yet: until the first [Client.Connect] that
// succeeds, it answers with an error. After that it connects anew by itself.
type Client struct {
	option   rueidis.ClientOption
	inFlight chan struct{}
	current  atomic.Pointer[connection]

	mu     sync.Mutex
	dial   *dialed // under way; nil if none is
	closed bool
}

type connection struct {
	client  rueidis.Client
	store   *redisstore.Store
	version string
}

// A dialed is a connection that is made. All who wait for it see when it is done.
type dialed struct {
	done chan struct{} // closed then; what follows is set before
	now  *connection
	err  error
}

var _ ratelimit.Store = (*Client)(nil)

// New makes a Client. It does not connect.
func New(server config.Redis) *Client {
	c := &Client{inFlight: make(chan struct{}, maxInFlight)}
	c.option = rueidis.ClientOption{
		InitAddress: []string{server.Address}, Username: server.Username, Password: server.Password.Reveal(), SelectDB: server.Database,
		Dialer:           net.Dialer{Timeout: dialTimeout, KeepAlive: idleTimeout},
		ConnWriteTimeout: idleTimeout, ReadBufferEachConn: buffer, WriteBufferEachConn: buffer,
		PipelineMultiplex: 1, // two connections: the fewer, the more calls share a system call
		DisableCache:      true,
	}
	if server.TLS {
		host, _, _ := net.SplitHostPort(server.Address) // it was joined
		c.option.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	}
	if server.Network == "unix" {
		c.option.DialCtxFn = func(ctx context.Context, path string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, "unix", path)
		}
	}
	return c
}

// errNotConnected is the answer before the first connection.
var errNotConnected = errors.New("redis: not connected yet")

// Take implements [ratelimit.Store].
func (c *Client) Take(ctx context.Context, reqs []ratelimit.Request, res []ratelimit.Result) error {
	if now := c.current.Load(); now != nil {
		return now.store.Take(ctx, reqs, res)
	}
	return errNotConnected
}

// GiveBack implements [ratelimit.Store].
func (c *Client) GiveBack(ctx context.Context, reqs []ratelimit.Request, res []ratelimit.Result) error {
	if now := c.current.Load(); now != nil {
		return now.store.GiveBack(ctx, reqs, res)
	}
	return errNotConnected
}

// Connect connects if that is still to be done, and asks whether the server is there.
func (c *Client) Connect(ctx context.Context) error {
	now := c.current.Load()
	if now == nil {
		var err error
		if now, err = c.connect(ctx); err != nil {
			return err
		}
	}
	return now.client.Do(ctx, now.client.B().Ping().Build()).Error()
}

// connect waits for a connection no longer than ctx lasts; the next call waits for the same one.
func (c *Client) connect(ctx context.Context) (*connection, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, net.ErrClosed
	}
	if now := c.current.Load(); now != nil { // another was faster
		c.mu.Unlock()
		return now, nil
	}
	if c.dial == nil {
		c.dial = &dialed{done: make(chan struct{})}
		go func(d *dialed) {
			d.now, d.err = c.open()
			close(d.done)
		}(c.dial)
	}
	d := c.dial
	c.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.done:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed { // and so is what was made
		return nil, net.ErrClosed
	}
	if c.dial == d { // the first of those who waited
		c.dial = nil
		if d.err == nil {
			c.current.Store(d.now)
		}
	}
	return d.now, d.err
}

// open makes a connection and looks at who answers.
func (c *Client) open() (*connection, error) {
	client, err := rueidis.NewClient(c.option)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	now := &connection{client: client}
	if now.version, err = version(ctx, client); err == nil {
		now.store, err = redisstore.New(redisstore.Config{Eval: c.eval(client), Cluster: client.Mode() == rueidis.ClientModeCluster})
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	return now, nil
}

// errTooOld is in the error of a server that cannot run the scripts.
var errTooOld = errors.New("too old")

// version asks the server for its version, "" if it does not say.
func version(ctx context.Context, client rueidis.Client) (string, error) {
	text, err := client.Do(ctx, client.B().Info().Section("server").Build()).ToString()
	if refused, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(refused.Error(), "NOPERM") {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	_, after, _ := strings.Cut(text, "redis_version:")
	v, _, _ := strings.Cut(after, "\r\n")
	major, _, _ := strings.Cut(v, ".")
	if n, err := strconv.Atoi(major); err == nil && n < oldest {
		return v, fmt.Errorf("redis %s is %w: %d or later is needed", v, errTooOld, oldest)
	}
	return v, nil
}

// eval runs scripts on the client.
func (c *Client) eval(client rueidis.Client) redisstore.Eval {
	return func(ctx context.Context, s *redisstore.Script, keys, args []string) ([]int64, error) {
		select {
		case c.inFlight <- struct{}{}:
			defer func() { <-c.inFlight }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		n := int64(len(keys))
		r := client.Do(ctx, client.B().Evalsha().Sha1(s.SHA1).Numkeys(n).Key(keys...).Arg(args...).Build())
		if refused, ok := rueidis.IsRedisErr(r.Error()); ok && refused.IsNoScript() {
			r = client.Do(ctx, client.B().Eval().Script(s.Source).Numkeys(n).Key(keys...).Arg(args...).Build())
		}
		return r.AsIntSlice()
	}
}

// Describe returns what is known of the server: its version, and whether it is a cluster.
func (c *Client) Describe() (version string, cluster bool) {
	now := c.current.Load()
	if now == nil {
		return "", false
	}
	return now.version, now.client.Mode() == rueidis.ClientModeCluster
}

// Close ends the connections. Calls that are under way fail.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.dial != nil {
		if <-c.dial.done; c.dial.err == nil { // it ends by its own deadlines
			c.dial.now.client.Close()
		}
		c.dial = nil
	}
	if now := c.current.Load(); now != nil {
		now.client.Close()
	}
}
