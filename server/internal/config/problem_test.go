package config_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/server/internal/config"
)

// An error shows the value it refuses, but for what looks like a secret.
func TestWhatLooksLikeASecretIsNotShown(t *testing.T) {
	b := make([]byte, 32)
	for range 100 {
		_, _ = rand.Read(b) // never fails, see crypto/rand
		for _, secret := range []string{
			base64.StdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b), hex.EncodeToString(b), hex.EncodeToString(b[:16]),
			config.GenerateKey().Reveal(), "mrl_live_" + base64.RawURLEncoding.EncodeToString(b[:20]), "sk-" + hex.EncodeToString(b[:12]),
			"eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(b) + ".x", "https://a.example/?token=" + hex.EncodeToString(b),
			"postgres://merlon:hunter@db/merlon",
		} {
			_, problems := load(production("environment: '" + secret + "'\norigins: ['" + secret + "']\n'" + secret + "': 1\n"))
			if out := lines(problems); strings.Contains(out, secret) || len(problems) < 3 {
				t.Fatalf("%d problems:\n%s", len(problems), out)
			}
			_, problems = load("", "MERLON_SECRET_KEY_FILE="+secret)
			if out := lines(problems); strings.Contains(out, secret) || !strings.Contains(out, "E010 MERLON_SECRET_KEY_FILE") {
				t.Fatalf("in the place of a file's name:\n%s", out)
			}
			if strings.Contains(config.ShowPath(secret), secret) {
				t.Fatalf("as a path: %s", secret)
			}
		}
	}
	for _, mistake := range []string{"staging", "Production", "https://App.example.com", "app-2.example.com", "ftp://files-west-1.example.com", "enviromentproduction", "Access-Control-Request-Method"} {
		_, problems := load(production("environment: '" + mistake + "'\norigins: ['" + mistake + "']\n"))
		if out := lines(problems); strings.Count(out, `"`+mistake+`"`) != 2 {
			t.Errorf("%q is not shown:\n%s", mistake, out)
		}
	}
	for _, path := range []string{"/run/secrets/secret_key", "/etc/merlon/key.pem", "/etc/letsencrypt/live/api.example.com/privkey.pem", "secret_key", "/var/lib/merlon-2/key",
		"/nix/store/0c1cm9m0g2k4vq7y8wq1s3f5h7j9l1n3-merlon/secret_key", "certificates/production-2026-eu-west-1.pem", "./production-2026-eu-west-1"} {
		if got := config.ShowPath(path); got != path {
			t.Errorf("%s is shown as %s", path, got)
		}
	}
}
