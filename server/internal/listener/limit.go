// Package listener bounds the connections that a server holds, in all and of one
// address, before a byte of them is read.
package listener

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Config says how many connections there may be at once.
type Config struct {
	Max        int // of all addresses, 1 or more
	PerAddress int // of one address, 1 or more
	// IPv4Bits and IPv6Bits are how much of an address counts as one.
	IPv4Bits, IPv6Bits int
	// Proxies are held to Max only: whole networks of clients stand behind them.
	Proxies []netip.Prefix
	Log     *slog.Logger
}

// A Limit holds the connections of all its listeners together.
type Limit struct {
	mu   sync.Mutex
	cfg  Config
	open int
	of   map[netip.Prefix]int // no more entries than open connections
	sum  Counts
	told [2]time.Time
}

// Counts are how many connections there are and have been refused.
type Counts struct {
	Open              int
	RefusedMax        uint64 // for there were Max
	RefusedPerAddress uint64 // for there were PerAddress of its address
}

// New returns a limit.
func New(cfg Config) *Limit { return &Limit{cfg: cfg, of: map[netip.Prefix]int{}} }

// Change bounds by cfg from now on. Connections that are open stay, and are counted as
// they were taken.
func (l *Limit) Change(cfg Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cfg = cfg
}

// Listen returns inner, with what is beyond the limit closed as it is accepted. It
// does not wait for another to end: whoever is refused learns it at once, and what
// waits for a place cannot fill the queue of the operating system.
func (l *Limit) Listen(inner *net.TCPListener) net.Listener { return &listener{inner, l} }

// Counts returns the counts of this moment.
func (l *Limit) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.sum
	c.Open = l.open
	return c
}

type listener struct {
	*net.TCPListener
	limit *Limit
}

// Accept returns the next connection within the limit.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if release, ok := l.limit.take(c.RemoteAddr()); ok {
			return &conn{TCPConn: c, release: release}, nil
		}
		// A reset leaves nothing behind in this machine, as an orderly end would.
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

// conn gives its place back when it is closed.
type conn struct {
	*net.TCPConn
	once    sync.Once
	release func()
}

func (c *conn) Close() error {
	err := c.TCPConn.Close()
	c.once.Do(c.release)
	return err
}

// take takes a place for a connection of remote.
func (l *Limit) take(remote net.Addr) (release func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	network, counted := l.network(remote)
	switch {
	case l.open >= l.cfg.Max:
		l.sum.RefusedMax++
		l.tell(0, "more connections than connections.max", network)
		return nil, false
	case counted && l.of[network] >= l.cfg.PerAddress:
		l.sum.RefusedPerAddress++
		l.tell(1, "more connections of one address than connections.per_address", network)
		return nil, false
	}
	l.open++
	if counted {
		l.of[network]++
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open--
		if !counted {
			return
		}
		if l.of[network]--; l.of[network] == 0 {
			delete(l.of, network)
		}
	}, true
}

// network returns what of remote counts as one address, and whether it is counted.
func (l *Limit) network(remote net.Addr) (netip.Prefix, bool) {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}, false
	}
	a := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, p := range l.cfg.Proxies {
		if p.Contains(a) {
			return netip.PrefixFrom(a, a.BitLen()), false
		}
	}
	bits := l.cfg.IPv6Bits
	if a.Is4() {
		bits = l.cfg.IPv4Bits
	}
	p, err := a.Prefix(bits)
	return p, err == nil
}

// tell tells the operator, once a minute and reason.
func (l *Limit) tell(reason int, message string, network netip.Prefix) {
	now := time.Now()
	if now.Sub(l.told[reason]) < time.Minute {
		return
	}
	l.told[reason] = now
	l.cfg.Log.Warn("connections are refused: "+message, "address", network, "open", l.open,
		"refused_max", l.sum.RefusedMax, "refused_per_address", l.sum.RefusedPerAddress)
}
