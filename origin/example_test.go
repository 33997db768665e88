package origin_test

import (
	"fmt"

	"github.com/merlonhq/merlon/origin"
)

func Example() {
	trusted, err := origin.Compile([]string{"https://app.example.com", "https://*.example.org"}, origin.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, from := range []string{"https://app.example.com", "https://a.example.org", "https://example.org", "null"} {
		fmt.Println(from, trusted.Has(from))
	}
	// Output:
	// https://app.example.com true
	// https://a.example.org true
	// https://example.org false
	// null false
}
