//go:build unix

package chaos_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/internal/redistest"
)

// A kind of request, of which there is any number.
type kind struct {
	name string
	call func(i int) call
}

// kinds makes what a node needs for each kind, n of each.
func kinds(t *testing.T, l *load, n int) []kind {
	t.Helper()
	p := l.enlist(t, "person")
	post := must(t, l.send(0, call{method: "POST", path: "/api/v1/posts", header: as(p.key), body: members{"title": "Scaling", "content": "<p>Read by many.</p>"}}), 201).text("id")
	keys := func() (ids, texts []string) {
		for range n {
			o := must(t, l.send(0, createKey(as(p.key), "still:use")), 201)
			ids, texts = append(ids, o.text("id")), append(texts, o.text("key"))
		}
		return ids, texts
	}
	_, cold := keys()
	rotated, _ := keys()
	revoked, _ := keys()
	grant := call{method: "POST", path: "/api/v1/auth/token", body: members{"grant_type": "password", "username": "person", "password": passphrase}}
	bearer := must(t, l.send(0, grant), 200).text("access_token")
	var refresh []string
	for range n {
		refresh = append(refresh, must(t, l.send(0, grant), 200).text("refresh_token"))
	}
	limited := must(t, l.send(0, createKey(as(p.key), "keys:manage")), 201).text("key")
	list := call{method: "GET", path: "/api/v1/api-keys?limit=1", header: as(limited)}
	for range limitedTo {
		must(t, l.send(0, list), 200)
	}
	unknown := unknownKey(t)
	still := func(header ...string) call {
		return call{method: "GET", path: "/api/v1/still", header: header, well: []int{200}}
	}
	same := func(c call) func(int) call { return func(int) call { return c } }
	list.well = []int{429}
	return []kind{
		{"refused by a limit", same(list)}, // first, within the window
		{"no credential, no database", same(call{method: "GET", path: "/.well-known/jwks.json", well: []int{200}})},
		{"an API key, known", same(still(as(p.key)...))},
		{"an API key, first use", func(i int) call { return still(as(cold[i])...) }},
		{"an API key, unknown", func(int) call { c := still(as(unknown)...); c.well = []int{401}; return c }},
		{"a session", same(still(p.session...))},
		{"an access token", same(still("Authorization", "Bearer "+bearer))},
		{"read a post, no credential", same(call{method: "GET", path: "/api/v1/posts/" + post, well: []int{200}})},
		{"write a post, API key", same(call{method: "POST", path: "/api/v1/posts", header: as(p.key), well: []int{201}, body: members{"title": "Scaling", "content": "<p>Written by one.</p>"}})},
		{"create an API key", same(createKey(as(p.key), "still:use"))},
		{"rotate an API key", func(i int) call {
			return call{method: "POST", path: "/api/v1/api-keys/" + rotated[i] + "/rotate", header: as(p.key), well: []int{201}, body: members{"overlap_seconds": 0}}
		}},
		{"revoke an API key", func(i int) call {
			return call{method: "DELETE", path: "/api/v1/api-keys/" + revoked[i], header: as(p.key), well: []int{204}}
		}},
		{"log in", same(login("person", passphrase))},
		{"log in, wrong password", func(int) call { c := login("person", "not this one, "+passphrase); c.well = []int{401}; return c }},
		{"refresh a token", func(i int) call {
			return call{method: "POST", path: "/api/v1/auth/token", well: []int{200}, body: members{"grant_type": "refresh_token", "refresh_token": refresh[i]}}
		}},
		{"register", func(i int) call { return register(fmt.Sprintf("number%d", i)) }},
		{"/health/ready", same(call{method: "GET", path: "/health/ready", well: []int{200}})},
	}
}

// unknownKey is a key of the right form that nobody gave out.
func unknownKey(t *testing.T) string {
	t.Helper()
	memory, err := apikey.NewMemory(1)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := apikey.New(apikey.Config{Store: memory, Env: apikey.Dev, Scopes: []string{"still:use"}})
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := elsewhere.Create(context.Background(), apikey.NewKey{Owner: "usr_elsewhere", Name: "elsewhere", Scopes: []string{"still:use"}, MakerScopes: []string{"still:use"}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// calls returns how many calls Redis has had of its clients: scripts, what it passes on, and the questions of idle connections. What a
// script does inside is not counted.
func calls(redis *redistest.Server) (n float64) {
	for line := range strings.Lines(redis.Do("INFO", "commandstats")) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "cmdstat_"), ":calls=")
		if !ok || !strings.HasPrefix(name, "eval") && name != "ping" && name != "publish" {
			continue
		}
		number, _, _ := strings.Cut(rest, ",")
		if f, err := strconv.ParseFloat(number, 64); err == nil {
			n += f
		}
	}
	return n
}
