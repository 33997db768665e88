package server

import (
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

// listen takes an address of the public.
func (s *Server) listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return s.connections.Listen(l.(*net.TCPListener)), nil
}
