package merlon_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/cors"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/validate"
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

// The exercises of docs/tutorial.md, as a library.
func Example_tutorial() {
	cfg := merlon.Config{
		Hosts:   []string{"api.example.com"},
		Origins: []string{"https://app.example.com"},
		CORS:    cors.Config{Credentials: true, Methods: []string{"GET", "POST"}, MaxAge: 10 * time.Minute},
		RateLimit: ratelimit.Config{Rules: []ratelimit.Rule{{
			Name:   "write",
			Match:  []string{"POST /posts"},
			Limits: []ratelimit.Limit{{Max: 10, Window: time.Minute}, {Max: 2, Window: time.Second}},
			By:     []ratelimit.Part{ratelimit.ByPrincipal},
		}}},
	}

	type Post struct {
		Title   string   `json:"title" text:"line" minLength:"1" maxLength:"200"`
		Content string   `json:"content" text:"rich" minLength:"10" maxLength:"65536"`
		Tags    []string `json:"tags" optional:"true" text:"identifier" minLength:"2" maxLength:"50" maxItems:"10" uniqueItems:"drop"`
	}
	schema, err := validate.Compile[Post]()
	if err != nil {
		panic(err)
	}
	post, report := schema.Decode([]byte(`{"title": " On crenels ", "content": "<p onclick=x()>The gaps between.</p>", "tags": ["Walls", "walls"]}`))
	fmt.Printf("%q %q %q %v\n", post.Title, post.Content, post.Tags, report.Problems)

	store, err := apikey.NewMemory(1000)
	if err != nil {
		panic(err)
	}
	keys, err := apikey.New(apikey.Config{Store: store, Scopes: []string{"posts:write"}})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	key, _, err := keys.Create(ctx, apikey.NewKey{
		Owner: "usr_ada", Name: "reports",
		Scopes: []string{"posts:write"}, MakerScopes: []string{"posts:write"},
	})
	if err != nil {
		panic(err)
	}
	cfg.Routes = []merlon.Route{
		{Pattern: "GET /posts", Public: true},
		{Pattern: "POST /posts", Scopes: []string{"posts:write"}},
	}
	cfg.Authn = authn.Config{Keys: authn.Keys(keys, nil)}
	guard, err := merlon.New(cfg)
	if err != nil {
		panic(err)
	}

	api := guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	for range 3 {
		r := httptest.NewRequest("POST", "https://api.example.com/posts", nil)
		r.Header.Set("X-API-Key", key)
		r.Header.Set("Origin", "https://app.example.com")
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("Access-Control-Allow-Origin"), w.Header().Get("X-RateLimit-Remaining"))
	}
	// Output:
	// "On crenels" "<p>The gaps between.</p>" ["walls"] []
	// 200 https://app.example.com 1
	// 200 https://app.example.com 0
	// 429 https://app.example.com 0
}
