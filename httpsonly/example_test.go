package httpsonly_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/merlonhq/merlon/httpsonly"
)

func Example() {
	stage, err := httpsonly.New(httpsonly.Config{Hosts: []string{"api.example.com"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := stage.Handler(http.NotFoundHandler())
	for _, accept := range []string{"text/html", "application/json"} {
		r := httptest.NewRequest("GET", "http://api.example.com/items?page=2", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(accept, w.Code, w.Header().Get("Location"))
	}
	// Output:
	// text/html 308 https://api.example.com/items?page=2
	// application/json 403
}
