package config_test

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/merlonhq/merlon/server/internal/config"
)

// reload reads what s prints, with its secrets put back where they were redacted.
func reload(s config.Settings) (config.Settings, []config.Problem) {
	var out []string
	for line := range strings.Lines(string(s.YAML())) {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "secret_key":
			line = name + ": " + strconv.Quote(s.SecretKey.Reveal()) + "\n"
		case "database_url":
			line = name + ": " + strconv.Quote(s.DatabaseURL.Reveal()) + "\n"
		case "redis_url":
			line = name + ": " + strconv.Quote(s.RedisURL.Reveal()) + "\n"
		case "secret_key_previous":
			line = name + ": ["
			for _, k := range s.SecretKeyPrevious {
				line += strconv.Quote(k.Reveal()) + ", "
			}
			line = strings.TrimSuffix(line, ", ") + "]\n"
		}
		out = append(out, line)
	}
	return load(strings.Join(out, ""))
}

func equal(a, b config.Settings) string {
	return cmp.Diff(a, b, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(config.Settings{}, "SecretKeyGenerated"),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }))
}

func TestPrintedSettingsReadBackTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ -~é☃]{0,40}`)
		file := rapid.StringMatching(`[a-zA-Z0-9/'"\\ .{}:,\[\]&*!|>%é-]{1,30}`).Filter(func(s string) bool { return !strings.Contains(s, "BEGIN") })
		yaml := production("")
		env := []string{
			"MERLON_AUDIT__LOG=" + file.Draw(t, "log") + ".log",
			"MERLON_INSECURE_SHADOW__CONTROLS=" + rapid.SampledFrom([]string{"csrf", "cors,csrf-token"}).Draw(t, "controls"),
			"MERLON_INSECURE_SHADOW__REASON=" + rapid.StringMatching(`[!-~é☃][ -~é☃]{0,40}`).Draw(t, "reason"),
			"MERLON_TLS__CERT=" + file.Draw(t, "cert") + ".cert", "MERLON_TLS__KEY=" + file.Draw(t, "key") + ".key",
			"MERLON_SECRET_KEY_PREVIOUS=" + testKey + "-1," + testKey + "-2",
			"MERLON_SESSIONS__IDLE_TIMEOUT=" + rapid.SampledFrom([]string{"1m", "61s", "1h1s", "1h0m0s", "90m"}).Draw(t, "idle"),
			"MERLON_CORS__MAX_AGE=" + rapid.SampledFrom([]string{"0s", "24h", "1h30m", "10s"}).Draw(t, "age"),
			"MERLON_ORIGINS=" + rapid.SampledFrom([]string{"", "https://a.example,https://*.b.example", "https://[::1]:1"}).Draw(t, "origins"),
			"MERLON_HOSTS=" + rapid.SampledFrom([]string{"a.example", "true", "null,no,1.2.3.4", "::1"}).Draw(t, "hosts"),
			"MERLON_DATABASE_URL=sqlite:" + rapid.StringMatching(`[a-z/ .é-]{1,20}`).Filter(func(s string) bool { return !strings.HasPrefix(s, "//") }).Draw(t, "db") + ".db",
			"MERLON_RATE_LIMITS__DEFAULT__LIMITS=" + rapid.SampledFrom([]string{"", "100/1m", "1000/1h30m,20/1s"}).Draw(t, "limits"),
			"MERLON_RATE_LIMITS__IPV6_PREFIX=" + rapid.SampledFrom([]string{"64", "48"}).Draw(t, "prefix"),
			"MERLON_RATE_LIMITS__INSECURE_EXEMPT__ADDRESSES=" + rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.0/8,fd00::/8"}).Draw(t, "exempt"),
			"MERLON_RATE_LIMITS__INSECURE_EXEMPT__REASON=load test",
			"MERLON_RATE_LIMITS__DEFAULT__BY=address,header:" + rapid.StringMatching("[!#$%&'*+.^_`|~0-9A-Z-]{1,20}").Draw(t, "by"),
		}
		s, problems := load(yaml, env...)
		if len(problems) > 0 {
			t.Fatalf("refused:\n%s", lines(problems))
		}
		again, problems := reload(s)
		if diff := equal(s, again); diff != "" || len(problems) > 0 {
			t.Fatalf("%s\n%s\n%s", diff, lines(problems), s.YAML())
		}
		// Texts that no setting would take print as one value all the same.
		s.SecurityContact = text.Draw(t, "text")
		again, _ = reload(s)
		if again.Audit.Log != s.Audit.Log || !slices.Equal(again.Hosts, s.Hosts) {
			t.Fatalf("a text breaks the file:\n%s", s.YAML())
		}
	})
}

func TestPrintedSecretsAreRefusedWhenReadBack(t *testing.T) {
	s, _ := load(production("redis_url: redis://h\nsecret_key_previous: [" + testKey + "-1]"))
	_, problems := load(string(s.YAML()))
	wantIDs(t, problems, "E014", "E014", "E032", "E065")
}

func TestSettingsWithProblemsPrintToo(t *testing.T) {
	s, problems := load("environment: nonsense\nlisten: 1\nrate_limits: {rules: []}\nhosts: [a.example]")
	if out := string(s.YAML()); !config.Fatal(problems) || !strings.Contains(out, "hosts: [a.example]\n") || !strings.Contains(out, "  rules: []\n") ||
		!strings.Contains(out, "secret_key: \"\"\n") || !strings.Contains(out, "environment: production\n") {
		t.Errorf("%s", out)
	}
}
