package ratelimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/ratelimit/ratelimittest"
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

// A handler that asks for quota itself: exporting costs one unit a hundred rows.
func ExampleLimiter_Take() {
	limiter, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{
		Name: "export", OnCall: true,
		Limits: []ratelimit.Limit{{Max: 50, Window: time.Minute}},
		By:     []ratelimit.Part{ratelimit.ByPrincipalOrAddress},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	export := func(w http.ResponseWriter, r *http.Request) {
		rows, err := strconv.Atoi(r.URL.Query().Get("rows"))
		if err != nil || rows < 1 || rows > 10_000 {
			http.Error(w, "rows: 1 to 10000", http.StatusUnprocessableEntity)
			return
		}
		d := limiter.Take(r.Context(), "export", uint32(rows+99)/100)
		if !d.Allowed {
			d.Problem.Write(w, r, "") // 429 with Retry-After
			return
		}
		fmt.Fprintf(w, "%d rows; %d of %d units left, more in %v", rows, d.Remaining, d.Limit, d.Reset)
	}
	handler := limiter.Handler(http.HandlerFunc(export))
	for range 2 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/export?rows=3000", nil))
		fmt.Println(w.Code, w.Header().Get("X-RateLimit-Remaining"), w.Header().Get("Retry-After") != "")
	}
	// Output:
	// 200 20 false
	// 429 20 true
}

// A store of one's own is tested in the same way.
func TestMemoryConforms(t *testing.T) {
	ratelimittest.Run(t, func(t *testing.T) ratelimit.Store { return newMemory(t, 1024) })
}
