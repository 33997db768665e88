package cors_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/merlonhq/merlon/cors"
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
