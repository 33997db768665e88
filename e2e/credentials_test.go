package e2e_test

import (
	"strings"
	"testing"
	"time"
)

// newKey makes a key by c and returns the answer.
func (c *client) newKey(t *testing.T, body object) *answer {
	t.Helper()
	for name, value := range (object{"name": "a key", "scopes": []string{"posts:read", "posts:write"}}) {
		if body[name] == nil {
			body[name] = value
		}
	}
	a := c.act(t, "POST", "/api/v1/api-keys", body).want(t, 201)
	c.s.secretKey("an API key", a.text(t, "key"))
	return a
}

// replaceAt returns s with another letter at i; a negative i counts from the end.
func replaceAt(s string, i int) string {
	if i < 0 {
		i += len(s)
	}
	other := byte('a')
	if s[i] == other {
		other = 'b'
	}
	return s[:i] + string(other) + s[i+1:]
}

func TestAKeyWritesWhatItMay(t *testing.T) {
	t.Parallel()
	s, foreign := start(t), start(t)
	ada := s.register(t)
	posts := "/api/v1/posts"
	good := ada.newKey(t, object{})
	reader := ada.newKey(t, object{"scopes": []string{"posts:read"}})
	end := time.Now().Add(1500 * time.Millisecond)
	short := ada.newKey(t, object{"expires_at": end.UTC().Format(time.RFC3339Nano)})
	disabled := ada.newKey(t, object{})
	ada.act(t, "PATCH", "/api/v1/api-keys/"+disabled.text(t, "id"), object{"enabled": false}).want(t, 200)
	revoked := ada.newKey(t, object{})
	revocation := ada.act(t, "DELETE", "/api/v1/api-keys/"+revoked.text(t, "id"), nil).want(t, 204)
	elsewhere := ada.newKey(t, object{"allowed_addresses": []string{"192.0.2.0/24"}})
	here := ada.newKey(t, object{"allowed_addresses": []string{"192.0.2.7", "127.1.0.0/16"}})

	// No letter case, no second place and no header more opens with a key.
	key := good.text(t, "key")
	c := s.client(t)
	var events []wantEvent
	rejected := func(a *answer, detail object) {
		events = append(events, wantEvent{a, "apikey_rejected", "api_key", "medium", "refused", "*", "POST /api/v1/posts", detail})
	}
	t.Run("a good key", func(t *testing.T) {
		a := c.with(t, key, "POST", posts, post()).want(t, 201)
		if got := a.text(t, "author"); got != ada.id {
			t.Errorf("author is %q, want the owner of the key, %q", got, ada.id)
		}
		c.with(t, key, "POST", posts, post(), "Origin: https://evil.example", "Sec-Fetch-Site: cross-site").want(t, 201) // nothing ambient
		c.do(t, "POST", posts, post(), "Authorization: Bearer "+key).want(t, 201)
		c.do(t, "POST", posts, post(), "Authorization: bearer "+key).want(t, 201) // RFC 9110, section 11.1
		events = append(events, wantEvent{a, "apikey_used_first", "api_key", "info", "success", ada.id, "POST /api/v1/posts", object{"key_id": good.text(t, "id")}})
	})
	t.Run("a key without the scope", func(t *testing.T) {
		a := c.with(t, reader.text(t, "key"), "POST", posts, post()).wantProblem(t, 403, "insufficient-scope")
		events = append(events, wantEvent{a, "authz_fail", "authorization", "low", "refused", ada.id, "POST /api/v1/posts", object{"code": "insufficient-scope"}})
		c.with(t, reader.text(t, "key"), "GET", posts, nil).want(t, 200)
	})
	t.Run("a key before its end", func(t *testing.T) {
		c.with(t, short.text(t, "key"), "POST", posts, post()).want(t, 201)
	})
	for _, tt := range []struct {
		name, key, reason string
	}{
		{"a disabled key", disabled.text(t, "key"), "disabled"},
		{"a revoked key", revoked.text(t, "key"), "not_found"},
		{"a key from an address that is not its own", elsewhere.text(t, "key"), "address_not_allowed"},
		{"a key of another service", foreign.apiKey, "not_found"},
		{"a key whose checksum is wrong", replaceAt(key, -1), "malformed"},
		{"a key with another letter in its secret", replaceAt(key, 40), "malformed"},
		{"a key with another letter in its id", replaceAt(key, 12), "malformed"},
		{"a key that is cut off", key[:len(key)-1], "malformed"},
		{"a key for production", strings.Replace(key, "_dev_", "_live_", 1), "malformed"},
		{"something that is no key", marker, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, header := range []string{"X-API-Key: " + tt.key, "Authorization: Bearer " + tt.key} {
				if !strings.HasPrefix(tt.key, "mrl_") && header[0] == 'A' {
					continue // a bearer token of another kind
				}
				a := c.do(t, "POST", posts, post(), header).wantProblem(t, 401, "unauthenticated")
				if got := a.header.Get("Www-Authenticate"); !strings.HasPrefix(got, "Bearer ") {
					t.Errorf("WWW-Authenticate is %q", got)
				}
				rejected(a, object{"reason": tt.reason})
			}
			// On a public route too: who presents a key means to be somebody.
			s.client(t).with(t, tt.key, "GET", posts, nil).wantProblem(t, 401, "unauthenticated")
		})
	}
	t.Run("a key from its address", func(t *testing.T) {
		c.with(t, here.text(t, "key"), "POST", posts, post()).want(t, 201)
	})
	t.Run("a key beside a cookie", func(t *testing.T) {
		a := ada.act(t, "POST", posts, post(), "X-API-Key: "+key).wantProblem(t, 400, "ambiguous-credentials")
		events = append(events, wantEvent{a, "authz_fail", "authorization", "low", "refused", "*", "POST /api/v1/posts", object{"code": "ambiguous-credentials"}})
		ada.do(t, "GET", posts, nil, "X-API-Key: "+key).wantProblem(t, 400, "ambiguous-credentials") // on public routes too
	})
	t.Run("a key beside a dead cookie", func(t *testing.T) {
		d := s.client(t)
		d.jar[sessionCookie] = "x" // "counts as a cookie credential, valid or not"
		d.do(t, "GET", posts, nil, "X-API-Key: "+key).wantProblem(t, 400, "ambiguous-credentials")
	})
	t.Run("a key beside a cookie of another name", func(t *testing.T) {
		d := s.client(t)
		d.jar["theme"], d.jar["merlon_session"] = "dark", "x"
		d.do(t, "POST", posts, post(), "X-API-Key: "+key).want(t, 201)
	})
	t.Run("a key in two headers", func(t *testing.T) {
		c.do(t, "POST", posts, post(), "X-API-Key: "+key, "Authorization: Bearer "+key).wantProblem(t, 400, "ambiguous-credentials")
		c.do(t, "POST", posts, post(), "X-API-Key: "+key, "X-API-Key: "+key).wantProblem(t, 400, "ambiguous-credentials")
	})
	t.Run("a key in the query", func(t *testing.T) {
		for _, query := range []string{"api_key=" + key, "key=" + key, "x=1&X-API-Key=" + key, "access_token=" + key} {
			a := s.client(t).do(t, "POST", posts+"?"+query, post())
			if a.status != 400 && a.status != 401 {
				t.Errorf("?%s…: status %d, want it refused as a credential: %s", query[:12], a.status, a.body)
			}
			rejected(a, object{"reason": "in_query"})
		}
		s.client(t).do(t, "GET", posts+"?api_key="+marker, nil).wantProblem(t, 400, "malformed-request")
		s.client(t).do(t, "GET", posts+"?limit=1", nil).want(t, 200)
	})
	t.Run("another scheme of Authorization", func(t *testing.T) {
		for _, value := range []string{"Basic YWRhOmFkYQ==", "Bearer " + marker, "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer"} {
			s.client(t).do(t, "GET", "/api/v1/users/me", nil, "Authorization: "+value).wantProblem(t, 401, "unauthenticated")
		}
	})
	t.Run("a key after its end", func(t *testing.T) {
		time.Sleep(time.Until(end.Add(10 * time.Millisecond)))
		rejected(c.with(t, short.text(t, "key"), "POST", posts, post()).wantProblem(t, 401, "unauthenticated"), object{"reason": "expired"})
	})
	s.wantEvents(t, append(events,
		wantEvent{good, "apikey_created", "api_key", "info", "success", ada.id, "POST /api/v1/api-keys", object{"key_id": good.text(t, "id")}},
		wantEvent{revocation, "apikey_revoked", "api_key", "info", "success", ada.id, "DELETE /api/v1/api-keys/{id}", object{"key_id": revoked.text(t, "id")}})...)
	used := 0
	for _, line := range s.log(t) {
		if line["type"] == "apikey_used_first" && strings.Contains(toText(line), good.text(t, "id")) {
			used++
		}
	}
	if used != 1 {
		t.Errorf("the first use of a key is recorded %d times", used)
	}
}

func TestKeysDoNotOpenAccountRoutes(t *testing.T) {
	t.Parallel()
	s := share(t)
	admin := s.asAdmin(t)
	key := admin.newKey(t, object{"scopes": []string{"keys:manage", "keys:verify", "events:read", "posts:read", "posts:write"}}).text(t, "key")
	c := s.client(t)
	for _, tt := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/api/v1/users/me", nil},
		{"PATCH", "/api/v1/users/me", object{"bio": "x"}},
		{"POST", "/api/v1/users/me/password", object{"current_password": s.admin.Password, "new_password": "seven merlons and a half"}},
		{"GET", "/api/v1/auth/sessions", nil},
		{"DELETE", "/api/v1/auth/sessions/ses_x", nil},
		{"POST", "/api/v1/auth/logout", nil},
		{"POST", "/api/v1/auth/login", object{"username": s.user.Username, "password": s.user.Password}},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			c.with(t, key, tt.method, tt.path, tt.body).wantProblem(t, 403, "forbidden")
		})
	}
	for _, path := range []string{"/api/v1/api-keys", "/api/v1/events", "/api/v1/posts"} { // every scoped one
		c.with(t, key, "GET", path, nil).want(t, 200)
	}
	c.with(t, key, "POST", "/api/v1/api-keys/verify", object{"key": key}).want(t, 200)
}

// A credential that is not there is 401, one that may not is 403.
func TestRoutesThatNeedAPrincipal(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada, c := s.register(t), s.client(t)
	for _, route := range []string{
		"GET /api/v1/users/me", "PATCH /api/v1/users/me", "POST /api/v1/users/me/password", "POST /api/v1/auth/logout", "GET /api/v1/auth/sessions",
		"DELETE /api/v1/auth/sessions/ses_x", "POST /api/v1/api-keys", "GET /api/v1/api-keys", "GET /api/v1/api-keys/key_x", "PATCH /api/v1/api-keys/key_x",
		"DELETE /api/v1/api-keys/key_x", "POST /api/v1/api-keys/key_x/rotate", "POST /api/v1/api-keys/verify", "GET /api/v1/events",
		"POST /api/v1/posts", "PATCH /api/v1/posts/pst_x", "DELETE /api/v1/posts/pst_x",
	} {
		method, path, _ := strings.Cut(route, " ")
		for _, body := range []any{nil, object{}, "{"} {
			if method == "GET" && body != nil {
				continue
			}
			c.elsewhere(t).do(t, method, path, body).wantProblem(t, 401, "unauthenticated")
		}
	}
	for _, route := range []string{"GET /api/v1/events", "POST /api/v1/api-keys/verify"} { // what only admins hold
		method, path, _ := strings.Cut(route, " ")
		a := ada.act(t, method, path, nil).wantProblem(t, 403, "insufficient-scope")
		s.wantEvents(t, wantEvent{a, "authz_fail", "authorization", "low", "refused", ada.id, route, object{"code": "insufficient-scope"}})
	}
	for _, path := range []string{"/api/v1/posts", "/csrf/token", "/openapi.json", "/health", "/health/ready"} {
		c.do(t, "GET", path, nil).want(t, 200)
	}
}
