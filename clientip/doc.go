// Package clientip finds the address of the client, and the scheme and host it
// used, behind reverse proxies.
//
// Without trusted proxies the client is the peer of the connection and every
// forwarding header is ignored: anybody can send one. With trusted proxies, and
// only when the peer is one of them, the addresses that the proxies noted are
// read from the right, where the nearest proxy wrote, to the left. The first
// address that is not a trusted proxy is the client; what stands left of it was
// written by the client or by somebody it chose, and is never read. A hop that
// is not an address stops the walk, and the last good address is the client.
//
// One header is believed, by choice: X-Forwarded-For (with X-Forwarded-Proto
// and X-Forwarded-Host) or Forwarded (RFC 7239). The other is ignored, because
// a proxy that writes one passes on the other as the client sent it. For the
// same reason the proxy must set, and not pass on, X-Forwarded-Proto and
// X-Forwarded-Host. X-Forwarded-Port and X-Real-IP are not read.
//
// A peer without an address (a Unix socket) is no trusted proxy: its headers
// are ignored and the client's address is the zero [net/netip.Addr]. Let such
// proxies connect by TCP on loopback instead.
//
// The stage refuses nothing, and it changes neither the request's RemoteAddr
// nor its headers.
package clientip
