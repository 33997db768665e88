package clientip

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/merlonhq/merlon/exchange"
)

// A Header is the header in which proxies note the addresses they saw.
type Header string

// The headers. The zero Header means XForwardedFor.
const (
	XForwardedFor Header = "X-Forwarded-For"
	Forwarded     Header = "Forwarded" // RFC 7239
)

// Config says which proxies are believed. The zero Config believes none.
type Config struct {
	// TrustedProxies are the prefixes of the proxies' addresses, such as
	// "10.0.0.0/8" or "2001:db8::5/128", in canonical form. Default: none.
	// Prefixes that together hold every public address are an error.
	TrustedProxies []string
	// Header is the one header that is read. Default: XForwardedFor.
	Header Header
	// OnUndeclared is called with the first request that carries forwarding headers
	// and comes from no trusted proxy, and with no other. Either a proxy is missing
	// in TrustedProxies, and its address stands for every client behind it, or a
	// client has made the headers up. Default: nobody is told.
	OnUndeclared func(x *exchange.Exchange, header string)
}

// A Stage finds the client of an exchange. It does not change after [New].
type Stage struct {
	trusted []netip.Prefix
	header  Header

	onUndeclared func(x *exchange.Exchange, header string)
	told         atomic.Bool // onUndeclared was called
}

// A Client is what is known of the client of a request.
type Client struct {
	// Addr is its address, without zone and never IPv4 mapped into IPv6.
	// It is zero when the peer of the connection has no address.
	Addr netip.Addr
	// Forwarded is set when the peer is a trusted proxy. Proto and Host are
	// empty otherwise.
	Forwarded bool
	// Proto is "http" or "https" as the proxy noted it, "" when it noted none,
	// and "unknown" when it noted something else.
	Proto string
	// Host is the host and port the client asked for as the proxy noted it, or
	// "". It has the syntax of a Host header and is not yet known to be allowed.
	Host string
}

// New returns a stage. All errors of cfg are reported at once.
func New(cfg Config) (*Stage, error) {
	trusted, err := compile(cfg.TrustedProxies)
	s := &Stage{trusted: trusted, header: cfg.Header, onUndeclared: cfg.OnUndeclared}
	if s.header == "" {
		s.header = XForwardedFor
	}
	if err := errors.Join(err, s.header.check()); err != nil {
		return nil, err
	}
	return s, nil
}

// Name returns "clientip".
func (s *Stage) Name() string { return "clientip" }

// Handler returns a handler that finds the client and calls next.
func (s *Stage) Handler(next http.Handler) http.Handler { return exchange.Handler(s, next) }

// Decide writes Client, Forwarded, Secure and Host of x. It always continues.
func (s *Stage) Decide(x *exchange.Exchange) exchange.Outcome {
	c := s.Resolve(x.Peer, x.Request.Header)
	x.Client = c.Addr
	x.Forwarded = c.Forwarded
	if !c.Forwarded && s.onUndeclared != nil && !s.told.Load() {
		s.tell(x)
	}
	if c.Proto != "" {
		// What is not understood counts as clear text: a refusal is the safe error.
		x.Secure = c.Proto == "https"
	}
	if c.Host != "" {
		x.Host = c.Host
	}
	return exchange.Continue()
}

// tell tells of forwarding headers that are not believed, once.
func (s *Stage) tell(x *exchange.Exchange) {
	for _, name := range [...]string{"X-Forwarded-For", "Forwarded"} {
		if x.Request.Header[name] != nil && s.told.CompareAndSwap(false, true) {
			s.onUndeclared(x, name)
			return
		}
	}
}

// Resolve finds the client of a request that came from peer with the header h.
func (s *Stage) Resolve(peer netip.Addr, h http.Header) Client {
	peer = peer.Unmap().WithZone("")
	if !s.trusts(peer) {
		return Client{Addr: peer}
	}
	if s.header == Forwarded {
		return s.walkForwarded(peer, h["Forwarded"])
	}
	return Client{
		Addr:      s.walkXForwardedFor(peer, h["X-Forwarded-For"]),
		Forwarded: true,
		Proto:     proto(single(h["X-Forwarded-Proto"])),
		Host:      host(single(h["X-Forwarded-Host"])),
	}
}

func (s *Stage) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(s.trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}
