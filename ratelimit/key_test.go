package ratelimit_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/ratelimit"
)

type keyPart struct {
	kind  ratelimit.Kind
	value string
}

func keyOf(rule string, parts ...keyPart) ratelimit.Key {
	k := ratelimit.NewKey(rule)
	for _, p := range parts {
		k.Add(p.kind, p.value)
	}
	return k
}

func TestDifferentPartsNeverMakeTheSameKey(t *testing.T) {
	const (
		account, route, header = ratelimit.KindAccount, ratelimit.KindRoute, ratelimit.KindHeader
	)
	long := strings.Repeat("x", 200)
	keys := map[string]ratelimit.Key{
		"no parts":                        {},
		"empty rule":                      keyOf(""),
		"rule":                            keyOf("login"),
		"rule, empty part":                keyOf("login", keyPart{account, ""}),
		"rule, two empty parts":           keyOf("login", keyPart{account, ""}, keyPart{account, ""}),
		"a and bc":                        keyOf("login", keyPart{account, "a"}, keyPart{account, "bc"}),
		"ab and c":                        keyOf("login", keyPart{account, "ab"}, keyPart{account, "c"}),
		"abc":                             keyOf("login", keyPart{account, "abc"}),
		"the encoding of a part as value": keyOf("login", keyPart{account, "a\x06\x02bc"}),
		"another kind":                    keyOf("login", keyPart{route, "abc"}),
		"another order":                   keyOf("login", keyPart{route, "a"}, keyPart{account, "bc"}),
		"that order":                      keyOf("login", keyPart{account, "bc"}, keyPart{route, "a"}),
		"NUL":                             keyOf("login", keyPart{account, "abc\x00"}),
		"long":                            keyOf("login", keyPart{header, long}),
		"longer":                          keyOf("login", keyPart{header, long + "x"}),
		"as long, other":                  keyOf("login", keyPart{header, long[1:] + "y"}),
		"long, other kind":                keyOf("login", keyPart{account, long}),
		"two long":                        keyOf("login", keyPart{header, long}, keyPart{header, long}),
		"three long":                      keyOf("login", keyPart{header, long}, keyPart{header, long}, keyPart{header, long}),
		"three long, the last other":      keyOf("login", keyPart{header, long}, keyPart{header, long}, keyPart{header, long + "x"}),
		"three long, the first other":     keyOf("login", keyPart{header, long + "x"}, keyPart{header, long}, keyPart{header, long}),
		"three long, and one more":        keyOf("login", keyPart{header, long}, keyPart{header, long}, keyPart{header, long}, keyPart{header, ""}),
		"three long, another rule":        keyOf("logon", keyPart{header, long}, keyPart{header, long}, keyPart{header, long}),
		"longer than a part's prefix":     keyOf("login", keyPart{header, strings.Repeat("x", 1000)}),
	}
	seen := map[ratelimit.Key]string{}
	for name, k := range keys {
		if other, ok := seen[k]; ok {
			t.Errorf("%q and %q have the same key", name, other)
		}
		seen[k] = name
	}
}

func TestTheSamePartsMakeTheSameKey(t *testing.T) {
	long := strings.Repeat("long ", 40)
	build := func() ratelimit.Key {
		return keyOf("login", keyPart{ratelimit.KindAccount, "ann"}, keyPart{ratelimit.KindHeader, long}, keyPart{ratelimit.KindHeader, long})
	}
	if a, b := build(), build(); a != b {
		t.Error("two keys of the same parts differ")
	}
}

func TestAddressesOfOneNetworkShareAKey(t *testing.T) {
	key := func(addr string, bits4, bits6 int) ratelimit.Key {
		var a netip.Addr
		if addr != "" {
			a = netip.MustParseAddr(addr)
		}
		var k ratelimit.Key
		k.AddAddress(a, bits4, bits6)
		return k
	}
	for _, tt := range []struct {
		name         string
		a, b         string
		bits4, bits6 int
		same         bool
	}{
		{"IPv4 by /32: the same", "192.0.2.1", "192.0.2.1", 32, 64, true},
		{"IPv4 by /32: the neighbour", "192.0.2.1", "192.0.2.0", 32, 64, false},
		{"IPv4 by /31: the neighbour", "192.0.2.1", "192.0.2.0", 31, 64, true},
		{"IPv4 by /31: the next pair", "192.0.2.1", "192.0.2.2", 31, 64, false},
		{"IPv4 by /24", "192.0.2.1", "192.0.2.255", 24, 64, true},
		{"IPv4 by /24: the next", "192.0.2.1", "192.0.3.1", 24, 64, false},
		{"IPv6 by /64: one customer", "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", 32, 64, true},
		{"IPv6 by /64: the next", "2001:db8:0:1::1", "2001:db8:0:2::1", 32, 64, false},
		{"IPv6 by /56", "2001:db8:0:100::1", "2001:db8:0:1ff::1", 32, 56, true},
		{"IPv6 by /56: the next", "2001:db8:0:100::1", "2001:db8:0:200::1", 32, 56, false},
		{"IPv6 by /128", "2001:db8::1", "2001:db8::2", 32, 128, false},
		{"IPv4 in IPv6 is IPv4", "192.0.2.1", "::ffff:192.0.2.1", 32, 64, true},
		{"a zone does not count", "fe80::1%eth0", "fe80::1%eth1", 32, 128, true},
		{"IPv4 is not IPv6 of the same bytes", "192.0.2.1", "c000:201::", 32, 32, false},
		{"no address is no address", "", "", 32, 64, true},
		{"no address is not the zero address", "", "0.0.0.0", 32, 64, false},
		{"bits out of range are no address", "", "192.0.2.1", 33, 64, true},
		{"bits out of range are no address, IPv6", "", "2001:db8::1", 32, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := key(tt.a, tt.bits4, tt.bits6) == key(tt.b, tt.bits4, tt.bits6); got != tt.same {
				t.Errorf("%s and %s by /%d and /%d: same key %v; want %v", tt.a, tt.b, tt.bits4, tt.bits6, got, tt.same)
			}
		})
	}
	if key("192.0.2.0", 24, 64) == key("192.0.2.0", 25, 64) {
		t.Error("networks of different lengths have the same key")
	}
}

func TestKeyEncodingIsStable(t *testing.T) {
	k := ratelimit.NewKey("login")
	k.AddAddress(netip.MustParseAddr("192.0.2.129"), 25, 64)
	k.AddAddress(netip.MustParseAddr("2001:db8:0:1::9"), 32, 64)
	k.Add(ratelimit.KindAccount, "ann")
	got, err := k.AppendBinary([]byte("merlon:"))
	want := "merlon:\x01\x05login\x03\x05\x19\xc0\x00\x02\x80\x04\x09\x40\x20\x01\x0d\xb8\x00\x00\x00\x01\x06\x03ann"
	if err != nil || string(got) != want {
		t.Errorf("encoding %q, %v; want %q", got, err, want)
	}
}

func TestBuildingAKeyAllocatesNothing(t *testing.T) {
	long := strings.Repeat("x", 300)
	a := netip.MustParseAddr("2001:db8::1")
	if n := testing.AllocsPerRun(100, func() {
		k := ratelimit.NewKey("default")
		k.AddAddress(a, 32, 64)
		k.Add(ratelimit.KindRoute, "GET /api/v1/posts/{id}")
		k.Add(ratelimit.KindHeader, long)
		k.Add(ratelimit.KindHeader, long)
	}); n != 0 {
		t.Errorf("%v allocations; want 0", n)
	}
}

// Keys of two parts are equal only if the parts are.
func FuzzKey(f *testing.F) {
	f.Add("a", "bc", "ab", "c")
	f.Add("", "abc", "abc", "")
	f.Add(strings.Repeat("x", 94), "y", strings.Repeat("x", 93), "xy")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		one := keyOf("r", keyPart{ratelimit.KindAccount, a}, keyPart{ratelimit.KindOther, b})
		two := keyOf("r", keyPart{ratelimit.KindAccount, c}, keyPart{ratelimit.KindOther, d})
		if (one == two) != (a == c && b == d) {
			t.Errorf("(%q, %q) and (%q, %q): same key %v", a, b, c, d, one == two)
		}
	})
}
