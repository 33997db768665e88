package csrf_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/merlonhq/merlon/csrf"
)

func Example() {
	protection, err := csrf.New(csrf.Config{
		Key:     []byte("an example, 32 random bytes in earnest"),
		Origins: []string{"https://app.example.com"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := protection.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "done")
	}))

	for _, from := range []string{"https://app.example.com", "https://evil.example"} {
		request := httptest.NewRequest("POST", "https://api.example.com/orders", nil)
		request.Header.Set("Sec-Fetch-Site", "cross-site")
		request.Header.Set("Origin", from)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		fmt.Println(from, answer.Code)
	}
	// Output:
	// https://app.example.com 200
	// https://evil.example 403
}
