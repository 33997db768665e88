package headers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/merlonhq/merlon/headers"
)

func Example() {
	stage, err := headers.New(headers.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := stage.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `{"status": "ok"}`)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "https://api.example.com/status", nil))
	fmt.Println(w.Header().Get("Content-Security-Policy"))
	fmt.Println(w.Header().Get("Strict-Transport-Security"))
	// Output:
	// default-src 'none'; frame-ancestors 'none'
	// max-age=63072000; includeSubDomains
}

// A map needs more than the strict policy lets a page do.
func ExampleConfig_pages() {
	stage, err := headers.New(headers.Config{
		Pages: map[headers.Profile]headers.Page{
			"map": {
				CSP: headers.CSP{
					ImgSrc:     []headers.Source{headers.Self, "https://tiles.example.com"},
					ConnectSrc: []headers.Source{headers.Self, "https://search.example.com"},
				},
				Allow: []headers.Feature{headers.Geolocation},
			},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(stage.Has("map"))
	// Output:
	// true
}
