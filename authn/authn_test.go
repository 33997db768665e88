package authn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/token"
)

// verifier accepts one secret, rejects all others, and fails for "outage".
type verifier struct {
	kind identity.Kind
	good string
}

func (v verifier) Verify(_ context.Context, secret string, _ netip.Addr, _ time.Time) (identity.Principal, error) {
	switch secret {
	case v.good:
		return identity.Principal{Kind: v.kind, Subject: "usr_1"}, nil
	case "outage", "mrl_outage":
		return identity.Principal{}, errors.New("dial tcp 10.0.0.5: connection refused")
	}
	return identity.Principal{}, fmt.Errorf("wrapped: %w", &authn.Rejection{Reason: "expired", Type: audit.APIKeyRejected})
}

func TestAuthenticator(t *testing.T) {
	a, err := authn.New(authn.Config{
		Sessions: verifier{identity.Session, "good"},
		Keys:     verifier{identity.APIKey, "mrl_good"},
		Tokens:   verifier{identity.Token, "e30.good"},
	})
	if err != nil {
		t.Fatal(err)
	}
	routes, err := route.New([]route.Route{
		{Pattern: "GET /public", Public: true},
		{Pattern: "GET /closed", Scopes: []string{"posts:read"}},
		{Pattern: "GET /health", Probe: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	const session, key, bearer = "Cookie", "X-Api-Key", "Authorization"
	tests := []struct {
		name          string
		target        string
		header, value string
		status        int
		kind          identity.Kind
		challenge     string
	}{
		{"nobody goes on as nobody", "/closed", "", "", 200, identity.None, ""},
		{"a good session", "/closed", session, "__Host-merlon_session=good", 200, identity.Session, ""},
		{"a dead session on a closed route", "/closed", session, "__Host-merlon_session=dead", 401, identity.None, `Bearer realm="merlon"`},
		{"a dead session on a public route is nobody", "/public", session, "__Host-merlon_session=dead", 200, identity.None, ""},
		{"a dead session on no route at all", "/nowhere", session, "__Host-merlon_session=dead", 401, identity.None, `Bearer realm="merlon"`},
		{"a session store that is away is no 401", "/closed", session, "__Host-merlon_session=outage", 503, identity.None, ""},
		{"nor is it nobody on a public route", "/public", session, "__Host-merlon_session=outage", 503, identity.None, ""},
		{"a good key", "/closed", key, "mrl_good", 200, identity.APIKey, ""},
		{"a good key as bearer", "/closed", bearer, "Bearer mrl_good", 200, identity.APIKey, ""},
		{"a bad key on a public route", "/public", key, "mrl_bad", 401, identity.None, `Bearer realm="merlon", error="invalid_token"`},
		{"a key store that is away", "/closed", key, "mrl_outage", 503, identity.None, ""},
		{"a good token", "/closed", bearer, "Bearer e30.good", 200, identity.Token, ""},
		{"a bad token", "/public", bearer, "Bearer e30.bad", 401, identity.None, `Bearer realm="merlon", error="invalid_token"`},
		{"another scheme", "/public", bearer, "Basic eDp5", 401, identity.None, `Bearer realm="merlon", error="invalid_token"`},
		{"a key in the query string", "/public?k=mrl_good", "", "", 400, identity.None, ""},
		{"a credential parameter in the query string", "/public?a=b&API_Key=x", "", "", 400, identity.None, ""},
		{"the same percent-encoded", "/public?%61pi_key=x", "", "", 400, identity.None, ""},
		{"a key percent-encoded", "/public?k=%6drl_good", "", "", 400, identity.None, ""},
		{"an honest query string with an escape", "/public?q=100%25&r=%zz", "", "", 200, identity.None, ""},
		{"an honest query string", "/public?key=value&q=api_key", "", "", 200, identity.None, ""},
		{"a probe is not authenticated", "/health", key, "mrl_bad", 200, identity.None, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", tt.target, nil)
			if tt.header != "" {
				r.Header.Set(tt.header, tt.value)
			}
			chain := exchange.New(exchange.Config{Stages: []exchange.Stage{a}, Routes: routes, ErrorLog: slog.New(slog.NewTextHandler(io.Discard, nil))})
			w := httptest.NewRecorder()
			var kind identity.Kind
			chain.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				kind = exchange.FromContext(r.Context()).Principal.Kind
			})).ServeHTTP(w, r)
			if w.Code != tt.status || kind != tt.kind || w.Header().Get("WWW-Authenticate") != tt.challenge {
				t.Errorf("status %d, caller %v, challenge %q; want %d, %v, %q\n%s", w.Code, kind, w.Header().Get("WWW-Authenticate"), tt.status, tt.kind, tt.challenge, w.Body)
			}
			if strings.Contains(w.Body.String(), "10.0.0.5") || strings.Contains(w.Body.String(), "expired") {
				t.Errorf("the answer tells too much: %s", w.Body)
			}
		})
	}
}

func TestTwoCredentialsAreAmbiguous(t *testing.T) {
	a, err := authn.New(authn.Config{Keys: verifier{identity.APIKey, "mrl_good"}, Sessions: verifier{identity.Session, "good"}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", "__Host-merlon_session=good")
	r.Header.Set("X-API-Key", "mrl_good")
	w := httptest.NewRecorder()
	a.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
	if w.Code != 400 || !strings.Contains(w.Body.String(), `"ambiguous-credentials"`) {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

func TestTheZeroConfigAcceptsNobody(t *testing.T) {
	a, err := authn.New(authn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for header, value := range map[string]string{"Cookie": "__Host-merlon_session=x", "X-API-Key": "mrl_x", "Authorization": "Bearer x"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(header, value)
		w := httptest.NewRecorder()
		a.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
		if w.Code != 401 {
			t.Errorf("%s: status %d; want 401", header, w.Code)
		}
	}
}

type accounts struct{}

func (accounts) Access(context.Context, string) (authn.Access, error) { return authn.Access{}, nil }

func TestVerifiersMadeOfNilAreErrors(t *testing.T) {
	keys, sessions, tokens := new(apikey.Manager), new(session.Manager), new(token.Manager)
	for _, tt := range []struct {
		name string
		cfg  authn.Config
		want []string // the beginnings of the lines
	}{
		{"sessions without accounts", authn.Config{Sessions: authn.Sessions(sessions, nil)}, []string{"authn: Sessions: "}},
		{"sessions without a manager", authn.Config{Sessions: authn.Sessions(nil, accounts{})}, []string{"authn: Sessions: "}},
		{"keys without a manager", authn.Config{Keys: authn.Keys(nil, accounts{})}, []string{"authn: Keys: "}},
		{"tokens without accounts", authn.Config{Tokens: authn.Tokens(tokens, nil)}, []string{"authn: Tokens: "}},
		{"tokens without a manager", authn.Config{Tokens: authn.Tokens(nil, accounts{})}, []string{"authn: Tokens: "}},
		{"tokens", authn.Config{Tokens: authn.Tokens(tokens, accounts{})}, nil},
		{"all of them", authn.Config{Sessions: authn.Sessions(nil, nil), Keys: authn.Keys(nil, nil), Tokens: authn.Keys(nil, nil)},
			[]string{"authn: Sessions: ", "authn: Keys: ", "authn: Tokens: "}},
		{"sessions", authn.Config{Sessions: authn.Sessions(sessions, accounts{})}, nil},
		{"keys without accounts, which keep their scopes", authn.Config{Keys: authn.Keys(keys, nil)}, nil},
	} {
		_, err := authn.New(tt.cfg)
		var lines []string
		if err != nil {
			lines = strings.Split(err.Error(), "\n")
		}
		ok := len(lines) == len(tt.want)
		for i := range min(len(lines), len(tt.want)) {
			ok = ok && strings.HasPrefix(lines[i], tt.want[i])
		}
		if !ok {
			t.Errorf("%s: error %v; want lines that begin with %q", tt.name, err, tt.want)
		}
	}
}

// A verifier inside another one is not seen by New.
func TestAVerifierMadeOfNilFailsAndDoesNotPanic(t *testing.T) {
	for _, v := range []authn.Verifier{authn.Sessions(nil, nil), authn.Keys(nil, nil), authn.Tokens(nil, nil)} {
		p, err := v.Verify(t.Context(), "x", netip.Addr{}, time.Now())
		if rejection := (*authn.Rejection)(nil); err == nil || p.Known() || errors.As(err, &rejection) {
			t.Errorf("%T: %v, %v; want an error that is no rejection", v, p, err)
		}
	}
}
