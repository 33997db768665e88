package server

import (
	"fmt"
	"log/slog"
	"net"

	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/listener"
)

// connectionLimit bounds the connections of the public listeners. The operator's has
// its own: a flood does not take it away.
func connectionLimit(set config.Settings, log *slog.Logger) *listener.Limit {
	return listener.New(listener.Config{
		Max: set.Connections.Max, PerAddress: set.Connections.PerAddress, Proxies: set.TrustedProxies,
		IPv4Bits: set.RateLimits.IPv4Prefix, IPv6Bits: set.RateLimits.IPv6Prefix, Log: log,
	})
}

// takeAnyPort takes the port of an address that leaves it to the system, so that the
// issuer of tokens, which has it, is made of the one that is served.
func (s *Server) takeAnyPort() error {
	if _, port, err := net.SplitHostPort(s.settings.Listen); err != nil || port != "0" {
		return nil
	}
	return s.takePort()
}

// takePort takes the address of listen, once.
func (s *Server) takePort() error {
	if s.listener != nil {
		return nil
	}
	l, err := s.listen(s.settings.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w: stop what listens there, or choose another address with --listen", s.settings.Listen, err)
	}
	s.listener = l
	return nil
}

// listen takes an address of the public.
func (s *Server) listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return s.connections.Listen(l.(*net.TCPListener)), nil
}
