package ratelimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/route"
)

// A limiter as plain middleware: two registrations a minute, everything else by the default rules.
func Example() {
	routes, err := route.New([]route.Route{{Pattern: "POST /users", Public: true}})
	if err != nil {
		fmt.Println(err)
		return
	}
	limiter, err := ratelimit.New(ratelimit.Config{
		Routes: routes,
		Rules: []ratelimit.Rule{{
			Name:   "register",
			Match:  []string{"POST /users"},
			Limits: []ratelimit.Limit{{Max: 2, Window: time.Minute}},
			By:     []ratelimit.Part{ratelimit.ByAddress},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) }))
	for range 3 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("POST", "/users", nil))
		fmt.Println(w.Code, w.Header().Get("RateLimit-Policy"), "remaining", w.Header().Get("X-RateLimit-Remaining"))
	}
	// Output:
	// 201 "register";q=2;w=60 remaining 1
	// 201 "register";q=2;w=60 remaining 0
	// 429 "register";q=2;w=60 remaining 0
}
