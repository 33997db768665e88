package authz_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/authz"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/route"
)

// caller is a stage that makes everybody the same principal.
type caller identity.Principal

func (caller) Name() string { return "caller" }
func (c caller) Decide(x *exchange.Exchange) exchange.Outcome {
	x.Principal = identity.Principal(c)
	return exchange.Continue()
}

func TestAuthorizer(t *testing.T) {
	nobody := identity.Principal{}
	session := identity.Principal{Kind: identity.Session, Subject: "usr_1", Role: "user", Scopes: []string{"posts:read", "posts:write"}}
	admin := identity.Principal{Kind: identity.Session, Subject: "usr_2", Role: "admin", Scopes: []string{"events:read"}}
	key := identity.Principal{Kind: identity.APIKey, Subject: "usr_1", Role: "user", Scopes: []string{"posts:read"}, KeyID: "key_1"}
	routes := []route.Route{
		{Pattern: "GET /public", Public: true},
		{Pattern: "GET /probe", Probe: true},
		{Pattern: "GET /me", AccountOnly: true},
		{Pattern: "GET /login", Public: true, AccountOnly: true},
		{Pattern: "GET /read", Scopes: []string{"posts:read"}},
		{Pattern: "GET /both", Scopes: []string{"posts:read", "posts:write"}},
		{Pattern: "GET /admin", Role: "admin"},
	}
	tests := []struct {
		name   string
		p      identity.Principal
		path   string
		status int
		code   string
	}{
		{"nobody on a public route", nobody, "/public", 200, ""},
		{"nobody on a probe", nobody, "/probe", 200, ""},
		{"nobody on an account route", nobody, "/me", 401, "unauthenticated"},
		{"nobody on a scoped route", nobody, "/read", 401, "unauthenticated"},
		{"a path without a route", session, "/nowhere", 404, "not-found"},
		{"a person on an account route", session, "/me", 200, ""},
		{"a key on an account route", key, "/me", 403, "forbidden"},
		{"nobody on a public account route", nobody, "/login", 200, ""},
		{"a person on a public account route", session, "/login", 200, ""},
		{"a key on a public account route", key, "/login", 403, "forbidden"},
		{"a key with the scope", key, "/read", 200, ""},
		{"a key with one scope of two", key, "/both", 403, "insufficient-scope"},
		{"a person with both scopes", session, "/both", 200, ""},
		{"a person without the role", session, "/admin", 403, "forbidden"},
		{"a person with the role", admin, "/admin", 200, ""},
		{"a role holds no scope by itself", admin, "/read", 403, "insufficient-scope"},
	}
	a, err := authz.New(authz.Config{})
	if err != nil {
		t.Fatal(err)
	}
	tbl, err := route.New(routes)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			chain := exchange.New(exchange.Config{Stages: []exchange.Stage{caller(tt.p), a}, Routes: tbl})
			w := httptest.NewRecorder()
			served := false
			chain.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true })).
				ServeHTTP(w, httptest.NewRequest("GET", tt.path, nil))
			if w.Code != tt.status || served != (tt.status == 200) || !strings.Contains(w.Body.String(), tt.code) {
				t.Errorf("status %d, served %v, body %s; want %d %s", w.Code, served, w.Body, tt.status, tt.code)
			}
		})
	}
}

func TestAStageAloneRequiresWhatItWasGiven(t *testing.T) {
	a, err := authz.New(authz.Config{Require: &route.Route{Scopes: []string{"posts:write"}}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	a.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 401 {
		t.Errorf("status %d; want 401", w.Code)
	}
}

func TestARequirementMustSayWhoMayCall(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    route.Route
		want string // "" means that it is right
	}{
		{"nothing", route.Route{}, "authz: Require: route: say who may call it"},
		{"a pattern alone", route.Route{Pattern: "GET /posts"}, `authz: Require: route "GET /posts": say who may call it`},
		{"everybody and a role", route.Route{Public: true, Role: "admin"}, "public and ask"},
		{"a scope that is none", route.Route{Scopes: []string{"a b"}}, `scope "a b"`},
		{"everybody", route.Route{Public: true}, ""},
		{"a person", route.Route{AccountOnly: true}, ""},
		{"a role", route.Route{Role: "admin"}, ""},
		{"a scope", route.Route{Scopes: []string{"a:b"}}, ""},
	} {
		a, err := authz.New(authz.Config{Require: &tt.r})
		if tt.want == "" && (err != nil || a == nil) || tt.want != "" && (err == nil || a != nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v; want %q", tt.name, err, tt.want)
		}
	}
}

func TestARequirementDoesNotChangeAfterNew(t *testing.T) {
	require := &route.Route{Scopes: []string{"posts:write"}}
	a, err := authz.New(authz.Config{Require: require})
	if err != nil {
		t.Fatal(err)
	}
	require.Scopes[0] = "posts:read"
	*require = route.Route{Public: true}
	reader := identity.Principal{Kind: identity.APIKey, Subject: "usr_1", Scopes: []string{"posts:read"}}
	w := httptest.NewRecorder()
	exchange.New(exchange.Config{Stages: []exchange.Stage{caller(reader), a}}).Handler(http.NotFoundHandler()).
		ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 403 || !strings.Contains(w.Body.String(), "posts:write") {
		t.Errorf("status %d, body %s; want 403 for posts:write", w.Code, w.Body)
	}
}

func TestMayActOn(t *testing.T) {
	owner := identity.Principal{Kind: identity.Session, Subject: "usr_1", Role: "user"}
	admin := identity.Principal{Kind: identity.Session, Subject: "usr_2", Role: "admin"}
	tests := []struct {
		name            string
		p               identity.Principal
		owner, override string
		want            bool
	}{
		{"the owner", owner, "usr_1", "admin", true},
		{"another account", owner, "usr_3", "admin", false},
		{"the overriding role", admin, "usr_1", "admin", true},
		{"the role where nothing overrides", admin, "usr_1", "", false},
		{"nobody, of a thing of nobody's", identity.Principal{}, "", "admin", false},
		{"a role without an account", identity.Principal{Role: "admin"}, "usr_1", "admin", false},
		{"no role, and nothing overrides", identity.Principal{Subject: "usr_9"}, "usr_1", "", false},
	}
	for _, tt := range tests {
		if got := authz.MayActOn(&tt.p, tt.owner, tt.override); got != tt.want {
			t.Errorf("%s: %v; want %v", tt.name, got, tt.want)
		}
	}
}
