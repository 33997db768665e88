package e2e_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var postIDs = regexp.MustCompile(`^pst_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestAPostIsWrittenReadChangedAndDeleted(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada, c := s.register(t), s.client(t)
	a := ada.act(t, "POST", "/api/v1/posts", object{
		"title": "  On crenels ", "content": "<p>The gap between two merlons.</p>", "excerpt": "A gap.",
		"tags": []string{" Castles ", "walls", "CASTLES", "a_b-c 1"}, "is_draft": false,
	}).want(t, 201)
	o := a.object(t)
	names := slices.Sorted(maps.Keys(o))
	if !slices.Equal(names, []string{"author", "content", "created_at", "excerpt", "id", "is_draft", "tags", "title", "updated_at"}) {
		t.Errorf("members are %q", names)
	}
	if !postIDs.MatchString(text(o["id"])) || o["author"] != ada.id || o["title"] != "On crenels" || o["excerpt"] != "A gap." || o["is_draft"] != false ||
		!slices.Equal(texts(o["tags"]), []string{"castles", "walls", "a_b-c 1"}) || instant(t, o["created_at"]).IsZero() || o["created_at"] != o["updated_at"] {
		t.Errorf("created: %s", a.body)
	}
	path := "/api/v1/posts/" + text(o["id"])
	if a.header.Get("Location") != path {
		t.Errorf("Location is %q", a.header.Get("Location"))
	}
	if read := c.do(t, "GET", path, nil).want(t, 200); string(read.body) != string(a.body) {
		t.Errorf("GET: %s, POST: %s", read.body, a.body)
	}
	if head := c.do(t, "HEAD", path, nil).want(t, 200); len(head.body) != 0 {
		t.Error("HEAD has a body")
	}
	changed := ada.act(t, "PATCH", path, object{"title": "On merlons", "excerpt": nil, "tags": []string{}}).want(t, 200).object(t)
	if changed["title"] != "On merlons" || changed["excerpt"] != nil || len(texts(changed["tags"])) != 0 || changed["content"] != o["content"] ||
		changed["created_at"] != o["created_at"] || !instant(t, changed["updated_at"]).After(instant(t, o["updated_at"])) {
		t.Errorf("changed: %v", changed)
	}
	ada.act(t, "DELETE", path, nil).want(t, 204)
	c.do(t, "GET", path, nil).wantProblem(t, 404, "not-found")
	ada.act(t, "DELETE", path, nil).wantProblem(t, 404, "not-found")
	ada.act(t, "PATCH", path, object{"title": "x"}).wantProblem(t, 404, "not-found")
	for _, id := range []string{"x", "pst_x", strings.ToUpper(text(o["id"])), text(o["id"]) + "x", "1%20OR%201=1"} {
		c.do(t, "GET", "/api/v1/posts/"+id, nil).wantProblem(t, 404, "not-found")
	}
}

func TestPostRules(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	long := func(n int, s string) string { return strings.Repeat(s, n) }
	ten := []string{"t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9"}
	existing := "/api/v1/posts/" + ada.act(t, "POST", "/api/v1/posts", post()).want(t, 201).text(t, "id")
	for _, tt := range []struct {
		name   string
		member string
		value  any
		errors string // "" means that it is accepted
	}{
		{"a title of one character", "title", "x", ""},
		{"a title of none", "title", "", "/title too-short"},
		{"a title of blanks", "title", "   ", "/title too-short"},
		{"a title of markup only", "title", "<b></b>", "/title too-short"},
		{"a title of 200 characters", "title", long(200, "ä"), ""},
		{"a title of 201", "title", long(201, "ä"), "/title too-long"},
		{"a title of two lines", "title", "a\nb", "/title control-character"},
		{"a title with an escape sequence", "title", "a\x1b[31mb", "/title control-character"},
		{"a title with a letter from right to left", "title", "עברית", ""},
		{"a title with an override of direction", "title", "a\u202eb", "/title control-character"},
		{"a title that is null", "title", nil, "/title type"},
		{"content of ten characters", "content", "0123456789", ""},
		{"content of nine", "content", "012345678", "/content too-short"},
		{"content that is ten characters with its script only", "content", "012345678<script>alert(1)</script>", "/content too-short"},
		{"content of 64 KiB", "content", long(64<<10, "x"), ""},
		{"content of 64 KiB and one", "content", long(64<<10+1, "x"), "/content too-long"},
		{"content of 64 KiB characters of two bytes", "content", long(64<<10, "ä"), "/content too-long"},
		{"content that is a number", "content", 1234567890123, "/content type"},
		{"an excerpt of 300 characters", "excerpt", long(300, "ä"), ""},
		{"an excerpt of 301", "excerpt", long(301, "ä"), "/excerpt too-long"},
		{"no excerpt", "excerpt", nil, ""},
		{"ten tags", "tags", ten, ""},
		{"eleven tags", "tags", append(slices.Clone(ten), "t10"), "/tags too-many-items"},
		{"a tag of two characters", "tags", []string{"ab"}, ""},
		{"a tag of one", "tags", []string{"ok", "a"}, "/tags/1 too-short"},
		{"a tag of 50", "tags", []string{long(50, "a")}, ""},
		{"a tag of 51", "tags", []string{long(51, "a")}, "/tags/0 too-long"},
		{"a tag with a letter beyond ASCII", "tags", []string{"käse"}, "/tags/0 pattern"},
		{"a tag with markup", "tags", []string{"<b>tag</b>"}, "/tags/0 suspicious-content"},
		{"tags that are a text", "tags", "castles, walls", "/tags type"},
		{"a tag that is a number", "tags", []any{"ok", 1}, "/tags/1 type"},
		{"a draft", "is_draft", true, ""},
		{"a draft by text", "is_draft", "true", "/is_draft type"},
		{"an author", "author", "usr_" + marker, "/author unknown-member"},
		{"an id", "id", "pst_" + marker, "/id unknown-member"},
		{"a date", "created_at", "2001-01-01T00:00:00Z", "/created_at unknown-member"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			made := ada.act(t, "POST", "/api/v1/posts", postWith(tt.member, tt.value))
			changed := ada.act(t, "PATCH", existing, object{tt.member: tt.value})
			if tt.errors == "" {
				made.want(t, 201)
				changed.want(t, 200)
				return
			}
			made.wantProblem(t, 422, "invalid-content", tt.errors)
			changed.wantProblem(t, 422, "invalid-content", tt.errors)
		})
	}
	t.Run("what is required", func(t *testing.T) {
		ada.act(t, "POST", "/api/v1/posts", "{}").wantProblem(t, 422, "invalid-content", "/title required", "/content required")
		ada.act(t, "PATCH", existing, "{}").want(t, 200)
	})
}

func TestDraftsAreShownToTheirAuthorOnly(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada, bob, admin, anybody := s.register(t), s.register(t), s.asAdmin(t), s.client(t)
	draft := ada.act(t, "POST", "/api/v1/posts", postWith("is_draft", true)).want(t, 201).text(t, "id")
	public := ada.act(t, "POST", "/api/v1/posts", post()).want(t, 201).text(t, "id")
	reader := ada.newKey(t, object{"scopes": []string{"posts:read"}}).text(t, "key")
	writer := ada.newKey(t, object{"scopes": []string{"posts:write"}}).text(t, "key")
	sees := func(items []object) (drafts bool) {
		if !slices.ContainsFunc(items, func(p object) bool { return p["id"] == public }) {
			t.Error("the public post is not in the list")
		}
		return slices.ContainsFunc(items, func(p object) bool { return p["id"] == draft })
	}
	path := "/api/v1/posts/" + draft
	for name, tt := range map[string]struct {
		get  func(path string) *answer
		sees bool
	}{
		"its author":                        {func(p string) *answer { return ada.do(t, "GET", p, nil) }, true},
		"a key of its author that may read": {func(p string) *answer { return anybody.with(t, reader, "GET", p, nil) }, true},
		"a key of its author that may not":  {func(p string) *answer { return anybody.with(t, writer, "GET", p, nil) }, false},
		"another user":                      {func(p string) *answer { return bob.do(t, "GET", p, nil) }, false},
		"nobody":                            {func(p string) *answer { return anybody.do(t, "GET", p, nil) }, false},
	} {
		one := tt.get(path)
		if tt.sees {
			one.want(t, 200)
		} else {
			one.wantProblem(t, 404, "not-found")
		}
		if got := sees(tt.get("/api/v1/posts").items(t)); got != tt.sees {
			t.Errorf("%s sees the draft in the list: %v, want %v", name, got, tt.sees)
		}
	}
	// To another user a draft does not exist, whatever is tried; a post is refused.
	nothing := bob.act(t, "PATCH", "/api/v1/posts/pst_01900000-0000-7000-8000-000000000000", object{"title": "x"}).wantProblem(t, 404, "not-found")
	var events []wantEvent
	for _, call := range []struct {
		method string
		body   any
	}{{"PATCH", object{"title": "Bob was here"}}, {"PATCH", object{"is_draft": false}}, {"DELETE", nil}} {
		a := bob.act(t, call.method, path, call.body).wantProblem(t, 404, "not-found")
		if a.status == 404 && a.text(t, "detail") != nothing.text(t, "detail") {
			t.Error("the answer tells that there is a draft")
		}
		b := bob.act(t, call.method, "/api/v1/posts/"+public, call.body).wantProblem(t, 403, "forbidden")
		for _, x := range []*answer{a, b} {
			events = append(events, wantEvent{x, "malicious_direct_reference", "suspicious_activity", "*", "refused", bob.id, call.method + " /api/v1/posts/{id}", nil})
		}
	}
	if now := ada.do(t, "GET", path, nil).want(t, 200); now.text(t, "title") != "On crenels" || now.at(t, "is_draft") != true {
		t.Errorf("the draft: %s", now.body)
	}
	s.wantEvents(t, events...)
	// An admin may change and delete what others wrote.
	admin.act(t, "PATCH", "/api/v1/posts/"+public, object{"title": "Edited"}).want(t, 200)
	admin.act(t, "PATCH", path, object{"title": "Edited"}).want(t, 200)
	// Published, it is there for all; taken back, it is not.
	ada.act(t, "PATCH", path, object{"is_draft": false}).want(t, 200)
	anybody.do(t, "GET", path, nil).want(t, 200)
	ada.act(t, "PATCH", path, object{"is_draft": true}).want(t, 200)
	anybody.do(t, "GET", path, nil).wantProblem(t, 404, "not-found")
	admin.act(t, "DELETE", path, nil).want(t, 204)
	ada.do(t, "GET", path, nil).wantProblem(t, 404, "not-found")
}
