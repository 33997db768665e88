package e2e_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestKeysAreListedInPages(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.register(t)
	want := map[string]bool{}
	for i := range 23 {
		want[ada.newKey(t, object{"name": fmt.Sprint("key ", i)}).text(t, "id")] = true
	}
	wantPages(t, ada, "/api/v1/api-keys", want)
}

// wantPages checks the paging of a list: every item once, whatever the size of
// the pages, 20 unless said otherwise, and no page for what is no page.
func wantPages(t *testing.T, c *client, path string, want map[string]bool) {
	t.Helper()
	for _, size := range []int{7, 20, 100, len(want), len(want) + 1} {
		seen := map[string]bool{}
		for _, item := range c.all(t, path, size) {
			id := text(item["id"])
			if seen[id] {
				t.Errorf("%s in pages of %d: %s is there twice", path, size, id)
			}
			seen[id] = true
		}
		for id := range want {
			if !seen[id] {
				t.Errorf("%s in pages of %d: %s is missing", path, size, id)
			}
		}
	}
	first := c.do(t, "GET", path, nil)
	if n := len(first.items(t)); n != 20 {
		t.Errorf("%s has a page of %d, want 20", path, n)
	}
	if o := first.object(t); len(o) != 2 || o["next_cursor"] == nil {
		t.Errorf("%s: members %v, want items and next_cursor", path, o)
	}
	for query, member := range map[string]string{
		"limit=0": "/limit minimum", "limit=101": "/limit maximum", "limit=-1": "/limit minimum", "limit=" + marker: "/limit type", "limit=": "/limit type",
		"limit=1.5": "/limit type", "limit=1&limit=2": "/limit duplicate", "cursor=" + marker: "/cursor *", "cursor=%00": " query", "limit=1&limits=1": "/limits unknown-parameter",
		"cursor=" + url.QueryEscape(strings.Repeat("x", 300)): "/cursor too-long", "limit=1&cursor=%ff": " query", "limit=99999999999999999999": "/limit type",
	} {
		a := c.do(t, "GET", path+"?"+query, nil).wantProblem(t, 422, "invalid-content")
		if a.status == 422 {
			wantMembers(t, a, []string{member})
		}
	}
}

func TestPostsAreListedInPages(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.register(t)
	want := map[string]bool{}
	var last string
	for range 23 {
		last = ada.act(t, "POST", "/api/v1/posts", post()).want(t, 201).text(t, "id")
		want[last] = true
	}
	wantPages(t, ada, "/api/v1/posts", want)
	first := ada.elsewhere(t).do(t, "GET", "/api/v1/posts?limit=5", nil)
	if first.items(t)[0]["id"] != last {
		t.Error("the newest post is not the first")
	}
	// What comes in between shifts nothing.
	ada.act(t, "POST", "/api/v1/posts", post()).want(t, 201)
	second := ada.do(t, "GET", "/api/v1/posts?limit=5&cursor="+first.text(t, "next_cursor"), nil).items(t)
	if slices.ContainsFunc(second, func(p object) bool { return toText(p) == toText(first.items(t)[4]) }) || len(second) != 5 {
		t.Errorf("the second page repeats the first: %v", second)
	}
}
