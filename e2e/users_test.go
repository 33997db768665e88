package e2e_test

import (
	"database/sql"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to disable an account, which no call of this version does
)

var userIDs = regexp.MustCompile(`^usr_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// someone is a registration that is accepted, with a name of its own.
func (s *server) someone() object {
	name := s.name("some.one-")
	return object{"username": name, "email": name + "@example.com", "password": "eleven crenels in a row"}
}

func TestRegistrationRules(t *testing.T) {
	t.Parallel()
	s := start(t)
	long := func(n int, s string) string { return strings.Repeat(s, n) }
	for _, tt := range []struct {
		name   string
		member string
		value  any
		want   any    // what the account has, when it is accepted
		code   string // what is wrong, when it is not
	}{
		{"a name is trimmed and lower-cased", "username", "  Ada.L_o-1  ", "ada.l_o-1", ""},
		{"a name of three characters", "username", "abc", "abc", ""},
		{"a name of two", "username", "ab", nil, "too-short"},
		{"a name of fifty", "username", long(50, "a"), long(50, "a"), ""},
		{"a name of fifty-one", "username", long(51, "a"), nil, "too-long"},
		{"a name that begins with a digit", "username", "1abc", "1abc", ""},
		{"a name that begins with a dot", "username", ".abc", nil, "pattern"},
		{"a name that begins with a hyphen", "username", "-abc", nil, "pattern"},
		{"a name with a blank", "username", "a bc" + marker, nil, "pattern"},
		{"a name with a letter beyond ASCII", "username", "adä" + marker, nil, "pattern"},
		{"a name with a letter that lower-cases to ASCII", "username", "\u212Aelvin", nil, "pattern"},
		{"a name with a letter that looks like one", "username", "аdа", nil, "pattern"},
		{"a name with markup", "username", "<b>" + marker + "</b>", nil, "suspicious-content"},
		{"a name with a line break", "username", "ada\nada", nil, "control-character"},
		{"a name with an invisible character", "username", "ada\u200bada", nil, "pattern"},
		{"the name admin", "username", "admin", nil, "reserved"},
		{"the name root, shouted", "username", " ROOT ", nil, "reserved"},
		{"the name system", "username", "system", nil, "reserved"},
		{"the name api", "username", "api", nil, "reserved"},
		{"the name www", "username", "www", nil, "reserved"},
		{"a name that only begins with a reserved one", "username", "admin2", "admin2", ""},

		{"an address without an at sign", "email", marker, nil, "format"},
		{"an address without a dot", "email", "ada@localhost", nil, "format"},
		{"two addresses", "email", "ada@example.com, bob@example.com", nil, "format"},
		{"an address with a name", "email", "Ada <ada@example.com>", nil, ""},
		{"an address with two at signs", "email", "a@b@example.com", nil, "format"},
		{"an address with a blank", "email", "a da@example.com", nil, "format"},
		{"an address with a header behind it", "email", "ada@example.com\r\nBcc: x@example.com", nil, "control-character"},
		{"an address of 255 characters", "email", long(60, "a") + "@" + long(3, long(60, "b")+".") + "example.abc", nil, "too-long"},
		{"an address with a tag", "email", "ada+merlon@example.com", "ada+merlon@example.com", ""},
		{"an address with capitals", "email", "Ada.Capital@Example.com", "Ada.Capital@Example.com", ""},

		{"a password of eight characters", "password", "Xq7!vP2z", nil, "ok"},
		{"a password of seven", "password", "Xq7!vP2", nil, "too-short"},
		{"a password of eight characters of four bytes", "password", "👋🙂🎈🌍🚀🍀🎲🎺", nil, "ok"},
		{"a password of seven of these", "password", "👋🙂🎈🌍🚀🍀🎲", nil, "too-short"},
		{"a password of 128 characters", "password", long(16, "crenels "), nil, "ok"},
		{"a password of 129", "password", long(16, "crenels ") + "x", nil, "too-long"},
		{"a password that everybody has", "password", "password1", nil, "common"},
		{"a password that everybody has, shouted", "password", "PASSWORD1", nil, "common"},
		{"a password without a digit or capital", "password", "some words to keep", nil, "ok"},

		{"a full name", "full_name", "Ada O'Brien", "Ada O'Brien", ""},
		{"no full name", "full_name", nil, nil, "ok"},
		{"an empty full name", "full_name", "", nil, "too-short"},
		{"a full name of blanks", "full_name", "   ", nil, "too-short"},
		{"a full name of markup only", "full_name", "<b></b>", nil, "too-short"},
		{"a full name of one character", "full_name", "李", "李", ""},
		{"a full name of 100 characters", "full_name", long(100, "ä"), long(100, "ä"), ""},
		{"a full name of 101", "full_name", long(101, "ä"), nil, "too-long"},
		{"a full name of two lines", "full_name", "Ada\nLovelace", nil, "control-character"},
		{"a bio of 500 characters in lines", "bio", long(250, "ä\n"), long(250, "ä\n"), ""},
		{"a bio of 501", "bio", long(501, "ä"), nil, "too-long"},
		{"a bio of 501 that would be shorter without its markup", "bio", "<b>" + long(498, "x"), nil, "too-long"},
		{"a bio with three links", "bio", "http://a.example https://b.example HTTPS://c.example", "http://a.example https://b.example HTTPS://c.example", ""},
		{"a bio with four", "bio", "http://a.example https://b.example HTTPS://c.example http://d.example", nil, "too-many-links"},
		{"a website", "website", "https://ada.example/x?y=1#z", "https://ada.example/x?y=1#z", ""},
		{"a website without a scheme", "website", "ada.example", nil, "format"},
		{"a website that runs", "website", "javascript:alert(1)", nil, "format"},
		{"a website that is a file", "website", "ftp://ada.example", nil, "format"},
		{"a website that seems another", "website", "https://example.com@evil.example", nil, "format"},
		{"a website of 2048 characters", "website", "https://ada.example/" + long(2028, "x"), "https://ada.example/" + long(2028, "x"), ""},
		{"a website of 2049", "website", "https://ada.example/" + long(2029, "x"), nil, "too-long"},

		{"a role", "role", "admin", nil, "unknown-member"},
		{"an id", "id", "usr_" + marker, nil, "unknown-member"},
		{"a name that is a number", "username", 12345, nil, "type"},
		{"a name that is null", "username", nil, nil, "type"},
		{"a password that is a list", "password", []string{marker}, nil, "type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := s.someone()
			body[tt.member] = tt.value
			a := s.client(t).do(t, "POST", "/api/v1/users", body)
			if tt.name == "an address with a name" { // markup, and then no address
				if a.wantProblem(t, 422, "invalid-content"); a.status == 422 && !strings.Contains(string(a.body), `"/email"`) {
					t.Errorf("errors: %s", a.body)
				}
				return
			}
			if tt.code != "" && tt.code != "ok" {
				a.wantProblem(t, 422, "invalid-content", "/"+tt.member+" "+tt.code)
				return
			}
			o := a.want(t, 201).object(t)
			if got := o[tt.member]; tt.code == "" && got != tt.want {
				t.Errorf("%s is %q, want %q", tt.member, got, tt.want)
			}
			names := slices.Sorted(maps.Keys(o))
			if !slices.Equal(names, []string{"bio", "created_at", "email", "full_name", "id", "role", "username", "website"}) {
				t.Errorf("members are %q", names)
			}
			if !userIDs.MatchString(text(o["id"])) || o["role"] != "user" || instant(t, o["created_at"]).IsZero() {
				t.Errorf("created: %s", a.body)
			}
		})
	}
	t.Run("a password of the account's own words", func(t *testing.T) {
		for _, password := range []string{"crenellated", "Crenellated1", "crenellated@example.org"} {
			body := object{"username": "crenellated", "email": "crenellated@example.org", "password": password}
			s.client(t).do(t, "POST", "/api/v1/users", body).wantProblem(t, 422, "invalid-content", "/password context")
		}
	})
	t.Run("everything that is wrong is told at once", func(t *testing.T) {
		a := s.client(t).do(t, "POST", "/api/v1/users", object{"username": "www", "email": "x", "password": "x", "full_name": 1, "shoe_size": 39})
		a.wantProblem(t, 422, "invalid-content", "/username reserved", "/email format", "/password too-short", "/full_name type", "/shoe_size unknown-member")
	})
}

func TestAnAccountExistsOnce(t *testing.T) {
	t.Parallel()
	s := share(t)
	first := s.someone()
	a := s.client(t).do(t, "POST", "/api/v1/users", first).want(t, 201)
	s.wantEvents(t, wantEvent{a, "user_created", "account", "info", "success", a.text(t, "id"), "POST /api/v1/users", nil})
	var bodies []string
	for name, change := range map[string]object{
		"the same name":                  {"username": first["username"]},
		"the same name, shouted":         {"username": strings.ToUpper(text(first["username"]))},
		"the same address":               {"email": first["email"]},
		"the same address in other case": {"email": strings.ToUpper(text(first["email"]))},
		"both":                           {"username": first["username"], "email": first["email"]},
		"the name of the demo's admin":   {"username": s.admin.Username},
	} {
		body := s.someone()
		maps.Copy(body, change)
		a := s.client(t).do(t, "POST", "/api/v1/users", body).wantProblem(t, 409, "account-exists")
		if a.status == 409 {
			bodies = append(bodies, strings.ReplaceAll(string(a.body), a.header.Get("X-Request-Id"), "ID"))
		} else {
			t.Error(name)
		}
	}
	if slices.Sort(bodies); len(slices.Compact(bodies)) != 1 {
		t.Errorf("the answers tell which member is taken: %q", bodies)
	}
}

func TestMe(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	me := func() object { return ada.do(t, "GET", "/api/v1/users/me", nil).want(t, 200).object(t) }
	before := me()
	if before["id"] != ada.id || before["username"] != ada.account.Username || before["full_name"] != nil {
		t.Errorf("GET users/me: %v", before)
	}
	change := object{"full_name": "Ada", "bio": "First line.\nSecond.", "website": "https://ada.example/"}
	a := ada.act(t, "PATCH", "/api/v1/users/me", change).want(t, 200)
	s.wantEvents(t, wantEvent{a, "user_updated", "account", "info", "success", ada.id, "PATCH /api/v1/users/me", nil})
	for name, value := range change {
		if me()[name] != value || a.at(t, name) != value {
			t.Errorf("%s is %v", name, me()[name])
		}
	}
	ada.act(t, "PATCH", "/api/v1/users/me", object{"bio": nil}).want(t, 200)
	ada.act(t, "PATCH", "/api/v1/users/me", object{}).want(t, 200)
	if now := me(); now["bio"] != nil || now["full_name"] != "Ada" || now["website"] != "https://ada.example/" {
		t.Errorf("bio was to go and the rest to stay: %v", now)
	}
	for _, tt := range []struct {
		body   object
		errors string
	}{
		{object{"role": "admin"}, "/role unknown-member"},
		{object{"username": "somebody.else"}, "/username unknown-member"},
		{object{"id": "usr_" + marker}, "/id unknown-member"},
		{object{"password": "eleven crenels in a row"}, "/password unknown-member"},
		{object{"full_name": strings.Repeat("x", 101)}, "/full_name too-long"},
		{object{"bio": strings.Repeat("https://a.example ", 4)}, "/bio too-many-links"},
		{object{"website": "javascript:" + marker}, "/website format"},
		{object{"bio": 1}, "/bio type"},
		{object{"full_name": "Half", "website": marker}, "/website format"},
	} {
		ada.act(t, "PATCH", "/api/v1/users/me", tt.body).wantProblem(t, 422, "invalid-content", tt.errors)
	}
	if now := me(); now["full_name"] != "Ada" || now["role"] != "user" {
		t.Errorf("a refused change changed something: %v", now)
	}
	ada.do(t, "GET", "/api/v1/users/me?verbose=1", nil).wantProblem(t, 422, "invalid-content", "/verbose unknown-parameter")
	// Of the accounts of others nothing is served in this version.
	ada.do(t, "GET", "/api/v1/users/"+ada.id, nil).wantProblem(t, 404, "not-found")
	ada.do(t, "GET", "/api/v1/users", nil).wantProblem(t, 405, "method-not-allowed")
}

func TestAPasswordChangeEndsTheOtherSessions(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	other := s.client(t).login(t, ada.account)
	const path, next = "/api/v1/users/me/password", "seven merlons and a half"
	s.secret("a new password", next)
	ada.act(t, "POST", path, object{"current_password": "not it", "new_password": next}).wantProblem(t, 401, "invalid-credentials")
	for _, tt := range []struct{ password, code string }{{"short", "too-short"}, {strings.Repeat("x", 129), "too-long"}, {"password1", "common"}, {ada.account.Username + "1", "*"}} {
		a := ada.act(t, "POST", path, object{"current_password": ada.account.Password, "new_password": tt.password}).wantProblem(t, 422, "invalid-content")
		wantMembers(t, a, []string{"/new_password " + tt.code})
	}
	other.do(t, "GET", "/api/v1/users/me", nil).want(t, 200) // nothing has happened yet
	a := ada.act(t, "POST", path, object{"current_password": ada.account.Password, "new_password": next}).want(t, 204)
	s.wantEvents(t, wantEvent{a, "authn_password_change", "authentication", "info", "success", ada.id, "POST " + path, nil})
	ada.do(t, "GET", "/api/v1/users/me", nil).want(t, 200)
	ada.act(t, "POST", "/api/v1/posts", post()).want(t, 201) // with the token it had
	other.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	s.client(t).do(t, "POST", "/api/v1/auth/login", object{"username": ada.account.Username, "password": ada.account.Password}).wantProblem(t, 401, "invalid-credentials")
	s.client(t).login(t, account{ada.account.Username, next})
}

func TestLoginTellsNothingOfAccounts(t *testing.T) {
	t.Parallel()
	s := start(t)
	disabled := s.register(t)
	disabledKey := disabled.newKey(t, object{}).text(t, "key")
	s.disable(t, disabled.id)
	type try struct{ name, password, reason string }
	var events []wantEvent
	seen := map[string]bool{}
	for _, tt := range []try{
		{"nobody-of-that-name", "eleven crenels in a row", "unknown_account"},
		{s.user.Username, "not the password", "wrong_password"},
		{disabled.account.Username, disabled.account.Password, "disabled"},
		{strings.Repeat("x", 254), "x", "unknown_account"},
	} {
		a := s.client(t).do(t, "POST", "/api/v1/auth/login", object{"username": tt.name, "password": tt.password}).wantProblem(t, 401, "invalid-credentials")
		header := a.header.Clone()
		for _, changes := range []string{"Date", "X-Request-Id", "X-Ratelimit-Reset"} {
			header.Del(changes)
		}
		seen[string(headerText(header))+strings.ReplaceAll(string(a.body), a.header.Get("X-Request-Id"), "ID")] = true
		events = append(events, wantEvent{a, "authn_login_fail", "authentication", "low", "failure", "*", "POST /api/v1/auth/login", object{"reason": tt.reason}})
	}
	if len(seen) != 1 {
		t.Errorf("the answers differ: %q", slices.Collect(maps.Keys(seen)))
	}
	s.wantEvents(t, events...)
	// All that the account had is over too.
	disabled.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	s.client(t).with(t, disabledKey, "GET", "/api/v1/posts", nil).wantProblem(t, 401, "unauthenticated")
	verdict := s.asAdmin(t).act(t, "POST", "/api/v1/api-keys/verify", object{"key": disabledKey}).want(t, 200)
	if verdict.at(t, "code") != "disabled" || verdict.at(t, "valid") != false {
		t.Errorf("verify: %s", verdict.body)
	}
	t.Run("a login is by the name as registration makes it", func(t *testing.T) {
		s.client(t).login(t, account{"  " + strings.ToUpper(s.user.Username) + " ", s.user.Password})
		s.client(t).do(t, "POST", "/api/v1/auth/login", object{"username": s.user.Username, "password": s.user.Password + " "}).wantProblem(t, 401, "invalid-credentials")
		// Not by an e-mail address that nobody has verified.
		s.client(t).do(t, "POST", "/api/v1/auth/login", object{"username": s.user.Username + "@demo.invalid", "password": s.user.Password}).wantProblem(t, 401, "invalid-credentials")
	})
}

// disable disables an account in the database, and waits for as long as a verdict
// of before may be used.
func (s *server) disable(t *testing.T, id string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "merlon.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "UPDATE users SET disabled = 1 WHERE id = ?", id); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
}

func TestSessions(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada, bob := s.register(t), s.register(t)
	second := s.client(t)
	second.http.Transport = agent{second.http.Transport, "second-browser/2"}
	second.login(t, ada.account)
	const path = "/api/v1/auth/sessions"
	list := ada.all(t, path, 1)
	if len(list) != 2 {
		t.Fatalf("%d sessions, want 2: %v", len(list), list)
	}
	for i, want := range []struct {
		address, agent string
		current        bool
	}{{second.address, "second-browser/2", false}, {ada.address, "merlon-e2e/1", true}} {
		got := list[i]
		if got["address"] != want.address || got["user_agent"] != want.agent || got["current"] != want.current || len(got) != 6 ||
			!strings.HasPrefix(text(got["id"]), "ses_") || instant(t, got["created_at"]).IsZero() || instant(t, got["last_seen_at"]).IsZero() {
			t.Errorf("session %d: %v, want %v", i, got, want)
		}
		if strings.Contains(toText(got), ada.jar[sessionCookie]) || strings.Contains(toText(got), second.jar[sessionCookie]) {
			t.Error("the list shows a session's token")
		}
	}
	seconds, own := text(list[0]["id"]), text(list[1]["id"])
	for _, id := range []string{seconds, "ses_" + marker, "x"} {
		bob.act(t, "DELETE", path+"/"+id, nil).wantProblem(t, 404, "not-found")
	}
	second.do(t, "GET", "/api/v1/users/me", nil).want(t, 200)
	a := ada.act(t, "DELETE", path+"/"+seconds, nil).want(t, 204)
	if a.header["Set-Cookie"] != nil {
		t.Errorf("Set-Cookie is %q: this session goes on", a.header["Set-Cookie"])
	}
	second.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	ada.act(t, "DELETE", path+"/"+seconds, nil).wantProblem(t, 404, "not-found")
	ada.do(t, "GET", path+"?cursor="+marker, nil).wantProblem(t, 422, "invalid-content")
	ended := ada.elsewhere(t)
	ada.act(t, "DELETE", path+"/"+own, nil).want(t, 204)
	if ada.jar[sessionCookie] != "" {
		t.Error("the cookie of the session that was ended stays")
	}
	ended.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	s.wantEvents(t, wantEvent{a, "session_revoked", "session", "info", "success", ada.id, "DELETE /api/v1/auth/sessions/{id}", object{"session_id": seconds}})
}

// agent sends another User-Agent.
type agent struct {
	next http.RoundTripper
	name string
}

func (a agent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", a.name)
	return a.next.RoundTrip(r)
}

func TestTheCookieAndItsEnd(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.client(t)
	login := ada.do(t, "POST", "/api/v1/auth/login", object{"username": s.user.Username, "password": s.user.Password}).want(t, 200)
	if o := login.object(t); len(o) != 3 || o["user"] == nil || instant(t, o["expires_at"]).Before(time.Now()) || strings.Contains(string(login.body), ada.jar[sessionCookie]) {
		t.Errorf("login: %s", login.body)
	}
	ada.csrf = login.text(t, "csrf_token")
	pair, attributes := cookie(t, login)
	name, value, _ := strings.Cut(pair, "=")
	if name != sessionCookie || !regexp.MustCompile(`^[A-Za-z0-9_-]{22,}$`).MatchString(value) {
		t.Errorf("the cookie is %s with %d characters", name, len(value))
	}
	if !slices.Equal(attributes, []string{"HttpOnly", "Path=/", "SameSite=Lax", "Secure"}) {
		t.Errorf("attributes are %q", attributes)
	}
	before := ada.elsewhere(t)
	t.Run("a login with a session ends that session", func(t *testing.T) {
		old := ada.elsewhere(t)
		ada.act(t, "POST", "/api/v1/auth/login", object{"username": s.user.Username, "password": s.user.Password}).want(t, 200)
		if ada.jar[sessionCookie] == value {
			t.Error("the session has the id that it had before the login")
		}
		old.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	})
	ada.csrf = ada.do(t, "GET", "/csrf/token", nil).text(t, "csrf_token")
	before.jar[sessionCookie], before.csrf = ada.jar[sessionCookie], ada.csrf
	out := ada.logout(t)
	pair, attributes = cookie(t, out)
	if pair != sessionCookie+"=" || !slices.Equal(attributes, []string{"HttpOnly", "Max-Age=0", "Path=/", "SameSite=Lax", "Secure"}) {
		t.Errorf("logout sets %q with %q", pair, attributes)
	}
	if got := out.header["Clear-Site-Data"]; len(got) != 1 || got[0] != `"cache", "storage"` {
		t.Errorf("Clear-Site-Data is %q", got)
	}
	// The session is over on the server, not only in this browser.
	dead := before.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	before.act(t, "POST", "/api/v1/posts", post()).wantProblem(t, 401, "unauthenticated")
	before.act(t, "POST", "/api/v1/auth/logout", nil).wantProblem(t, 401, "unauthenticated")
	user := login.text(t, "user", "id")
	s.wantEvents(t,
		wantEvent{out, "session_logout", "session", "info", "success", user, "POST /api/v1/auth/logout", nil},
		wantEvent{dead, "session_use_after_expire", "session", "medium", "refused", "*", "GET /api/v1/users/me", nil})
}

// cookie returns the one cookie that an answer sets, and its attributes, sorted.
func cookie(t *testing.T, a *answer) (pair string, attributes []string) {
	t.Helper()
	var lines []string
	for _, line := range a.header["Set-Cookie"] {
		if !strings.HasPrefix(line, "__Host-merlon_device=") {
			lines = append(lines, line)
			continue
		}
		// The device cookie comes with a login; it is no credential.
		parts := strings.Split(line, "; ")
		slices.Sort(parts[1:])
		if a.path != "/api/v1/auth/login" || !slices.Equal(parts[1:], []string{"HttpOnly", "Max-Age=15552000", "Path=/", "SameSite=Lax", "Secure"}) {
			t.Errorf("%s %s: Set-Cookie %q", a.method, a.path, line)
		}
	}
	if len(lines) != 1 {
		t.Fatalf("%s %s: Set-Cookie is %q, want one", a.method, a.path, lines)
	}
	parts := strings.Split(lines[0], "; ")
	slices.Sort(parts[1:])
	return parts[0], parts[1:]
}
