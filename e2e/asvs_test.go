package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Requirements of the OWASP Application Security Verification Standard 5.0, by
// their numbers, as far as they show from outside and no other test is named after
// them. docs/asvs.md lists all that are.

// kinds returns answers of every kind: accepted, refused in every way, and empty.
func kinds(t *testing.T, s *server) []*answer {
	t.Helper()
	ada, c := s.register(t), s.client(t)
	key := ada.newKey(t, object{"scopes": []string{"posts:read"}}).text(t, "key")
	id := ada.act(t, "POST", "/api/v1/posts", post()).want(t, 201).text(t, "id")
	return []*answer{
		c.do(t, "GET", "/api/v1/posts", nil).want(t, 200),
		c.do(t, "GET", "/openapi.json", nil).want(t, 200),
		c.do(t, "GET", "/csrf/token", nil).want(t, 200),
		ada.do(t, "GET", "/api/v1/users/me", nil).want(t, 200),
		ada.act(t, "POST", "/api/v1/posts", post()).want(t, 201),
		ada.act(t, "DELETE", "/api/v1/posts/"+id, nil).want(t, 204),
		c.do(t, "OPTIONS", "/api/v1/posts", nil, "Origin: http://localhost:3000", "Access-Control-Request-Method: POST").want(t, 204),
		c.do(t, "POST", "/api/v1/users", "{").want(t, 400),
		c.do(t, "GET", "/api/v1/users/me", nil).want(t, 401),
		c.with(t, key, "GET", "/api/v1/api-keys", nil).want(t, 403),
		ada.do(t, "POST", "/api/v1/posts", post()).want(t, 403),
		c.do(t, "GET", "/nowhere", nil).want(t, 404),
		c.do(t, "DELETE", "/api/v1/posts", nil).want(t, 405),
		c.do(t, "POST", "/api/v1/users", "<x/>", "Content-Type: text/xml").want(t, 415),
		c.do(t, "GET", "/csrf/token", nil, "Host: evil.example").want(t, 421),
		c.do(t, "POST", "/api/v1/users", "{}").want(t, 422),
	}
}

// header checks that every kind of answer has the header once, with this value.
func header(t *testing.T, name, want string) {
	t.Helper()
	t.Parallel()
	for _, a := range kinds(t, share(t)) {
		if got := a.header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s %s (%d): %s is %q, want %q", a.method, a.path, a.status, name, got, want)
		}
	}
}

func TestASVS_V3_4_4_EveryAnswerKeepsItsType(t *testing.T) {
	header(t, "X-Content-Type-Options", "nosniff")
}

func TestASVS_V3_4_5_NoAnswerLetsItsAddressBeTold(t *testing.T) {
	header(t, "Referrer-Policy", "no-referrer")
}

func TestASVS_V3_4_6_NoAnswerIsFramed(t *testing.T) {
	header(t, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

func TestASVS_V3_5_8_NoAnswerIsEmbeddedByOtherSites(t *testing.T) {
	header(t, "Cross-Origin-Resource-Policy", "same-origin")
}

func TestASVS_V14_3_2_NoAnswerIsStored(t *testing.T) {
	header(t, "Cache-Control", "no-store")
}

// RFC 8259 section 11: JSON has no charset parameter.
func TestASVS_V4_1_1_EveryBodyIsWhatItsTypeSays(t *testing.T) {
	t.Parallel()
	for _, a := range kinds(t, share(t)) {
		want := "application/json"
		switch {
		case len(a.body) == 0:
			want = ""
		case a.status >= 400:
			want = "application/problem+json"
		}
		if got := a.header.Get("Content-Type"); got != want || want != "" && !json.Valid(a.body) {
			t.Errorf("%s %s (%d): Content-Type %q, want %q: %s", a.method, a.path, a.status, got, want, a.body)
		}
	}
}

// The names are those of the OWASP Secure Headers Project and of what is in use.
func TestASVS_V13_4_6_NoAnswerTellsWhatServesIt(t *testing.T) {
	t.Parallel()
	for _, a := range kinds(t, share(t)) {
		for _, name := range []string{"Server", "Via", "X-Powered-By", "X-Runtime", "X-Version", "X-AspNet-Version", "X-Generator", "X-Served-By", "X-Backend-Server", "X-Envoy-Upstream-Service-Time"} {
			if got := a.header.Get(name); got != "" {
				t.Errorf("%s %s (%d): %s: %s", a.method, a.path, a.status, name, got)
			}
		}
		if a.path != "/openapi.json" && regexp.MustCompile(`(?i)go1\.|golang|merlon/|sqlite`).Match(a.body) {
			t.Errorf("%s %s (%d): the body tells: %s", a.method, a.path, a.status, a.body)
		}
	}
}

func TestASVS_V1_1_1_PathsAreDecodedOnce(t *testing.T) {
	t.Parallel()
	c := share(t).client(t)
	c.do(t, "GET", "/api/v1/posts", nil).want(t, 200)
	for _, path := range []string{
		"/api/v1/%2570osts", "/api/v1/posts%252f..%252fapi-keys", "/api/v1/%c0%aeposts", "/api/v1/posts/..%2fapi-keys", "/api/v1/posts/%2e%2e/posts",
		"/api/v1/posts/../posts", "/api/v1//posts", "/api/v1/posts%00", "/api/v1/posts%2f", "/api/v1\\posts", "/api/v1/posts;x=1",
	} {
		if a := c.do(t, "GET", path, nil); a.status != 400 && a.status != 404 {
			t.Errorf("GET %s: status %d, want 400 or 404: %s", path, a.status, a.body)
		}
	}
}

// What an XML reader would fetch is here, and nobody comes.
func TestASVS_V1_5_1_NoXMLIsReadAndNothingIsFetched(t *testing.T) {
	t.Parallel()
	s := start(t)
	fetched := make(chan string, 100)
	canary := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { fetched <- r.URL.Path }))
	t.Cleanup(canary.Close)
	text := `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY % p SYSTEM "` + canary.URL + `/parameter"> %p; <!ENTITY e SYSTEM "` + canary.URL + `/entity">]><x>&e;</x>`
	for call, who := range bodyCalls(t, s) {
		for _, kind := range []string{"application/xml", "text/xml", "application/soap+xml", "image/svg+xml", "application/json"} {
			a := who(t).send(t, call.method, call.path, text, "Content-Type: "+kind)
			if want := map[bool]int{true: 400, false: 415}[kind == "application/json"]; a.status != want {
				t.Errorf("%s %s as %s: status %d, want %d", call.method, call.path, kind, a.status, want)
			}
		}
	}
	select {
	case path := <-fetched:
		t.Errorf("%s was fetched", path)
	case <-time.After(100 * time.Millisecond):
	}
}

// everyCookie returns the Set-Cookie lines of a life with Merlon, and the bodies.
func everyCookie(t *testing.T) (lines []string, bodies string) {
	t.Helper()
	s := share(t)
	ada := s.register(t)
	c := s.client(t)
	answers := []*answer{
		c.do(t, "GET", "/csrf/token", nil).want(t, 200),
		c.do(t, "POST", "/api/v1/auth/login", object{"username": ada.account.Username, "password": ada.account.Password}).want(t, 200),
		c.do(t, "GET", "/csrf/token", nil).want(t, 200),
		ada.logout(t),
	}
	for _, a := range append(answers, kinds(t, s)...) {
		lines = append(lines, a.header["Set-Cookie"]...)
		bodies += string(a.body)
	}
	for _, name := range []string{"session", "presession", "device"} {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "__Host-merlon_"+name+"=") }) {
			t.Errorf("no cookie %s was set: %q", name, lines)
		}
	}
	return lines, bodies
}

func attributes(line string) []string {
	var out []string
	for _, a := range strings.Split(line, ";")[1:] {
		out = append(out, strings.TrimSpace(a))
	}
	return out
}

func TestASVS_V3_3_1_CookiesAreSecure(t *testing.T) {
	t.Parallel()
	lines, _ := everyCookie(t)
	for _, l := range lines {
		if !slices.Contains(attributes(l), "Secure") {
			t.Errorf("not Secure: %s", l)
		}
	}
}

func TestASVS_V3_3_2_CookiesSayWhichSitesSendThem(t *testing.T) {
	t.Parallel()
	lines, _ := everyCookie(t)
	for _, l := range lines {
		if a := attributes(l); !slices.Contains(a, "SameSite=Lax") && !slices.Contains(a, "SameSite=Strict") {
			t.Errorf("no SameSite: %s", l)
		}
	}
}

func TestASVS_V3_3_3_CookiesAreOfThisHostOnly(t *testing.T) {
	t.Parallel()
	lines, _ := everyCookie(t)
	for _, l := range lines {
		a := attributes(l)
		domain := slices.ContainsFunc(a, func(s string) bool { return strings.HasPrefix(strings.ToLower(s), "domain") })
		if !strings.HasPrefix(l, "__Host-") || domain || !slices.Contains(a, "Path=/") {
			t.Errorf("not of this host only: %s", l)
		}
	}
}

func TestASVS_V3_3_4_CookiesAreNotForScripts(t *testing.T) {
	t.Parallel()
	lines, bodies := everyCookie(t)
	for _, l := range lines {
		value := strings.Split(strings.SplitN(l, "=", 2)[1], ";")[0]
		if !slices.Contains(attributes(l), "HttpOnly") || value != "" && strings.Contains(bodies, value) {
			t.Errorf("scripts can read: %s", l)
		}
	}
}

// RFC 6265bis section 5.6: browsers drop what is longer, silently.
func TestASVS_V3_3_5_CookiesFitIntoBrowsers(t *testing.T) {
	t.Parallel()
	lines, _ := everyCookie(t)
	for _, l := range lines {
		if pair := strings.SplitN(l, ";", 2)[0]; len(pair)-1 > 4096 {
			t.Errorf("%d bytes: %s", len(pair)-1, l)
		}
	}
}

// Fetch, section 2.2.2: what a page of another site may send without being asked.
func TestASVS_V3_5_2_WhatNeedsNoPreflightChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.register(t)
	body := `{"name":"x","scopes":["posts:read"],"title":"Forged","content":"By another site."}`
	for _, path := range []string{"/api/v1/posts", "/api/v1/api-keys", "/api/v1/auth/logout"} {
		for _, kind := range []string{"text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
			for _, fetch := range [][]string{nil, {"Sec-Fetch-Site: cross-site"}, {"Origin: https://evil.example"}, {"Origin: null"}} {
				a := ada.do(t, "POST", path, body, append(fetch, "Content-Type: "+kind)...)
				if a.status != 403 && a.status != 415 {
					t.Errorf("POST %s as %q with %q: status %d", path, kind, fetch, a.status)
				}
			}
		}
	}
	if keys, posts := ada.all(t, "/api/v1/api-keys", 100), ada.all(t, "/api/v1/posts", 100); len(keys)+len(posts) != 0 {
		t.Errorf("made: %v, %v", keys, posts)
	}
}

func TestASVS_V3_5_3_SafeMethodsChangeNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.register(t)
	id := ada.act(t, "POST", "/api/v1/posts", post()).want(t, 201).text(t, "id")
	key := ada.newKey(t, object{}).text(t, "id")
	session := text(ada.do(t, "GET", "/api/v1/auth/sessions", nil).items(t)[0]["id"])
	state := func() string {
		seen := regexp.MustCompile(`"last_seen_at":"[^"]*"`) // reading is seen
		out := ""
		for _, path := range []string{"/api/v1/users/me", "/api/v1/posts", "/api/v1/posts/" + id, "/api/v1/api-keys", "/api/v1/api-keys/" + key, "/api/v1/auth/sessions"} {
			out += seen.ReplaceAllString(string(ada.do(t, "GET", path, nil).want(t, 200).body), "") + "\n"
		}
		return out
	}
	before := state()
	override := []string{"X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE"}
	for path := range paths {
		at := strings.NewReplacer("/posts/{id}", "/posts/"+id, "/api-keys/{id}", "/api-keys/"+key, "/sessions/{id}", "/sessions/"+session).Replace(path)
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			ada.elsewhere(t).act(t, method, at, nil, override...)
			ada.elsewhere(t).act(t, method, at+"?_method=DELETE", nil)
		}
	}
	if after := state(); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

func TestASVS_V3_5_6_NoAnswerIsAScript(t *testing.T) {
	t.Parallel()
	c := share(t).client(t)
	for _, path := range []string{"/api/v1/posts", "/csrf/token", "/health", "/openapi.json"} {
		for _, name := range []string{"callback", "jsonp", "cb", "_callback"} {
			a := c.do(t, "GET", path+"?"+name+"=steal", nil)
			if strings.Contains(string(a.body), "steal") || !strings.HasSuffix(a.header.Get("Content-Type"), "json") || !json.Valid(a.body) {
				t.Errorf("GET %s?%s=steal: %s", path, name, a.body)
			}
		}
	}
}

func TestASVS_V5_2_1_BodiesAreBounded(t *testing.T) {
	t.Parallel()
	s := start(t)
	for call, who := range bodyCalls(t, s) {
		if call.one == "" {
			continue
		}
		large := `{"` + call.one + `":"` + strings.Repeat("x", call.maxBody) + `"}`
		who(t).send(t, call.method, call.path, large).wantProblem(t, 413, "payload-too-large")
		// Sent in chunks, without a length.
		who(t).send(t, call.method, call.path, io.MultiReader(strings.NewReader(large))).wantProblem(t, 413, "payload-too-large")
	}
}

func TestASVS_V5_2_3_NothingIsDecompressed(t *testing.T) {
	t.Parallel()
	s := start(t)
	for call, who := range bodyCalls(t, s) {
		for _, coding := range []string{"gzip", "deflate", "br", "zstd", "gzip, gzip"} {
			who(t).send(t, call.method, call.path, "\x1f\x8b\x08", "Content-Encoding: "+coding).wantProblem(t, 415, "unsupported-media-type")
		}
	}
}

func TestASVS_V6_3_2_ThereAreNoAccountsThatEverybodyKnows(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, name := range []string{"admin", "root", "sa", "test", "user", "guest", "merlon", "demo", "demo-admin", "demo-user", "administrator"} {
		for _, password := range []string{name, "admin", "password", "changeme"} {
			s.client(t).do(t, "POST", "/api/v1/auth/login", object{"username": name, "password": password}).wantProblem(t, 401, "invalid-credentials")
		}
	}
}

func TestASVS_V7_2_1_TokensThatWereChangedOpenNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.register(t)
	token := ada.jar[sessionCookie]
	ada.do(t, "GET", "/api/v1/users/me", nil).want(t, 200)
	for at := 0; at < len(token); at += 5 {
		other := byte('A')
		if token[at] == other {
			other = 'B'
		}
		c := s.client(t)
		c.jar[sessionCookie] = token[:at] + string(other) + token[at+1:]
		c.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	}
}

func TestASVS_V7_2_4_ALoginMakesANewSessionAndEndsTheOldOne(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	old := ada.elsewhere(t)
	ada.do(t, "POST", "/api/v1/auth/login", object{"username": ada.account.Username, "password": ada.account.Password}, "X-CSRF-Token: "+ada.csrf).want(t, 200)
	if ada.jar[sessionCookie] == old.jar[sessionCookie] {
		t.Error("the token is the old one")
	}
	ada.do(t, "GET", "/api/v1/users/me", nil).want(t, 200)
	old.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
}

func TestASVS_V7_4_1_ALogoutEndsTheSessionInTheServer(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	copied := ada.elsewhere(t)
	copied.do(t, "GET", "/api/v1/users/me", nil).want(t, 200)
	ada.logout(t)
	copied.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
}

func TestASVS_V13_4_1_NoFileIsServed(t *testing.T) {
	t.Parallel()
	c := share(t).client(t)
	for _, path := range []string{"/.git/config", "/.git/HEAD", "/.svn/entries", "/.hg/store", "/.env", "/merlon.yaml", "/merlon.db", "/secret_key", "/security.log",
		"/Dockerfile", "/go.mod", "/backup.zip", "/.DS_Store", "/WEB-INF/web.xml", "/server-status", "/phpinfo.php"} {
		c.do(t, "GET", path, nil).wantProblem(t, 404, "not-found")
	}
}

func TestASVS_V13_4_2_NothingForDebuggingIsServed(t *testing.T) {
	t.Parallel()
	c := share(t).client(t)
	for _, path := range []string{"/debug", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/metrics", "/actuator", "/actuator/env", "/trace"} {
		c.do(t, "GET", path, nil).wantProblem(t, 404, "not-found")
	}
}

func TestASVS_V13_4_4_TRACEEchoesNothing(t *testing.T) {
	t.Parallel()
	c := share(t).client(t)
	for _, method := range []string{"TRACE", "TRACK", "DEBUG"} {
		a := c.do(t, method, "/api/v1/posts", nil, "X-Secret: "+marker)
		if a.status != 405 && a.status != 501 || strings.Contains(string(a.body), marker) {
			t.Errorf("%s: status %d: %s", method, a.status, a.body)
		}
	}
}

func TestASVS_V14_2_1_CredentialsInURLsAreRefused(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada, c := s.register(t), s.client(t)
	key := ada.newKey(t, object{"scopes": []string{"posts:read"}}).text(t, "key")
	c.with(t, key, "GET", "/api/v1/posts", nil).want(t, 200)
	for _, name := range []string{"api_key", "apikey", "access_token", "token", "key"} {
		if a := c.do(t, "GET", "/api/v1/posts?"+name+"="+key, nil); a.status < 400 || a.status >= 500 {
			t.Errorf("?%s=: status %d, want a refusal", name, a.status)
		}
	}
}

func TestASVS_V14_2_6_AKeyIsShownOnce(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	made := ada.newKey(t, object{})
	key, path := made.text(t, "key"), "/api/v1/api-keys/"+made.text(t, "id")
	for _, a := range []*answer{
		ada.do(t, "GET", path, nil), ada.do(t, "GET", "/api/v1/api-keys", nil), ada.act(t, "PATCH", path, object{"name": "other"}),
	} {
		if a.want(t, 200); strings.Contains(string(a.body), key) || strings.Contains(string(a.body), key[len(key)-20:]) {
			t.Errorf("%s %s shows the key", a.method, a.path)
		}
	}
}

// W3C Clear Site Data, section 3.1.
func TestASVS_V14_3_1_ALogoutClearsTheBrowser(t *testing.T) {
	t.Parallel()
	a := share(t).register(t).logout(t)
	if got := a.header.Get("Clear-Site-Data"); got != `"cache", "storage"` {
		t.Errorf("Clear-Site-Data is %q", got)
	}
}

func TestASVS_V15_3_3_MembersThatACallDoesNotHaveAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	for call, who := range bodyCalls(t, s) {
		for _, member := range []string{"role", "owner", "id", "created_at", "is_admin", "__proto__"} {
			body := object{member: "admin"}
			for k, v := range call.good {
				body[k] = v
			}
			a := who(t).send(t, call.method, call.path, body).want(t, 422)
			if !strings.Contains(string(a.body), `{"pointer":"/`+member+`","code":"unknown-member"`) {
				t.Errorf("%s %s with %s: %s", call.method, call.path, member, a.body)
			}
		}
	}
}

func TestASVS_V15_3_5_ValuesAreNotConverted(t *testing.T) {
	t.Parallel()
	ada := share(t).register(t)
	for _, tt := range []struct {
		path, member string
		value        any
	}{
		{"/api/v1/posts", "title", 1}, {"/api/v1/posts", "title", true}, {"/api/v1/posts", "title", []string{"a title"}}, {"/api/v1/posts", "title", object{"$ne": ""}},
		{"/api/v1/posts", "is_draft", "true"}, {"/api/v1/posts", "is_draft", 1}, {"/api/v1/posts", "tags", "one"}, {"/api/v1/posts", "tags", object{"0": "one"}},
		{"/api/v1/api-keys", "expires_in_days", "30"}, {"/api/v1/api-keys", "expires_in_days", 1.5}, {"/api/v1/api-keys", "scopes", "posts:read"},
	} {
		body := object{"title": "On types", "content": "<p>A long text.</p>"}
		if tt.path == "/api/v1/api-keys" {
			body = object{"name": "k", "scopes": []string{"posts:read"}}
		}
		body[tt.member] = tt.value
		ada.act(t, "POST", tt.path, body).wantProblem(t, 422, "invalid-content", "/"+tt.member+" type")
	}
}

func TestASVS_V15_3_7_NothingCountsThatIsThereTwice(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada, c := s.register(t), s.client(t)
	key := ada.newKey(t, object{"scopes": []string{"posts:read"}}).text(t, "key")
	c.do(t, "GET", "/api/v1/posts?limit=1&limit=100", nil).wantProblem(t, 422, "invalid-content", "/limit duplicate")
	c.do(t, "POST", "/api/v1/users", `{"username":"ada","username":"bob","email":"a@example.com","password":"eleven crenels in a row"}`).
		wantProblem(t, 422, "invalid-content", "/username duplicate")
	for name, headers := range map[string][]string{
		"two keys":             {"X-API-Key: " + key, "X-API-Key: " + key},
		"a key and a bearer":   {"X-API-Key: " + key, "Authorization: Bearer " + key},
		"two content types":    {"X-API-Key: " + key, "Content-Type: application/json", "Content-Type: text/plain"},
		"two session cookies":  {"Cookie: " + sessionCookie + "=a; " + sessionCookie + "=" + ada.jar[sessionCookie]},
		"a key and a session":  {"X-API-Key: " + key, "Cookie: " + sessionCookie + "=" + ada.jar[sessionCookie]},
		"two origins":          {"X-API-Key: " + key, "Origin: http://localhost:3000", "Origin: https://evil.example"},
		"two authorizations":   {"Authorization: Bearer " + key, "Authorization: Bearer " + key},
		"two fetch site lines": {"X-API-Key: " + key, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"},
	} {
		if a := s.client(t).do(t, "POST", "/api/v1/posts", post(), headers...); a.status < 400 || a.status >= 500 {
			t.Errorf("%s: status %d: %s", name, a.status, a.body)
		}
	}
}

func TestASVS_V16_2_1_EachEventSaysWhoWhatWhenAndWhere(t *testing.T) {
	t.Parallel()
	s := start(t)
	kinds(t, s)
	lines := eventually(t, s.asAdmin(t), "outcome=refused", 5)
	if len(lines) < 5 {
		t.Fatalf("%d events", len(lines))
	}
	for _, line := range s.log(t) {
		for _, member := range members {
			if _, ok := line[member]; !ok {
				t.Errorf("no %s: %v", member, line)
			}
		}
		if line["request_id"] != "" && (line["address"] == "" || line["request_method"] == nil || line["request_uri"] == nil) {
			t.Errorf("an event of a request without its address or target: %v", line)
		}
	}
}

func TestASVS_V16_2_2_TimesOfEventsAreUTC(t *testing.T) {
	t.Parallel()
	s := start(t)
	kinds(t, s)
	lines := s.log(t)
	if len(lines) == 0 {
		t.Fatal("no events")
	}
	for _, line := range lines {
		if at := text(line["time"]); !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`).MatchString(at) {
			t.Errorf("the time is %q", at)
		}
	}
}

func TestASVS_V16_4_1_NobodyWritesIntoTheLog(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client(t)
	forged := `{"id":"evt_1","type":"` + marker + `","severity":"info"}`
	for _, evil := range []string{"\u2028" + forged, "\u0085" + forged, "\ufeff", "%0d%0a" + forged, `","type":"` + marker} {
		c.do(t, "GET", "/api/v1/users/me", nil, "User-Agent: "+evil).want(t, 401)
		s.client(t).do(t, "POST", "/api/v1/auth/login", object{"username": "a\r\n\x1b[2J" + evil, "password": "x\n" + forged})
	}
	eventually(t, s.asAdmin(t), "type=authz_fail", 5)
	// log fails on a line that is not one event.
	for _, line := range s.log(t) {
		if line["type"] == marker {
			t.Errorf("a client wrote %v", line)
		}
	}
}
