package server

import (
	"fmt"
	"log/slog"
	"net"

	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/listener"
)

// connectionLimit is how the connections of the public listeners are bounded. The
// operator's has its own: a flood does not take it away.
func connectionLimit(set config.Settings, log *slog.Logger) listener.Config {
	return listener.Config{
		Max: set.Connections.Max, PerAddress: set.Connections.PerAddress, Proxies: set.TrustedProxies,
		IPv4Bits: set.RateLimits.IPv4Prefix, IPv6Bits: set.RateLimits.IPv6Prefix, Log: log,
	}
}

// operationsConnections is how many connections the operator's listener holds: collectors,
// a profile or two, and people who look.
const operationsConnections = 100

// operationsLimit is how the connections of the operator's listener are bounded.
func operationsLimit(log *slog.Logger) listener.Config {
	return listener.Config{Max: operationsConnections, PerAddress: operationsConnections, IPv4Bits: 32, IPv6Bits: 128, Log: log}
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
	return listenWithin(s.connections, address)
}

func listenWithin(limit *listener.Limit, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return limit.Listen(l.(*net.TCPListener)), nil
}
