//go:build unix

package main_test

import (
	"strings"
	"testing"
)

// What production refuses, each with the nearest thing that it serves.
func TestProductionRefusesWhatIsWeak(t *testing.T) {
	t.Parallel()
	const (
		hosts = "hosts: [api.example.com]\n"
		proxy = "trusted_proxies: [127.0.0.1]\n"
		good  = "3f9b2c71d84e60a5f7c1290eb46d8a53"
		key   = "secret_key: " + good + "\n"
	)
	for _, tt := range []struct{ name, id, bad, good string }{
		{"no secret key", "merlon.E013", hosts + proxy, hosts + proxy + key},
		{"an empty secret key", "merlon.E013", hosts + proxy + "secret_key: \"\"\n", hosts + proxy + key},
		{"a secret key of 31 bytes", "merlon.E014", hosts + proxy + "secret_key: " + good[:31] + "\n", hosts + proxy + key},
		{"a placeholder", "merlon.E014", hosts + proxy + "secret_key: change-me-" + good + "\n", hosts + proxy + "secret_key: chang-me-" + good + "\n"},
		{"one word over and over", "merlon.E014", hosts + proxy + "secret_key: " + strings.Repeat(good[:8], 4) + "\n", hosts + proxy + "secret_key: " + strings.Repeat(good[:8], 4) + "x\n"},
		{"a weak former key", "merlon.E014", hosts + proxy + key + "secret_key_previous: [short]\n", hosts + proxy + key + "secret_key_previous: [" + good[1:] + "0]\n"},
		{"no hosts", "merlon.E015", proxy + key, hosts + proxy + key},
		{"a clear-text origin", "merlon.E018", hosts + proxy + key + "origins: [\"http://app.example.com\"]\n", hosts + proxy + key + "origins: [\"https://app.example.com\"]\n"},
		{"a local clear-text origin", "merlon.E018", hosts + proxy + key + "origins: [\"http://localhost:3000\"]\n", hosts + proxy + key + "origins: [\"https://app.example.com:3000\"]\n"},
		{"every origin, with credentials", "merlon.E017", hosts + proxy + key + "origins: [\"*\"]\n", hosts + proxy + key + "origins: [\"https://*.example.com\"]\n"},
		{"every origin, without credentials", "merlon.E017", hosts + proxy + key + "origins: [\"*\"]\ncors: {credentials: false}\n", hosts + proxy + key + "origins: [\"https://*.example.com\"]\ncors: {credentials: false}\n"},
		{"the origin of no one", "merlon.E017", hosts + proxy + key + "origins: [\"null\"]\n", hosts + proxy + key + "origins: []\n"},
		{"a wildcard over strangers", "merlon.E017", hosts + proxy + key + "origins: [\"https://*.co.uk\"]\n", hosts + proxy + key + "origins: [\"https://*.example.co.uk\"]\n"},
		{"every request header, with credentials", "merlon.E026", hosts + proxy + key + "cors: {request_headers: [\"*\"]}\n", hosts + proxy + key + "cors: {request_headers: [X-CSRF-Token]}\n"},
		{"HTTPS enforced by nobody", "merlon.E016", hosts + key, hosts + proxy + key},
		{"a switch for HTTPS enforcement", "merlon.E003", hosts + proxy + key + "https_only: false\n", hosts + proxy + key},
		{"everybody as a proxy", "merlon.E021", hosts + key + "trusted_proxies: [0.0.0.0/0]\n", hosts + key + "trusted_proxies: [10.0.0.0/8]\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := run(t, merlon("serve", "--listen", "127.0.0.1:0", "--config", write(t, dir, "merlon.yaml", tt.bad)).in(dir))
			if r.code != 2 || !strings.HasPrefix(r.stderr, tt.id+" ") || len(names(t, dir)) != 1 {
				t.Errorf("exit %d, made %v, want 2 and %s:\n%s", r.code, names(t, dir), tt.id, r.stderr)
			}
			startService(t, merlon("--config", write(t, dir, "merlon.yaml", tt.good)).in(dir)).stop()
		})
	}
	// No account has a default password, and none can be given one.
	t.Run("default passwords", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		config := write(t, dir, "merlon.yaml", hosts+proxy+key)
		for _, password := range []string{"password", "changeme", "admin123", "12345678", "administrator", "root-admin", "merlon123", "api.example.com"} {
			if r := run(t, create("root-admin", "ops@example.com", "--role", "admin", "--config", config).in(dir).reading(password+"\n")); r.code != 1 || r.stdout != "" || !strings.HasPrefix(complaint(t, r), "merlon: password: The password is ") {
				t.Errorf("%s: exit %d:\n%s%s", password, r.code, r.stdout, r.stderr)
			}
		}
		createUser(t, merlon("--config", config).in(dir), "root-admin", passphrase, "admin")
	})
}
