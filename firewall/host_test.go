package firewall_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/firewall"
	"github.com/merlonhq/merlon/route"
)

func TestHosts(t *testing.T) {
	listed := firewall.Config{Hosts: []string{"api.example.com", "alt.example.com:8443", "192.0.2.1", "[2001:db8::1]", "xn--bcher-kva.example", "127.0.0.1:8080"}}
	loopback := firewall.Config{InsecureLoopbackHosts: "development"}
	anyHost := firewall.Config{InsecureAnyHost: "behind a proxy that checks"}
	notAllowed := verdict{421, "host-not-allowed", "host not allowed", "input_validation_fail"}
	bad := malformed("host")
	for _, tt := range []struct {
		name string
		cfg  firewall.Config
		host string
		want verdict
	}{
		{"listed", listed, "api.example.com", passes},
		{"listed, in upper case", listed, "API.Example.COM", passes},
		{"listed without a port: any port", listed, "api.example.com:8080", passes},
		{"listed with a port", listed, "alt.example.com:8443", passes},
		{"listed with another port", listed, "alt.example.com:8080", notAllowed},
		{"listed with a port, asked without", listed, "alt.example.com", notAllowed},
		{"an IPv4 address", listed, "192.0.2.1:80", passes},
		{"another IPv4 address", listed, "192.0.2.2", notAllowed},
		{"an IPv6 literal", listed, "[2001:db8::1]:80", passes},
		{"an IPv6 literal in long form", listed, "[2001:DB8:0:0::1]", passes},
		{"another IPv6 literal", listed, "[2001:db8::2]", notAllowed},
		{"an IDNA name", listed, "XN--bcher-kva.example", passes},
		{"an IDNA name, decoded", listed, "bücher.example", bad},
		{"a loopback address listed with a port", listed, "127.0.0.1:8080", passes},
		{"localhost is not the listed address", listed, "localhost:8080", notAllowed},
		{"a subdomain", listed, "x.api.example.com", notAllowed},
		{"a suffix", listed, "xapi.example.com", notAllowed},
		{"a prefix", listed, "api.example.com.evil.example", notAllowed},
		{"a final dot", listed, "api.example.com.", notAllowed},
		{"an underscore", listed, "a_b.example", notAllowed},
		{"no host", listed, "", malformed("host missing")},
		{"a port only", listed, ":80", bad},
		{"an empty port", listed, "api.example.com:", bad},
		{"port 0", listed, "api.example.com:0", bad},
		{"a port with a leading zero", listed, "api.example.com:080", bad},
		{"port 65536", listed, "api.example.com:65536", bad},
		{"port 99999", listed, "api.example.com:99999", bad},
		{"a word for a port", listed, "api.example.com:https", bad},
		{"two ports", listed, "api.example.com:80:80", bad},
		{"user information", listed, "a@api.example.com", bad},
		{"a path", listed, "api.example.com/x", bad},
		{"a query", listed, "api.example.com?x", bad},
		{"a list", listed, "api.example.com, evil.example", bad},
		{"white space", listed, "api.example.com ", bad},
		{"an empty label", listed, "api..example.com", bad},
		{"a leading dot", listed, ".api.example.com", bad},
		{"an encoded dot", listed, "api%2eexample.com", bad},
		{"a label of 63", listed, strings.Repeat("a", 63) + ".example", notAllowed},
		{"a label of 64", listed, strings.Repeat("a", 64) + ".example", bad},
		{"an endless name", listed, strings.Repeat("a.", 127) + "a", bad},
		{"IPv6 without brackets", listed, "2001:db8::1", bad},
		{"an open bracket", listed, "[2001:db8::1", bad},
		{"text after the bracket", listed, "[2001:db8::1]x", bad},
		{"IPv4 in brackets", listed, "[192.0.2.1]", bad},
		{"IPv4 mapped into IPv6", listed, "[::ffff:192.0.2.1]", bad},
		{"a zone", listed, "[fe80::1%25eth0]", bad},
		{"IPv4 with leading zeros", listed, "192.0.02.1", bad},
		{"IPv4 as one number", listed, "3221225985", bad},
		{"IPv4 in hexadecimal", listed, "0xC0.0.2.0x1", bad},

		{"localhost where allowed", loopback, "localhost", passes},
		{"localhost with a port", loopback, "LOCALHOST:3000", passes},
		{"127.0.0.1", loopback, "127.0.0.1:8080", passes},
		{"127.255.0.9", loopback, "127.255.0.9", passes},
		{"[::1]", loopback, "[::1]:8080", passes},
		{"a name below localhost", loopback, "evil.localhost", notAllowed},
		{"a name that begins like it", loopback, "localhost.evil.example", notAllowed},
		{"a name that begins like an address", loopback, "127.0.0.1.evil.example", notAllowed},
		{"128.0.0.1", loopback, "128.0.0.1", notAllowed},
		{"0.0.0.0", loopback, "0.0.0.0", notAllowed},
		{"[::]", loopback, "[::]", notAllowed},
		{"mapped loopback", loopback, "[::ffff:127.0.0.1]", bad},
		{"127.1", loopback, "127.1", bad},

		{"any host, any name", anyHost, "evil.example", passes},
		{"any host must be well formed", anyHost, "evil.example/x", bad},
		{"any host must be there", anyHost, "", malformed("host missing")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := mustNew(t, tt.cfg)
			r := get(t, "/")
			x := &exchange.Exchange{Request: r, Host: tt.host} // the host as clientip believes it
			if got := flatten(s.Decide(x)); got != tt.want {
				t.Errorf("%q: got %+v, want %+v", tt.host, got, tt.want)
			}
			x.Match.Route = &route.Route{Probe: true}
			if got := flatten(s.Decide(x)); got != passes {
				t.Errorf("%q by a probe: got %+v, want it to pass", tt.host, got)
			}
		})
	}
}

func FuzzHost(f *testing.F) {
	for _, seed := range []string{"api.example.com", "API.example.com:8080", "[::1]:80", "[2001:db8::1]", "127.0.0.1", "127.1", "localhost.", "a@b", "", "[", ":", "api.example.com:080", "0x7f.1"} {
		f.Add(seed)
	}
	listed := mustNew(f, onlyAPI)
	loopback := mustNew(f, firewall.Config{InsecureLoopbackHosts: "test"})
	f.Fuzz(func(t *testing.T, host string) {
		cut := func() string { // the host without its port, by another way
			if i := strings.LastIndex(host, ":"); i >= 0 && !strings.HasSuffix(host, "]") {
				return host[:i]
			}
			return host
		}
		if wellFormed, allowed := listed.Allows(host); allowed {
			if !wellFormed || !strings.EqualFold(cut(), "api.example.com") {
				t.Fatalf("%q is allowed", host)
			}
		}
		if _, allowed := loopback.Allows(host); allowed && !strings.EqualFold(cut(), "localhost") {
			a, err := netip.ParseAddr(strings.Trim(cut(), "[]"))
			if err != nil || !a.IsLoopback() {
				t.Fatalf("%q is allowed", host)
			}
		}
	})
}
