package e2e_test

import (
	"strings"
	"testing"
)

// scripts are pieces of content that would run, each with what is left of it.
var scripts = []struct{ name, in, out, found string }{
	{"a script element", `<p>before</p><script>alert(1)</script><p>after</p>`, `<p>before</p><p>after</p>`, "script-element"},
	{"a script element in capitals that never ends", `<p>before it</p><SCRIPT src=//evil.example/x.js>`, `<p>before it</p>`, "script-element"},
	{"an event handler", `<p onclick="alert(1)">hello there</p>`, `<p>hello there</p>`, "event-handler"},
	{"an event handler on an element that is removed", `<p>some text</p><img src=x onerror=alert(1)>`, `<p>some text</p>`, "event-handler"},
	{"a javascript: link", `<p><a href="javascript:alert(1)">hello there</a></p>`, `<p>hello there</p>`, "script-url"},
	{"a javascript: link in disguise", "<p><a href=\" jAva\tscript:alert(1)\">hello there</a></p>", `<p>hello there</p>`, "script-url"},
	{"a javascript: link in character references", `<p><a href="&#106;avascript&colon;alert(1)">hello there</a></p>`, `<p>hello there</p>`, "script-url"},
	{"a data: link", `<p><a href="data:text/html,<b>x</b>">hello there</a></p>`, `<p>hello there</p>`, "script-url"},
	{"a frame", `<p>some text</p><iframe src="https://evil.example"></iframe>`, `<p>some text</p>`, "script-element"},
	{"a drawing that loads", `<p>some text</p><svg/onload=alert(1)>`, `<p>some text</p>`, "script-element,event-handler"},
}

func TestScriptsAreRemovedFromContentAndRecorded(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.register(t)
	var events []wantEvent
	for _, tt := range scripts {
		t.Run(tt.name, func(t *testing.T) {
			a := ada.act(t, "POST", "/api/v1/posts", object{"title": "A title", "content": tt.in}).want(t, 201)
			stored := ada.do(t, "GET", "/api/v1/posts/"+a.text(t, "id"), nil).want(t, 200)
			for where, got := range map[string]string{"the answer": a.text(t, "content"), "what is stored": stored.text(t, "content")} {
				if got != tt.out {
					t.Errorf("%s is %q, want %q", where, got, tt.out)
				}
			}
			events = append(events, wantEvent{a, "suspicious_content", "suspicious_activity", "medium", "success", ada.id, "POST /api/v1/posts",
				object{"pointer": "/content", "kind": "script", "found": tt.found}})
		})
	}
	t.Run("in a change too", func(t *testing.T) {
		id := ada.act(t, "POST", "/api/v1/posts", post()).want(t, 201).text(t, "id")
		a := ada.act(t, "PATCH", "/api/v1/posts/"+id, object{"content": scripts[0].in}).want(t, 200)
		if got := a.text(t, "content"); got != scripts[0].out {
			t.Errorf("content is %q", got)
		}
		events = append(events, wantEvent{a, "suspicious_content", "suspicious_activity", "medium", "success", ada.id, "PATCH /api/v1/posts/{id}", nil})
	})
	s.wantEvents(t, events...)
	for _, line := range s.log(t) {
		for _, text := range []string{"alert(1)", "evil.example"} {
			if detail, _ := line["detail"].(object); strings.Contains(toText(detail), text) {
				t.Errorf("an event holds what was sent: %v", line)
			}
		}
	}
}

func TestContentKeepsWhatIsAllowed(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	for _, tt := range []struct{ name, in, out string }{
		{"all elements of the list", `<p>a<br><strong>b</strong><em>c</em></p><ul><li>d</li></ul><ol><li>e</li></ol>`, `<p>a<br><strong>b</strong><em>c</em></p><ul><li>d</li></ul><ol><li>e</li></ol>`},
		{"a link, with rel", `<p><a href="https://example.com/?a=1">a link</a></p>`, `<p><a href="https://example.com/?a=1" rel="nofollow noopener">a link</a></p>`},
		{"prose about SQL", `O'Brien: SELECT a book; -- really`, `O'Brien: SELECT a book; -- really`},
		{"text with a less-than sign, written as HTML", `as long as 1 < 2 and 3 > 2 & so on`, `as long as 1 &lt; 2 and 3 &gt; 2 &amp; so on`},
		{"letters of all the world", `<p>Grüße, 世界, 👋🏽 — «ok»</p>`, `<p>Grüße, 世界, 👋🏽 — «ok»</p>`},
		{"an element beyond the list, its text kept", `<h1>A long heading</h1>`, `A long heading`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := ada.act(t, "POST", "/api/v1/posts", object{"title": "A title", "content": tt.in}).want(t, 201)
			if got := a.text(t, "content"); got != tt.out {
				t.Errorf("content is %q, want %q", got, tt.out)
			}
		})
	}
}

// Plain text is kept byte for byte, wherever it stands and whatever it looks like.
func TestHonestTextIsKept(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	for _, text := range []string{
		`O'Brien`, `SELECT a book; -- really`, `1 < 2`, `AT&T & Sons`, `a "quoted" word`, `a<3 and b>2, a <- b -> c`, `&lt;b&gt; is how one writes it`,
		`Union Square, select few`, `100% of 3 * (4 + 5) = 27; ok?`, `drop me a line`, `Łódź 東京 👋🏽 e` + "\u0301",
	} {
		t.Run(text, func(t *testing.T) {
			a := ada.act(t, "POST", "/api/v1/posts", object{"title": text, "content": "<p>Something honest.</p>", "excerpt": text}).want(t, 201)
			stored := ada.do(t, "GET", "/api/v1/posts/"+a.text(t, "id"), nil).want(t, 200)
			me := ada.act(t, "PATCH", "/api/v1/users/me", object{"full_name": text, "bio": text}).want(t, 200)
			for where, got := range map[string]string{
				"title": stored.text(t, "title"), "excerpt": stored.text(t, "excerpt"), "full_name": me.text(t, "full_name"), "bio": me.text(t, "bio"),
				"title of the answer": a.text(t, "title"), "full_name of GET": ada.do(t, "GET", "/api/v1/users/me", nil).text(t, "full_name"),
			} {
				if got != text {
					t.Errorf("%s is %q, want %q", where, got, text)
				}
			}
		})
	}
}

func TestMarkupIsRemovedFromPlainText(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	var events []wantEvent
	for _, tt := range []struct{ name, in, out, severity string }{
		{"an element", `a <b>bold</b> word`, `a bold word`, "low"},
		{"a script", `hello<script>alert(1)</script> there`, `hello there`, "medium"},
		{"a script within a script's tag", `hello<scr<script>x</script>ipt>alert(1)</script> there`, `hello`, "*"},
		{"an event handler", `hello <img src=x onerror=alert(1)>there`, `hello there`, "medium"},
		{"a comment", `hello <!-- not this -->there`, `hello there`, "low"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := ada.act(t, "PATCH", "/api/v1/users/me", object{"bio": tt.in}).want(t, 200)
			got := a.text(t, "bio")
			if !strings.HasPrefix(got, tt.out) || strings.ContainsAny(got, "<") || tt.severity != "*" && got != tt.out {
				t.Errorf("bio is %q, want %q", got, tt.out)
			}
			events = append(events, wantEvent{a, "suspicious_content", "suspicious_activity", tt.severity, "success", ada.id, "PATCH /api/v1/users/me", object{"pointer": "/bio"}})
		})
	}
	s.wantEvents(t, events...)
}

func TestSQLInjectionIsRefusedInLinesAndRecordedInProse(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.register(t)
	suspicious := func(pointer string) string { return pointer + " suspicious-content" }
	const attack = "1' OR '1'='1"
	refused, prose := []wantEvent{}, []wantEvent{}
	for _, tt := range []struct {
		name, method, path string
		body               object
		pointer            string
	}{
		{"a title", "POST", "/api/v1/posts", postWith("title", attack), "/title"},
		{"a tag", "POST", "/api/v1/posts", postWith("tags", []string{"ok", attack}), "/tags/1"},
		{"a name of a key", "POST", "/api/v1/api-keys", object{"name": "x' UNION SELECT password FROM users--", "scopes": []string{"posts:read"}}, "/name"},
		{"a full name", "PATCH", "/api/v1/users/me", object{"full_name": attack}, "/full_name"},
	} {
		t.Run("refused: "+tt.name, func(t *testing.T) {
			a := ada.act(t, tt.method, tt.path, tt.body).wantProblem(t, 422, "invalid-content", suspicious(tt.pointer))
			refused = append(refused, wantEvent{a, "malicious_sqli", "suspicious_activity", "high", "refused", ada.id, "*", nil})
		})
	}
	t.Run("refused: a username", func(t *testing.T) {
		a := s.client(t).do(t, "POST", "/api/v1/users", object{"username": attack, "email": "a@example.com", "password": "eleven crenels in a row"}).
			wantProblem(t, 422, "invalid-content", suspicious("/username"))
		refused = append(refused, wantEvent{a, "malicious_sqli", "suspicious_activity", "high", "refused", "", "POST /api/v1/users", nil})
	})
	for _, tt := range []struct {
		name, method, path, member string
		body                       object
	}{
		{"content", "POST", "/api/v1/posts", "content", postWith("content", attack)},
		{"an excerpt", "POST", "/api/v1/posts", "excerpt", postWith("excerpt", attack)},
		{"a bio", "PATCH", "/api/v1/users/me", "bio", object{"bio": attack}},
	} {
		t.Run("kept and recorded: "+tt.name, func(t *testing.T) {
			a := ada.act(t, tt.method, tt.path, tt.body)
			if a.status >= 300 {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			if got := a.text(t, tt.member); got != attack {
				t.Errorf("%s is %q, want it as it was sent", tt.member, got)
			}
			prose = append(prose, wantEvent{a, "malicious_sqli", "suspicious_activity", "low", "success", ada.id, "*", object{"pointer": "/" + tt.member, "kind": "sql"}})
		})
	}
	s.wantEvents(t, append(refused, prose...)...)
	if posts := ada.all(t, "/api/v1/posts", 100); len(posts) != 2 {
		t.Errorf("%d posts are there, want the two that were accepted", len(posts))
	}
}
