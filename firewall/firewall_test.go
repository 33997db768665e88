package firewall_test

import (
	"bufio"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/authz"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/firewall"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/route"
)

var onlyAPI = firewall.Config{Hosts: []string{"api.example.com"}}

func mustNew(t testing.TB, cfg firewall.Config) *firewall.Stage {
	t.Helper()
	s, err := firewall.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// parse reads a request as a server does, from lines of HTTP/1.1.
func parse(t testing.TB, lines ...string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.Join(lines, "\r\n") + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func get(t testing.TB, target string, lines ...string) *http.Request {
	t.Helper()
	return parse(t, append([]string{"GET " + target + " HTTP/1.1", "Host: api.example.com"}, lines...)...)
}

// verdict is what a stage decides, flattened.
type verdict struct {
	Status int // 0: continues
	Code   problem.Code
	Reason string
	Event  audit.Type
}

var passes verdict

func malformed(reason string) verdict {
	return verdict{400, "malformed-request", reason, "input_validation_fail"}
}

func traversal(reason string) verdict {
	return verdict{400, "malformed-request", reason, "malicious_direct_reference"}
}

func decide(s exchange.Stage, r *http.Request) verdict {
	return flatten(s.Decide(&exchange.Exchange{Request: r, Host: r.Host}))
}

func flatten(o exchange.Outcome) verdict {
	v := verdict{Status: o.Status}
	if o.Refusal == nil {
		return v
	}
	v.Event = o.Type
	if o.Problem != nil {
		v.Status, v.Code = o.Problem.Status(), o.Problem.Code
	}
	for _, a := range o.Detail {
		if a.Key == "reason" {
			v.Reason = a.Value.String()
		}
	}
	return v
}

func TestMethods(t *testing.T) {
	const standard = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	refused := verdict{405, "method-not-allowed", "method", "input_validation_fail"}
	for _, tt := range []struct {
		method  string
		methods []string
		want    verdict
		allow   string
	}{
		{"GET", nil, passes, ""},
		{"HEAD", nil, passes, ""},
		{"POST", nil, passes, ""},
		{"PUT", nil, passes, ""},
		{"PATCH", nil, passes, ""},
		{"DELETE", nil, passes, ""},
		{"OPTIONS", nil, passes, ""},
		{"TRACE", nil, refused, standard},
		{"CONNECT", nil, refused, standard},
		{"PROPFIND", nil, refused, standard},
		{"PROPFIND", []string{"GET", "PROPFIND"}, passes, ""},
		{"POST", []string{"GET", "PROPFIND"}, refused, "GET, PROPFIND"},
		{"JEFF", nil, refused, standard},
		{"get", nil, refused, standard},
		{"Get", nil, refused, standard},
		{"", nil, refused, standard},
	} {
		s := mustNew(t, firewall.Config{Hosts: []string{"api.example.com"}, Methods: tt.methods})
		r := get(t, "/")
		r.Method = tt.method
		o := s.Decide(&exchange.Exchange{Request: r, Host: r.Host})
		if diff := cmp.Diff(tt.want, flatten(o)); diff != "" {
			t.Errorf("%q among %v: -want +got:\n%s", tt.method, tt.methods, diff)
		}
		if o.Refusal != nil && o.Problem.Allow != tt.allow {
			t.Errorf("%q: Allow: %s, want %s", tt.method, o.Problem.Allow, tt.allow)
		}
	}
	// A path that is known lists its own methods.
	r := get(t, "/")
	r.Method = "JEFF"
	o := mustNew(t, onlyAPI).Decide(&exchange.Exchange{Request: r, Host: r.Host, Match: route.Match{Allow: "GET, HEAD"}})
	if o.Refusal == nil || o.Problem.Allow != "GET, HEAD" {
		t.Errorf("Allow of a known path: %+v", o)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  firewall.Config
		want []string
	}{
		{"the zero Config lists no host", firewall.Config{}, []string{"Hosts: none"}},
		{"a scheme", firewall.Config{Hosts: []string{"https://api.example.com"}}, []string{`"https://api.example.com"`}},
		{"a path", firewall.Config{Hosts: []string{"api.example.com/"}}, []string{`"api.example.com/"`}},
		{"a wildcard", firewall.Config{Hosts: []string{"*.example.com"}}, []string{`"*.example.com"`}},
		{"a star", firewall.Config{Hosts: []string{"*"}}, []string{`"*"`}},
		{"nothing", firewall.Config{Hosts: []string{""}}, []string{`""`}},
		{"not ASCII", firewall.Config{Hosts: []string{"bücher.example"}}, []string{`"bücher.example"`, "xn--"}},
		{"upper case", firewall.Config{Hosts: []string{"API.example.com"}}, []string{`write "api.example.com"`}},
		{"a final dot", firewall.Config{Hosts: []string{"api.example.com."}}, []string{`"api.example.com."`}},
		{"a port that is none", firewall.Config{Hosts: []string{"api.example.com:http"}}, []string{":http"}},
		{"port 0", firewall.Config{Hosts: []string{"api.example.com:0"}}, []string{":0"}},
		{"port 65536", firewall.Config{Hosts: []string{"api.example.com:65536"}}, []string{":65536"}},
		{"IPv6 without brackets", firewall.Config{Hosts: []string{"2001:db8::1"}}, []string{"2001:db8::1"}},
		{"IPv6 in long form", firewall.Config{Hosts: []string{"[2001:db8:0::1]:443"}}, []string{`"[2001:db8::1]"`}},
		{"IPv6 with a zone", firewall.Config{Hosts: []string{"[fe80::1%25eth0]"}}, []string{"fe80::1"}},
		{"IPv4 in short form", firewall.Config{Hosts: []string{"127.1"}}, []string{`"127.1"`}},
		{"hosts beside any host", firewall.Config{Hosts: []string{"a.example"}, InsecureAnyHost: "x"}, []string{"InsecureAnyHost"}},
		{"a reason of spaces", firewall.Config{InsecureAnyHost: " "}, []string{"InsecureAnyHost", "reason"}},
		{"another reason of spaces", firewall.Config{InsecureLoopbackHosts: " "}, []string{"InsecureLoopbackHosts", "reason"}},
		{"TRACE", firewall.Config{Hosts: []string{"a.example"}, Methods: []string{"GET", "TRACE"}}, []string{`"TRACE"`}},
		{"CONNECT", firewall.Config{Hosts: []string{"a.example"}, Methods: []string{"CONNECT"}}, []string{`"CONNECT"`}},
		{"a method in lower case", firewall.Config{Hosts: []string{"a.example"}, Methods: []string{"get"}}, []string{`"get"`}},
		{"a method that is no token", firewall.Config{Hosts: []string{"a.example"}, Methods: []string{"GET "}}, []string{`"GET "`}},
		{"negative sizes, all at once", firewall.Config{MaxURI: -1, MaxHeaderBytes: -2, MaxHeaders: -3}, []string{"Hosts", "MaxURI -1", "MaxHeaderBytes -2", "MaxHeaders -3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := firewall.New(tt.cfg)
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

func TestConfigIsCopied(t *testing.T) {
	cfg := firewall.Config{Hosts: []string{"api.example.com"}, Methods: []string{"GET"}}
	s := mustNew(t, cfg)
	cfg.Hosts[0], cfg.Methods[0] = "evil.example", "POST"
	if got := decide(s, get(t, "/")); got != passes {
		t.Errorf("got %+v: a later change of the configuration's slices took effect", got)
	}
}

// What goes over the wire to a real server, byte by byte.
func TestOverTheWire(t *testing.T) {
	var events recorder
	table, err := route.New([]route.Route{{Pattern: "GET /health", Probe: true}, {Pattern: "POST /items", Public: true}, {Pattern: "GET /{rest...}", Public: true}})
	if err != nil {
		t.Fatal(err)
	}
	chain := exchange.New(exchange.Config{Stages: []exchange.Stage{mustNew(t, onlyAPI), authz.Routed{}}, Routes: table, Recorder: &events})
	srv := httptest.NewUnstartedServer(chain.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(204)
	})))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Config.DisableGeneralOptionsHandler = true
	srv.Start()
	defer srv.Close()
	const host = "Host: api.example.com\r\n"
	for _, tt := range []struct {
		name string
		send string
		want int
	}{
		{"a plain request", "GET /a HTTP/1.1\r\n" + host + "\r\n", 204},
		{"no Host", "GET /a HTTP/1.1\r\n\r\n", 400},
		{"no Host in HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n", 400},
		{"no Host in HTTP/1.0 by a probe", "GET /health HTTP/1.0\r\n\r\n", 204},
		{"an empty Host", "GET /a HTTP/1.1\r\nHost: \r\n\r\n", 400},
		{"two Hosts", "GET /a HTTP/1.1\r\n" + host + "Host: evil.example\r\n\r\n", 400},
		{"another Host", "GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421},
		{"another Host by a probe", "GET /health HTTP/1.1\r\nHost: 10.1.2.3:8443\r\n\r\n", 204},
		{"an absolute target", "GET http://api.example.com/a HTTP/1.1\r\n" + host + "\r\n", 204},
		{"an absolute target for another host", "GET http://evil.example/a HTTP/1.1\r\n" + host + "\r\n", 421},
		{"an invented method", "JEFF /a HTTP/1.1\r\n" + host + "\r\n", 405},
		{"CONNECT", "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n", 405},
		{"TRACE", "TRACE /a HTTP/1.1\r\n" + host + "\r\n", 405},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 400},
		{"OPTIONS of a known path", "OPTIONS /a HTTP/1.1\r\n" + host + "\r\n", 405},
		{"a folded header", "GET /a HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n", 204},
		{"a space before the colon", "GET /a HTTP/1.1\r\n" + host + "A : b\r\n\r\n", 400},
		{"a bare carriage return in a value", "GET /a HTTP/1.1\r\n" + host + "A: b\rc\r\n\r\n", 400},
		{"two lengths", "POST /items HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400},
		{"a signed length", "POST /items HTTP/1.1\r\n" + host + "Content-Length: +3\r\n\r\nabc", 400},
		{"an unknown coding", "POST /items HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
		{"two codings", "POST /items HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501},
		{"a body in chunks", "POST /items HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 204},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, tt.send); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != tt.want {
				t.Errorf("got %d, want %d", res.StatusCode, tt.want)
			}
			if allow := res.Header.Get("Allow"); (res.StatusCode == 405) != (allow != "") {
				t.Errorf("status %d with Allow: %q", res.StatusCode, allow)
			}
		})
	}
}

type recorder []audit.Event

func (l *recorder) Record(e audit.Event)                          { *l = append(*l, e) }
func (l *recorder) Commit(_ context.Context, e audit.Event) error { l.Record(e); return nil }

// A refusal tells the client and the operator the reason, and neither the value.
func TestRefusalsEchoNothing(t *testing.T) {
	var events recorder
	h := exchange.New(exchange.Config{Stages: []exchange.Stage{mustNew(t, onlyAPI)}, Recorder: &events}).Handler(http.NotFoundHandler())
	for _, r := range []*http.Request{
		get(t, "/marker%2fmarker"), get(t, "/a", "Content-Type: marker/a", "Content-Type: marker/b"), parse(t, "GET / HTTP/1.1", "Host: marker.example"), parse(t, "MARKER / HTTP/1.1", "Host: api.example.com"),
	} {
		events = nil
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code < 400 || strings.Contains(strings.ToLower(w.Body.String()), "marker") {
			t.Errorf("status %d, body %s", w.Code, w.Body)
		}
		if len(events) != 1 || events[0].Outcome != "refused" {
			t.Fatalf("events: %+v", events)
		}
		for _, a := range events[0].Detail {
			if strings.Contains(strings.ToLower(a.String()), "marker") {
				t.Errorf("detail %s", a)
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	s := mustNew(t, onlyAPI)
	for _, r := range []*http.Request{
		get(t, "/api/v1/items/42?page=2", "Accept: application/json", "Authorization: Bearer t", "User-Agent: test"),
		get(t, "/a%C3%A9"),
	} {
		x := &exchange.Exchange{Request: r, Host: r.Host}
		if n := testing.AllocsPerRun(100, func() { s.Decide(x) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", r.RequestURI, n)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	s := mustNew(b, onlyAPI)
	r := get(b, "/api/v1/items/42?page=2", "Accept: application/json", "Authorization: Bearer t", "User-Agent: test", "Origin: https://app.example.com")
	x := &exchange.Exchange{Request: r, Host: r.Host}
	if decide(s, r) != passes {
		b.Fatal("refused")
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Decide(x)
	}
}
