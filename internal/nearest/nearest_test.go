package nearest_test

import (
	"testing"

	"github.com/merlonhq/merlon/internal/nearest"
)

func TestName(t *testing.T) {
	names := []string{"csrf", "csrf-token", "cors", "authn", "authz"}
	for given, want := range map[string]string{
		"crsf":       "csrf", // two neighbours swapped are one edit
		"csrf_token": "csrf-token",
		"corse":      "cors",
		"auth":       "authn", // of two as near, the first
		"authz":      "authz",
		"x":          "", // all of it would have to change
		"waf-rules!": "",
		"":           "",
	} {
		if got := nearest.Name(given, names); got != want {
			t.Errorf("%q: %q; want %q", given, got, want)
		}
	}
}
