package e2e_test

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// bodyCall is a call that takes a body.
type bodyCall struct {
	method, path string
	good         object // a body that is accepted, or refused for what it says only
	one          string // a member of it that is a text, to put odd things into
	maxBody      int    // what is larger is too large
	optional     bool   // whether the body may be left out
	required     []string
}

// caller returns a client that may make the call, at an address of its own.
type caller func(t *testing.T) *client

// bodyCalls returns every call that takes a body, and who makes it. What they
// change is there, and made by the first of the callers.
func bodyCalls(t *testing.T, s *server) map[*bodyCall]caller {
	t.Helper()
	ada, admin := s.register(t), s.asAdmin(t)
	id := ada.act(t, "POST", "/api/v1/posts", post()).want(t, 201).text(t, "id")
	key := ada.newKey(t, object{}).text(t, "id")
	rotated := ada.newKey(t, object{}).text(t, "id")
	ada.act(t, "POST", "/api/v1/api-keys/"+rotated+"/rotate", nil).want(t, 201)
	asAda := func(t *testing.T) *client { return ada.elsewhere(t) }
	asAdmin := func(t *testing.T) *client { return admin.elsewhere(t) }
	asNobody := func(t *testing.T) *client { return s.client(t) }
	const mib = 1 << 20
	return map[*bodyCall]caller{
		{"POST", "/api/v1/users", object{"username": "www", "email": "ada@example.com", "password": "eleven crenels in a row"}, "full_name", mib, false, []string{"username", "email", "password"}}: asNobody,
		{"POST", "/api/v1/auth/login", object{"username": "nobody.at-all", "password": "not the password"}, "username", mib, false, []string{"username", "password"}}:                               asNobody,
		{"PATCH", "/api/v1/users/me", object{}, "full_name", mib, false, nil}:                                                                                                                       asAda,
		{"POST", "/api/v1/users/me/password", object{"current_password": "not the password", "new_password": "x"}, "new_password", mib, false, []string{"current_password", "new_password"}}:        asAda,
		{"POST", "/api/v1/api-keys", object{"name": "k", "scopes": []string{"no:such"}}, "name", mib, false, []string{"name", "scopes"}}:                                                            asAda,
		{"PATCH", "/api/v1/api-keys/" + key, object{}, "name", mib, false, nil}:                                                                                                                     asAda,
		{"POST", "/api/v1/api-keys/" + rotated + "/rotate", object{}, "", mib, true, nil}:                                                                                                           asAda,
		{"POST", "/api/v1/api-keys/verify", object{"key": "hunter2"}, "key", mib, false, []string{"key"}}:                                                                                           asAdmin,
		{"POST", "/api/v1/posts", object{"title": "x", "content": "short"}, "title", 512 << 10, false, []string{"title", "content"}}:                                                                asAda,
		{"PATCH", "/api/v1/posts/" + id, object{}, "title", 512 << 10, false, nil}:                                                                                                                  asAda,
	}
}

func TestEveryBodyThatIsNotRight(t *testing.T) {
	t.Parallel()
	s := start(t)
	for call, who := range bodyCalls(t, s) {
		t.Run(call.method+" "+idless(call.path), func(t *testing.T) {
			try := func(body any, headers ...string) *answer {
				t.Helper()
				return who(t).send(t, call.method, call.path, body, headers...)
			}
			good := strings.TrimSuffix(toText(call.good), "}")
			with := func(member string) string { // the good body and one more member
				if good == "{" {
					return good + member + "}"
				}
				return good + "," + member + "}"
			}
			marked := `"` + marker + `"`
			for name, body := range map[string]string{
				"an open brace": "{", "two values": `{} {}`, "a value and a letter": `{}x`, "single quotes": `{'a':'` + marker + `'}`,
				"a trailing comma": with(`"` + marker + `":1,`), "a bare word": marker, "a comment": "/*" + marker + "*/{}", "NaN": with(`"x":NaN`),
				"a leading zero": with(`"x":01`), "a line break in a text": with(`"x":"a` + "\n" + `b"`), "a NUL in a text": with(`"x":"a` + "\x00" + `b"`),
				"a NUL behind the text": toText(call.good) + "\x00", "a byte order mark": "\ufeff" + toText(call.good),
				"bytes that are not UTF-8": with(`"x":"` + marker + "\xff\xfe" + `"`), "half a surrogate pair": with(`"x":"` + marker + `\ud800"`),
				"an overlong NUL": with(`"x":"` + "\xc0\x80" + `"`), "UTF-16": "{\x00}\x00", "blanks only": "  \n ",
			} {
				if a := try(body).wantProblem(t, 400, "malformed-request"); a.status != 400 {
					t.Log("that was", name)
				}
			}
			for name, tt := range map[string]struct{ body, errors string }{
				"null": {"null", " type"}, "a list": {`["` + marker + `"]`, " type"}, "a text": {marked, " type"}, "a number": {"12345", " type"}, "true": {"true", " type"},
				"an unknown member":        {with(`"shoe_size":` + marked), "/shoe_size unknown-member"},
				"a member twice":           {`{"` + either(call.one, "overlap_seconds") + `":` + marked + `,"` + either(call.one, "overlap_seconds") + `":` + marked + `}`, "* duplicate"},
				"an unknown member twice":  {with(`"x":` + marked + `,"x":` + marked), "* duplicate"},
				"a member of other case":   {with(`"` + strings.ToUpper(either(call.one, "overlap_seconds")) + `":` + marked), "* unknown-member"},
				"a member of no name":      {with(`"":` + marked), "/ unknown-member"},
				"a pointer to escape":      {with(`"a/b~c":` + marked), "/a~1b~0c unknown-member"},
				"33 levels":                {with(`"x":` + strings.Repeat("[", 33) + strings.Repeat("]", 33)), "* too-deep"},
				"its neighbour, 32":        {with(`"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31)), "/x unknown-member"},
				"a hundred thousand":       {strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), "* too-deep"},
				"twenty thousand elements": {with(`"x":[` + strings.Repeat("1,", 20_000) + `1]`), "* too-many-members"},
				"a NUL by an escape":       {with(`"x":"` + marker + `\u0000"`), "* control-character"},
			} {
				a := try(tt.body).wantProblem(t, 422, "invalid-content")
				if a.status != 422 {
					t.Log("that was", name)
					continue
				}
				has(t, name, a, tt.errors)
			}
			if call.one != "" {
				for _, value := range []string{"12345", "true", "[]", `{"` + marker + `":1}`, `["` + marker + `"]`} {
					has(t, value, try(replaceMember(call.good, call.one, value)).wantProblem(t, 422, "invalid-content"), "/"+call.one+" type")
				}
				has(t, "a NUL", try(replaceMember(call.good, call.one, `"a\u0000b"`)).wantProblem(t, 422, "invalid-content"), "/"+call.one+" control-character")
			}
			for _, name := range call.required {
				less := object{}
				for k, v := range call.good {
					if k != name {
						less[k] = v
					}
				}
				has(t, "without "+name, try(less).wantProblem(t, 422, "invalid-content"), "/"+name+" required")
			}
			for _, contentType := range []string{
				"", "text/plain", "text/html", "application/xml", "text/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "application/jsonx",
				"application/json; charset=latin1", "application/json, text/plain", marker, "application/json; charset=utf-8; charset=utf-16", "*/*", "application/problem+json",
			} {
				a := try(toText(call.good), "Content-Type: "+contentType)
				if a.wantProblem(t, 415, "unsupported-media-type"); a.status != 415 {
					t.Logf("that was Content-Type %q", contentType)
				}
			}
			try(toText(call.good), "Content-Type: application/json", "Content-Type: text/plain").wantProblem(t, 400, "malformed-request")
			try("\x1f\x8b\x08\x00", "Content-Encoding: gzip").wantProblem(t, 415, "unsupported-media-type")
			for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8", `application/json; charset="utf-8"`} {
				if a := try(toText(call.good), "Content-Type: "+contentType); a.status == 415 || a.status == 400 {
					t.Errorf("Content-Type %q: status %d: %s", contentType, a.status, a.body)
				}
			}
			large := toText(call.good) + strings.Repeat(" ", call.maxBody)
			try(large).wantProblem(t, 413, "payload-too-large")
			try(struct{ io.Reader }{strings.NewReader(large)}).wantProblem(t, 413, "payload-too-large") // in chunks
			if a := try(large[:call.maxBody]); a.status == 413 {
				t.Errorf("a body of %d bytes: status 413", call.maxBody)
			}
			if none := try(nil); !call.optional {
				none.wantProblem(t, 400, "malformed-request")
			} else {
				none.wantProblem(t, 409, "conflict") // of what it says, not of what is not there
			}
			has(t, "a query", who(t).send(t, call.method, call.path+"?"+"verbose=1", call.good).wantProblem(t, 422, "invalid-content"), "/verbose unknown-parameter")
		})
	}

	// Nothing came of all that.
	admin := s.asAdmin(t)
	posts := admin.all(t, "/api/v1/posts", 100)
	if len(posts) != 1 || posts[0]["title"] != "On crenels" {
		t.Errorf("posts: %v, want the one that was written", posts)
	}
	for _, line := range s.log(t) {
		switch line["type"] {
		case "user_updated", "authn_password_change", "apikey_updated":
			if strings.Contains(toText(line["detail"]), marker) {
				t.Errorf("an event holds a rejected value: %v", line)
			}
		}
		if line["type"] == "user_created" && line["route"] != "" && !strings.Contains(toText(line), "POST /api/v1/users") {
			t.Errorf("%v", line)
		}
	}
	created := 0
	for _, line := range s.log(t) {
		if line["type"] == "user_created" && line["route"] != "" { // the demo's own have none
			created++
		}
	}
	if created != 1 {
		t.Errorf("%d accounts were registered, want the one of the test", created)
	}
}

// send is act for callers with a session, and do for those without.
func (c *client) send(t *testing.T, method, path string, body any, headers ...string) *answer {
	t.Helper()
	if c.csrf == "" {
		return c.do(t, method, path, body, headers...)
	}
	return c.act(t, method, path, body, headers...)
}

// either returns a, or b where a is empty.
func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// replaceMember returns o as JSON with another value, as it is, for one member.
func replaceMember(o object, name, value string) string {
	var parts []string
	for k, v := range o {
		if k != name {
			parts = append(parts, fmt.Sprintf("%q:%s", k, toText(v)))
		}
	}
	return "{" + strings.Join(append(parts, fmt.Sprintf("%q:%s", name, value)), ",") + "}"
}

// has checks that "pointer code" is among the errors; a pointer may be "*".
func has(t *testing.T, what string, a *answer, want string) {
	t.Helper()
	if a.status != 422 {
		return
	}
	pointer, code, _ := strings.Cut(want, " ")
	list, _ := a.object(t)["errors"].([]any)
	if !slices.ContainsFunc(list, func(v any) bool {
		e, _ := v.(object)
		return e["code"] == code && (pointer == "*" || e["pointer"] == pointer)
	}) {
		t.Errorf("%s %s: %s: errors %v, want %q", a.method, idless(a.path), what, list, want)
	}
}

var ids = regexp.MustCompile(`(key|pst|ses|usr)_[0-9a-f-]+`)

// idless is a path without the ids of this run.
func idless(path string) string { return ids.ReplaceAllString(path, "{id}") }

// paths are all that this version serves, with their methods: API.md.
var paths = map[string]string{
	"/api/v1/users": "POST", "/api/v1/users/me": "GET PATCH", "/api/v1/users/me/password": "POST",
	"/api/v1/auth/login": "POST", "/api/v1/auth/logout": "POST", "/api/v1/auth/sessions": "GET", "/api/v1/auth/sessions/{id}": "DELETE",
	"/api/v1/api-keys": "GET POST", "/api/v1/api-keys/{id}": "GET PATCH DELETE", "/api/v1/api-keys/{id}/rotate": "POST", "/api/v1/api-keys/verify": "POST",
	"/api/v1/events": "GET", "/csrf/token": "GET", "/openapi.json": "GET", "/reports": "POST", "/docs": "GET", "/signed-out": "GET", "/assets/{hash}/{file}": "GET", "/health": "GET", "/health/ready": "GET",
	"/api/v1/posts": "GET POST", "/api/v1/posts/{id}": "GET PATCH DELETE",
}

func TestMethods(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	for path, served := range paths {
		allowed := strings.Fields(served)
		if slices.Contains(allowed, "GET") {
			allowed = append(allowed, "HEAD")
		}
		if path == "/api/v1/api-keys/verify" { // which is an id too, as far as methods go
			allowed = append(allowed, "GET", "HEAD", "PATCH", "DELETE")
		}
		slices.Sort(allowed)
		at := strings.Replace(path, "{id}", "x", 1)
		for _, c := range []*client{s.client(t), ada.elsewhere(t)} {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				if slices.Contains(allowed, method) {
					continue
				}
				a := c.send(t, method, at, nil)
				if method == "OPTIONS" && a.status == 204 {
					continue
				}
				if method == "HEAD" {
					a.want(t, 405)
				} else {
					a.wantProblem(t, 405, "method-not-allowed")
				}
				got := slices.DeleteFunc(list(a.header["Allow"]), func(m string) bool { return m == "OPTIONS" })
				if !slices.Equal(got, allowed) {
					t.Errorf("%s %s: Allow is %q, want %q", method, at, got, allowed)
				}
			}
			for _, method := range []string{"BREW", "TRACE", "PROPFIND", "get", "GETT", "M-SEARCH"} {
				a := c.send(t, method, at, nil)
				if a.status != 405 && a.status != 501 {
					t.Errorf("%s %s: status %d: %s", method, at, a.status, a.body)
				}
			}
		}
		for _, method := range allowed {
			if a := ada.elsewhere(t).do(t, method, at, nil); a.status == 405 {
				t.Errorf("%s %s: status 405", method, at)
			}
		}
	}
}

func TestPathsThatAreNotThere(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.register(t)
	for _, path := range []string{
		"/", "/nowhere", "/" + marker, "/api", "/api/v1", "/api/v1/", "/api/v1/posts/", "/api/v1/posts/x/y", "/api/v2/posts", "/API/v1/posts", "/api/v1/Posts",
		"/health/", "/healthz", "/openapi.yaml", "/.well-known/security.txt", "/.env", "/admin", "/debug/pprof/", "/metrics", "/api/v1/users/me/", "/index.html",
	} {
		for _, c := range []*client{s.client(t), ada.elsewhere(t)} {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				c.send(t, method, path, nil).wantProblem(t, 404, "not-found")
			}
		}
		s.client(t).with(t, s.apiKey, "GET", path, nil).wantProblem(t, 404, "not-found")
	}
	var events []wantEvent
	for path, typ := range map[string]string{
		"/api/v1/../v1/posts": "malicious_direct_reference", "/api/v1/%2e%2e/v1/posts": "malicious_direct_reference", "/api/v1/posts/..%2f..%2fevents": "malicious_direct_reference",
		"/api/v1/posts/%5c": "malicious_direct_reference", "/api//v1/posts": "input_validation_fail", "/api/v1/posts/%00": "input_validation_fail",
		"/api/v1/posts/%0d%0aSet-Cookie:x=y": "input_validation_fail", "/api/v1/posts/%ff": "input_validation_fail", "/api/v1/posts/;x=1": "malicious_direct_reference",
		"/api/v1/posts/%252e": "malicious_direct_reference", "/" + strings.Repeat("x", 9000): "input_validation_fail",
	} {
		a := s.client(t).do(t, "GET", path, nil).wantProblem(t, 400, "malformed-request")
		events = append(events, wantEvent{a, typ, "suspicious_activity", "*", "refused", "", "*", nil})
	}
	s.wantEvents(t, events...)
	for _, path := range []string{"/api/v1/posts", "/api/v1/posts?", "/api/v1/posts?limit=2"} {
		s.client(t).do(t, "GET", path, nil).want(t, 200)
	}
}

func TestHeadersThatAreNotRight(t *testing.T) {
	t.Parallel()
	s := share(t)
	c := s.client(t)
	for _, host := range []string{"evil.example", "127.0.0.1.evil.example", "localhost.", marker, "169.254.169.254", "evil.example:80"} {
		a := c.do(t, "GET", "/api/v1/posts", nil, "Host: "+host)
		if a.status != 421 && a.status != 400 {
			t.Errorf("Host %q: status %d", host, a.status)
		}
	}
	for _, host := range []string{"localhost", "localhost:8080", "LOCALHOST", "127.0.0.1", "[::1]:8080"} {
		c.do(t, "GET", "/api/v1/posts", nil, "Host: "+host).want(t, 200)
	}
	c.do(t, "GET", "/api/v1/posts", nil, "X-Long: "+strings.Repeat("x", 9<<10)).wantProblem(t, 400, "malformed-request")
	var many []string
	for i := range 120 {
		many = append(many, fmt.Sprintf("X-H%d: y", i))
	}
	c.do(t, "GET", "/api/v1/posts", nil, many...).wantProblem(t, 400, "malformed-request")
	// An id that the client brings is not the server's.
	if a := c.do(t, "GET", "/api/v1/posts", nil, "X-Request-Id: "+marker).want(t, 200); a.header.Get("X-Request-Id") == marker {
		t.Error("the server takes the client's X-Request-Id")
	}
	// What a client says of itself changes nothing of who it is.
	for _, h := range []string{"X-Merlon-Subject: usr_x", "X-Merlon-Scopes: events:read", "X-User-Id: 1", "X-Original-URL: /api/v1/events", "X-Rewrite-URL: /api/v1/events", "X-HTTP-Method-Override: DELETE"} {
		c.do(t, "GET", "/api/v1/users/me", nil, h).wantProblem(t, 401, "unauthenticated")
	}
}
