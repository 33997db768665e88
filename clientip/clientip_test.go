package clientip_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/clientip"
	"github.com/merlonhq/merlon/exchange"
)

func mustNew(t testing.TB, cfg clientip.Config) *clientip.Stage {
	t.Helper()
	s, err := clientip.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

// xff makes a header with these lines of X-Forwarded-For.
func xff(lines ...string) http.Header { return http.Header{"X-Forwarded-For": lines} }

func TestNobodyIsTrustedByTheZeroConfig(t *testing.T) {
	s := mustNew(t, clientip.Config{})
	all := http.Header{
		"X-Forwarded-For":   {"192.0.2.1"},
		"Forwarded":         {"for=192.0.2.1;proto=https;host=a.example"},
		"X-Forwarded-Proto": {"https"},
		"X-Forwarded-Host":  {"a.example"},
		"X-Real-Ip":         {"192.0.2.1"},
	}
	for _, peer := range []string{"203.0.113.9", "127.0.0.1", "10.0.0.1", "::1", "2001:db8::1"} {
		if got, want := s.Resolve(addr(peer), all), (clientip.Client{Addr: addr(peer)}); got != want {
			t.Errorf("peer %s: got %+v, want %+v", peer, got, want)
		}
	}
	if got := s.Resolve(netip.Addr{}, all); got != (clientip.Client{}) {
		t.Errorf("a peer without an address: got %+v, want nothing", got)
	}
}

func TestXForwardedFor(t *testing.T) {
	s := mustNew(t, clientip.Config{TrustedProxies: []string{"10.0.0.0/8", "2001:db8:1::/48"}})
	for _, tt := range []struct {
		name string
		peer string
		h    http.Header
		want string
	}{
		{"no header: the proxy is the client", "10.0.0.1", nil, "10.0.0.1"},
		{"one hop", "10.0.0.1", xff("192.0.2.7"), "192.0.2.7"},
		{"an untrusted peer is the client whatever it says", "203.0.113.9", xff("192.0.2.7"), "203.0.113.9"},
		{"an untrusted peer that claims to be a proxy", "11.0.0.1", xff("10.0.0.2"), "11.0.0.1"},
		{"what the client wrote, left of it, is not read", "10.0.0.1", xff("198.51.100.1, 192.0.2.7"), "192.0.2.7"},
		{"a forged trusted hop left of the client is not read", "10.0.0.1", xff("198.51.100.1, 10.9.9.9, 192.0.2.7"), "192.0.2.7"},
		{"trusted hops are walked through", "10.0.0.1", xff("192.0.2.7, 10.0.0.3, 10.0.0.2"), "192.0.2.7"},
		{"all hops trusted: the farthest", "10.0.0.1", xff("10.0.0.4, 10.0.0.3"), "10.0.0.4"},
		{"lines are joined in order", "10.0.0.1", xff("198.51.100.1", "192.0.2.7", "10.0.0.2"), "192.0.2.7"},
		{"lines hold lists", "10.0.0.1", xff("198.51.100.1, 192.0.2.7", "10.0.0.3, 10.0.0.2"), "192.0.2.7"},
		{"tabs and spaces around hops", "10.0.0.1", xff("192.0.2.7\t,  10.0.0.2 "), "192.0.2.7"},
		{"no white space at all", "10.0.0.1", xff("192.0.2.7,10.0.0.2"), "192.0.2.7"},
		{"a garbage hop stops the walk at the last good address", "10.0.0.1", xff("192.0.2.7, pqr, 10.0.0.2"), "10.0.0.2"},
		{"garbage beside the peer leaves the peer", "10.0.0.1", xff("192.0.2.7, pqr"), "10.0.0.1"},
		{"an empty hop is garbage", "10.0.0.1", xff("192.0.2.7, "), "10.0.0.1"},
		{"an empty line is garbage", "10.0.0.1", xff("192.0.2.7", ""), "10.0.0.1"},
		{"unknown is garbage", "10.0.0.1", xff("unknown"), "10.0.0.1"},
		{"leading zeros are garbage", "10.0.0.1", xff("192.0.2.07"), "10.0.0.1"},
		{"a host name is garbage", "10.0.0.1", xff("localhost"), "10.0.0.1"},
		{"a prefix is garbage", "10.0.0.1", xff("192.0.2.0/24"), "10.0.0.1"},
		{"quotes are garbage", "10.0.0.1", xff(`"192.0.2.7"`), "10.0.0.1"},
		{"IPv4 with a port", "10.0.0.1", xff("192.0.2.7:52000"), "192.0.2.7"},
		{"IPv4 with a bad port", "10.0.0.1", xff("192.0.2.7:65536"), "10.0.0.1"},
		{"IPv4 in brackets", "10.0.0.1", xff("[192.0.2.7]"), "10.0.0.1"},
		{"IPv6", "10.0.0.1", xff("2001:db8::7"), "2001:db8::7"},
		{"IPv6 in brackets", "10.0.0.1", xff("[2001:db8::7]"), "2001:db8::7"},
		{"IPv6 in brackets with a port", "10.0.0.1", xff("[2001:db8::7]:443"), "2001:db8::7"},
		{"IPv6 with an open bracket", "10.0.0.1", xff("[2001:db8::7"), "10.0.0.1"},
		{"IPv6 with a word for a port", "10.0.0.1", xff("[2001:db8::7]:https"), "10.0.0.1"},
		{"trusted IPv6 peer and hop", "2001:db8:1::1", xff("192.0.2.7, 2001:db8:1:ffff::1"), "192.0.2.7"},
		{"IPv6 beside the trusted prefix", "2001:db8:2::1", xff("192.0.2.7"), "2001:db8:2::1"},
		{"a mapped client is folded", "10.0.0.1", xff("::ffff:192.0.2.7"), "192.0.2.7"},
		{"a mapped proxy is a proxy", "10.0.0.1", xff("192.0.2.7, ::ffff:10.0.0.2"), "192.0.2.7"},
		{"a mapped peer is a proxy", "::ffff:10.0.0.1", xff("192.0.2.7"), "192.0.2.7"},
		{"a zone is stripped", "10.0.0.1", xff("fe80::1%eth0"), "fe80::1"},
		{"an address without end is garbage", "10.0.0.1", xff(strings.Repeat("1", 10_000)), "10.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := s.Resolve(addr(tt.peer), tt.h)
			if got.Addr != addr(tt.want) {
				t.Errorf("got %s, want %s", got.Addr, tt.want)
			}
			if trusted := got.Forwarded; trusted != (strings.HasPrefix(tt.peer, "10.") || strings.HasSuffix(tt.peer, ":10.0.0.1") || strings.HasPrefix(tt.peer, "2001:db8:1:")) {
				t.Errorf("Forwarded = %v", trusted)
			}
		})
	}
}

func TestTheWalkIsBounded(t *testing.T) {
	s := mustNew(t, clientip.Config{TrustedProxies: []string{"10.0.0.0/8"}})
	hops := []string{"192.0.2.7"}
	for i := range 31 {
		hops = append(hops, fmt.Sprintf("10.0.0.%d", 100+i))
	}
	if got := s.Resolve(addr("10.0.0.1"), xff(strings.Join(hops, ","))).Addr; got != addr("192.0.2.7") {
		t.Errorf("32 hops: got %s, want the client", got)
	}
	hops = append(hops, "10.0.0.99")
	if got := s.Resolve(addr("10.0.0.1"), xff(strings.Join(hops, ","))).Addr; got != addr("10.0.0.100") {
		t.Errorf("33 hops: got %s, want the last proxy within the bound", got)
	}
}

func TestForwarded(t *testing.T) {
	s := mustNew(t, clientip.Config{TrustedProxies: []string{"10.0.0.0/8"}, Header: clientip.Forwarded})
	type want struct{ addr, proto, host string }
	peer := want{"10.0.0.1", "", ""}
	for _, tt := range []struct {
		name  string
		lines []string
		want  want
	}{
		// The examples of RFC 7239 sections 4 and 6.3 come first.
		{"an IPv4 node", []string{`for=192.0.2.43`}, want{"192.0.2.43", "", ""}},
		{"names without regard to case", []string{`For="[2001:db8:cafe::17]:4711"`}, want{"2001:db8:cafe::17", "", ""}},
		{"all parameters", []string{`for=192.0.2.60;proto=http;by=203.0.113.43`}, want{"192.0.2.60", "http", ""}},
		{"the right-most is read", []string{`for=192.0.2.43, for=198.51.100.17`}, want{"198.51.100.17", "", ""}},
		{"an obfuscated node is no address", []string{`for=_gazonk`}, peer},
		{"an unknown node is no address", []string{`for=unknown`}, peer},
		{"an obfuscated port hides no address", []string{`for="192.0.2.43:_port"`}, want{"192.0.2.43", "", ""}},

		{"scheme and host of the hop that saw the client", []string{`for=192.0.2.7;proto=https;host=api.example.com, for=10.0.0.2;proto=http;host=inner`}, want{"192.0.2.7", "https", "api.example.com"}},
		{"left of the client nothing is read", []string{`for=198.51.100.1;proto=https;host=evil.example, for=192.0.2.7;proto=http`}, want{"192.0.2.7", "http", ""}},
		{"lines are joined in order", []string{`for=198.51.100.1`, `for=192.0.2.7`, `for=10.0.0.2`}, want{"192.0.2.7", "", ""}},
		{"garbage stops the walk at the last good hop", []string{`for=192.0.2.7, !, for=10.0.0.2;proto=https`}, want{"10.0.0.2", "https", ""}},
		{"a comma in a quoted string", []string{`for=192.0.2.7;host="a,b", for=10.0.0.2`}, want{"192.0.2.7", "", ""}},
		{"an open quote of the client changes nothing", []string{`for="x, for=192.0.2.7`}, want{"192.0.2.7", "", ""}},
		{"an escaped quote of the client changes nothing", []string{`for="x\", for=192.0.2.7`}, want{"192.0.2.7", "", ""}},
		{"an odd Host does not hide the client", []string{`for=192.0.2.7;host="a\", for=10.0.0.9\\\"b"`}, want{"192.0.2.7", "", ""}},
		{"a host with a port", []string{`for=192.0.2.7;host="api.example.com:8443"`}, want{"192.0.2.7", "", "api.example.com:8443"}},
		{"an unknown scheme is said to be unknown", []string{`for=192.0.2.7;proto=gopher`}, want{"192.0.2.7", "unknown", ""}},
		{"twice the same parameter is garbage", []string{`for=192.0.2.7;for=192.0.2.8`}, peer},
		{"an element without for is garbage", []string{`proto=https`}, peer},
		{"an empty element is garbage", []string{`for=192.0.2.7,`}, peer},
		{"IPv6 must be quoted", []string{`for=[2001:db8::1]`}, peer},
		{"IPv6 must be in brackets", []string{`for="2001:db8::1"`}, peer},
		{"white space around = is garbage", []string{`for = 192.0.2.7`}, peer},
		{"text after a quoted string is garbage", []string{`for="192.0.2.7"x`}, peer},
		{"a trailing semicolon is garbage", []string{`for=192.0.2.7;`}, peer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{"Forwarded": tt.lines, "X-Forwarded-For": {"198.51.100.66"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil.example"}}
			got := s.Resolve(addr("10.0.0.1"), h)
			if want := (clientip.Client{Addr: addr(tt.want.addr), Forwarded: true, Proto: tt.want.proto, Host: tt.want.host}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			untrusted := clientip.Client{Addr: addr("203.0.113.9")}
			if got := s.Resolve(addr("203.0.113.9"), h); got != untrusted {
				t.Errorf("from an untrusted peer: got %+v, want %+v", got, untrusted)
			}
		})
	}
}

func TestOneHeaderIsReadNeverBoth(t *testing.T) {
	h := http.Header{"X-Forwarded-For": {"192.0.2.1"}, "Forwarded": {"for=192.0.2.2"}}
	for header, want := range map[clientip.Header]string{"": "192.0.2.1", clientip.XForwardedFor: "192.0.2.1", clientip.Forwarded: "192.0.2.2"} {
		s := mustNew(t, clientip.Config{TrustedProxies: []string{"10.0.0.0/8"}, Header: header})
		if got := s.Resolve(addr("10.0.0.1"), h).Addr; got != addr(want) {
			t.Errorf("Header %q: got %s, want %s", header, got, want)
		}
	}
}

func TestSchemeAndHost(t *testing.T) {
	s := mustNew(t, clientip.Config{TrustedProxies: []string{"10.0.0.0/8"}})
	for _, tt := range []struct {
		name   string
		peer   string
		tls    bool
		h      http.Header
		secure bool
		host   string
	}{
		{"clear text stays clear text", "10.0.0.1", false, nil, false, "inner:8080"},
		{"TLS to us stays TLS when the proxy says nothing", "10.0.0.1", true, nil, true, "inner:8080"},
		{"https at the proxy", "10.0.0.1", false, http.Header{"X-Forwarded-Proto": {"https"}}, true, "inner:8080"},
		{"http at the proxy, TLS to us", "10.0.0.1", true, http.Header{"X-Forwarded-Proto": {"http"}}, false, "inner:8080"},
		{"upper case", "10.0.0.1", false, http.Header{"X-Forwarded-Proto": {"HTTPS"}}, true, "inner:8080"},
		{"a list of schemes counts as clear text", "10.0.0.1", true, http.Header{"X-Forwarded-Proto": {"https, http"}}, false, "inner:8080"},
		{"two lines count as clear text", "10.0.0.1", true, http.Header{"X-Forwarded-Proto": {"https", "https"}}, false, "inner:8080"},
		{"another scheme counts as clear text", "10.0.0.1", true, http.Header{"X-Forwarded-Proto": {"httpss"}}, false, "inner:8080"},
		{"from an untrusted peer none of it", "203.0.113.9", false, http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"api.example.com"}}, false, "inner:8080"},
		{"the host at the proxy", "10.0.0.1", false, http.Header{"X-Forwarded-Host": {"api.example.com"}}, false, "api.example.com"},
		{"with a port", "10.0.0.1", false, http.Header{"X-Forwarded-Host": {"api.example.com:8443"}}, false, "api.example.com:8443"},
		{"an IPv6 literal", "10.0.0.1", false, http.Header{"X-Forwarded-Host": {"[2001:db8::1]:8443"}}, false, "[2001:db8::1]:8443"},
		{"a list of hosts is ignored", "10.0.0.1", false, http.Header{"X-Forwarded-Host": {"a.example, b.example"}}, false, "inner:8080"},
		{"two lines are ignored", "10.0.0.1", false, http.Header{"X-Forwarded-Host": {"a.example", "b.example"}}, false, "inner:8080"},
		{"user information is ignored", "10.0.0.1", false, http.Header{"X-Forwarded-Host": {"a.example@b.example"}}, false, "inner:8080"},
		{"a path is ignored", "10.0.0.1", false, http.Header{"X-Forwarded-Host": {"a.example/b"}}, false, "inner:8080"},
		{"a bad port is ignored", "10.0.0.1", false, http.Header{"X-Forwarded-Host": {"a.example:x"}}, false, "inner:8080"},
		{"an IPv6 zone is ignored", "10.0.0.1", false, http.Header{"X-Forwarded-Host": {"[fe80::1%25eth0]"}}, false, "inner:8080"},
		{"an endless name is ignored", "10.0.0.1", false, http.Header{"X-Forwarded-Host": {strings.Repeat("a", 260)}}, false, "inner:8080"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := &exchange.Exchange{
				Request: &http.Request{Header: tt.h},
				Peer:    addr(tt.peer),
				Secure:  tt.tls,
				Host:    "inner:8080",
			}
			if o := s.Decide(x); !o.Continues() {
				t.Fatalf("refused: %v", o.Problem)
			}
			if x.Secure != tt.secure || x.Host != tt.host {
				t.Errorf("got secure=%v host=%q, want secure=%v host=%q", x.Secure, x.Host, tt.secure, tt.host)
			}
		})
	}
}

func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  clientip.Config
		want []string // parts of the error
	}{
		{"everybody by IPv4", clientip.Config{TrustedProxies: []string{"0.0.0.0/0"}}, []string{`["0.0.0.0/0"]`, "every public address"}},
		{"everybody by IPv6", clientip.Config{TrustedProxies: []string{"::/0"}}, []string{"every public address"}},
		{"everybody in two halves", clientip.Config{TrustedProxies: []string{"0.0.0.0/1", "128.0.0.0/1"}}, []string{"every public address"}},
		{"everybody but multicast", clientip.Config{TrustedProxies: []string{"0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/4", "208.0.0.0/4"}}, []string{"every public address"}},
		{"everybody by mapped addresses", clientip.Config{TrustedProxies: []string{"::ffff:0.0.0.0/96"}}, []string{`"::ffff:0.0.0.0/96"`, `write "0.0.0.0/0"`}},
		{"all global IPv6", clientip.Config{TrustedProxies: []string{"2000::/4", "3000::/4"}}, []string{"every public address"}},
		{"host bits are set", clientip.Config{TrustedProxies: []string{"10.0.0.1/8"}}, []string{`"10.0.0.1/8"`, `write "10.0.0.0/8"`}},
		{"IPv6 in long form", clientip.Config{TrustedProxies: []string{"2001:DB8:0::/48"}}, []string{`write "2001:db8::/48"`}},
		{"a mapped prefix", clientip.Config{TrustedProxies: []string{"::ffff:10.0.0.0/104"}}, []string{`write "10.0.0.0/8"`}},
		{"an address", clientip.Config{TrustedProxies: []string{"10.0.0.1"}}, []string{`write "10.0.0.1/32"`}},
		{"an IPv6 address", clientip.Config{TrustedProxies: []string{"2001:db8::1"}}, []string{`write "2001:db8::1/128"`}},
		{"a name", clientip.Config{TrustedProxies: []string{"proxy.local"}}, []string{`"proxy.local"`, "want a prefix"}},
		{"nothing", clientip.Config{TrustedProxies: []string{""}}, []string{`""`, "want a prefix"}},
		{"another header", clientip.Config{Header: "X-Real-IP"}, []string{`"X-Real-IP"`, `"X-Forwarded-For"`}},
		{"all at once", clientip.Config{TrustedProxies: []string{"a", "b"}, Header: "c"}, []string{`"a"`, `"b"`, `"c"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := clientip.New(tt.cfg)
			if err == nil || s != nil {
				t.Fatalf("got a stage (%v), want an error", s)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
		})
	}
	for _, cfg := range []clientip.Config{
		{},
		{TrustedProxies: []string{"0.0.0.0/1", "128.0.0.0/2"}},
		{TrustedProxies: []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128", "192.0.2.1/32"}},
	} {
		if _, err := clientip.New(cfg); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestConfigIsCopied(t *testing.T) {
	prefixes := []string{"10.0.0.0/8"}
	s := mustNew(t, clientip.Config{TrustedProxies: prefixes})
	prefixes[0] = "203.0.113.0/24"
	if got := s.Resolve(addr("203.0.113.9"), xff("192.0.2.7")).Addr; got != addr("203.0.113.9") {
		t.Errorf("got %s: a later change of the configuration's slice took effect", got)
	}
}

func TestOverTheWire(t *testing.T) {
	s := mustNew(t, clientip.Config{TrustedProxies: []string{"127.0.0.0/8", "::1/128"}})
	srv := httptest.NewServer(s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := exchange.FromContext(r.Context())
		fmt.Fprintf(w, "%s %v %v %s", x.Client, x.Forwarded, x.Secure, x.Host)
	})))
	defer srv.Close()
	req, _ := http.NewRequest("GET", srv.URL, nil)
	req.Header["x-forwarded-for"] = []string{"198.51.100.1", "192.0.2.7"} // net/http makes it canonical
	req.Header.Set("X-Forwarded-Proto", "https")
	req.Header.Set("X-Forwarded-Host", "api.example.com")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body [200]byte
	n, _ := res.Body.Read(body[:])
	if got, want := string(body[:n]), "192.0.2.7 true true api.example.com"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNoAllocation(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  clientip.Config
		peer string
		h    http.Header
	}{
		"no proxy":          {clientip.Config{}, "203.0.113.9", xff("192.0.2.7")},
		"X-Forwarded-For":   {clientip.Config{TrustedProxies: []string{"10.0.0.0/8"}}, "10.0.0.1", http.Header{"X-Forwarded-For": {"192.0.2.7, [2001:db8::1]:443", "10.0.0.2"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"api.example.com"}}},
		"RFC 7239 elements": {clientip.Config{TrustedProxies: []string{"10.0.0.0/8"}, Header: clientip.Forwarded}, "10.0.0.1", http.Header{"Forwarded": {`for="[2001:db8::1]:443";proto=https;host=api.example.com, for=10.0.0.2`}}},
	} {
		s := mustNew(t, tt.cfg)
		peer := addr(tt.peer)
		if n := testing.AllocsPerRun(100, func() { s.Resolve(peer, tt.h) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

// naive is the definition of the client by X-Forwarded-For, written for
// reading: split, then walk.
func naive(trusted netip.Prefix, peer netip.Addr, lines []string) netip.Addr {
	if !trusted.Contains(peer) {
		return peer
	}
	client := peer
	if len(lines) == 0 {
		return client
	}
	hops := strings.Split(strings.Join(lines, ","), ",")
	for i := range hops {
		if i == 32 {
			break
		}
		hop := strings.Trim(hops[len(hops)-1-i], " \t")
		a, err := netip.ParseAddr(hop)
		if err != nil {
			ap, err := netip.ParseAddrPort(hop)
			if err != nil {
				inner, ok := strings.CutPrefix(hop, "[")
				inner, end := strings.CutSuffix(inner, "]")
				if a, err = netip.ParseAddr(inner); err != nil || !ok || !end || !a.Is6() {
					break
				}
			} else if a = ap.Addr(); ap.Port() == 0 {
				break
			}
		}
		client = a.Unmap().WithZone("")
		if !trusted.Contains(client) {
			break
		}
	}
	return client
}

func FuzzXForwardedFor(f *testing.F) {
	for _, seed := range []string{
		"", "192.0.2.7", "198.51.100.1, 192.0.2.7", "192.0.2.7, 10.0.0.3, 10.0.0.2", "192.0.2.7, pqr, 10.0.0.2",
		"[2001:db8::7]:443", "::ffff:10.0.0.2", "192.0.2.7:1", "[192.0.2.7]", "fe80::1%eth0", ",,", "a\n10.0.0.1\n10.0.0.2",
	} {
		f.Add("10.0.0.1", seed)
		f.Add("203.0.113.9", seed)
	}
	none := mustNew(f, clientip.Config{})
	some := mustNew(f, clientip.Config{TrustedProxies: []string{"10.0.0.0/8"}})
	trusted := netip.MustParsePrefix("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, peerText, text string) {
		peer, err := netip.ParseAddr(peerText)
		if err != nil {
			return
		}
		peer = peer.Unmap().WithZone("")
		lines := strings.Split(text, "\n")
		if got := none.Resolve(peer, xff(lines...)).Addr; got != peer {
			t.Fatalf("without trusted proxies: got %s, want the peer %s", got, peer)
		}
		got := some.Resolve(peer, xff(lines...)).Addr
		// Overlong hops and zones with odd bytes are garbage to us, and to the
		// definition they need not be.
		odd := strings.ContainsAny(text, "%") || len(text) > 80
		if want := naive(trusted, peer, lines); !odd && got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		// Whatever the client writes, the hop that the proxy adds is the client.
		added := append(lines[:len(lines):len(lines)], "192.0.2.7")
		if got := some.Resolve(addr("10.0.0.1"), xff(added...)).Addr; got != addr("192.0.2.7") {
			t.Fatalf("a line added by the proxy: got %s, want 192.0.2.7", got)
		}
		lines[len(lines)-1] += ", 192.0.2.7, 10.0.0.2"
		if got := some.Resolve(addr("10.0.0.1"), xff(lines...)).Addr; got != addr("192.0.2.7") {
			t.Fatalf("hops added by the proxies: got %s, want 192.0.2.7", got)
		}
	})
}

func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{
		"", "for=192.0.2.43", `For="[2001:db8:cafe::17]:4711"`, "for=192.0.2.60;proto=http;by=203.0.113.43", `for="x`, `for="x\"`,
		`for="a\\\"b";host=","`, "for=unknown", "for=_x;for=_y", "\"", "\\", `for=10.0.0.9;host="`,
	} {
		f.Add(seed, "api.example.com")
	}
	f.Add("", `a"b\`)
	none := mustNew(f, clientip.Config{Header: clientip.Forwarded})
	some := mustNew(f, clientip.Config{TrustedProxies: []string{"10.0.0.0/8"}, Header: clientip.Forwarded})
	f.Fuzz(func(t *testing.T, text, host string) {
		h := http.Header{"Forwarded": {text}}
		if got := none.Resolve(addr("203.0.113.9"), h); got != (clientip.Client{Addr: addr("203.0.113.9")}) {
			t.Fatalf("without trusted proxies: got %+v", got)
		}
		if got := some.Resolve(addr("203.0.113.9"), h); got != (clientip.Client{Addr: addr("203.0.113.9")}) {
			t.Fatalf("from an untrusted peer: got %+v", got)
		}
		some.Resolve(addr("10.0.0.1"), h) // must come back
		// A proxy that quotes what the client sent as Host, and appends.
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(host)
		h = http.Header{"Forwarded": {text + `, for=192.0.2.7;proto=https;host="` + quoted + `", for=10.0.0.2;proto=http`}}
		got := some.Resolve(addr("10.0.0.1"), h)
		if got.Addr != addr("192.0.2.7") || got.Proto != "https" {
			t.Fatalf("got %+v, want 192.0.2.7 by https", got)
		}
		if got.Host != "" && got.Host != host {
			t.Fatalf("got host %q from %q", got.Host, host)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	s := mustNew(b, clientip.Config{TrustedProxies: []string{"10.0.0.0/8"}})
	x := &exchange.Exchange{
		Request: &http.Request{Header: http.Header{"X-Forwarded-For": {"192.0.2.7, 10.0.0.2"}, "X-Forwarded-Proto": {"https"}}},
		Peer:    addr("10.0.0.1"),
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Decide(x)
	}
}

func TestForwardingHeadersOfAnUndeclaredPeerAreToldOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		peer   string
		header http.Header
		want   string // the header that is told of
	}{
		{"X-Forwarded-For of a stranger", "203.0.113.9", http.Header{"X-Forwarded-For": {"192.0.2.7"}}, "X-Forwarded-For"},
		{"Forwarded of a stranger", "203.0.113.9", http.Header{"Forwarded": {"for=192.0.2.7"}}, "Forwarded"},
		{"none", "203.0.113.9", http.Header{"Via": {"1.1 x"}}, ""},
		{"X-Forwarded-For of a trusted proxy", "10.0.0.1", http.Header{"X-Forwarded-For": {"192.0.2.7"}}, ""},
	} {
		var told []string
		s := mustNew(t, clientip.Config{TrustedProxies: []string{"10.0.0.0/8"}, OnUndeclared: func(x *exchange.Exchange, header string) {
			told = append(told, header+" "+x.Peer.String())
		}})
		for range 3 {
			x := &exchange.Exchange{Request: &http.Request{Header: tt.header}, Peer: addr(tt.peer)}
			s.Decide(x)
			if tt.peer == "203.0.113.9" && x.Client != addr(tt.peer) {
				t.Errorf("%s: client %s", tt.name, x.Client)
			}
		}
		want := []string{tt.want + " " + tt.peer}
		if tt.want == "" {
			want = nil
		}
		if !slices.Equal(told, want) {
			t.Errorf("%s: told %q, want %q", tt.name, told, want)
		}
	}
}
