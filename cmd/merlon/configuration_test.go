//go:build unix

package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Nothing of these may be shown: whoever reads the output is not who set them.
const (
	hidden      = "sesame-open-44170"
	hiddenKey   = "9d1f64be0c27a853" + hidden // long enough
	weakKey     = hidden
	production  = "environment: production\n"
	keyAndHosts = "secret_key: 3f9b2c71d84e60a5f7c1290eb46d8a53\nhosts: [api.example.com]\n"
)

// Every problem at once, each on its own line with its id; exit 2; nothing started.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	taken := listen(t)
	for _, tt := range []struct {
		name string
		file string
		env  []string
		args []string
		want []string // the beginning of each line, in any order
	}{
		{name: "nothing is set", want: []string{
			"merlon.E013 settings: secret_key", "merlon.E015 settings: hosts", "merlon.E016 settings: tls",
		}},
		{name: "misspelt", file: "enviroment: production\nhots: [api.example.com]\nrate_limits: {defualt: {limit: 5}}\nsessions: {idle_timout: 5m}\n", want: []string{
			`merlon.E003 CONFIG:1: unknown setting "enviroment"; did you mean environment?`,
			`merlon.E003 CONFIG:2: unknown setting "hots"; did you mean hosts?`,
			`merlon.E003 CONFIG:3: unknown setting "rate_limits.defualt"; did you mean rate_limits.default?`,
			`merlon.E003 CONFIG:4: unknown setting "sessions.idle_timout"; did you mean sessions.idle_timeout?`,
			"merlon.E013 ", "merlon.E015 ", "merlon.E016 ",
		}},
		{name: "wrong types", file: production + keyAndHosts + "trusted_proxies: [127.0.0.1]\nlisten: 8443\norigins: https://app.example.com\nsessions: {idle_timeout: 30}\ncors: yes please\naudit: {stdout: 1, keep: many}\n", want: []string{
			"merlon.E006 CONFIG:5: listen", "merlon.E006 CONFIG:6: origins", "merlon.E006 CONFIG:7: sessions.idle_timeout", "merlon.E006 CONFIG:8: cors",
			"merlon.E006 CONFIG:9: audit.stdout", "merlon.E006 CONFIG:9: audit.keep",
		}},
		{name: "wrong values", file: keyAndHosts + "environment: staging\norigins: [\"*\"]\ntrusted_proxies: [0.0.0.0/0, 10.0.0.1/8]\n" +
			"tls: {cert: cert.pem}\nsessions: {idle_timeout: 24h, absolute_timeout: 12h}\npassword: {memory_kib: 64, algorithm: md5}\nsecurity_contact: nobody\n", want: []string{
			"merlon.E012 CONFIG:3: environment", "merlon.E017 CONFIG:4: origins", "merlon.E021 CONFIG:5: trusted_proxies", "merlon.E020 CONFIG:5: trusted_proxies",
			"merlon.E022 CONFIG:6: tls.cert", "merlon.E028 CONFIG:7: sessions.idle_timeout", "merlon.E008 CONFIG:8: password.memory_kib", "merlon.E012 CONFIG:8: password.algorithm",
			"merlon.E025 CONFIG:9: security_contact",
		}},
		{name: "origins", file: production + keyAndHosts + "trusted_proxies: [127.0.0.1]\norigins: [\"*\", \"http://app.example.com\", \"https://app.example.com/\"]\n", want: []string{
			`merlon.E017 CONFIG:5: origins: "*"`, `merlon.E018 CONFIG:5: origins: "http://app.example.com"`, `merlon.E017 CONFIG:5: origins: "https://app.example.com/"`,
		}},
		{name: "origins of the environment", file: production + keyAndHosts + "trusted_proxies: [127.0.0.1]\n",
			env: []string{"MERLON_ORIGINS=*, null,http://app.example.com,https://*.co.uk,https://app.example.com:443,https://app.example.com"}, want: []string{
				`merlon.E017 MERLON_ORIGINS: origins: "*"`, `merlon.E017 MERLON_ORIGINS: origins: "null"`, `merlon.E018 MERLON_ORIGINS: origins: "http://app.example.com"`,
				`merlon.E017 MERLON_ORIGINS: origins: "https://*.co.uk"`, `merlon.E017 MERLON_ORIGINS: origins: "https://app.example.com:443"`,
			}},
		{name: "contradictions", file: "environment: development\nlisten: \"0.0.0.0:8080\"\nredirect_listen: \":8080\"\nheaders: {hsts_max_age: 24h}\n" +
			"origins: [\"*\"]\ncors: {credentials: true, request_headers: [\"*\"], insecure_private_network: \" \"}\n", want: []string{
			"merlon.E024 CONFIG:2: listen", "merlon.E050 CONFIG:3: redirect_listen", "merlon.E051 CONFIG:3: redirect_listen", "merlon.W002 medium CONFIG:4: headers.hsts_max_age",
			`merlon.E017 CONFIG:5: origins: "*"`, `merlon.E026 CONFIG:6: cors.request_headers`, "merlon.E007 CONFIG:6: cors.insecure_private_network",
		}},
		{name: "a certificate that is not there beside other errors", file: production + keyAndHosts + "tls: {cert: cert.pem, key: key.pem}\nlisten: \":8443\"\nredirect_listen: \"[::]:8443\"\n", want: []string{
			"merlon.E051 CONFIG:6: redirect_listen", "merlon.E052 cert.pem: tls.cert", "merlon.E052 key.pem: tls.key",
		}},
		{name: "twice and not yet", file: production + production + keyAndHosts + "trusted_proxies: [127.0.0.1]\nredis_url: \"redis://:" + hidden + "@cache/x\"\nacme: {domains: [api.example.com]}\n" +
			"tokens: {access_ttl: 2h}\nupstreams: []\n", want: []string{
			"merlon.E004 CONFIG:2: ", "merlon.E065 CONFIG:6: redis_url: does not name a database by its number", "merlon.E112 CONFIG:7: acme", "merlon.E008 CONFIG:8: tokens.access_ttl", "merlon.E011 CONFIG:9: upstreams",
		}},
		{name: "rules", file: production + keyAndHosts + "trusted_proxies: [127.0.0.1]\nrate_limits:\n  rules:\n" +
			"    - {name: Login, match: [/login], limit: 0, window: 5, by: [moon]}\n" +
			"    - {name: register, match: [POST /api/v1/users], limit: 5, window: 1m, bye: [address]}\n", want: []string{
			"merlon.E029 CONFIG:7: ", "merlon.E030 CONFIG:7: ", "merlon.E008 CONFIG:7: ", "merlon.E006 CONFIG:7: ", "merlon.E031 CONFIG:7: ",
			"merlon.E007 CONFIG:8: rate_limits.rules[1] has no by", `merlon.E003 CONFIG:8: rate_limits.rules[1] has no setting "bye"; did you mean by?`,
		}},
		{name: "variables", file: production + "trusted_proxies: [127.0.0.1]\n", env: []string{
			"MERLON_HOSTS=api.example.com,https://other.example", "MERLON_RATE_LIMITS__RULES=[]", "MERLON_SESIONS__IDLE_TIMEOUT=5m", "MERLON_LISTEN=8443", "MERLON_AUDIT__KEEP=x",
		}, want: []string{
			"merlon.E019 MERLON_HOSTS: ", "merlon.E036 MERLON_RATE_LIMITS__RULES: ", "merlon.E005 MERLON_SESIONS__IDLE_TIMEOUT: no setting has this variable; did you mean MERLON_SESSIONS__IDLE_TIMEOUT?",
			"merlon.E023 MERLON_LISTEN: ", "merlon.E006 MERLON_AUDIT__KEEP: ", "merlon.E013 ",
		}},
		{name: "secrets", file: production + "hosts: [api.example.com]\ntrusted_proxies: [127.0.0.1]\nsecret_kye: " + hiddenKey + "\nsecret_key_previous: [" + weakKey + "]\n", env: []string{
			"MERLON_SECRET_KEY=" + hiddenKey, "MERLON_SECRET_KEY_FILE=missing", "MERLON_SECRET_KYE=" + hiddenKey, "MERLON_DATABASE_URL=postgres://app:" + hidden + "@db",
		}, want: []string{
			`merlon.E003 CONFIG:4: unknown setting "secret_kye"; did you mean secret_key?`, "merlon.E014 CONFIG:5: secret_key_previous",
			"merlon.E005 MERLON_SECRET_KYE: no setting has this variable; did you mean MERLON_SECRET_KEY?", "merlon.E010 MERLON_SECRET_KEY_FILE",
			"merlon.E009 ", "merlon.E085 MERLON_DATABASE_URL: ",
		}},
		{name: "a secret in two places", file: production + "hosts: [api.example.com]\ntrusted_proxies: [127.0.0.1]\nsecret_key: " + hiddenKey + "\nsecret_key_previous: [1234567890, {a: " + hidden + "}]\n",
			env: []string{"MERLON_SECRET_KEY=" + weakKey}, want: []string{
				"merlon.E009 MERLON_SECRET_KEY: secret_key is set in CONFIG:4 and MERLON_SECRET_KEY", "merlon.E014 MERLON_SECRET_KEY: ", "merlon.E006 CONFIG:5: secret_key_previous", "merlon.E006 CONFIG:5: secret_key_previous",
			}},
		{name: "a secret with a tab in it", file: production + "hosts: [api.example.com]\ntrusted_proxies: [127.0.0.1]\n", env: []string{"MERLON_SECRET_KEY=" + hiddenKey + "\t" + hiddenKey}, want: []string{"merlon.E006 MERLON_SECRET_KEY: "}},
		{name: "a broken file with a secret in the broken line", file: production + "secret_key: \"" + hiddenKey + "\nhosts: [api.example.com]\n", want: []string{"merlon.E002 CONFIG:"}},
		{name: "a broken file and variables", file: "hosts: [api.example.com\n", env: []string{"MERLON_SECRET_KEY=" + weakKey, "MERLON_BOGUS=" + hidden}, want: []string{"merlon.E002 CONFIG:", "merlon.E014 MERLON_SECRET_KEY: ", "merlon.E005 MERLON_BOGUS: "}},
		{name: "no settings but a list", file: "- environment: production\n", want: []string{"merlon.E002 CONFIG:1: "}},
		{name: "no file", args: []string{"--config", "missing.yaml"}, want: []string{"merlon.E001 "}},
		{name: "a directory", args: []string{"--config", "."}, want: []string{"merlon.E001 "}},
		{name: "a flag", file: production + keyAndHosts + "trusted_proxies: [127.0.0.1]\n", args: []string{"--listen", "8443"}, want: []string{"merlon.E023 --listen: "}},
		{name: "development off loopback", env: []string{"MERLON_ENVIRONMENT=development"}, args: []string{"--listen", "0.0.0.0:0"}, want: []string{"merlon.E024 --listen: "}},
		// A port that is taken is found later than what is wrong with the settings.
		{name: "a port that is taken too", file: production + "hosts: [api.example.com]\n", args: []string{"--listen", taken}, want: []string{"merlon.E013 ", "merlon.E016 "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := []string{"serve"}
			place := filepath.Join(dir, "merlon.yaml")
			if tt.file != "" {
				write(t, dir, "merlon.yaml", tt.file)
				args = append(args, "--config", place)
			}
			r := run(t, merlon(append(args, tt.args...)...).in(dir).with(tt.env...))
			if r.code != 2 || r.stdout != "" {
				t.Errorf("exit %d, want 2, with nothing on standard output:\n%s", r.code, r.stdout)
			}
			got := lines(r.stderr)
			missing := slices.Clone(tt.want)
			for _, line := range got {
				if !problemLine.MatchString(line) {
					t.Errorf("not a problem with an id: %q", line)
				}
				i := slices.IndexFunc(missing, func(want string) bool {
					return strings.HasPrefix(line, strings.ReplaceAll(want, "CONFIG", place))
				})
				if i < 0 {
					t.Errorf("not expected: %s", line)
					continue
				}
				missing = slices.Delete(missing, i, i+1)
			}
			for _, want := range missing {
				t.Errorf("missing: %s", want)
			}
			if strings.Contains(r.stderr, hidden) || strings.Contains(r.stderr, "1234567890") {
				t.Errorf("a secret is shown:\n%s", r.stderr)
			}
			for _, made := range names(t, dir) {
				if made != "merlon.yaml" {
					t.Errorf("it made %s", made)
				}
			}
		})
	}
}

// id, place, what is wrong, and after a semicolon what to do.
var problemLine = regexp.MustCompile(`^merlon\.[EW]\d{3} [^ ].*: .+; .+$`)

// Findings are told and do not keep a service from serving.
func TestFindingsAreTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", "environment: development\nheaders: {hsts_max_age: 300s}\nrate_limits: {rules: []}\n")
	s := startService(t, merlon("--config", config).in(dir))
	s.call(t, 200, "GET", "/health", nil)
	r := s.stop()
	if got := regexp.MustCompile(`(?m)^merlon\.(W\d{3}) `).FindAllString(r.stderr, -1); len(got) != 5 {
		t.Errorf("findings %q, want W002 for HSTS and W001 for login, tokens, password change and registration:\n%s", got, r.stderr)
	}
}

// The settings of .env count in development, and only there.
func TestDotenv(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, ".env", "MERLON_AUDIT__LOG=from-dotenv.log\n")
	s := startService(t, merlon().in(dir).with("MERLON_ENVIRONMENT=development"))
	s.stop()
	if _, err := os.Stat(filepath.Join(dir, "from-dotenv.log")); err != nil {
		t.Errorf("in development: %v", err)
	}

	dir = t.TempDir()
	write(t, dir, ".env", "MERLON_AUDIT__LOG=from-dotenv.log\n")
	s = startService(t, merlon().in(dir).with("MERLON_SECRET_KEY=3f9b2c71d84e60a5f7c1290eb46d8a53", "MERLON_HOSTS=api.example.com", "MERLON_TRUSTED_PROXIES=127.0.0.1"))
	s.stop()
	if got := names(t, dir); slices.Contains(got, "from-dotenv.log") || !slices.Contains(got, "logs") {
		t.Errorf("in production: made %v, want logs", got)
	}
}

// Standard output is an event log where that is asked for, and nothing else.
func TestEventsOnStandardOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startService(t, merlon().in(dir).with("MERLON_ENVIRONMENT=development", "MERLON_AUDIT__STDOUT=true", "MERLON_AUDIT__LOG="))
	s.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("nobody", "nothing at all"))
	r := s.stop()
	all := logged(t, write(t, t.TempDir(), "stdout", r.stdout))
	if n := len(all); n < 3 || all[0].Type != "sys_startup" || all[n-1].Type != "sys_shutdown" || count(all, "authn_login_fail") != 1 {
		t.Errorf("standard output:\n%s", r.stdout)
	}
	if got := names(t, dir); slices.Contains(got, "logs") {
		t.Errorf("made %v, want no log file", got)
	}
}
