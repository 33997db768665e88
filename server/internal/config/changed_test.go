package config_test

import (
	"slices"
	"testing"

	"github.com/merlonhq/merlon/server/internal/config"
)

func TestChangedNamesTheSettingsThatDiffer(t *testing.T) {
	load := func(in input) config.Settings {
		set, problems := loadFiles(in.files, in.yaml, in.env...)
		if config.Fatal(problems) {
			t.Fatal(problems)
		}
		return set
	}
	for _, tt := range []struct {
		name string
		a, b input
		want []string
	}{
		{"nothing", y(""), y(""), nil},
		{"a default that is written out", y(""), y("audit: {keep: 10}"), nil},
		{"lists that are written out as empty", y(""), y("origins: []\nacme: {domains: []}\naudit: {canaries: []}\ncheck: {silence: []}"), nil},
		{"a list that is emptied", y("origins: [\"https://a.example\"]"), y("origins: []"), []string{"origins"}},
		{"values and lists, in order", y(""), y("audit: {keep: 9}\norigins: [\"https://a.example\"]"), []string{"origins", "audit.keep"}},
		{"a rule", y(rule), y(rule[:len(rule)-1] + "\n  - {name: b, match: [GET /api/v1/users/me], limit: 1, window: 1m, by: [address]}\n"), []string{"rate_limits.rules"}},
		{"a secret", y(""), y("secret_key: " + testKey + "-1"), []string{"secret_key"}},
		{"a secret key that is generated", dev(""), dev(""), nil},
	} {
		if got := config.Changed(load(tt.a), load(tt.b)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
