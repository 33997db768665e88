package e2e_test

import (
	"net/url"
	"strings"
	"testing"
)

// post is a post that is accepted.
func post() object {
	return object{"title": "On crenels", "content": "<p>The gap between two merlons.</p>"}
}

// postWith is a post with one more member.
func postWith(name string, value any) object {
	p := post()
	p[name] = value
	return p
}

const (
	missing = "csrf-token-missing"
	invalid = "csrf-token-invalid"
)

func TestASessionWritesOnlyWithATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada, bob := s.register(t), s.register(t)
	fresh := func(c *client) string { return c.do(t, "GET", "/csrf/token", nil).want(t, 200).text(t, "csrf_token") }
	stranger := s.client(t)
	strangers := fresh(stranger)
	header := func(token string) []string { return []string{"X-CSRF-Token: " + token} }
	fetch := func(site string, more ...string) []string {
		return append([]string{"X-CSRF-Token: " + ada.csrf, "Sec-Fetch-Site: " + site}, more...)
	}
	changed := []byte(ada.csrf)
	changed[len(changed)/2] ^= 1 // another letter of the same alphabet, or none of it: no token either way

	var events []wantEvent
	for _, tt := range []struct {
		name     string
		body     any
		headers  []string
		status   int
		code     string // of the refusal
		severity string // of its event
	}{
		{"without a token", post(), nil, 403, missing, "low"},
		{"with an empty token", post(), header(""), 403, missing, "low"},
		{"with the token of the login, in the header", post(), header(ada.csrf), 201, "", ""},
		{"with a token of /csrf/token", post(), header(fresh(ada)), 201, "", ""},
		{"with the token of another session", post(), header(bob.csrf), 403, invalid, "high"},
		{"with a token of another session's /csrf/token", post(), header(fresh(bob)), 403, invalid, "high"},
		{"with a token that was made without a session", post(), header(strangers), 403, invalid, "high"},
		{"with a token of which one letter is another", post(), header(string(changed)), 403, invalid, "high"},
		{"with a token that is none", post(), header(marker), 403, invalid, "high"},
		{"with a token as a member of the body", postWith("csrf_token", ada.csrf), nil, 201, "", ""},
		{"with a foreign token as a member of the body", postWith("csrf_token", bob.csrf), nil, 403, invalid, "high"},
		{"with the same token twice", postWith("csrf_token", ada.csrf), header(ada.csrf), 201, "", ""},
		{"with two tokens, of which one is right", postWith("csrf_token", bob.csrf), header(ada.csrf), 403, invalid, "high"},
		{"with the token in the query", post(), nil, 403, missing, "low"},

		{"from its own page", post(), fetch("same-origin"), 201, "", ""},
		{"from the address bar", post(), fetch("none"), 201, "", ""},
		{"from a page of another site", post(), fetch("cross-site"), 403, "cross-site-request", "high"},
		{"from a page of a neighbour", post(), fetch("same-site"), 403, "cross-site-request", "high"},
		{"from a value that browsers do not send", post(), fetch(marker), 403, "cross-site-request", "high"},
		{"from a foreign origin", post(), []string{"X-CSRF-Token: " + ada.csrf, "Origin: https://evil.example"}, 403, "cross-site-request", "high"},
		{"from an opaque origin", post(), []string{"X-CSRF-Token: " + ada.csrf, "Origin: null"}, 403, "cross-site-request", "high"},
		{"from an origin that begins like its own", post(), []string{"X-CSRF-Token: " + ada.csrf, "Origin: " + s.url + ".evil.example"}, 403, "cross-site-request", "high"},
		{"from its own origin", post(), []string{"X-CSRF-Token: " + ada.csrf, "Origin: " + s.url}, 201, "", ""},
		{"from a listed origin", post(), fetch("cross-site", "Origin: http://localhost:3000"), 201, "", ""},
		{"from a listed origin without a token", post(), []string{"Origin: http://localhost:3000"}, 403, missing, "low"},
		{"from a foreign origin without a token", post(), []string{"Origin: https://evil.example"}, 403, "cross-site-request", "high"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := "/api/v1/posts"
			if tt.name == "with the token in the query" {
				path += "?csrf_token=" + url.QueryEscape(ada.csrf)
			}
			a := ada.do(t, "POST", path, tt.body, tt.headers...)
			if tt.code == "" {
				a.want(t, tt.status)
				return
			}
			a.wantProblem(t, tt.status, tt.code)
			principal := ada.id
			if tt.code == "cross-site-request" {
				principal = "" // refused before anybody is looked up
			}
			events = append(events, wantEvent{a, "malicious_csrf", "suspicious_activity", tt.severity, "refused", principal, "POST /api/v1/posts",
				object{"code": tt.code, "status": 403.0}})
		})
	}
	if posts := ada.all(t, "/api/v1/posts", 100); len(posts) != 8 {
		t.Errorf("%d posts are there, want the 8 that were accepted", len(posts))
	}
	s.wantEvents(t, events...)
}

func TestEveryUnsafeRouteOfASessionAsksForAToken(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	id := ada.act(t, "POST", "/api/v1/posts", post()).want(t, 201).text(t, "id")
	key := ada.act(t, "POST", "/api/v1/api-keys", object{"name": "k", "scopes": []string{"posts:read"}}).want(t, 201).text(t, "id")
	for _, route := range []string{
		"PATCH /api/v1/users/me", "POST /api/v1/users/me/password", "POST /api/v1/auth/logout", "DELETE /api/v1/auth/sessions/ses_x",
		"POST /api/v1/api-keys", "PATCH /api/v1/api-keys/" + key, "DELETE /api/v1/api-keys/" + key, "POST /api/v1/api-keys/" + key + "/rotate",
		"POST /api/v1/api-keys/verify", "PATCH /api/v1/posts/" + id, "DELETE /api/v1/posts/" + id,
		// Public ones too: who is logged in asks with the session.
		"POST /api/v1/users", "POST /api/v1/auth/login",
	} {
		method, path, _ := strings.Cut(route, " ")
		ada.do(t, method, path, object{}).wantProblem(t, 403, missing)
	}
	ada.do(t, "GET", "/api/v1/users/me", nil).want(t, 200) // reading needs none, and the session lives
	ada.do(t, "GET", "/api/v1/posts/"+id, nil).want(t, 200)
	if enabled := ada.do(t, "GET", "/api/v1/api-keys/"+key, nil).want(t, 200).at(t, "enabled"); enabled != true {
		t.Errorf("enabled is %v, want true: a refused request changed it", enabled)
	}
}

func TestATokenInAFormIsTakenOutOfTheForm(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada, bob := s.register(t), s.register(t)
	form := "Content-Type: application/x-www-form-urlencoded"
	field := func(token string) string { return "csrf_token=" + url.QueryEscape(token) }
	ada.do(t, "POST", "/api/v1/auth/logout", field(bob.csrf), form).wantProblem(t, 403, invalid)
	// The token is good, and what is left is a form, which no call of this service takes.
	ada.do(t, "POST", "/api/v1/posts", "title=x&"+field(ada.csrf), form).wantProblem(t, 415, "unsupported-media-type")
	ada.do(t, "POST", "/api/v1/posts", "title=x", form).wantProblem(t, 403, missing)
	multi := "--b\r\nContent-Disposition: form-data; name=\"csrf_token\"\r\n\r\n" + ada.csrf + "\r\n--b--\r\n"
	ada.do(t, "POST", "/api/v1/posts", multi, "Content-Type: multipart/form-data; boundary=b").wantProblem(t, 415, "unsupported-media-type")
	// Nothing is left of this one: a body that is empty has no type.
	ada.do(t, "POST", "/api/v1/auth/logout", field(ada.csrf), form).want(t, 204)
}

func TestATokenIsLookedForInTheFirst64KiBOfABody(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	// 60,000 characters of content; with the tags the body is above 64 KiB.
	big := postWith("content", "<p>"+strings.Repeat("merlon ", 9000)+"</p>")
	big["csrf_token"] = ada.csrf
	ada.do(t, "POST", "/api/v1/posts", big).want(t, 201)
	big["excerpt"] = strings.Repeat(" ", 300)
	big["tags"] = []string{strings.Repeat("\t", 3000)} // refused if it is ever looked at
	ada.do(t, "POST", "/api/v1/posts", big).wantProblem(t, 403, missing)
	delete(big, "csrf_token")
	delete(big, "tags")
	ada.act(t, "POST", "/api/v1/posts", big).want(t, 201)
}

func TestTokensOfCSRF(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada, anybody := s.asUser(t), s.client(t)
	for _, c := range []*client{ada, anybody} {
		first, second := c.do(t, "GET", "/csrf/token", nil).want(t, 200), c.do(t, "GET", "/csrf/token", nil).want(t, 200)
		if o := first.object(t); len(o) != 3 || o["header"] != "X-CSRF-Token" || first.text(t, "expires_at") == "" {
			t.Errorf("GET /csrf/token: %s", first.body)
		}
		if first.text(t, "csrf_token") == second.text(t, "csrf_token") {
			t.Error("two answers hold the same token: it is not masked anew")
		}
		vary := strings.Join(first.header["Vary"], ", ")
		if !strings.Contains(vary, "Cookie") {
			t.Errorf("Vary is %q: the answer depends on the cookie", vary)
		}
	}
	const pre = "__Host-merlon_presession"
	if ada.jar[pre] != "" || anybody.jar[pre] == "" {
		t.Errorf("with a session the pre-session cookie is %q, without %q", ada.jar[pre], anybody.jar[pre])
	}
	// It is never promoted: the session has an id of its own.
	before := anybody.jar[pre]
	anybody.login(t, s.user)
	if got := anybody.jar[sessionCookie]; got == "" || got == before {
		t.Errorf("the session cookie is %q, the pre-session cookie was %q", got, before)
	}
}

func TestACrossSiteLoginIsRefusedWithoutASessionToo(t *testing.T) {
	t.Parallel()
	s := share(t)
	body := object{"username": s.user.Username, "password": s.user.Password}
	var events []wantEvent
	for _, headers := range [][]string{
		{"Origin: https://evil.example"}, {"Origin: null"}, {"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site", "Origin: http://localhost:9999"},
		{"Sec-Fetch-Site: cross-site", "Content-Type: text/plain"},
	} {
		c := s.client(t)
		a := c.do(t, "POST", "/api/v1/auth/login", body, headers...).wantProblem(t, 403, "cross-site-request")
		if len(c.jar) != 0 {
			t.Errorf("%q: cookies were set: %q", headers, c.jar)
		}
		events = append(events, wantEvent{a, "malicious_csrf", "suspicious_activity", "high", "refused", "", "POST /api/v1/auth/login", nil})
	}
	for _, headers := range [][]string{
		nil, {"Origin: " + s.url}, {"Sec-Fetch-Site: same-origin"}, {"Sec-Fetch-Site: cross-site", "Origin: http://localhost:3000"},
	} {
		s.client(t).do(t, "POST", "/api/v1/auth/login", body, headers...).want(t, 200)
	}
	s.wantEvents(t, events...)
}

// A page of another site can make a visitor's browser send what it likes. It must
// not be able to use up the visitor's failed logins with it: no password was tested.
func TestCrossSiteRequestsAreNoFailedLogins(t *testing.T) {
	t.Parallel()
	s := share(t)
	c := s.client(t)
	for range 6 {
		c.do(t, "POST", "/api/v1/auth/login", "{}", "Sec-Fetch-Site: cross-site", "Content-Type: text/plain").wantProblem(t, 403, "cross-site-request")
	}
	c.login(t, s.user)
}

// A session that is over is nobody on a public route, and does not keep its owner
// from logging in again.
func TestADeadCookieIsAnAnonymousCaller(t *testing.T) {
	t.Parallel()
	s := share(t)
	for name, cookie := range map[string]string{"an invented one": strings.Repeat("A", 43), "nonsense": "x"} {
		c := s.client(t)
		c.jar[sessionCookie] = cookie
		c.do(t, "GET", "/api/v1/posts", nil).want(t, 200)
		c.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
		c.do(t, "GET", "/api/v1/api-keys", nil).wantProblem(t, 401, "unauthenticated")
		c.login(t, s.user)
		if c.jar[sessionCookie] == cookie {
			t.Errorf("%s: the session has the id that was there before the login", name)
		}
		c.do(t, "GET", "/api/v1/users/me", nil).want(t, 200)
	}
}
