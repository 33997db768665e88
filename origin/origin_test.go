package origin_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/origin"
)

func compile(t testing.TB, list ...string) *origin.Set {
	t.Helper()
	s, err := origin.Compile(list, origin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// list is the configuration of the tables and of the fuzz test.
var list = []string{
	"https://app.example.com",
	"https://app.example.com:8443",
	"https://xn--mnchen-3ya.example",
	"https://[2001:db8::1]",
	"https://192.0.2.1:444",
	"https://*.example.org",
	"https://*.example.net:8443",
	"https://*.mine.github.io",
}

var members = []struct {
	name   string
	origin string
	want   bool
}{
	{"an exact origin", "https://app.example.com", true},
	{"an exact origin with its port", "https://app.example.com:8443", true},
	{"another port", "https://app.example.com:8444", false},
	{"the default port written out", "https://app.example.com:443", false},
	{"another scheme", "http://app.example.com", false},
	{"upper case, which no browser sends", "https://APP.example.com", false},
	{"a trailing slash, which no browser sends", "https://app.example.com/", false},
	{"the host below an exact origin", "https://evil.app.example.com", false},
	{"the host above an exact origin", "https://example.com", false},
	{"an exact origin as the prefix of a stranger", "https://app.example.com.evil.example", false},
	{"an exact origin as user name of a stranger", "https://app.example.com@evil.example", false},
	{"a user name before an exact origin", "https://evil@app.example.com", false},
	{"the host alone", "app.example.com", false},
	{"two origins", "https://app.example.com https://app.example.com", false},
	{"a punycode origin", "https://xn--mnchen-3ya.example", true},
	{"the same in Unicode", "https://münchen.example", false},
	{"an IPv6 origin", "https://[2001:db8::1]", true},
	{"the same address in its long form", "https://[2001:db8:0:0:0:0:0:1]", false},
	{"an IPv4 origin", "https://192.0.2.1:444", true},

	{"a subdomain", "https://a.example.org", true},
	{"a subdomain of a subdomain", "https://a.b-c.d_e.example.org", true},
	{"the domain of the wildcard itself", "https://example.org", false},
	{"an empty subdomain", "https://.example.org", false},
	{"an empty label", "https://a..example.org", false},
	{"a longer name with the same end", "https://evilexample.org", false},
	{"the wildcard domain in the middle", "https://a.example.org.evil.example", false},
	{"a stranger's host before the dot", "https://evil.example/.example.org", false},
	{"a stranger's host and a query", "https://evil.example?.example.org", false},
	{"a stranger's host and a fragment", "https://evil.example#.example.org", false},
	{"a stranger's host and a backslash", `https://evil.example\.example.org`, false},
	{"a stranger's host and a port", "https://evil.example:1.example.org", false},
	{"a user name before a subdomain", "https://evil@a.example.org", false},
	{"a subdomain with a port", "https://a.example.org:8443", false},
	{"a subdomain in clear text", "http://a.example.org", false},
	{"the wildcard as written", "https://*.example.org", false},
	{"a subdomain in upper case", "https://A.example.org", false},
	{"a subdomain with a NUL", "https://a\x00.example.org", false},
	{"a subdomain with a line break", "https://a\r\n.example.org", false},
	{"a subdomain on the wildcard's port", "https://a.example.net:8443", true},
	{"a subdomain without the wildcard's port", "https://a.example.net", false},
	{"a subdomain with a port that begins alike", "https://a.example.net:84430", false},
	{"a host below a name of one's own below a public suffix", "https://a.mine.github.io", true},
	{"the neighbour below that public suffix", "https://a.theirs.github.io", false},
	{"a label of 63 bytes", "https://" + strings.Repeat("a", 63) + ".example.org", true},
	{"a label of 64 bytes", "https://" + strings.Repeat("a", 64) + ".example.org", false},

	{"nothing", "", false},
	{"null", "null", false},
	{"a star", "*", false},
	{"a file", "file://", false},
	{"a browser extension", "chrome-extension://abcdefghijklmnop", false},
}

func TestHasKnowsItsMembersAndNobodyElse(t *testing.T) {
	s := compile(t, list...)
	for _, tt := range members {
		if got := s.Has(tt.origin); got != tt.want {
			t.Errorf("%s: Has(%q) = %v, want %v", tt.name, tt.origin, got, tt.want)
		}
	}
}

func TestHostsLongerThanDNSAllowsAreNobody(t *testing.T) {
	s := compile(t, "https://*.example.org")
	below := strings.Repeat("a.", 120) // with "example.org" 251 bytes
	for _, tt := range []struct {
		host string
		want bool
	}{
		{"b." + below + "example.org", true},   // 253
		{"bb." + below + "example.org", false}, // 254
	} {
		if got := s.Has("https://" + tt.host); got != tt.want {
			t.Errorf("host of %d bytes: Has = %v, want %v", len(tt.host), got, tt.want)
		}
	}
}

func TestNobodyIsInAnEmptySet(t *testing.T) {
	var none *origin.Set
	for _, s := range []*origin.Set{compile(t), none} {
		for _, o := range []string{"", "null", "https://app.example.com"} {
			if s.Has(o) {
				t.Errorf("Has(%q) = true", o)
			}
		}
	}
}

func TestHasAllocatesNothing(t *testing.T) {
	s := compile(t, list...)
	hostile := "https://" + strings.Repeat("a.", 500_000) + "example.org"
	for _, o := range []string{"https://app.example.com", "https://a.example.org", "https://evil.example", hostile} {
		if n := testing.AllocsPerRun(100, func() { s.Has(o) }); n != 0 {
			t.Errorf("Has of %d bytes allocates %v times", len(o), n)
		}
	}
}

func TestCompileRefusesWithTheFix(t *testing.T) {
	for _, tt := range []struct {
		name  string
		value string
		want  string // in the error
	}{
		{"nothing", "", "remove it"},
		{"everybody", "*", "list each origin"},
		{"null", "null", "remove it"},
		{"a host without scheme", "app.example.com", "https://app.example.com"},
		{"a host and port without scheme", "app.example.com:8443", "want a scheme"},
		{"a scheme without host", "https://", "no host"},
		{"no scheme before ://", "://app.example.com", "want a scheme"},
		{"a file", "file:///etc", "only the scheme https"},
		{"a websocket", "wss://app.example.com", "only the scheme https"},
		{"a trailing slash", "https://app.example.com/", "write https://app.example.com"},
		{"a path", "https://app.example.com/app", "write https://app.example.com"},
		{"a query", "https://app.example.com?x", "write https://app.example.com"},
		{"a fragment", "https://app.example.com#x", "write https://app.example.com"},
		{"a backslash", `https://app.example.com\x`, "write https://app.example.com"},
		{"white space", "https://app.example.com ", "white space"},
		{"two in one", "https://a.example.com,https://b.example.com", "write https://a.example.com,https:"},
		{"upper case", "https://App.example.com", "write https://app.example.com"},
		{"an upper-case scheme", "HTTPS://app.example.com", "write https://app.example.com"},
		{"Unicode", "https://münchen.example", "write https://xn--mnchen-3ya.example"},
		{"Unicode with wildcard and port", "https://*.münchen.example:8443", "write https://*.xn--mnchen-3ya.example:8443"},
		{"broken punycode", "https://xn--a.example", "xn--"},
		{"the default port", "https://app.example.com:443", "write https://app.example.com"},
		{"an empty port", "https://app.example.com:", "want a port"},
		{"port zero", "https://app.example.com:0", "want a port"},
		{"a port too large", "https://app.example.com:65536", "want a port"},
		{"a port with a leading zero", "https://app.example.com:08443", "want a port"},
		{"a port that is a name", "https://app.example.com:https", "want a port"},
		{"any port", "https://app.example.com:*", "list each port"},
		{"a wildcard inside a label", "https://*app.example.com", "https://*.example.com"},
		{"a wildcard in the middle", "https://app.*.example.com", "https://*.example.com"},
		{"two wildcards", "https://*.*.example.com", "https://*.example.com"},
		{"a wildcard alone", "https://*", "https://*.example.com"},
		{"a wildcard over a top-level domain", "https://*.com", "public suffix"},
		{"a wildcard over a country's second level", "https://*.co.uk", "public suffix"},
		{"a wildcard over a hosting provider", "https://*.github.io", "public suffix"},
		{"a wildcard over a name below a wildcard rule", "https://*.anything.ck", "public suffix"},
		{"a wildcard over names that are all public suffixes", "https://*.kawasaki.jp", "public suffix"},
		{"a wildcard over a name that is no domain", "https://*.localhost", "public suffix"},
		{"a wildcard over an address", "https://*.192.0.2.1", "no subdomains"},
		{"a dot at the end", "https://app.example.com.", "remove it"},
		{"an empty label", "https://app..example.com", "not a host name"},
		{"a label too long", "https://" + strings.Repeat("a", 64) + ".example.com", "not a host name"},
		{"a host too long", "https://" + strings.Repeat("a.", 126) + "aa", "253"},
		{"an escape", "https://app%2eexample.com", "not a host name"},
		{"a short IPv4 address", "https://127.1", "IPv4"},
		{"a hexadecimal IPv4 address", "https://0x7f.0.0.0x1", "IPv4"},
		{"an IPv4 address out of range", "https://192.0.2.256", "IPv4"},
		{"an IPv6 address without brackets", "https://2001:db8::1", "not a host name"},
		{"an IPv6 address in its long form", "https://[2001:db8:0:0:0:0:0:1]", "write [2001:db8::1]"},
		{"an IPv6 address with a zone", "https://[fe80::1%eth0]", "not an IPv6 address"},
		{"an IPv4 address in IPv6 form", "https://[::ffff:192.0.2.1]", "192.0.2.1"},
		{"an open bracket", "https://[2001:db8::1", "not an IPv6 address"},
		{"clear text", "http://app.example.com", "write https://app.example.com"},
		{"clear text on loopback in production", "http://localhost:3000", "write https://localhost:3000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := origin.Compile([]string{"https://fine.example.com", tt.value}, origin.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Compile(%q): %v\nwant an error that says %q", tt.value, err, tt.want)
			}
		})
	}
}

func TestCompileReportsEverythingAtOnce(t *testing.T) {
	_, err := origin.Compile([]string{"*", "https://a.example.com", "null", "https://a.example.com", "https://b.example.com/"}, origin.Options{})
	want := []string{`"*"`, `"null"`, `"https://a.example.com": listed twice`, `"https://b.example.com/"`}
	if err == nil || strings.Count(err.Error(), "\n")+1 != len(want) {
		t.Fatalf("Compile: %v\nwant %d errors", err, len(want))
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\nwant it to name %s", err, w)
		}
	}
}

func TestAPasswordInAnOriginIsNotRepeated(t *testing.T) {
	_, err := origin.Compile([]string{"https://user:not-a-real-one@app.example.com"}, origin.Options{})
	if err == nil || strings.Contains(err.Error(), "not-a-real-one") || !strings.Contains(err.Error(), "app.example.com") {
		t.Errorf("Compile: %v\nwant an error that names the host and not the password", err)
	}
}

func TestDevelopmentAcceptsClearTextOnLoopbackOnly(t *testing.T) {
	dev := origin.Options{Development: true}
	for value, want := range map[string]bool{
		"http://localhost:3000":         true,
		"http://localhost":              true,
		"http://127.0.0.1:3000":         true,
		"http://127.255.255.254":        true,
		"http://[::1]:3000":             true,
		"https://app.example.com":       true,
		"http://localhost:80":           false,
		"http://app.example.com":        false,
		"http://localhost.evil.example": false,
		"http://128.0.0.1":              false,
		"http://[::2]":                  false,
		"http://*.localhost":            false,
		"http://*.example.com":          false,
		"*":                             false,
		"null":                          false,
	} {
		s, err := origin.Compile([]string{value}, dev)
		if got := err == nil; got != want {
			t.Errorf("Compile(%q): %v, want accepted = %v", value, err, want)
		}
		if err == nil && !s.Has(value) {
			t.Errorf("Has(%q) = false", value)
		}
	}
}

// naive says by net/url, which nothing in the package uses, whether an entry of
// the list matches.
func naive(list []string, o string) bool {
	if slices.Contains(list, o) && !strings.Contains(o, "*") {
		return true
	}
	u, err := url.Parse(o)
	if err != nil || u.Scheme != "https" || "https://"+u.Host != o || len(u.Hostname()) > 253 {
		return false
	}
	for _, entry := range list {
		base, ok := strings.CutPrefix(entry, "https://*")
		if !ok || !strings.HasSuffix(u.Host, base) {
			continue
		}
		fine := true
		for label := range strings.SplitSeq(strings.TrimSuffix(u.Host, base), ".") {
			fine = fine && label != "" && len(label) <= 63 && strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
		}
		if fine {
			return true
		}
	}
	return false
}

func FuzzHasAgreesWithNetURL(f *testing.F) {
	for _, tt := range members {
		f.Add(tt.origin)
	}
	s := compile(f, list...)
	f.Fuzz(func(t *testing.T, o string) {
		if got, want := s.Has(o), naive(list, o); got != want {
			t.Errorf("Has(%q) = %v, net/url says %v", o, got, want)
		}
	})
}

func FuzzCompileAcceptsOnlyWhatBrowsersSend(f *testing.F) {
	for _, tt := range members {
		f.Add(tt.origin, false)
	}
	for _, v := range list {
		f.Add(v, true)
	}
	f.Fuzz(func(t *testing.T, v string, dev bool) {
		s, err := origin.Compile([]string{v}, origin.Options{Development: dev})
		if err != nil {
			return
		}
		if base, ok := strings.CutPrefix(v, "https://*."); ok {
			if s.Has("https://"+base) || !s.Has("https://any."+base) || s.Has("https://evil"+base) {
				t.Errorf("the wildcard %q matches the wrong names", v)
			}
			v = "https://" + base
		} else if !s.Has(v) {
			t.Errorf("Compile takes %q, but Has does not know it", v)
		}
		u, err := url.Parse(v)
		switch {
		case err != nil || u.Host == "" || u.Scheme+"://"+u.Host != v || strings.ToLower(v) != v:
			t.Errorf("Compile takes %q, which is not an origin (%v)", v, err)
		case u.Scheme != "https" && !dev, u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
			t.Errorf("Compile takes %q", v)
		}
	})
}

func BenchmarkHas(b *testing.B) {
	s := compile(b, list...)
	for name, o := range map[string]string{
		"exact":    "https://app.example.com",
		"wildcard": "https://a.example.org",
		"foreign":  "https://evil.example",
		"hostile":  "https://" + strings.Repeat("a.", 500_000) + "example.org",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s.Has(o)
			}
		})
	}
}
