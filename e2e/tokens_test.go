package e2e_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	tokenPath  = "/api/v1/auth/token"
	tokenRoute = "POST /api/v1/auth/token"
	formType   = "Content-Type: application/x-www-form-urlencoded"
)

// tokens are those of an answer of POST /api/v1/auth/token.
type tokens struct {
	access, refresh, scope, session string
	of                              *answer
}

// tokens checks an answer that issues tokens, and remembers that they are secrets.
func (a *answer) tokens(t *testing.T, s *server) tokens {
	t.Helper()
	a.want(t, 200)
	o := a.object(t)
	got := tokens{access: text(o["access_token"]), refresh: text(o["refresh_token"]), scope: text(o["scope"]), of: a}
	if len(o) != 5 || o["token_type"] != "Bearer" || o["expires_in"] != 900.0 || o["scope"] == nil || !strings.HasPrefix(got.refresh, "mrt_") || len(got.refresh) != 68 {
		t.Errorf("%s %s: %s", a.method, a.path, a.body)
	}
	s.secret("an access token", got.access)
	s.secret("a refresh token", got.refresh)
	s.secret("the secret part of a refresh token", got.refresh[26:])
	got.session = text(payload(t, got.access)["sid"])
	return got
}

// payload returns what an access token says.
func payload(t *testing.T, access string) object {
	t.Helper()
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		t.Fatalf("an access token of %d parts", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var o object
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// obtain gets tokens for a password.
func (c *client) obtain(t *testing.T, who account, more ...string) tokens {
	t.Helper()
	body := object{"grant_type": "password", "username": who.Username, "password": who.Password}
	for i := 0; i < len(more); i += 2 {
		body[more[i]] = more[i+1]
	}
	return c.do(t, "POST", tokenPath, body).tokens(t, c.s)
}

// renew uses a refresh token. Its answer is not checked.
func (c *client) renew(t *testing.T, refresh string) *answer {
	t.Helper()
	// The token is sent as a client sends it; what comes back must not hold it.
	return c.do(t, "POST", tokenPath, object{"grant_type": "refresh_token", "refresh_token": refresh})
}

// bearer is do with an access token and without cookies.
func (c *client) bearer(t *testing.T, access, method, path string, body any, headers ...string) *answer {
	t.Helper()
	jar := c.jar
	c.jar = map[string]string{}
	defer func() { c.jar = jar }()
	return c.do(t, method, path, body, append(headers, "Authorization: Bearer "+access)...)
}

func TestTokensOfAPassword(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	c := s.client(t)
	json := c.obtain(t, ada.account)
	form := c.do(t, "POST", tokenPath, url.Values{"grant_type": {"password"}, "username": {" " + strings.ToUpper(ada.account.Username)}, "password": {ada.account.Password}}.Encode(),
		formType+"; charset=UTF-8").tokens(t, s)
	if got := json.of.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
	for name, got := range map[string]tokens{"JSON": json, "form": form} {
		if got.scope != "keys:manage posts:read posts:write" {
			t.Errorf("%s: scope is %q", name, got.scope)
		}
		p := payload(t, got.access)
		now := time.Now().Unix()
		iat, _ := p["iat"].(float64)
		exp, _ := p["exp"].(float64)
		if p["sub"] != ada.id || p["iss"] != p["aud"] || p["nbf"] != p["iat"] || exp != iat+900 || iat > float64(now) || iat < float64(now-60) || len(p) != 10 {
			t.Errorf("%s: the token says %v", name, p)
		}
		if me := c.bearer(t, got.access, "GET", "/api/v1/users/me", nil).want(t, 200); me.text(t, "id") != ada.id {
			t.Errorf("%s: the token is of %s", name, me.body)
		}
	}
	if json.access == form.access || json.refresh == form.refresh || json.session == form.session {
		t.Error("two logins got the same")
	}

	// Nothing about it is ambient: no CSRF token, and other sites' pages may call with it as CORS lets them.
	c.bearer(t, json.access, "POST", "/api/v1/posts", post()).want(t, 201)
	c.bearer(t, json.access, "POST", "/api/v1/posts", post(), "Origin: https://evil.example", "Sec-Fetch-Site: cross-site").want(t, 201)
	c.bearer(t, json.access, "PATCH", "/api/v1/users/me", object{"bio": "x"}).want(t, 200)
	c.bearer(t, json.access, "GET", "/api/v1/posts", nil).want(t, 200)
	c.do(t, "GET", "/api/v1/users/me", nil, "Authorization: bearer "+json.access).want(t, 200)
	c.bearer(t, json.access, "GET", "/api/v1/events", nil).wantProblem(t, 403, "insufficient-scope")
	ada.do(t, "GET", "/api/v1/users/me", nil, "Authorization: Bearer "+json.access).wantProblem(t, 400, "ambiguous-credentials") // beside a cookie
	c.do(t, "GET", "/api/v1/users/me", nil, "Authorization: Bearer "+json.access, "X-API-Key: "+s.apiKey).wantProblem(t, 400, "ambiguous-credentials")
	c.do(t, "GET", "/api/v1/users/me?access_token="+marker, nil).wantProblem(t, 400, "malformed-request")

	s.wantEvents(t,
		wantEvent{json.of, "authn_login_success", "authentication", "info", "success", ada.id, tokenRoute, nil},
		wantEvent{json.of, "authn_token_created", "authentication", "info", "success", ada.id, tokenRoute, object{"grant_type": "password", "session_id": json.session}},
		wantEvent{form.of, "authn_token_created", "authentication", "info", "success", ada.id, tokenRoute, object{"grant_type": "password", "session_id": form.session}})
}

func TestARefreshTokenIsGoodForOneUse(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	c := s.client(t)
	first := c.obtain(t, ada.account)
	other := c.obtain(t, ada.account)

	second := s.client(t).do(t, "POST", tokenPath, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.refresh}}.Encode(), formType).tokens(t, s)
	third := c.renew(t, second.refresh).tokens(t, s)
	if second.session != first.session || third.session != first.session || third.scope != first.scope {
		t.Errorf("the tokens are of %s, %s and %s, want one session", first.session, second.session, third.session)
	}
	c.bearer(t, first.access, "GET", "/api/v1/users/me", nil).want(t, 200)

	thief := s.client(t)
	reuse := thief.renew(t, first.refresh).wantProblem(t, 401, "invalid-credentials")
	var gone *answer
	for _, access := range []string{first.access, second.access, third.access} {
		gone = c.bearer(t, access, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
		if got := gone.header.Get("Www-Authenticate"); got != `Bearer realm="merlon", error="invalid_token"` {
			t.Errorf("WWW-Authenticate is %q", got)
		}
	}
	dead := c.renew(t, third.refresh).wantProblem(t, 401, "invalid-credentials")
	c.bearer(t, other.access, "GET", "/api/v1/users/me", nil).want(t, 200) // another login
	c.renew(t, other.refresh).tokens(t, s)
	s.wantEvents(t,
		wantEvent{second.of, "authn_token_created", "authentication", "info", "success", ada.id, tokenRoute, object{"grant_type": "refresh_token", "session_id": first.session}},
		wantEvent{reuse, "authn_token_reuse", "authentication", "high", "failure", ada.id, tokenRoute, object{"session_id": first.session}},
		wantEvent{gone, "authn_token_rejected", "authentication", "medium", "refused", "*", "GET /api/v1/users/me", object{"reason": "ended", "session_id": first.session}},
		wantEvent{dead, "authn_token_rejected", "authentication", "medium", "failure", "*", tokenRoute, object{"reason": "unknown"}})
}

func TestFiftyUsesOfARefreshTokenAtATimeAreOneAtMost(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.register(t)
	first := s.client(t).obtain(t, ada.account)
	clients := make([]*client, 50)
	for i := range clients {
		clients[i] = s.client(t)
	}
	winners := make([]*answer, len(clients))
	got := tally(len(clients), func(i int) *answer {
		a := clients[i].renew(t, first.refresh)
		winners[i] = a
		return a
	})
	if got[200] > 1 || got[200]+got[401] != len(clients) {
		t.Errorf("the answers are %v, want 200 once at most, and all others 401", got)
	}
	for _, a := range winners {
		if a.status == 200 {
			won := a.tokens(t, s)
			clients[0].bearer(t, won.access, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
			clients[0].renew(t, won.refresh).wantProblem(t, 401, "invalid-credentials")
		}
	}
	clients[0].bearer(t, first.access, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
}

func TestTokensAreNarrowedToTheScopesAskedFor(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	c := s.client(t)
	narrow := c.obtain(t, ada.account, "scope", "posts:write posts:read")
	if narrow.scope != "posts:read posts:write" {
		t.Errorf("scope is %q", narrow.scope)
	}
	c.bearer(t, narrow.access, "POST", "/api/v1/posts", post()).want(t, 201)
	denied := c.bearer(t, narrow.access, "GET", "/api/v1/api-keys", nil).wantProblem(t, 403, "insufficient-scope")

	renew := func(refresh, scope string) *answer {
		return c.do(t, "POST", tokenPath, object{"grant_type": "refresh_token", "refresh_token": refresh, "scope": scope})
	}
	// More than the login has is refused, and the refresh token is still good (RFC 6749 section 6).
	renew(narrow.refresh, "posts:read keys:manage").wantProblem(t, 403, "insufficient-scope")
	less := renew(narrow.refresh, "posts:read").tokens(t, s)
	if less.scope != "posts:read" {
		t.Errorf("scope is %q", less.scope)
	}
	c.bearer(t, less.access, "POST", "/api/v1/posts", post()).wantProblem(t, 403, "insufficient-scope")
	if again := c.renew(t, less.refresh).tokens(t, s); again.scope != "posts:read posts:write" {
		t.Errorf("scope is %q: less once is not less for ever", again.scope)
	}
	for scope, want := range map[string]string{"posts:read nothing:" + strings.ToLower(marker): "/scope unknown", "posts:read  posts:write": "/scope pattern",
		"posts:read,posts:write": "/scope pattern", "": "/scope too-short", strings.Repeat("a", 2001): "/scope too-long"} {
		c.do(t, "POST", tokenPath, object{"grant_type": "password", "username": ada.account.Username, "password": ada.account.Password, "scope": scope}).
			wantProblem(t, 422, "invalid-content", want)
	}
	// A scope that the account lacks is no failed login: the sixth time too.
	for range 6 {
		c.do(t, "POST", tokenPath, object{"grant_type": "password", "username": ada.account.Username, "password": ada.account.Password, "scope": "events:read"}).
			wantProblem(t, 403, "insufficient-scope")
	}
	s.wantEvents(t, wantEvent{denied, "authz_fail", "authorization", "low", "refused", ada.id, "GET /api/v1/api-keys", object{"code": "insufficient-scope"}})
}

func TestTokenRequestsAreReadStrictlyInBothForms(t *testing.T) {
	t.Parallel()
	s := share(t)
	const nobody = `"username":"nobody-of-that-name","password":"not the password"`
	for name, tt := range map[string]struct {
		json, form string
		status     int
		code       string
		members    []string
	}{
		"nothing":                    {`{}`, "&", 422, "invalid-content", nil},
		"another grant type":         {`{"grant_type":"client_credentials"}`, "grant_type=client_credentials", 422, "invalid-content", []string{"/grant_type enum"}},
		"no grant type":              {`{` + nobody + `}`, "username=nobody-of-that-name&password=x", 422, "invalid-content", []string{"/grant_type required"}},
		"no username":                {`{"grant_type":"password","password":"x"}`, "grant_type=password&password=x", 422, "invalid-content", []string{"/username required"}},
		"neither":                    {`{"grant_type":"password"}`, "grant_type=password", 422, "invalid-content", []string{"/username required", "/password required"}},
		"no refresh token":           {`{"grant_type":"refresh_token"}`, "grant_type=refresh_token", 422, "invalid-content", []string{"/refresh_token required"}},
		"members of the other grant": {`{"grant_type":"refresh_token","refresh_token":"x",` + nobody + `}`, "grant_type=refresh_token&refresh_token=x&username=nobody-of-that-name&password=x", 422, "invalid-content", []string{"/username unknown-member", "/password unknown-member"}},
		"a refresh token beside it":  {`{"grant_type":"password","refresh_token":"x",` + nobody + `}`, "grant_type=password&refresh_token=x&username=nobody-of-that-name&password=x", 422, "invalid-content", []string{"/refresh_token unknown-member"}},
		"an unknown member":          {`{"grant_type":"password","client_id":"x",` + nobody + `}`, "grant_type=password&client_id=x&username=nobody-of-that-name&password=x", 422, "invalid-content", []string{"/client_id unknown-member"}},
		"a member twice":             {`{"grant_type":"password","grant_type":"refresh_token",` + nobody + `}`, "grant_type=password&grant_type=refresh_token&username=nobody-of-that-name&password=x", 422, "invalid-content", []string{"/grant_type duplicate"}},
		"malformed":                  {`{"grant_type":`, "", 400, "malformed-request", nil},
		"not percent-encoded":        {"", "grant_type=%zz", 422, "invalid-content", []string{" form"}},
		"a list":                     {`{"grant_type":["password"],` + nobody + `}`, "", 422, "invalid-content", []string{"/grant_type type"}},
		"null":                       {`{"grant_type":"password","username":null,"password":"x"}`, "", 422, "invalid-content", []string{"/username type"}},
		"a refresh token too long":   {`{"grant_type":"refresh_token","refresh_token":"` + strings.Repeat("x", 129) + `"}`, "grant_type=refresh_token&refresh_token=" + strings.Repeat("x", 129), 422, "invalid-content", []string{"/refresh_token too-long"}},
		"right, but for the login":   {`{"grant_type":"password",` + nobody + `}`, "grant_type=password&username=nobody-of-that-name&password=x", 401, "invalid-credentials", nil},
	} {
		if tt.json != "" {
			s.client(t).do(t, "POST", tokenPath, tt.json).wantProblem(t, tt.status, tt.code, tt.members...)
		}
		if tt.form != "" {
			s.client(t).do(t, "POST", tokenPath, tt.form, formType).wantProblem(t, tt.status, tt.code, tt.members...)
		}
		if t.Failed() {
			t.Fatalf("in the row: %s", name)
		}
	}
	good := object{"grant_type": "password", "username": s.user.Username, "password": s.user.Password}
	c := s.client(t)
	c.do(t, "POST", tokenPath, good, "Content-Type: text/plain").wantProblem(t, 415, "unsupported-media-type")
	c.do(t, "POST", tokenPath, good, "Content-Type: multipart/form-data; boundary=x").wantProblem(t, 415, "unsupported-media-type")
	c.do(t, "POST", tokenPath, "grant_type=password&"+strings.Repeat("x", 1<<20), formType).wantProblem(t, 413, "payload-too-large")
	c.do(t, "POST", tokenPath+"?grant_type=password", good).wantProblem(t, 422, "invalid-content")
	c.do(t, "POST", "/api/v1/auth/login", "username=x&password=y", formType).wantProblem(t, 415, "unsupported-media-type") // forms are for tokens only
	c.with(t, s.apiKey, "POST", tokenPath, good).wantProblem(t, 403, "forbidden")
	c.do(t, "POST", tokenPath, good, "Sec-Fetch-Site: cross-site").wantProblem(t, 403, "cross-site-request")
	c.do(t, "POST", tokenPath, "grant_type=password&username=x&password=y", formType, "Origin: https://evil.example").wantProblem(t, 403, "cross-site-request")
	c.do(t, "POST", tokenPath, good).tokens(t, s)
}

func TestGuessesAtTokensAreFailedLogins(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.register(t)
	c := s.client(t)
	good := c.obtain(t, ada.account)
	guess := func(who account) *answer {
		return c.do(t, "POST", tokenPath, object{"grant_type": "password", "username": who.Username, "password": who.Password})
	}
	wrong := account{ada.account.Username, "not the password " + marker}
	first := guess(wrong).wantProblem(t, 401, "invalid-credentials")
	unknown := guess(account{"nobody-of-that-name", "x"}).wantProblem(t, 401, "invalid-credentials")
	if string(first.body[:60]) != string(unknown.body[:60]) {
		t.Errorf("a wrong password and an unknown account differ: %s %s", first.body, unknown.body)
	}
	c.do(t, "POST", "/api/v1/auth/login", object{"username": wrong.Username, "password": wrong.Password}).wantProblem(t, 401, "invalid-credentials")
	// A refresh that fails is one too, by address; one that succeeds is none, however often.
	bad := c.renew(t, "mrt_"+strings.Repeat("A", 64)).wantProblem(t, 401, "invalid-credentials")
	if got := bad.header.Get("Ratelimit"); !strings.HasPrefix(got, `"login";r=1`) || strings.Contains(got, "login-account") {
		t.Errorf("RateLimit is %q: want the quota of the address, and of no account", got)
	}
	for range 8 {
		good = c.renew(t, good.refresh).tokens(t, s)
	}
	c.renew(t, "mrt_x").wantProblem(t, 401, "invalid-credentials") // the fifth
	for what, a := range map[string]*answer{"a guess": guess(wrong), "the right password": guess(ada.account), "a refresh": c.renew(t, good.refresh)} {
		if got := violated(t, a); got != "login" {
			t.Errorf("%s: violated-policies is %q, want login", what, got)
		}
	}
	d := s.client(t)
	d.obtain(t, ada.account) // from elsewhere
	d.renew(t, good.refresh).tokens(t, s)
	s.wantEvents(t,
		wantEvent{first, "authn_login_fail", "authentication", "low", "failure", ada.id, tokenRoute, object{"reason": "wrong_password"}},
		wantEvent{unknown, "authn_login_fail", "authentication", "low", "failure", "*", tokenRoute, object{"reason": "unknown_account"}},
		wantEvent{bad, "authn_token_rejected", "authentication", "medium", "failure", "*", tokenRoute, object{"reason": "unknown"}})
}

func TestSessionsAndTokensAreOneList(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada, bob := s.register(t), s.register(t)
	const path = "/api/v1/auth/sessions"
	app := s.client(t)
	app.http.Transport = agent{app.http.Transport, "app/1"}
	one := app.obtain(t, ada.account)
	two := app.obtain(t, ada.account)

	for who, list := range map[string][]object{
		one.session: app.bearer(t, one.access, "GET", path, nil).items(t),
		"":          ada.all(t, path, 1),
	} {
		var found []string
		current := 0
		for _, v := range list {
			found = append(found, text(v["id"]))
			isCurrent := v["current"] == true
			if isCurrent {
				current++
			}
			if who != "" && isCurrent != (v["id"] == who) || len(v) != 6 {
				t.Errorf("asked by %q: %v", who, v)
			}
			if v["id"] == one.session && (v["address"] != app.address || v["user_agent"] != "app/1" || instant(t, v["created_at"]).IsZero() || instant(t, v["last_seen_at"]).IsZero()) {
				t.Errorf("the tokens are listed as %v", v)
			}
		}
		if len(list) != 3 || current != 1 || !slices.Contains(found, one.session) || !slices.Contains(found, two.session) || !slices.IsSortedFunc(found, func(a, b string) int { return strings.Compare(b, a) }) {
			t.Errorf("asked by %q: %v, %d current; want three, newest first, one current", who, found, current)
		}
	}

	// One's own only; at once; and the other goes on.
	bob.act(t, "DELETE", path+"/"+one.session, nil).wantProblem(t, 404, "not-found")
	app.bearer(t, one.access, "GET", "/api/v1/users/me", nil).want(t, 200)
	ended := ada.act(t, "DELETE", path+"/"+one.session, nil).want(t, 204)
	if ended.header["Set-Cookie"] != nil {
		t.Errorf("Set-Cookie is %q: this session goes on", ended.header["Set-Cookie"])
	}
	app.bearer(t, one.access, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	app.renew(t, one.refresh).wantProblem(t, 401, "invalid-credentials")
	ada.act(t, "DELETE", path+"/"+one.session, nil).wantProblem(t, 404, "not-found")

	// A token can end a session, and itself.
	session := text(ada.all(t, path, 100)[1]["id"])
	app.bearer(t, two.access, "DELETE", path+"/"+session, nil).want(t, 204)
	ada.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	if a := app.bearer(t, two.access, "DELETE", path+"/"+two.session, nil).want(t, 204); a.header["Set-Cookie"] != nil {
		t.Errorf("Set-Cookie is %q: there was no cookie", a.header["Set-Cookie"])
	}
	app.bearer(t, two.access, "GET", path, nil).wantProblem(t, 401, "unauthenticated")

	three, four := app.obtain(t, ada.account), app.obtain(t, ada.account)
	out := app.bearer(t, three.access, "POST", "/api/v1/auth/logout", nil).want(t, 204)
	app.bearer(t, three.access, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	app.renew(t, three.refresh).wantProblem(t, 401, "invalid-credentials")
	app.bearer(t, four.access, "GET", "/api/v1/users/me", nil).want(t, 200)
	s.wantEvents(t,
		wantEvent{ended, "session_revoked", "session", "info", "success", ada.id, "DELETE /api/v1/auth/sessions/{id}", object{"session_id": one.session}},
		wantEvent{out, "session_logout", "session", "info", "success", ada.id, "POST /api/v1/auth/logout", object{"session_id": three.session}})
}

func TestAPasswordChangeEndsTokens(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	app := s.client(t)
	mine, other := app.obtain(t, ada.account), app.obtain(t, ada.account)
	const next = "seven merlons and a half"
	s.secret("a password", next)
	app.bearer(t, mine.access, "POST", "/api/v1/users/me/password", object{"current_password": ada.account.Password, "new_password": next}).want(t, 204)
	app.bearer(t, mine.access, "GET", "/api/v1/users/me", nil).want(t, 200)
	app.bearer(t, other.access, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	app.renew(t, other.refresh).wantProblem(t, 401, "invalid-credentials")
	ada.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	app.renew(t, mine.refresh).tokens(t, s)
}

// The published keys verify what is signed, by the standard library alone.
func TestThePublishedKeysVerifyTokens(t *testing.T) {
	t.Parallel()
	s := share(t)
	c := s.client(t)
	got := c.obtain(t, s.user)
	keys, _ := c.do(t, "GET", "/.well-known/jwks.json", nil).want(t, 200).at(t, "keys").([]any)
	if len(keys) != 1 {
		t.Fatalf("keys are %v, want one", keys)
	}
	key, _ := keys[0].(object)
	if len(key) != 6 || key["kty"] != "OKP" || key["crv"] != "Ed25519" || key["alg"] != "EdDSA" || key["use"] != "sig" || key["d"] != nil {
		t.Errorf("the key is %v", key)
	}
	x, err := base64.RawURLEncoding.DecodeString(text(key["x"]))
	if err != nil || len(x) != ed25519.PublicKeySize {
		t.Fatal(len(x), err)
	}
	parts := strings.Split(got.access, ".")
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !ed25519.Verify(x, []byte(parts[0]+"."+parts[1]), signature) {
		t.Errorf("the published key does not verify the token (%v)", err)
	}
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || string(header) != fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"at+jwt"}`, key["kid"]) {
		t.Errorf("the header is %s (%v)", header, err)
	}
}
