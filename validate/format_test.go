package validate_test

import (
	"strings"
	"testing"

	"github.com/merlonhq/merlon/validate"
)

func TestIsEmail(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want bool
	}{
		{"alice@example.com", true},
		{"o'neil+tag@mail.example.co.uk", true},
		{"a.b-c_d@example.com", true},
		{"a@xn--bcher-kva.example", true},
		{"a@bücher.example", true},
		{strings.Repeat("a", 64) + "@example.com", true},
		{strings.Repeat("a", 65) + "@example.com", false},
		{"a@" + strings.Repeat("a.", 124) + "com", true},
		{"aa@" + strings.Repeat("a.", 124) + "com", true},
		{"aaaa@" + strings.Repeat("a.", 124) + "com", false},
		{"", false},
		{"alice", false},
		{"@example.com", false},
		{"alice@", false},
		{"alice@localhost", false},
		{"alice@example.com.", false},
		{"alice@example..com", false},
		{"alice@-example.com", false},
		{"alice@exa_mple.com", false},
		{"alice@127.0.0.1", false},
		{"alice@[127.0.0.1]", false},
		{"alice@[IPv6:::1]", false},
		{".alice@example.com", false},
		{"alice.@example.com", false},
		{"al..ice@example.com", false},
		{"al ice@example.com", false},
		{`"al ice"@example.com`, false},
		{"alice(c)@example.com", false},
		{"a@b@example.com", false},
		{"Alice <alice@example.com>", false},
		{"<alice@example.com>", false},
		{"alice@example.com, bob@example.com", false},
		{"alice@example.com\r\nBcc: bob@example.com", false},
		{" alice@example.com", false},
		{"älice@example.com", false},
	} {
		if got := validate.IsEmail(tt.in); got != tt.want {
			t.Errorf("IsEmail(%q) = %v", tt.in, got)
		}
	}
}

func TestIsWebURL(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want bool
	}{
		{"https://example.com", true},
		{"http://example.com/", true},
		{"HTTPS://EXAMPLE.COM/a?b=c&d#e", true},
		{"https://example.com:8443/", true},
		{"https://192.0.2.1/", true},
		{"https://[2001:db8::1]:8443/", true},
		{"https://bücher.example/straße", true},
		{"https://example.com/%2e%2e/", true},
		{"", false},
		{"example.com", false},
		{"//example.com/", false},
		{"/path", false},
		{"https:", false},
		{"https:example.com", false},
		{"https://", false},
		{"https:///path", false},
		{"https://:443/", false},
		{"https://example/", false},
		{"https://example.com:/", false},
		{"https://example.com:0/", false},
		{"https://example.com:65536/", false},
		{"https://alice@example.com/", false},
		{"https://alice:pass@example.com/", false},
		{"https://example.com\\@evil.example/", false},
		{"https://exa mple.com/", false},
		{"https://example.com/a b", false},
		{"https://example.com/\n", false},
		{"https://example.com/<script>", false},
		{"https://[fe80::1%25eth0]/", false},
		{"ftp://example.com/", false},
		{"javascript:alert(1)", false},
		{"javascript://example.com/%0aalert(1)", false},
		{"data:text/html,x", false},
		{"https://example.com/" + strings.Repeat("a", 2028), true},
		{"https://example.com/" + strings.Repeat("a", 2029), false},
	} {
		if got := validate.IsWebURL(tt.in); got != tt.want {
			t.Errorf("IsWebURL(%.60q) = %v", tt.in, got)
		}
	}
}

func FuzzFormats(f *testing.F) {
	f.Add("alice@example.com")
	f.Add("https://[2001:db8::1]:8443/")
	f.Fuzz(func(t *testing.T, s string) {
		if validate.IsEmail(s) && (strings.ContainsAny(s, " \r\n\t<>,;:\"()[]\\") || strings.Count(s, "@") != 1) {
			t.Errorf("%q is an address", s)
		}
		if validate.IsWebURL(s) && (strings.ContainsAny(s, " \r\n\t<>\"") || !strings.HasPrefix(strings.ToLower(s), "http")) {
			t.Errorf("%q is a URL", s)
		}
	})
}
