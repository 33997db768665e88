package identity_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/identity"
)

func TestSessionToken(t *testing.T) {
	for name, tt := range map[string]struct {
		lines   []string
		token   string
		present bool
	}{
		"no cookie":                       {nil, "", false},
		"the cookie alone":                {[]string{"__Host-merlon_session=abc"}, "abc", true},
		"among others":                    {[]string{"a=b; __Host-merlon_session=abc; c=d"}, "abc", true},
		"on a second line":                {[]string{"a=b", "__Host-merlon_session=abc"}, "abc", true},
		"without spaces":                  {[]string{"a=b;__Host-merlon_session=abc;c"}, "abc", true},
		"with tabs":                       {[]string{"a=b;\t__Host-merlon_session\t=abc\t"}, "abc", true},
		"empty":                           {[]string{"__Host-merlon_session="}, "", true},
		"without a value":                 {[]string{"__Host-merlon_session"}, "", true},
		"twice":                           {[]string{"__Host-merlon_session=abc; __Host-merlon_session=abc"}, "", true},
		"twice on two lines":              {[]string{"__Host-merlon_session=abc", "__Host-merlon_session=def"}, "", true},
		"in another case":                 {[]string{"__host-merlon_session=abc"}, "", false},
		"without its prefix":              {[]string{"merlon_session=abc"}, "", false},
		"a longer name":                   {[]string{"__Host-merlon_session2=abc; x__Host-merlon_session=abc"}, "", false},
		"its name in the value of others": {[]string{"a=__Host-merlon_session=abc"}, "", false},
		"quotes are part of the value":    {[]string{`__Host-merlon_session="abc"`}, `"abc"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{Header: http.Header{"Cookie": tt.lines}}
			if token, present := identity.SessionToken(r.Header); token != tt.token || present != tt.present {
				t.Errorf("SessionToken = %q, %v, want %q, %v", token, present, tt.token, tt.present)
			}
			if n := testing.AllocsPerRun(10, func() { identity.SessionToken(r.Header) }); n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
		})
	}
}

func FuzzSessionToken(f *testing.F) {
	f.Add("a=b; __Host-merlon_session=abc; c=d")
	f.Add("__Host-merlon_session=abc;__Host-merlon_session=abc")
	f.Add("; ;=;__Host-merlon_session")
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			t.Skip("no server hands on such a header (RFC 9110, section 5.5)")
		}
		token, present := identity.SessionToken(http.Header{"Cookie": {line}})
		if !present && token != "" {
			t.Errorf("SessionToken(%q) = %q, %v", line, token, present)
		}
		// Wherever net/http finds the cookie, we do, and the same value unless it was quoted or came twice.
		r := &http.Request{Header: http.Header{"Cookie": {line}}}
		std := r.CookiesNamed("__Host-merlon_session")
		if len(std) > 0 && !present {
			t.Errorf("net/http finds the cookie in %q", line)
		}
		if len(std) == 1 && token != "" && strings.Trim(token, `"`) != std[0].Value && !std[0].Quoted {
			t.Errorf("SessionToken(%q) = %q, net/http says %q", line, token, std[0].Value)
		}
	})
}
