package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
)

// productionSettings loads a settings file for production in an empty directory,
// which is the working directory then.
func productionSettings(t *testing.T, more string) []Problem {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	file := filepath.Join(dir, "merlon.yaml")
	if err := os.WriteFile(file, []byte("hosts: [api.example.com]\ntrusted_proxies: [127.0.0.1]\n"+more), 0o600); err != nil {
		t.Fatal(err)
	}
	_, problems := CheckSettings(Source{File: file, Environ: []string{"MERLON_SECRET_KEY=" + GenerateSecretKey()}})
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the check made something: %v, %v", entries, err)
	}
	return problems
}

func TestCheckSettingsFindsWhatIsWeakAndStopsForNothingOfIt(t *testing.T) {
	problems := productionSettings(t, "sessions: {absolute_timeout: 48h}\n")
	found := false
	for _, p := range problems {
		if p.Fatal || p.Severity == "" || p.Why == "" || p.Help == "" {
			t.Errorf("fatal or incomplete: %+v", p)
		}
		found = found || p.ID == "merlon.W022" && strings.HasPrefix(p.String(), "merlon.W022 medium ")
	}
	if !found || Fatal(problems) {
		t.Errorf("%v", problems)
	}
	if problems = productionSettings(t, "sessions: {absolute_timeout: 24h}\n"); idsWithoutRoot(problems) != "merlon.W004 merlon.W028 merlon.W057 merlon.W069" {
		t.Errorf("the nearest neighbour: %v, want the length of passwords, the contact, the clear text behind the proxy and the secret in a variable", problems)
	}
}

// idsWithoutRoot are the ids of problems, but for that of a test that runs as root.
func idsWithoutRoot(problems []Problem) string {
	var ids []string
	for _, p := range problems {
		if p.ID != "merlon.W064" {
			ids = append(ids, p.ID)
		}
	}
	return strings.Join(ids, " ")
}

// Whatever the parts of the service refuse is told by the check as well.
func TestWhatDoesNotWorkTogetherIsAProblem(t *testing.T) {
	set, problems := config.Load(config.Source{Environ: []string{"MERLON_ENVIRONMENT=development"}, Open: noFile})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if found := together(set); len(found) > 0 {
		t.Errorf("%v", found)
	}
	set.RateLimits.Rules[0].Name = "Not A Name" // what the settings refuse before
	set.Hosts = []string{"a b"}
	found := together(set)
	if len(found) < 2 {
		t.Errorf("%v, want the rule and the host", found)
	}
	for _, p := range found {
		if p.ID != "merlon.E060" || p.Severity != config.SeverityError {
			t.Errorf("%+v", p)
		}
	}
}

// Each entry that the settings take is one that the stages take.
func TestEdgesOfTheSettingsAreThoseOfTheService(t *testing.T) {
	for _, more := range []string{
		"hosts: [\"::1\", \"2001:db8::1\", 192.0.2.1, a-b.example, xn--mnchen-3ya.example]",
		"origins: [\"https://[::1]:3000\", \"https://*.example.com\", \"https://a.example:65535\"]",
		"trusted_proxies: [\"fe80::/64\", 10.0.0.0/8, \"::ffff:11.0.0.0/104\", \"fc00::/7\"]",
		"cors: {credentials: false, methods: [], request_headers: [], exposed_headers: [], max_age: 0s}",
		"cors: {methods: [GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS], max_age: 24h, request_headers: [x-csrf-token]}",
		"password: {algorithm: bcrypt, bcrypt_cost: 16, min_length: 64}",
		"password: {memory_kib: 1048576, time: 16, threads: 16}",
		"sessions: {idle_timeout: 1m, absolute_timeout: 1m}",
		"sessions: {idle_timeout: 24h, absolute_timeout: 720h}",
		"headers: {hsts_max_age: 5m}",
		"headers: {hsts_max_age: 87600h}",
		"rate_limits: {default: {limit: 1, window: 1s, by: [principal, session, key, \"header:X-A\", route]}, address: {limit: 1000000, window: 744h}, bad_credentials: {limit: 1, window: 744h}}",
		"rate_limits: {rules: [{name: abcdefghijklmnopqrstuvwx, match: [\"GET /{x...}\"], limit: 1000000, window: 744h, by: [address, account, principal, principal_or_address, session, key, \"header:X-B\", route]}]}",
		"rate_limits: {rules: []}",
		"security_contact: \"tel:+1-201-555-0123\"",
	} {
		for _, base := range []string{"environment: development\n", "secret_key: " + GenerateSecretKey() + "\nhosts: [a.example]\ntrusted_proxies: [10.0.0.1]\n"} {
			name, _, _ := strings.Cut(more, ":")
			if i := strings.Index(base, name+":"); i >= 0 {
				j := i + strings.Index(base[i:], "\n")
				base = base[:i] + base[j+1:]
			}
			file := filepath.Join(t.TempDir(), "merlon.yaml")
			if err := os.WriteFile(file, []byte(base+more), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, problems := CheckSettings(Source{File: file}); Fatal(problems) {
				t.Errorf("%s:\n%v", base+more, problems)
			}
		}
	}
}

// What is silenced for the check is silenced for the commands that only load settings.
func TestLoadedSettingsAreSilencedToo(t *testing.T) {
	const rules = "rate_limits: {rules: [{name: all, match: [\"POST /api/v1/auth/{rest...}\", POST /api/v1/users/me/password], limit: 5, window: 5m, by: [address]}]}\n"
	until := time.Now().UTC().AddDate(0, 0, 30).Format(time.DateOnly)
	for more, silenced := range map[string]bool{
		"": false,
		"check: {silence: [{id: merlon.W001, reason: nobody registers, until: " + until + "}]}\n": true,
		"check: {silence: [{id: merlon.W001, reason: nobody registers, until: 2026-01-01}]}\n":    false,
	} {
		file := filepath.Join(t.TempDir(), "merlon.yaml")
		if err := os.WriteFile(file, []byte("hosts: [api.example.com]\ntrusted_proxies: [127.0.0.1]\n"+rules+more), 0o600); err != nil {
			t.Fatal(err)
		}
		_, problems := LoadSettings(Source{File: file, Environ: []string{"MERLON_SECRET_KEY=" + GenerateSecretKey()}})
		if len(problems) != 1 || problems[0].ID != "merlon.W001" || (problems[0].Silenced != nil) != silenced {
			t.Errorf("%q: %+v", more, problems)
		}
	}
}
