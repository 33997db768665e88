package merlon_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/authn"
)

func Example() {
	store, err := apikey.NewMemory(1000)
	if err != nil {
		panic(err)
	}
	keys, err := apikey.New(apikey.Config{Store: store, Scopes: []string{"posts:write"}})
	if err != nil {
		panic(err)
	}

	guard, err := merlon.New(merlon.Config{
		Hosts:   []string{"api.example.com"},
		Origins: []string{"https://app.example.com"},
		Routes: []merlon.Route{
			{Pattern: "GET /posts", Public: true},
			{Pattern: "POST /posts", Scopes: []string{"posts:write"}},
		},
		Authn: authn.Config{Keys: authn.Keys(keys, nil)},
	})
	if err != nil {
		panic(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /posts", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "[]") })
	mux.HandleFunc("POST /posts", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "written by ", merlon.Principal(r.Context()).Subject)
	})
	api := guard.Handler(mux)

	key, _, err := keys.Create(context.Background(), apikey.NewKey{Owner: "usr_ada", Name: "reports", Scopes: []string{"posts:write"}, MakerScopes: []string{"posts:write"}})
	if err != nil {
		panic(err)
	}
	try := func(method, key string) {
		r := httptest.NewRequest(method, "https://api.example.com/posts", nil)
		if key != "" {
			r.Header.Set("X-API-Key", key)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(method, w.Code)
	}
	try("GET", "")
	try("POST", "")
	try("POST", key)
	// Output:
	// GET 200
	// POST 401
	// POST 200
}

// A control is rolled out in shadow: it tells what it would refuse, and lets it pass.
func ExampleInsecureShadow() {
	guard, err := merlon.New(merlon.Config{
		Hosts:          []string{"api.example.com"},
		Routes:         []merlon.Route{{Pattern: "POST /contact", Public: true}},
		InsecureShadow: merlon.InsecureShadow{Controls: []string{"csrf"}, Reason: "measuring before we enforce"},
	})
	if err != nil {
		panic(err)
	}
	api := guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "thanks") }))

	r := httptest.NewRequest("POST", "https://api.example.com/contact", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	fmt.Println(w.Code)
	for _, c := range guard.Counts() {
		if c.Shadow {
			fmt.Println(c.Control, c.WouldRefuse)
		}
	}
	// Output:
	// 200
	// csrf 1
}
