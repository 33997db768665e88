package blog_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/e2e/postgrestest"
	"github.com/merlonhq/merlon/examples/blog"
	"github.com/merlonhq/merlon/server"
	"github.com/merlonhq/merlon/server/servertest"
)

// start serves the blog on a free port.
func start(t *testing.T) server.Samples {
	t.Helper()
	if strings.HasPrefix(t.Name(), "TestTheSameOnPostgreSQL/") {
		return servertest.StartOn(t, postgrestest.Schema(t), blog.Module())
	}
	samples, _ := servertest.Start(t, blog.Module())
	return samples
}

func TestTheSameOnPostgreSQL(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"WhatIsWrittenIsSanitised":      TestWhatIsWrittenIsSanitised,
		"PostsThatBreakARuleAreRefused": TestPostsThatBreakARuleAreRefused,
		"DraftsAreTheirAuthorsOnly":     TestDraftsAreTheirAuthorsOnly,
		"ListsComeInPages":              TestListsComeInPages,
	} {
		t.Run(name, test)
	}
}

type answer struct {
	status int
	text   string
	post   struct {
		ID, Author, Title, Content string
		Excerpt                    *string
		Tags                       []string
		IsDraft                    bool `json:"is_draft"`
	}
	items []json.RawMessage
	next  *string
}

func call(t *testing.T, method, url, key, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("X-API-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, text: string(text)}
	if resp.StatusCode < 300 && len(text) > 0 {
		var list struct {
			Items      []json.RawMessage
			NextCursor *string `json:"next_cursor"`
		}
		if err := json.Unmarshal(text, &list); err != nil {
			t.Fatal(err)
		}
		a.items, a.next = list.Items, list.NextCursor
		if err := json.Unmarshal(text, &a.post); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func TestWhatIsWrittenIsSanitised(t *testing.T) {
	s := start(t)
	a := call(t, "POST", s.URL+"/api/v1/posts", s.APIKey, `{
		"title": " <b>O'Brien</b>: SELECT a book; -- really ",
		"content": "<p onclick=\"x()\">1 &lt; 2</p><script>alert(1)</script><a href=\"javascript:x()\">a</a><a href=\"https://example.com\">b</a>",
		"excerpt": "honest <i>prose</i>",
		"tags": [" Go ", "go", "sql_injection"]}`)
	if a.status != 201 {
		t.Fatalf("status %d: %s", a.status, a.text)
	}
	if a.post.Title != "O'Brien: SELECT a book; -- really" {
		t.Errorf("title %q", a.post.Title)
	}
	if want := `<p>1 &lt; 2</p>a<a href="https://example.com" rel="nofollow noopener">b</a>`; a.post.Content != want {
		t.Errorf("content %q; want %q", a.post.Content, want)
	}
	if a.post.Excerpt == nil || *a.post.Excerpt != "honest prose" {
		t.Errorf("excerpt %v", a.post.Excerpt)
	}
	if got := strings.Join(a.post.Tags, ","); got != "go,sql_injection" {
		t.Errorf("tags %s", got)
	}
	if read := call(t, "GET", s.URL+"/api/v1/posts/"+a.post.ID, "", ""); read.status != 200 || read.text != a.text {
		t.Errorf("read again: %d %s", read.status, read.text)
	}
}

func TestPostsThatBreakARuleAreRefused(t *testing.T) {
	s := start(t)
	long := strings.Repeat("x", 201)
	for _, tt := range []struct{ name, body, pointer, code string }{
		{"no title", `{"content":"long enough"}`, "/title", "required"},
		{"a title of markup only", `{"title":"<b></b>","content":"long enough"}`, "/title", "too-short"},
		{"a long title", `{"title":"` + long + `","content":"long enough"}`, "/title", "too-long"},
		{"content that is short once it is clean", `{"title":"t","content":"<script>alert(1)</script>short"}`, "/content", "too-short"},
		{"SQL in a title", `{"title":"x' OR '1'='1","content":"long enough"}`, "/title", "suspicious-content"},
		{"a tag of one letter", `{"title":"t","content":"long enough","tags":["a"]}`, "/tags/0", "too-short"},
		{"a tag of other letters", `{"title":"t","content":"long enough","tags":["c++"]}`, "/tags/0", "pattern"},
		{"eleven tags", `{"title":"t","content":"long enough","tags":["aa","bb","cc","dd","ee","ff","gg","hh","ii","jj","kk"]}`, "/tags", "too-many-items"},
		{"a member that is not one", `{"title":"t","content":"long enough","author":"usr_1"}`, "/author", "unknown-member"},
	} {
		a := call(t, "POST", s.URL+"/api/v1/posts", s.APIKey, tt.body)
		if a.status != 422 || !strings.Contains(a.text, `"pointer":"`+tt.pointer+`","code":"`+tt.code+`"`) {
			t.Errorf("%s: status %d: %s; want 422 with %s at %s", tt.name, a.status, a.text, tt.code, tt.pointer)
		}
	}
	if list := call(t, "GET", s.URL+"/api/v1/posts", "", ""); len(list.items) != 0 {
		t.Errorf("something was written: %s", list.text)
	}
}

func TestDraftsAreTheirAuthorsOnly(t *testing.T) {
	s := start(t)
	draft := call(t, "POST", s.URL+"/api/v1/posts", s.APIKey, `{"title":"t","content":"long enough","is_draft":true}`)
	url := s.URL + "/api/v1/posts/" + draft.post.ID
	if a := call(t, "GET", url, "", ""); a.status != 404 {
		t.Errorf("nobody reads a draft: %d", a.status)
	}
	if a := call(t, "GET", url, s.APIKey, ""); a.status != 200 {
		t.Errorf("its author does not: %d %s", a.status, a.text)
	}
	if a := call(t, "GET", s.URL+"/api/v1/posts", "", ""); len(a.items) != 0 {
		t.Errorf("nobody finds it in the list: %s", a.text)
	}
	if a := call(t, "GET", s.URL+"/api/v1/posts", s.APIKey, ""); len(a.items) != 1 {
		t.Errorf("its author does not: %s", a.text)
	}
	if a := call(t, "PATCH", url, s.APIKey, `{"is_draft":false}`); a.status != 200 || a.post.IsDraft || a.post.Title != "t" {
		t.Errorf("publish: %d %s", a.status, a.text)
	}
	if a := call(t, "GET", url, "", ""); a.status != 200 {
		t.Errorf("nobody reads what is published: %d", a.status)
	}
	if a := call(t, "PATCH", url, s.APIKey, `{"title":null}`); a.status != 422 {
		t.Errorf("a post without a title: %d", a.status)
	}
	if a := call(t, "DELETE", url, s.APIKey, ""); a.status != 204 {
		t.Errorf("delete: %d %s", a.status, a.text)
	}
	if a := call(t, "DELETE", url, s.APIKey, ""); a.status != 404 {
		t.Errorf("delete again: %d", a.status)
	}
}

func TestListsComeInPages(t *testing.T) {
	s := start(t)
	for range 5 {
		if a := call(t, "POST", s.URL+"/api/v1/posts", s.APIKey, `{"title":"t","content":"long enough"}`); a.status != 201 {
			t.Fatal(a.text)
		}
	}
	seen := map[string]bool{}
	for cursor := ""; ; {
		a := call(t, "GET", s.URL+"/api/v1/posts?limit=2&cursor="+cursor, "", "")
		if a.status != 200 || len(a.items) > 2 {
			t.Fatalf("%d %s", a.status, a.text)
		}
		for _, item := range a.items {
			seen[string(item)] = true
		}
		if a.next == nil {
			break
		}
		cursor = *a.next
	}
	if len(seen) != 5 {
		t.Errorf("%d posts in all pages; want 5", len(seen))
	}
	for _, query := range []string{"?cursor=forged", "?limit=0", "?limit=101", "?limit=x", "?page=2"} {
		if a := call(t, "GET", s.URL+"/api/v1/posts"+query, "", ""); a.status != 422 {
			t.Errorf("%s: status %d; want 422", query, a.status)
		}
	}
}
