package clientip_test

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/merlonhq/merlon/clientip"
)

func Example() {
	stage, err := clientip.New(clientip.Config{TrustedProxies: []string{"10.0.0.0/8"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The client claims to be 198.51.100.1; the proxy notes where it came from.
	h := http.Header{"X-Forwarded-For": {"198.51.100.1, 192.0.2.7"}, "X-Forwarded-Proto": {"https"}}
	fmt.Println("by the proxy:", stage.Resolve(netip.MustParseAddr("10.0.0.5"), h))
	fmt.Println("directly:    ", stage.Resolve(netip.MustParseAddr("203.0.113.9"), h))
	// Output:
	// by the proxy: {192.0.2.7 true https }
	// directly:     {203.0.113.9 false  }
}
