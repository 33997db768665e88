package route_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/route"
)

func table(t testing.TB, patterns ...string) *route.Table {
	t.Helper()
	var routes []route.Route
	for _, p := range patterns {
		routes = append(routes, route.Route{Pattern: p, Public: true})
	}
	tbl, err := route.New(routes)
	if err != nil {
		t.Fatal(err)
	}
	return tbl
}

var blog = []string{
	"GET /{$}",
	"GET /health",
	"GET /api/v1/posts",
	"POST /api/v1/posts",
	"GET /api/v1/posts/{id}",
	"PATCH /api/v1/posts/{id}",
	"GET /api/v1/posts/latest",
	"GET /api/v1/posts/{id}/comments/{comment}",
	"GET /api/v1/files/{path...}",
	"PUT /api/v1/files/readme",
	"HEAD /api/v1/posts/{id}/size",
	"POST /api/v1/tree/",
}

func TestMatch(t *testing.T) {
	tests := []struct {
		name, method, path string
		pattern, allow     string
	}{
		{"a literal path", "GET", "/api/v1/posts", "GET /api/v1/posts", ""},
		{"HEAD is served by the GET route", "HEAD", "/api/v1/posts", "GET /api/v1/posts", ""},
		{"a variable segment", "GET", "/api/v1/posts/pst_1", "GET /api/v1/posts/{id}", ""},
		{"a literal segment wins over a variable one", "GET", "/api/v1/posts/latest", "GET /api/v1/posts/latest", ""},
		{"a literal segment without the method gives way to the variable one", "PATCH", "/api/v1/posts/latest", "PATCH /api/v1/posts/{id}", ""},
		{"two variable segments", "GET", "/api/v1/posts/a/comments/b", "GET /api/v1/posts/{id}/comments/{comment}", ""},
		{"the rest of the path", "GET", "/api/v1/files/a/b/c", "GET /api/v1/files/{path...}", ""},
		{"an empty rest", "GET", "/api/v1/files/", "GET /api/v1/files/{path...}", ""},
		{"the rest gives way to a literal with the method", "PUT", "/api/v1/files/readme", "PUT /api/v1/files/readme", ""},
		{"the root alone", "GET", "/", "GET /{$}", ""},
		{"below a trailing slash", "POST", "/api/v1/tree/x/y", "POST /api/v1/tree/", ""},
		{"another method of a known path", "DELETE", "/api/v1/posts", "", "GET, HEAD, POST"},
		{"the allowed methods are those of every pattern that matches", "DELETE", "/api/v1/files/readme", "", "GET, HEAD, PUT"},
		{"an explicit HEAD does not allow GET", "GET", "/api/v1/posts/a/size", "", "HEAD"},
		{"an unknown path", "GET", "/api/v2/posts", "", ""},
		{"a trailing slash is another path", "GET", "/api/v1/posts/", "", ""},
		{"no slash where the pattern has one", "POST", "/api/v1/tree", "", ""},
		{"a prefix is not a match", "GET", "/api/v1/post", "", ""},
		{"methods are case-sensitive", "get", "/health", "", "GET, HEAD"},
		{"an empty path", "GET", "", "", ""},
		{"a star", "OPTIONS", "*", "", ""},
	}
	tbl := table(t, blog...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := tbl.Match(tt.method, tt.path)
			got := ""
			if m.Route != nil {
				got = m.Route.Pattern
			}
			if got != tt.pattern || m.Allow != tt.allow {
				t.Errorf("Match(%q, %q) = %q, allow %q; want %q, allow %q", tt.method, tt.path, got, m.Allow, tt.pattern, tt.allow)
			}
		})
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	tbl := table(t, blog...)
	if n := testing.AllocsPerRun(100, func() { tbl.Match("GET", "/api/v1/posts/a/comments/b") }); n != 0 {
		t.Errorf("%v allocations; want 0", n)
	}
}

func TestNewReportsEveryBadRoute(t *testing.T) {
	_, err := route.New([]route.Route{
		{Pattern: "/no/method", Public: true},
		{Pattern: "get /lower", Public: true},
		{Pattern: "TRACE /x", Public: true},
		{Pattern: "GET /nobody"},
		{Pattern: "GET /both", Public: true, Scopes: []string{"a:b"}},
		{Pattern: "GET /scope", Scopes: []string{"a b"}},
		{Pattern: "GET /{id", Public: true},
		{Pattern: "GET /a/{x}", Public: true},
		{Pattern: "GET /a/{y}", Public: true},
		{Pattern: "POST /probe", Probe: true},
		{Pattern: "GET /size", Public: true, MaxBody: -1},
		{Pattern: "GET /fine", Public: true},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"/no/method"`, `"get /lower"`, "TRACE", `"GET /nobody"`, `"GET /both"`, `"a b"`, `"GET /{id"`, `"GET /a/{y}"`, `"POST /probe"`, `"GET /size"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s:\n%v", want, err)
		}
	}
	for _, not := range []string{`"GET /fine"`, `"GET /a/{x}":`} {
		if strings.Contains(err.Error(), "route "+not) {
			t.Errorf("the error names %s, which is right", not)
		}
	}
}

func TestCheckOfARouteWithoutAPattern(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    route.Route
		want string
	}{
		{"nobody", route.Route{}, "route: say who may call it: Public, AccountOnly, Role or Scopes"},
		{"everybody with a scope", route.Route{Public: true, Scopes: []string{"a:b"}}, "route: a route cannot be public and ask for scopes or a role"},
		{"a size", route.Route{Public: true, MaxBody: -1}, "route: MaxBody -1: want 0 or more bytes"},
		{"everybody", route.Route{Public: true}, ""},
		{"a probe", route.Route{Probe: true}, ""},
		{"an anonymous route", route.Route{Public: true, Anonymous: true}, ""},
		{"an anonymous route that is not public", route.Route{Anonymous: true, Scopes: []string{"a"}}, "route: an anonymous route is public, and for accounts no more than for others"},
		{"an anonymous route for accounts", route.Route{Public: true, Anonymous: true, AccountOnly: true}, "route: an anonymous route is public, and for accounts no more than for others"},
		{"a probe that is no GET", route.Route{Pattern: "POST /x", Probe: true}, `route "POST /x": a probe is a GET`},
		{"a bad pattern", route.Route{Pattern: "/x", Public: true}, `route "/x": want a method and a path, such as "GET /items/{id}"`},
	} {
		got := ""
		if err := tt.r.Check(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q; want %q", tt.name, got, tt.want)
		}
	}
	if _, err := route.New([]route.Route{{Public: true}}); err == nil {
		t.Error("New takes a route without a pattern")
	}
}

// The path that policy matches is the path that the mux serves.
func FuzzMatchAgreesWithServeMux(f *testing.F) {
	for _, p := range []string{"/", "/health", "/api/v1/posts/latest", "/api/v1/posts/x", "/api/v1/files/a/b", "/api/v1/tree/", "/api/v1/posts/x/comments/y", "/api/v1/posts/x/size"} {
		for _, m := range []string{"GET", "HEAD", "POST", "PATCH", "PUT"} {
			f.Add(m, p)
		}
	}
	tbl := table(f, blog...)
	mux := http.NewServeMux()
	for _, p := range blog {
		mux.HandleFunc(p, func(http.ResponseWriter, *http.Request) {})
	}
	f.Fuzz(func(t *testing.T, method, p string) {
		if strings.TrimSpace(method) == "" || method == http.MethodConnect || !strings.HasPrefix(p, "/") || strings.Contains(p, "//") || path.Clean(p) != strings.TrimSuffix(p, "/") && p != "/" {
			t.Skip("the firewall refuses it before a match counts")
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method = method
		r.URL = &url.URL{Path: p}
		_, want := mux.Handler(r)
		got := ""
		if m := tbl.Match(method, p); m.Route != nil {
			got = m.Route.Pattern
		}
		// ServeMux redirects /api/v1/tree to /api/v1/tree/; a Table does not.
		if want != got && !(got == "" && want == "POST /api/v1/tree/" && p == "/api/v1/tree") {
			t.Errorf("%s %q: ServeMux serves %q, policy matches %q", method, p, want, got)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	tbl := table(b, blog...)
	b.ReportAllocs()
	for b.Loop() {
		tbl.Match("GET", "/api/v1/posts/0198c0de")
	}
}
