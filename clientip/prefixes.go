package clientip

import (
	"errors"
	"fmt"
	"net/netip"
)

// compile parses the prefixes of trusted proxies.
func compile(texts []string) ([]netip.Prefix, error) {
	var errs []error
	var prefixes []netip.Prefix
	for _, text := range texts {
		p, err := parsePrefix(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		prefixes = append(prefixes, p)
	}
	if everyone(prefixes) {
		errs = append(errs, fmt.Errorf("clientip: TrustedProxies %q: together they hold every public address, so any client could choose its own address: list the proxies only", texts))
	}
	return prefixes, errors.Join(errs...)
}

func parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			a = a.Unmap()
			return netip.Prefix{}, fmt.Errorf("clientip: TrustedProxies %q: want a prefix: write %q for this one address", text, netip.PrefixFrom(a, a.BitLen()))
		}
		return netip.Prefix{}, fmt.Errorf("clientip: TrustedProxies %q: want a prefix such as %q", text, "10.0.0.0/8")
	}
	canonical := p.Masked()
	// IPv4 mapped into IPv6 is folded in requests, so it would never match.
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		canonical = netip.PrefixFrom(a.Unmap(), p.Bits()-96).Masked()
	}
	// The text is compared too: it is what people read to see who is trusted.
	if canonical.String() != text {
		return netip.Prefix{}, fmt.Errorf("clientip: TrustedProxies %q: not in canonical form: write %q if this is what you mean", text, canonical)
	}
	return canonical, nil
}

// everyone reports whether the prefixes hold all unicast addresses of IPv4 or
// all global unicast addresses of IPv6 (RFC 4291 section 2.4, of which only
// 2000::/3 is in use).
func everyone(prefixes []netip.Prefix) bool {
	v4 := true
	for _, block := range []string{"0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3"} {
		v4 = v4 && covered(netip.MustParsePrefix(block), prefixes)
	}
	return v4 || covered(netip.MustParsePrefix("2000::/3"), prefixes)
}

// covered reports whether the prefixes hold all of block.
func covered(block netip.Prefix, prefixes []netip.Prefix) bool {
	overlaps := false
	for _, p := range prefixes {
		if !p.Overlaps(block) {
			continue
		}
		if p.Bits() <= block.Bits() {
			return true
		}
		overlaps = true
	}
	if !overlaps {
		return false
	}
	// Some prefix lies inside block, so block is not a single address.
	low, high := halves(block)
	return covered(low, prefixes) && covered(high, prefixes)
}

func halves(block netip.Prefix) (low, high netip.Prefix) {
	bits := block.Bits()
	b := block.Addr().AsSlice()
	low = netip.PrefixFrom(block.Addr(), bits+1)
	b[bits/8] |= 0x80 >> (bits % 8)
	a, _ := netip.AddrFromSlice(b)
	return low, netip.PrefixFrom(a, bits+1)
}

func (h Header) check() error {
	if h != XForwardedFor && h != Forwarded {
		return fmt.Errorf("clientip: Header %q: want %q or %q", h, XForwardedFor, Forwarded)
	}
	return nil
}
