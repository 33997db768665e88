package identity_test

import (
	"net/http"
	"testing"

	"github.com/merlonhq/merlon/identity"
)

func TestPresented(t *testing.T) {
	tests := []struct {
		name   string
		header http.Header
		want   identity.Kind
	}{
		{"nothing", http.Header{}, identity.None},
		{"a session cookie", http.Header{"Cookie": {"__Host-merlon_session=x"}}, identity.Session},
		{"a session cookie among others", http.Header{"Cookie": {"a=b; __Host-merlon_session=x; c=d"}}, identity.Session},
		{"an empty session cookie is one all the same", http.Header{"Cookie": {"__Host-merlon_session="}}, identity.Session},
		{"another cookie", http.Header{"Cookie": {"session=x; merlon_session=y"}}, identity.None},
		{"cookie names are case-sensitive", http.Header{"Cookie": {"__host-merlon_session=x"}}, identity.None},
		{"an API key", http.Header{"X-Api-Key": {"mrl_live_a_b"}}, identity.APIKey},
		{"an empty API key is one all the same", http.Header{"X-Api-Key": {""}}, identity.APIKey},
		{"an API key as bearer", http.Header{"Authorization": {"Bearer mrl_live_a_b"}}, identity.APIKey},
		{"a token", http.Header{"Authorization": {"Bearer e30.e30.x"}}, identity.Token},
		{"the scheme's case does not matter", http.Header{"Authorization": {"bEARER mrl_live_a_b"}}, identity.APIKey},
		{"another scheme", http.Header{"Authorization": {"Basic eDp5"}}, identity.Token},
		{"a cookie and a key", http.Header{"Cookie": {"__Host-merlon_session=x"}, "X-Api-Key": {"k"}}, identity.Multiple},
		{"a token and a key", http.Header{"Authorization": {"Bearer x"}, "X-Api-Key": {"k"}}, identity.Multiple},
		{"a cookie and a token", http.Header{"Cookie": {"__Host-merlon_session=x"}, "Authorization": {"Bearer x"}}, identity.Multiple},
		{"two session cookies", http.Header{"Cookie": {"__Host-merlon_session=x; __Host-merlon_session=y"}}, identity.Multiple},
		{"two cookie lines", http.Header{"Cookie": {"__Host-merlon_session=x", "__Host-merlon_session=y"}}, identity.Multiple},
		{"two keys", http.Header{"X-Api-Key": {"k", "k"}}, identity.Multiple},
		{"a key in both headers", http.Header{"Authorization": {"Bearer mrl_live_a_b"}, "X-Api-Key": {"mrl_live_a_b"}}, identity.Multiple},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := identity.Presented(tt.header); got != tt.want {
				t.Errorf("%v; want %v", got, tt.want)
			}
		})
	}
}

func TestGettersReadWhatPresentedSaw(t *testing.T) {
	if got, _ := identity.SessionToken(http.Header{"Cookie": {"a=b; __Host-merlon_session=tok; c=d"}}); got != "tok" {
		t.Errorf("session token %q", got)
	}
	if got := identity.KeyText(http.Header{"Authorization": {"Bearer  mrl_live_a_b"}}); got != "mrl_live_a_b" {
		t.Errorf("key %q", got)
	}
	if got := identity.KeyText(http.Header{"X-Api-Key": {"mrl_live_c_d"}}); got != "mrl_live_c_d" {
		t.Errorf("key %q", got)
	}
	if got := identity.BearerToken(http.Header{"Authorization": {"Basic eDp5"}}); got != "" {
		t.Errorf("bearer token %q of another scheme", got)
	}
}

func TestPresentedAllocatesNothing(t *testing.T) {
	h := http.Header{"Cookie": {"a=b; __Host-merlon_session=tok"}}
	if n := testing.AllocsPerRun(100, func() { identity.Presented(h); identity.SessionToken(h) }); n != 0 {
		t.Errorf("%v allocations; want 0", n)
	}
}

func TestPrincipal(t *testing.T) {
	var nobody identity.Principal
	if nobody.Known() || nobody.Person() || nobody.Has("posts:read") || nobody.Missing([]string{"posts:read"}) != "posts:read" {
		t.Error("the zero principal is somebody")
	}
	key := identity.Principal{Kind: identity.APIKey, Subject: "usr_1", Scopes: []string{"posts:read"}}
	if !key.Known() || key.Person() || !key.Has("posts:read") || key.Has("posts:write") || key.Has("posts") {
		t.Error("a key is a person, or holds what it does not")
	}
	if got := key.Missing([]string{"posts:read", "posts:write"}); got != "posts:write" {
		t.Errorf("missing %q", got)
	}
	session := identity.Principal{Kind: identity.Session, Subject: "usr_1"}
	if !session.Person() {
		t.Error("a session is no person")
	}
}
