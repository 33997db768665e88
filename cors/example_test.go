package cors_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/merlonhq/merlon/cors"
	"github.com/merlonhq/merlon/route"
)

func Example() {
	stage, err := cors.New(cors.Config{
		Origins:     []string{"https://app.example.com", "https://*.partner.example"},
		Credentials: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := stage.Handler(http.NotFoundHandler())

	preflight := httptest.NewRequest("OPTIONS", "/api/v1/posts", nil)
	preflight.Header.Set("Origin", "https://shop.partner.example")
	preflight.Header.Set("Access-Control-Request-Method", "PATCH")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, preflight)
	fmt.Println(answer.Code, answer.Header().Get("Access-Control-Allow-Origin"))

	preflight.Header.Set("Origin", "https://shop.evil.example")
	answer = httptest.NewRecorder()
	handler.ServeHTTP(answer, preflight)
	fmt.Println(answer.Code, answer.Header().Get("Access-Control-Allow-Origin") == "")
	// Output:
	// 204 https://shop.partner.example
	// 403 true
}

func Example_routes() {
	routes := []route.Route{
		{Pattern: "GET /api/v1/posts", Public: true, CORS: &route.CORS{InsecureAnyOrigin: "posts are published"}},
		{Pattern: "POST /api/v1/posts", Scopes: []string{"posts:write"}},
		{Pattern: "POST /api/v1/hooks", Public: true, CORS: &route.CORS{AddOrigins: []string{"https://shop.partner.example"}}},
		{Pattern: "POST /api/v1/uploads", AccountOnly: true, CORS: &route.CORS{
			AddRequestHeaders: []string{"Upload-Offset"}, AddExposedHeaders: []string{"Location"}}},
		{Pattern: "POST /api/v1/admin/users", Role: "admin", CORS: &route.CORS{Off: true}},
	}
	table, err := route.New(routes)
	if err != nil {
		fmt.Println(err)
		return
	}
	stage, err := cors.New(cors.Config{Origins: []string{"https://app.example.com"}, Credentials: true, Routes: table})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := stage.Handler(http.NotFoundHandler())
	for _, ask := range []struct{ method, path, origin string }{
		{"GET", "/api/v1/posts", "https://anybody.example"},
		{"POST", "/api/v1/posts", "https://anybody.example"},
		{"POST", "/api/v1/hooks", "https://shop.partner.example"},
		{"POST", "/api/v1/admin/users", "https://app.example.com"},
	} {
		preflight := httptest.NewRequest("OPTIONS", ask.path, nil)
		preflight.Header.Set("Origin", ask.origin)
		preflight.Header.Set("Access-Control-Request-Method", ask.method)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, preflight)
		fmt.Printf("%d %q %q\n", answer.Code, answer.Header().Get("Access-Control-Allow-Origin"), answer.Header().Get("Access-Control-Allow-Methods"))
	}
	// Output:
	// 204 "*" "GET, HEAD"
	// 403 "" ""
	// 204 "https://shop.partner.example" "POST"
	// 403 "" ""
}
