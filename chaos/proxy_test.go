//go:build unix

package chaos_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// A link is the network between one node and one store.
type link struct{ proxy *toxiproxy.Proxy }

// newLink opens a link to the address of a store.
func newLink(t *testing.T, name, upstream string) *link {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, name, "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return &link{p}
}

func (l *link) addr() string { return l.proxy.Listen }

// toxic disturbs the link. Attributes are those of toxiproxy, in milliseconds.
func (l *link) toxic(t *testing.T, kind, attribute string, ms int) {
	t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		if kind == "latency" && stream == "upstream" {
			continue // a round trip is late once
		}
		_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(
			fmt.Sprintf(`{"type": %q, "stream": %q, "attributes": {%q: %d}}`, kind, stream, attribute, ms)))
		if err != nil {
			t.Error(err)
		}
	}
}

// cut closes all connections and refuses new ones.
func (l *link) cut() { l.proxy.Stop() }

// heal ends every disturbance.
func (l *link) heal(t *testing.T) {
	t.Helper()
	l.proxy.Toxics.ResetToxics(context.Background())
	if !l.proxy.Enabled {
		if err := l.proxy.Start(); err != nil {
			t.Error(err)
		}
	}
}
