package identity_test

import (
	"testing"

	"github.com/merlonhq/merlon/identity"
)

func TestInQuery(t *testing.T) {
	for raw, want := range map[string]bool{
		"":                          false,
		"q=1&page=2":                false,
		"api_key=x":                 true,
		"API_KEY=x":                 true,
		"q=1&access_token=":         true,
		"X-API-Key=x":               true,
		"api%5fkey=x":               true,
		"apikey":                    true,
		"q=mrl_live_a_b":            true,
		"q=%6drl_live_a_b":          true,
		"q=amrl_live":               false,
		"q=%zz&api-key=x":           true,
		"monkey=x&keyboard=y":       false,
		"my_api_key_is=1":           false,
		"q=1;api_key=x":             false, // net/url takes no semicolons apart either
		"cursor=key_0190&limit=100": false,
	} {
		if got := identity.InQuery(raw); got != want {
			t.Errorf("InQuery(%q) = %v, want %v", raw, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { identity.InQuery("q=1&page=2&limit=100") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
