package firewall_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon/firewall"
)

func TestHeader(t *testing.T) {
	s := mustNew(t, firewall.Config{Hosts: []string{"api.example.com"}, MaxHeaderBytes: 100, MaxHeaders: 5})
	twice := malformed("repeated header")
	ambiguous := verdict{400, "ambiguous-credentials", "repeated credential", "input_validation_fail"}
	for _, tt := range []struct {
		name string
		h    http.Header
		want verdict
	}{
		{"none", nil, passes},
		{"a tab in a value", http.Header{"A": {"b\tc"}}, passes},
		{"obs-text in a value", http.Header{"A": {"caf\xe9"}}, passes},
		{"a NUL in a value", http.Header{"A": {"b\x00"}}, malformed("header value")},
		{"a line feed in a value", http.Header{"A": {"b\nc"}}, malformed("header value")},
		{"a carriage return in a value", http.Header{"A": {"b\rc"}}, malformed("header value")},
		{"a delete in a value", http.Header{"A": {"\x7f"}}, malformed("header value")},
		{"a bad value on the second line", http.Header{"A": {"b", "\x01"}}, malformed("header value")},
		{"all token characters in a name", http.Header{"A!#$%&'*+-.^_`|~z09": {"b"}}, passes},
		{"a space in a name", http.Header{"A ": {"b"}}, malformed("header name")},
		{"a colon in a name", http.Header{"A:B": {"b"}}, malformed("header name")},
		{"a letter outside ASCII in a name", http.Header{"É": {"b"}}, malformed("header name")},
		{"a control character in a name", http.Header{"A\x00": {"b"}}, malformed("header name")},
		{"no name", http.Header{"": {"b"}}, malformed("header name")},
		{"the longest value", http.Header{"A": {strings.Repeat("b", 100)}}, passes},
		{"a value that is too long", http.Header{"A": {strings.Repeat("b", 101)}}, malformed("header too large")},
		{"the most lines", http.Header{"A": {"1", "2", "3", "4", "5"}}, passes},
		{"too many lines", http.Header{"A": {"1", "2", "3"}, "B": {"4", "5", "6"}}, malformed("header too large")},
		{"a list on two lines", http.Header{"Accept": {"a/b", "c/d"}, "X-Forwarded-For": {"1", "2"}}, passes},
		{"one Content-Type", http.Header{"Content-Type": {"application/json"}}, passes},
		{"two Content-Types", http.Header{"Content-Type": {"application/json", "text/plain"}}, twice},
		{"two equal Content-Types", http.Header{"Content-Type": {"application/json", "application/json"}}, twice},
		{"two Content-Lengths", http.Header{"Content-Length": {"1", "2"}}, twice},
		{"two Origins", http.Header{"Origin": {"https://a.example", "https://b.example"}}, twice},
		{"two Sec-Fetch-Sites", http.Header{"Sec-Fetch-Site": {"same-origin", "cross-site"}}, twice},
		{"two CSRF tokens", http.Header{"X-Csrf-Token": {"a", "b"}}, twice},
		{"one Authorization", http.Header{"Authorization": {"Bearer a"}}, passes},
		{"two Authorizations", http.Header{"Authorization": {"Bearer a", "Bearer b"}}, ambiguous},
		{"two keys", http.Header{"X-Api-Key": {"a", "b"}}, ambiguous},
		{"a transfer coding that the server left in place", http.Header{"Transfer-Encoding": {"chunked"}}, malformed("transfer coding")},
		{"Host equal to the authority", http.Header{"Host": {"API.example.com"}}, passes},
		{"Host unlike the authority", http.Header{"Host": {"evil.example"}}, malformed("authority")},
		{"two Hosts", http.Header{"Host": {"api.example.com", "api.example.com"}}, malformed("authority")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := get(t, "/")
			r.Header = tt.h
			if diff := cmp.Diff(tt.want, decide(s, r)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestFraming(t *testing.T) {
	s := mustNew(t, onlyAPI)
	for _, tt := range []struct {
		name string
		te   []string
		cl   []string
		want verdict
	}{
		{"no body", nil, nil, passes},
		{"a length", nil, []string{"3"}, passes},
		{"chunks", []string{"chunked"}, nil, passes},
		{"both", []string{"chunked"}, []string{"3"}, malformed("framing")},
		{"gzip and chunks", []string{"gzip", "chunked"}, nil, malformed("transfer coding")},
		{"identity", []string{"identity"}, nil, malformed("transfer coding")},
	} {
		r := get(t, "/")
		r.TransferEncoding = tt.te
		if tt.cl != nil {
			r.Header["Content-Length"] = tt.cl
		}
		if diff := cmp.Diff(tt.want, decide(s, r)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, diff)
		}
	}
}

// What HTTP/2 calls malformed (RFC 9113 section 8.1.1) and net/http lets through.
func TestABodyThatNeverBegins(t *testing.T) {
	s := mustNew(t, onlyAPI)
	for _, tt := range []struct {
		name   string
		proto  int
		length int64 // as net/http found it
		cl     []string
		want   verdict
	}{
		{"no body and no length", 2, 0, nil, passes},
		{"no body, and its length says so", 2, 0, []string{"0"}, passes},
		{"no body, and a length", 2, 0, []string{"5"}, malformed("framing")},
		{"no body, and a length with zeros in front", 2, 0, []string{"005"}, malformed("framing")},
		{"a body and its length", 2, 5, []string{"5"}, passes},
		{"a body without a length", 2, -1, nil, passes},
		{"HTTP/1.1, where the length frames the body", 1, 5, []string{"5"}, passes},
	} {
		r := get(t, "/")
		r.ProtoMajor, r.ContentLength = tt.proto, tt.length
		if tt.cl != nil {
			r.Header["Content-Length"] = tt.cl
		}
		if diff := cmp.Diff(tt.want, decide(s, r)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, diff)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add("Content-Type", "a/b", "c/d")
	f.Add("accept", "*/*", "")
	f.Add("A B", "x", "\x00")
	s := mustNew(f, onlyAPI)
	f.Fuzz(func(t *testing.T, name, first, second string) {
		r := get(t, "/")
		r.Header = http.Header{name: {first, second}}
		if decide(s, r) != passes {
			return
		}
		// What passes survives being written and read again, so it is one thing.
		var b strings.Builder
		if err := r.Header.Write(&b); err != nil {
			t.Fatal(err)
		}
		again := parse(t, "GET / HTTP/1.1", "Host: a", strings.TrimSuffix(b.String(), "\r\n"))
		if got := again.Header[http.CanonicalHeaderKey(name)]; len(got) != 2 || got[0] != strings.Trim(first, " \t") || got[1] != strings.Trim(second, " \t") {
			t.Fatalf("%q: %q and %q came back as %q", name, first, second, got)
		}
	})
}
