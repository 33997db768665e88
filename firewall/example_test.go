package firewall_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/merlonhq/merlon/firewall"
)

func Example() {
	stage, err := firewall.New(firewall.Config{Hosts: []string{"api.example.com"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := stage.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "served")
	}))
	for _, target := range []string{
		"https://api.example.com/items/42",
		"https://api.example.com/public/%2e%2e/admin",
		"https://evil.example/items/42",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 400
	// 421
}
