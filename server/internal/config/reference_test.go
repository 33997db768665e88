package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/server/internal/config"
)

var update = flag.Bool("update", false, "write the page that a test compares")

const settingsPage = "../../../docs/settings.md"

func TestEverySettingSaysWhatItIsFor(t *testing.T) {
	all := append(append(config.Reference(), config.RuleReference()...), config.SilenceReference()...)
	for _, s := range all {
		if !strings.HasSuffix(s.Meaning, ".") || strings.ContainsAny(s.Meaning, "\n|") || s.Accepts == "" {
			t.Errorf("%s: meaning %q, accepts %q", s.Name, s.Meaning, s.Accepts)
		}
	}
	if n := config.UnusedMeanings(); len(n) > 0 {
		t.Errorf("no setting has the name of these meanings: %v", n)
	}
}

// docs/settings.md is what the table says. Write it anew with
// go test ./server/internal/config -run TestTheSettingsPage -update
func TestTheSettingsPageIsTheTable(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Settings

Every setting, from the table that the program reads them by. How they are given, and
what production asks for, stands in [operating.md](operating.md); what is wrong with a
value, in [checks.md](checks.md). ` + "`merlon config init`" + ` writes a file with all of them,
` + "`merlon config print`" + ` shows those in force.

`)
	cell := func(s string) string {
		if s == "" {
			return ""
		}
		return "`" + s + "`"
	}
	b.WriteString("| setting | variable | default | takes | for |\n|---|---|---|---|---|\n")
	for _, s := range config.Reference() {
		def := cell(s.Default)
		if strings.Contains(s.Default, "see below") {
			def = s.Default
		}
		b.WriteString("| " + cell(s.Name) + " | " + cell(s.Variable) + " | " + def + " | " + s.Accepts + " | " + s.Meaning + map[bool]string{true: " †"}[s.Restart] + " |\n")
	}
	b.WriteString("\n† A change takes a restart. All others are put in force by a [reload](operating.md#reload).\n")
	b.WriteString("\nA secret may also be in the file that its variable with `_FILE` names, in `/run/secrets/<name>`\nor in `$CREDENTIALS_DIRECTORY/<name>`: in one place only.\n")
	b.WriteString("\n## A rule of rate_limits.rules\n\n| member | default | takes | for |\n|---|---|---|---|\n")
	for _, s := range config.RuleReference() {
		b.WriteString("| " + cell(s.Name) + " | " + cell(s.Default) + " | " + s.Accepts + " | " + strings.ReplaceAll(s.Meaning, "|", "\\|") + " |\n")
	}
	template := string(config.Template())
	rules := template[strings.Index(template, "  #rules:"):strings.Index(template, "\naudit:")]
	b.WriteString("\nThe built-in ones:\n\n```yaml\nrate_limits:\n" + regexp.MustCompile(`(?m)^  #`).ReplaceAllString(rules, "  ") + "```\n")
	b.WriteString("\n## A silence of check.silence\n\n| member | takes | for |\n|---|---|---|\n")
	for _, s := range config.SilenceReference() {
		b.WriteString("| " + cell(s.Name) + " | " + s.Accepts + " | " + s.Meaning + " |\n")
	}
	page(t, settingsPage, b.String())
}

// page compares a page of the documents, or writes it.
func page(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the code says: run this test with -update", path)
	}
}

var switchedOff = regexp.MustCompile(`^ *#(?:[a-z_]+:|  +(?:- )?[a-z_]+:)`)

// switchOn makes every default of a template a setting that is written.
func switchOn(template string) string {
	var b strings.Builder
	for line := range strings.Lines(template) {
		if switchedOff.MatchString(line) && !strings.HasPrefix(line, "#  ") {
			line = strings.Replace(line, "#", "", 1)
		}
		b.WriteString(line)
	}
	return b.String()
}

func TestTheTemplateLoadsOnceItIsFilledIn(t *testing.T) {
	template := string(config.Template())
	key := "MERLON_SECRET_KEY=" + testKey
	_, problems := load(template)
	wantIDs(t, problems, "E013", "E015", "E016")

	filled := strings.NewReplacer("hosts: []", "hosts: [api.example.com]", `  cert: ""`, "  cert: cert.pem", `  key: ""`, "  key: key.pem").Replace(template)
	got, problems := load(filled, key)
	wantIDs(t, problems)
	want, problems := load("hosts: [api.example.com]\ntls: {cert: cert.pem, key: key.pem}", key)
	wantIDs(t, problems)
	if diff := equal(want, got); diff != "" {
		t.Errorf("the template changes defaults:\n%s", diff)
	}

	// What it gives as defaults are the defaults: written out, nothing changes.
	on := switchOn(filled)
	got, problems = load(on, key)
	wantIDs(t, problems)
	if diff := equal(want, got); diff != "" {
		t.Errorf("a default of the template is not the default:\n%s", diff)
	}
	for _, s := range config.Reference() {
		leaf := s.Name[strings.LastIndexByte(s.Name, '.')+1:]
		if !regexp.MustCompile(`(?m)^ *# .*\n *#?`+leaf+`:`).MatchString(template) || !strings.Contains(template, "# "+s.Meaning) {
			t.Errorf("%s is not in the template with its meaning", s.Name)
		}
	}
}

func TestJSONHasTheShapeOfTheFile(t *testing.T) {
	s, problems := load(production("secret_key_previous: [" + testKey + "-1]\n" + rule))
	wantIDs(t, problems)
	text, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte(testKey)) || got["secret_key"] != "[redacted]" {
		t.Errorf("secrets: %s", text)
	}
	// YAML reads JSON: the settings are the same, but for what was redacted.
	again, problems := load(strings.NewReplacer(`"secret_key": "[redacted]"`, `"secret_key": "`+testKey+`"`,
		`"database_url": "[redacted]"`, `"database_url": "sqlite:merlon.db"`,
		"[\n    \"[redacted]\"\n  ]", `["`+testKey+`-1"]`).Replace(string(text)))
	wantIDs(t, problems)
	if diff := equal(s, again); diff != "" {
		t.Errorf("%s\n%s", diff, text)
	}
	empty, err := config.Settings{}.JSON()
	if err != nil || bytes.Contains(empty, []byte("null")) {
		t.Errorf("%v: %s", err, empty)
	}
}
