package firewall_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTargets(t *testing.T) {
	s := mustNew(t, onlyAPI)
	for _, tt := range []struct {
		name   string
		target string
		want   verdict
	}{
		{"the root", "/", passes},
		{"a path", "/api/v1/items/42", passes},
		{"a trailing slash", "/items/", passes},
		{"a query", "/items?q=a/../b&r=%00;x", passes},
		{"an absolute target for the host", "http://api.example.com/items", passes},
		{"an absolute target in upper case", "HTTP://API.EXAMPLE.COM/items", passes},
		{"an absolute target without a path", "http://api.example.com", malformed("path")},
		{"an absolute target with user information", "http://a@api.example.com/", malformed("target")},
		{"an absolute target of another scheme", "ftp://api.example.com/", malformed("authority")},
		{"an asterisk", "*", malformed("path")},
		{"an opaque target", "mailto:a", malformed("target")},
		{"a raw letter outside ASCII in the path", "/é", malformed("target")},
		{"a raw letter outside ASCII in the query", "/?q=é", malformed("target")},
		{"raw invalid UTF-8", "/\xff", malformed("target")},
		{"a long target", "/" + strings.Repeat("a", 8191), passes},
		{"a target that is too long", "/" + strings.Repeat("a", 8192), malformed("target too long")},
		{"a query that is too long", "/?" + strings.Repeat("a", 8192), malformed("target too long")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, decide(s, get(t, tt.target))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	s := mustNew(t, onlyAPI)
	for _, tt := range []struct {
		name   string
		target string
		want   verdict
	}{
		{"a double slash", "/a//b", malformed("empty segment")},
		{"a double slash at the end", "/a//", malformed("empty segment")},
		{"a dot segment", "/a/./b", traversal("dot segment")},
		{"a dot segment at the end", "/a/.", traversal("dot segment")},
		{"a double dot segment", "/a/../b", traversal("dot segment")},
		{"a double dot segment at the end", "/a/..", traversal("dot segment")},
		{"a name that begins with a dot", "/.well-known/jwks.json", passes},
		{"a name that holds dots", "/a..b/c.", passes},
		{"three dots", "/...", passes},
		{"encoded double dots", "/a/%2e%2e/b", traversal("dot segment")},
		{"an encoded dot in upper case", "/a/%2E/b", traversal("dot segment")},
		{"an encoded dot in a name", "/a%2ejson", traversal("encoded slash or dot")},
		{"an encoded slash", "/a%2fb", traversal("encoded slash or dot")},
		{"an encoded slash in upper case", "/a%2Fb", traversal("encoded slash or dot")},
		{"an encoded slash after other encoded characters", "/%41%C3%A9%2Fb", traversal("encoded slash or dot")},
		{"an encoded comma", "/a%2Cb", passes},
		{"an encoded plus and minus", "/a%2b%2d", passes},
		{"an encoded percent sign", "/a%2541", traversal("encoded percent sign")},
		{"a double encoded slash", "/a%252fb", traversal("encoded percent sign")},
		{"a backslash", `/a\b`, traversal("backslash")},
		{"an encoded backslash", "/a%5cb", traversal("backslash")},
		{"an encoded bracket beside the backslash", "/a%5bb%5d", passes},
		{"a semicolon", "/a;v=1", traversal("semicolon")},
		{"an encoded semicolon", "/a%3bv=1", traversal("semicolon")},
		{"an encoded colon", "/a%3av", passes},
		{"an encoded NUL", "/a%00", malformed("control character")},
		{"an encoded line feed", "/a%0ab", malformed("control character")},
		{"an encoded carriage return", "/a%0Db", malformed("control character")},
		{"an encoded delete", "/a%7f", malformed("control character")},
		{"an encoded tilde beside it", "/a%7e", passes},
		{"an encoded space", "/a%20b", passes},
		{"an encoded question mark and hash", "/what%3f/c%23", passes},
		{"an encoded C1 control", "/a%C2%85", malformed("control character")},
		{"an encoded line separator", "/a%E2%80%A8", malformed("control character")},
		{"an encoded paragraph separator", "/a%E2%80%A9", malformed("control character")},
		{"an encoded dash beside them", "/a%E2%80%94", passes},
		{"an encoded letter outside ASCII", "/caf%C3%A9", passes},
		{"encoded invalid UTF-8", "/a%ff", malformed("invalid UTF-8")},
		{"an overlong encoded slash", "/a%C0%AFb", malformed("invalid UTF-8")},
		{"an encoded surrogate", "/a%ED%A0%80", malformed("invalid UTF-8")},
		{"sub-delimiters", "/a!$&'()*+,=:@b", passes},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, decide(s, get(t, tt.target))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	t.Run("an encoding that contradicts the path", func(t *testing.T) {
		for _, raw := range []string{"/b", "/%", "/%4"} {
			r := get(t, "/a")
			r.URL.RawPath = raw
			if got := decide(s, r); got != malformed("encoding") {
				t.Errorf("%s: got %+v", raw, got)
			}
		}
	})
}

// FuzzPath: a path that passes is one path to everybody: cleaning keeps it,
// encoding and decoding keep it, and ServeMux serves it without a redirect.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/a/b", "/a/", "/a//b", "//", "/./", "/a/../b", "/..", "/%2e%2e/", "/a%2fb", "/%5c", "/a;b", "/%00", "/%25", "/%252e",
		"/caf%C3%A9", "/%ff", "/%E2%80%A8", "/a%20b?c=d", "/{x}", "/[a]", "/a|b", "/%3f%23", "http://api.example.com/a", "http:/a", "*", "/é", "/%C0%AF",
	} {
		f.Add(seed)
	}
	s := mustNew(f, onlyAPI)
	mux := http.NewServeMux()
	var served string
	mux.HandleFunc("/{rest...}", func(_ http.ResponseWriter, r *http.Request) { served = "/" + r.PathValue("rest") })
	f.Fuzz(func(t *testing.T, target string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: api.example.com\r\n\r\n")))
		if err != nil || decide(s, r) != passes {
			return
		}
		p := r.URL.Path
		cleaned := path.Clean(p)
		if p != "/" && strings.HasSuffix(p, "/") {
			cleaned += "/"
		}
		if cleaned != p {
			t.Fatalf("%q passes, and path.Clean makes %q of %q", target, cleaned, p)
		}
		escaped := r.URL.EscapedPath()
		if again, err := url.PathUnescape(escaped); err != nil || again != p {
			t.Fatalf("%q passes, and %q decodes to %q (%v)", target, escaped, again, err)
		}
		if again, err := url.PathUnescape(p); err != nil || again != p {
			t.Fatalf("%q passes, and decoding twice makes %q of %q", target, again, p)
		}
		// Whoever encodes the path anew, segment by segment, gets the same one.
		if u, err := url.ParseRequestURI((&url.URL{Path: p}).EscapedPath()); err != nil || u.Path != p {
			t.Fatalf("%q passes, and encoding %q anew makes %v (%v)", target, p, u, err)
		}
		if strings.Count(escaped, "/") != strings.Count(p, "/") {
			t.Fatalf("%q passes, and has other segments encoded (%q) than decoded (%q)", target, escaped, p)
		}
		served = ""
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != 200 || served != p {
			t.Fatalf("%q passes, and ServeMux answers %d to %q, serving %q", target, w.Code, w.Header().Get("Location"), served)
		}
	})
}
