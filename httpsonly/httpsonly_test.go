package httpsonly_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/httpsonly"
	"github.com/merlonhq/merlon/route"
)

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

var hosts = httpsonly.Config{Hosts: []string{"api.example.com", "www.example.com", "[2001:db8::1]", "alt.example.com:8443"}}

func mustNew(t testing.TB, cfg httpsonly.Config) *httpsonly.Stage {
	t.Helper()
	s, err := httpsonly.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// get makes a request to api.example.com with pairs of header names and values.
func get(target string, header ...string) *http.Request {
	return request("GET", target, header...)
}

func request(method, target string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "api.example.com"
	r.RemoteAddr = "203.0.113.9:52000"
	r.TLS = nil
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func at(host string, r *http.Request) *http.Request {
	r.Host = host
	return r
}

func from(peer string, r *http.Request) *http.Request {
	r.RemoteAddr = peer
	return r
}

func overTLS(r *http.Request) *http.Request {
	r.TLS = &tls.ConnectionState{}
	return r
}

type recorder []audit.Event

func (l *recorder) Record(e audit.Event)                          { *l = append(*l, e) }
func (l *recorder) Commit(_ context.Context, e audit.Event) error { l.Record(e); return nil }

// verdict is what a client and an operator see.
type verdict struct {
	Status   int
	Location string
	Event    audit.Type
	Severity audit.Severity
}

var (
	passes  = verdict{Status: 200}
	refused = verdict{Status: 403}
	exposed = verdict{Status: 403, Event: "authn_credential_in_clear", Severity: "high"}
)

func redirected(location string) verdict { return verdict{Status: 308, Location: location} }

func serve(t testing.TB, s *httpsonly.Stage, r *http.Request, before ...exchange.Stage) verdict {
	t.Helper()
	routes, err := route.New([]route.Route{
		{Pattern: "GET /health", Probe: true},
		{Pattern: "GET /items", Public: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	var events recorder
	h := exchange.New(exchange.Config{Stages: append(before, s), Routes: routes, Recorder: &events}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	v := verdict{Status: w.Code, Location: w.Header().Get("Location")}
	page := strings.HasPrefix(w.Header().Get("Content-Type"), "text/html")
	if code := map[bool]string{false: `"code":"https-required"`, true: "Status 403, https-required."}[page]; w.Code == 403 && !strings.Contains(w.Body.String(), code) {
		t.Errorf("body %s lacks the code", w.Body)
	}
	if len(events) == 1 {
		v.Event, v.Severity = events[0].Type, events[0].Severity
	} else if len(events) > 1 {
		t.Errorf("%d events", len(events))
	}
	return v
}

func TestClearText(t *testing.T) {
	s := mustNew(t, hosts)
	const https = "https://api.example.com"
	for _, tt := range []struct {
		name string
		r    *http.Request
		want verdict
	}{
		{"over TLS everything passes", overTLS(get("/items")), passes},
		{"over TLS with a credential", overTLS(get("/items", "X-API-Key", "k")), passes},
		{"a program that takes anything", get("/items", "Accept", "*/*"), refused},
		{"a program that says nothing", get("/items"), refused},
		{"a program that wants JSON", get("/items", "Accept", "application/json, text/plain, */*"), refused},
		{"a browser without Fetch Metadata", get("/items", "Accept", browser), redirected(https + "/items")},
		{"a HEAD by a browser", request("HEAD", "/items", "Accept", browser), redirected(https + "/items")},
		{"a POST by a browser", request("POST", "/items", "Accept", browser), refused},
		{"an OPTIONS by a browser", request("OPTIONS", "/items", "Accept", browser), refused},
		{"a navigation by Fetch Metadata", get("/items", "Sec-Fetch-Mode", "navigate"), redirected(https + "/items")},
		{"a POST navigation", request("POST", "/items", "Sec-Fetch-Mode", "navigate"), refused},
		{"a fetch by Fetch Metadata, whatever it accepts", get("/items", "Sec-Fetch-Mode", "cors", "Accept", browser), refused},
		{"Fetch Metadata without a mode", get("/items", "Sec-Fetch-Site", "none", "Accept", browser), refused},
		{"two modes", get("/items", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Mode", "navigate"), refused},

		{"path and query are kept", get("/a/b%20c/?q=%2F&r=1", "Accept", browser), redirected(https + "/a/b%20c/?q=%2F&r=1")},
		{"an encoded slash stays encoded", get("/a%2Fb", "Accept", browser), redirected(https + "/a%2Fb")},
		{"an empty query is kept", get("/a?", "Accept", browser), redirected(https + "/a?")},
		{"a path that looks like a host", get("//evil.example/x", "Accept", browser), redirected(https + "//evil.example/x")},
		{"an absolute target", at("evil.example", get("http://evil.example/x", "Accept", browser)), redirected(https + "/x")},
		{"another listed host stays", at("www.example.com", get("/x", "Accept", browser)), redirected("https://www.example.com/x")},
		{"in upper case and with the port of clear text", at("WWW.example.com:8080", get("/x", "Accept", browser)), redirected("https://www.example.com/x")},
		{"a listed host with a port", at("alt.example.com", get("/x", "Accept", browser)), redirected("https://alt.example.com:8443/x")},
		{"a listed IPv6 literal", at("[2001:db8::1]:80", get("/x", "Accept", browser)), redirected("https://[2001:db8::1]/x")},
		{"an unknown host goes to the first", at("evil.example", get("/x", "Accept", browser)), redirected(https + "/x")},
		{"no host goes to the first", at("", get("/x", "Accept", browser)), redirected(https + "/x")},
		{"a listed host as user information", at("www.example.com@evil.example", get("/x", "Accept", browser)), redirected(https + "/x")},
		{"a listed host as a subdomain", at("www.example.com.evil.example", get("/x", "Accept", browser)), redirected(https + "/x")},

		{"a key in clear text", get("/items", "X-API-Key", "k"), exposed},
		{"a token in clear text", get("/items", "Authorization", "Bearer t"), exposed},
		{"a password in clear text", get("/items", "Authorization", "Basic dTpw"), exposed},
		{"a session in clear text", get("/items", "Cookie", "a=b; __Host-merlon_session=s"), exposed},
		{"two credentials in clear text", get("/items", "X-API-Key", "k", "Authorization", "Bearer t"), exposed},
		{"another cookie is no credential", get("/items", "Cookie", "theme=dark"), refused},
		{"a navigation with a credential is not redirected", get("/items", "X-API-Key", "k", "Accept", browser), exposed},
		{"a probe passes", get("/health"), passes},
		{"a probe passes with a credential", get("/health", "X-API-Key", "k"), passes},
		{"what only looks like a probe does not", get("/health/", "Accept", "*/*"), refused},

		{"what an untrusted peer says of the scheme means nothing", get("/items", "X-Forwarded-Proto", "https"), refused},
		{"loopback needs a setting", from("127.0.0.1:5000", get("/items")), refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, serve(t, s, tt.r)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestTheZeroConfigRefusesNavigationsToo(t *testing.T) {
	s := mustNew(t, httpsonly.Config{})
	for name, tt := range map[string]struct {
		r    *http.Request
		want verdict
	}{
		"a navigation": {get("/items", "Accept", browser), refused},
		"a program":    {get("/items"), refused},
		"a credential": {get("/items", "X-API-Key", "k"), exposed},
		"loopback":     {from("[::1]:5000", get("/items")), refused},
		"TLS":          {overTLS(get("/items")), passes},
		"a probe":      {get("/health"), passes},
	} {
		if got := serve(t, s, tt.r); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestTargetsWithoutAPathAreRefused(t *testing.T) {
	s := mustNew(t, hosts)
	for _, target := range []string{"*", "mailto:x", "http:x", "http://api.example.com"} {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(err)
		}
		r := get("/", "Accept", browser)
		r.URL = u
		if got := serve(t, s, r); got != refused {
			t.Errorf("%q: got %+v, want a refusal", target, got)
		}
	}
}

func TestRedirectPort(t *testing.T) {
	for port, want := range map[int]string{0: "https://api.example.com/x", 443: "https://api.example.com/x", 8443: "https://api.example.com:8443/x"} {
		s := mustNew(t, httpsonly.Config{Hosts: []string{"api.example.com"}, RedirectPort: port})
		if got := serve(t, s, get("/x", "Accept", browser)); got != redirected(want) {
			t.Errorf("port %d: got %+v, want %s", port, got, want)
		}
	}
}

func TestHostWithSeveralPortsGoesToTheFirst(t *testing.T) {
	s := mustNew(t, httpsonly.Config{Hosts: []string{"api.example.com:9443", "api.example.com"}})
	if got := serve(t, s, get("/x", "Accept", browser)); got != redirected("https://api.example.com:9443/x") {
		t.Errorf("got %+v", got)
	}
}

func TestInsecureLoopback(t *testing.T) {
	s := mustNew(t, httpsonly.Config{InsecureLoopback: "demo"})
	for _, tt := range []struct {
		name string
		r    *http.Request
		want verdict
	}{
		{"IPv4 loopback", from("127.0.0.1:5000", get("/items")), passes},
		{"another IPv4 loopback", from("127.9.9.9:5000", get("/items")), passes},
		{"mapped IPv4 loopback", from("[::ffff:127.0.0.1]:5000", get("/items")), passes},
		{"IPv6 loopback", from("[::1]:5000", get("/items")), passes},
		{"with a credential", from("[::1]:5000", get("/items", "X-API-Key", "k")), passes},
		{"another machine", from("192.168.1.2:5000", get("/items")), refused},
		{"another machine that says localhost", at("localhost", from("192.168.1.2:5000", get("/items"))), refused},
		{"another machine with a credential", from("192.168.1.2:5000", get("/items", "X-API-Key", "k")), exposed},
		{"a Unix socket", from("@", get("/items")), refused},
		{"a forged X-Forwarded-For means nothing", from("127.0.0.1:5000", get("/items", "X-Forwarded-For", "192.0.2.7")), passes},
		{"nor does it make another machine this one", from("192.168.1.2:5000", get("/items", "X-Forwarded-For", "127.0.0.1")), refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, serve(t, s, tt.r)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// proxied stands for a clientip stage that believes a proxy.
type proxied struct {
	client netip.Addr
	secure bool
	host   string
}

func (proxied) Name() string { return "clientip" }
func (p proxied) Decide(x *exchange.Exchange) exchange.Outcome {
	x.Forwarded, x.Client, x.Secure, x.Host = true, p.client, p.secure, p.host
	return exchange.Continue()
}

func TestBehindATrustedProxy(t *testing.T) {
	cfg := hosts
	cfg.InsecureLoopback = "development"
	s := mustNew(t, cfg)
	remote, loopback := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("127.0.0.1")
	local := func(header ...string) *http.Request {
		return at("inner:8080", from("127.0.0.1:5000", get("/x", header...)))
	}
	for _, tt := range []struct {
		name  string
		proxy proxied
		r     *http.Request
		want  verdict
	}{
		{"https at the proxy", proxied{remote, true, "api.example.com"}, local(), passes},
		{"clear text at the proxy", proxied{remote, false, "api.example.com"}, local(), refused},
		{"clear text at the proxy by a client on loopback", proxied{loopback, false, "api.example.com"}, local(), refused},
		{"a navigation goes to the forwarded host if listed", proxied{remote, false, "www.example.com"}, local("Accept", browser), redirected("https://www.example.com/x")},
		{"a navigation does not go to the forwarded host if not", proxied{remote, false, "evil.example"}, local("Accept", browser), redirected("https://api.example.com/x")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, serve(t, s, tt.r, tt.proxy)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestInsecureHTTP(t *testing.T) {
	s := mustNew(t, httpsonly.Config{InsecureHTTP: "the load balancer cannot say"})
	for _, r := range []*http.Request{get("/items"), get("/items", "X-API-Key", "k"), request("POST", "/items"), get("/items", "Accept", browser)} {
		if got := serve(t, s, r); got != passes {
			t.Errorf("got %+v, want it to pass", got)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  httpsonly.Config
		want []string
	}{
		{"a scheme", httpsonly.Config{Hosts: []string{"https://api.example.com"}}, []string{`"https://api.example.com"`}},
		{"a path", httpsonly.Config{Hosts: []string{"api.example.com/x"}}, []string{`"api.example.com/x"`}},
		{"a query", httpsonly.Config{Hosts: []string{"api.example.com?x"}}, []string{`"api.example.com?x"`}},
		{"user information", httpsonly.Config{Hosts: []string{"a@api.example.com"}}, []string{`"a@api.example.com"`}},
		{"upper case", httpsonly.Config{Hosts: []string{"API.example.com"}}, []string{"lower case"}},
		{"not ASCII", httpsonly.Config{Hosts: []string{"bücher.example"}}, []string{"ASCII"}},
		{"a wildcard", httpsonly.Config{Hosts: []string{"*.example.com"}}, []string{`"*.example.com"`}},
		{"nothing", httpsonly.Config{Hosts: []string{""}}, []string{`""`}},
		{"a port that is none", httpsonly.Config{Hosts: []string{"api.example.com:0"}}, []string{":0"}},
		{"a port that is too large", httpsonly.Config{Hosts: []string{"api.example.com:65536"}}, []string{":65536"}},
		{"an empty port", httpsonly.Config{Hosts: []string{"api.example.com:"}}, []string{`com:"`}},
		{"an IPv6 address without brackets", httpsonly.Config{Hosts: []string{"2001:db8::1"}}, []string{"2001:db8::1"}},
		{"an IPv6 literal in long form", httpsonly.Config{Hosts: []string{"[2001:db8:0::1]"}}, []string{"[2001:db8:0::1]"}},
		{"a redirect port", httpsonly.Config{RedirectPort: 65536}, []string{"RedirectPort 65536"}},
		{"a negative redirect port", httpsonly.Config{RedirectPort: -1}, []string{"RedirectPort -1"}},
		{"reasons of spaces", httpsonly.Config{InsecureLoopback: " ", InsecureHTTP: "\t"}, []string{"InsecureLoopback", "InsecureHTTP"}},
		{"all at once", httpsonly.Config{Hosts: []string{"A", "b/"}, RedirectPort: -1}, []string{`"A"`, `"b/"`, "-1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := httpsonly.New(tt.cfg)
			if err == nil || s != nil {
				t.Fatal("want an error")
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
		})
	}
}

func TestNoAllocationOverTLS(t *testing.T) {
	s := mustNew(t, hosts)
	x := &exchange.Exchange{Request: get("/items"), Secure: true}
	if n := testing.AllocsPerRun(100, func() { s.Decide(x) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// No request, however odd, is redirected to a host that is not configured.
func FuzzLocation(f *testing.F) {
	for _, target := range []string{"/", "/a?b=c", "//evil.example", "/\\evil.example", "/%2F%2Fevil.example", "http://evil.example/x", "*", "/a?#", "/é?é"} {
		f.Add(target, "api.example.com", browser)
		f.Add(target, "evil.example", "text/html")
	}
	f.Add("/", "api.example.com:80@evil.example", "text/html")
	s := mustNew(f, hosts)
	allowed := map[string]bool{"api.example.com": true, "www.example.com": true, "[2001:db8::1]": true, "alt.example.com:8443": true}
	f.Fuzz(func(t *testing.T, target, host, accept string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: "GET", URL: u, Header: http.Header{"Accept": {accept}}}
		location := s.Location(host, r)
		if location == "" {
			return
		}
		to, err := url.Parse(location)
		if err != nil || to.Scheme != "https" || to.User != nil || !allowed[to.Host] {
			t.Fatalf("redirected to %q (%v)", location, err)
		}
		if to.Path != u.Path || !strings.Contains(u.RawQuery, "#") && to.RawQuery != u.RawQuery {
			t.Fatalf("%q became %q", target, location)
		}
	})
}
