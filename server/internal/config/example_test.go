package config_test

import (
	"fmt"

	"github.com/merlonhq/merlon/server/internal/config"
)

func ExampleLoad() {
	_, problems := config.Load(config.Source{
		File: "merlon.yaml",
		Open: files{"merlon.yaml": []byte("host: [api.example.com]\n")}.open,
		Environ: []string{
			"MERLON_SECRET_KEY=changeme",
			"MERLON_TRUSTED_PROXIES=0.0.0.0/0",
		},
	})
	for _, p := range problems {
		fmt.Println(p)
	}
	// Output:
	// merlon.E003 merlon.yaml:1: unknown setting "host"; did you mean hosts?
	// merlon.E014 MERLON_SECRET_KEY: secret_key: is shorter than 32 bytes; write at least 32 random bytes as text, such as the output of merlon secrets generate
	// merlon.E021 MERLON_TRUSTED_PROXIES: trusted_proxies: "0.0.0.0/0" trusts everyone to say who they are; name the networks of your own proxies
	// merlon.E015 settings: hosts: production needs the names of this service; write hosts: [api.example.com]
}
