package server

import (
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
