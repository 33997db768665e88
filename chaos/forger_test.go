//go:build unix

package chaos_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	mathrand "math/rand/v2"
	"testing"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/token"
)

// A forger sends what no control may let through, whatever the state of the stores.
type forger struct{ calls []call }

// prepare makes the forgeries: from nothing, from another installation, and from what others may do.
func (f *forger) prepare(t *testing.T, l *load, people []person) {
	t.Helper()
	ctx := context.Background()
	memory, err := apikey.NewMemory(10)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := apikey.New(apikey.Config{Store: memory, Env: apikey.Dev, Scopes: []string{"still:use"}})
	if err != nil {
		t.Fatal(err)
	}
	foreign, _, err := elsewhere.Create(ctx, apikey.NewKey{Owner: people[0].id, Name: "elsewhere", Scopes: []string{"still:use"}, MakerScopes: []string{"still:use"}})
	if err != nil {
		t.Fatal(err)
	}
	grants, err := token.NewMemory(10)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := token.New(token.Config{Store: grants, KeyStore: grants, Secret: random(32), Issuer: "https://elsewhere.example"})
	if err == nil {
		err = issuer.Start(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	jwt, _, err := issuer.Begin(ctx, token.Login{UserID: people[0].id, Scopes: []string{"still:use"}})
	if err != nil {
		t.Fatal(err)
	}

	reader := must(t, l.do(createKey(people[0].session, "posts:read")), 201).text("key")
	owned := must(t, l.do(createKey(people[1].session, "keys:manage")), 201)
	mine := people[0].session // cookie, then token
	cookie, stolen := mine[:2], people[1].session[3]
	const still, account = "/api/v1/still", "/api/v1/still/account" // where nothing but a control refuses
	read := func(name string, status int, path string, header ...string) call {
		return call{name: name, method: "GET", path: path, header: header, well: []int{status}, forged: true}
	}
	write := func(name string, status int, header ...string) call {
		return call{name: name, method: "POST", path: still, header: header, well: []int{status}, forged: true}
	}
	unauthenticated := read("no credential", 401, still)
	unauthenticated.noStore = true
	crossSite := write("another site's page", 403, append(mine[:4:4], "Sec-Fetch-Site", "cross-site", "Origin", "https://attacker.example")...)
	crossSite.noStore = true
	f.calls = []call{
		unauthenticated,
		crossSite,
		read("a key of elsewhere", 401, still, as(foreign)...),
		read("a token of elsewhere", 401, still, "Authorization", "Bearer "+jwt.Access),
		read("a made-up session", 401, still, "Cookie", cookieName+"="+base64.RawURLEncoding.EncodeToString(random(32))),
		write("a session without a token", 403, cookie...),
		write("a made-up CSRF token", 403, append(cookie[:2:2], "X-CSRF-Token", base64.RawURLEncoding.EncodeToString(random(64)))...),
		write("a CSRF token of another", 403, append(cookie[:2:2], "X-CSRF-Token", stolen)...),
		read("a key without the scope", 403, still, as(reader)...),
		read("a key for an account's route", 403, account, as(people[0].key)...),
		{name: "another's key", method: "DELETE", path: "/api/v1/api-keys/" + owned.text("id"), header: as(people[0].key), well: []int{404}, forged: true},
		{name: "a scope that the maker lacks", method: "POST", path: "/api/v1/api-keys", header: as(people[0].key), well: []int{403}, forged: true,
			body: members{"name": "more", "scopes": []string{"events:read"}}},
	}
}

// forge sends one of them, and now and then a wrong password, which costs a hash.
func (f *forger) forge(l *load, n int, r *mathrand.Rand) {
	if r.IntN(60) == 0 {
		guess := login("person1", "not this one, "+passphrase)
		guess.name, guess.well, guess.forged = "a wrong password", []int{401}, true
		l.to(n, guess)
		return
	}
	l.to(n, f.calls[r.IntN(len(f.calls))])
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return b
}
