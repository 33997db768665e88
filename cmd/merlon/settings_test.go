//go:build unix

package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestConfigInit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	printed := run(t, merlon("config", "init").in(dir))
	if printed.code != 0 || printed.stderr != "" || len(names(t, dir)) != 0 {
		t.Fatalf("exit %d, made %v:\n%s", printed.code, names(t, dir), printed.stderr)
	}
	file := filepath.Join(dir, "merlon.yaml")
	if r := run(t, merlon("config", "init", "--output", file).in(dir)); r.code != 0 || r.stdout != "" || read(t, file) != printed.stdout {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if got := mode(t, file); got != 0o600 {
		t.Errorf("mode %o", got)
	}
	if r := run(t, merlon("config", "init", "--output", file).in(dir)); r.code != 1 || r.stdout != "" || !strings.Contains(complaint(t, r), file) || read(t, file) != printed.stdout {
		t.Errorf("over a file that is there: exit %d:\n%s", r.code, r.stderr)
	}
	if r := run(t, merlon("config", "init", "--output", filepath.Join(dir, "absent", "x")).in(dir)); r.code != 1 {
		t.Errorf("in no directory: exit %d:\n%s", r.code, r.stderr)
	}

	// As it is, it asks for what it says is to be filled in, and for nothing else.
	r := run(t, merlon("serve", "--config", file).in(dir))
	var ids []string
	for _, l := range lines(r.stderr) {
		ids = append(ids, l[:len("merlon.E000")])
	}
	if slices.Sort(ids); r.code != 2 || !slices.Equal(ids, []string{"merlon.E013", "merlon.E015", "merlon.E016"}) {
		t.Errorf("exit %d: %v\n%s", r.code, ids, r.stderr)
	}
	// Filled in as its head says, it serves, and has no finding above low.
	if r := run(t, merlon("secrets", "generate", "--output", filepath.Join(dir, "secret_key"))); r.code != 0 {
		t.Fatalf("%s", r.stderr)
	}
	certificate(t, dir)
	filled := strings.NewReplacer("hosts: []", "hosts: [api.example.com]", `  cert: ""`, "  cert: cert.pem", `  key: ""`, "  key: key.pem").Replace(printed.stdout)
	if err := os.WriteFile(file, []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
	key := "MERLON_SECRET_KEY_FILE=secret_key"
	if r := run(t, merlon("check", "--config", file).in(dir).with(key)); r.code != 0 {
		t.Errorf("check: exit %d:\n%s", r.code, r.stdout)
	}
	s := startService(t, merlon("--config", file).in(dir).with(key))
	// The tests listen on loopback, which is said.
	if r := s.stop(); strings.Contains(strings.Replace(r.stderr, "merlon.W003 ", "", 1), "merlon.") {
		t.Errorf("it has something to say:\n%s", r.stderr)
	}
}

func TestSecretsGenerate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seen := map[string]bool{}
	for range 3 {
		r := run(t, merlon("secrets", "generate").in(dir))
		if r.code != 0 || r.stderr != "" || !regexp.MustCompile(`^[A-Z2-7]{52}\n$`).MatchString(r.stdout) || seen[r.stdout] {
			t.Errorf("exit %d: %d bytes, there before: %v", r.code, len(r.stdout), seen[r.stdout])
		}
		seen[r.stdout] = true
	}
	r := run(t, merlon("secrets", "generate", "--json").in(dir))
	var got map[string]string
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || len(got) != 1 || len(got["secret_key"]) != 52 {
		t.Errorf("as JSON: %v", err)
	}
	if len(names(t, dir)) != 0 {
		t.Errorf("it made %v", names(t, dir))
	}
	file := filepath.Join(dir, "secret_key")
	// Whatever the umask, nobody else reads it.
	i := merlon("secrets", "generate", "--output", file).in(dir)
	i.umask = "000"
	if r := run(t, i); r.code != 0 || r.stdout != "" || r.stderr != "" {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	key := read(t, file)
	if got := mode(t, file); got != 0o600 || len(key) != 53 {
		t.Errorf("mode %o, %d bytes", got, len(key))
	}
	if r := run(t, i); r.code != 1 || !strings.Contains(complaint(t, r), file) || read(t, file) != key {
		t.Errorf("over a key that is there: exit %d:\n%s", r.code, r.stderr)
	}
	link(t, filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link"))
	if r := run(t, merlon("secrets", "generate", "--output", filepath.Join(dir, "link"))); r.code != 1 || slices.Contains(names(t, dir), "elsewhere") {
		t.Errorf("through a link: exit %d", r.code)
	}
}

func TestConfigPrint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", production+"secret_key: "+hiddenKey+"\nhosts: [api.example.com]\ntrusted_proxies: [127.0.0.1]\nlistem: x\n")
	i := merlon("config", "print", "--config", config).in(dir).with("MERLON_AUDIT__KEEP=7")
	r := run(t, i)
	if r.code != 0 || !strings.Contains(r.stdout, "\nsecret_key: \"[redacted]\"\n") || !strings.Contains(r.stdout, "\n  keep: 7\n") || strings.Contains(r.stdout+r.stderr, hidden) {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if !strings.HasPrefix(complaint(t, r), "merlon.E003 ") {
		t.Errorf("what is wrong is not told:\n%s", r.stderr)
	}
	i.args = append(i.args, "--json")
	r = run(t, i)
	var got struct {
		SecretKey string `json:"secret_key"`
		Hosts     []string
		Audit     struct{ Keep int }
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || got.SecretKey != "[redacted]" || got.Audit.Keep != 7 || len(got.Hosts) != 1 || strings.Contains(r.stdout, hidden) {
		t.Errorf("exit %d, %v:\n%s", r.code, err, r.stdout)
	}
	// What is printed is a file that serves again, once the secrets are back.
	printed := strings.NewReplacer("\"[redacted]\"", "\"\"", "database_url: \"\"", "").Replace(run(t, merlon("config", "print", "--config", write(t, dir, "good.yaml", behindProxy)).with(keyInEnvironment)).stdout)
	if r := run(t, merlon("check", "--config", write(t, dir, "again.yaml", printed)).with(keyInEnvironment)); r.code != 0 {
		t.Errorf("what was printed does not read back:\n%s", r.stdout)
	}
	for _, broken := range []string{"hosts: [\n", "- a\n"} {
		if r := run(t, merlon("config", "print", "--config", write(t, dir, "broken.yaml", broken))); r.code != 2 || r.stdout != "" || !strings.HasPrefix(r.stderr, "merlon.E002 ") {
			t.Errorf("%q: exit %d:\n%s%s", broken, r.code, r.stdout, r.stderr)
		}
	}
	if r := run(t, merlon("config", "print", "--config", filepath.Join(dir, "absent.yaml"))); r.code != 2 || !strings.HasPrefix(r.stderr, "merlon.E001 ") {
		t.Errorf("no file: exit %d:\n%s", r.code, r.stderr)
	}
	if made := names(t, dir); len(made) != 4 {
		t.Errorf("it made %v", made)
	}
}

// named are the settings of a printed file with their lines, "audit.keep" and so on.
func named(printed string) (settings []string) {
	var path []string
	for _, line := range lines(printed) {
		key, value, _ := strings.Cut(strings.TrimLeft(line, " "), ":")
		depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
		if strings.HasPrefix(key, "- ") || depth > 2 || depth == 2 && path[1] == "rules" {
			continue
		}
		path = append(path[:depth:depth], key)
		if value != "" || key == "rules" {
			settings = append(settings, strings.Join(path, "."))
		}
	}
	return settings
}

// Every setting there is with a value of the wrong type, all at once: each is told,
// with its line, and nothing is started.
func TestEverySettingOfTheWrongTypeAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	printed := run(t, merlon("config", "print").with("MERLON_ENVIRONMENT=development")).stdout
	all := named(printed)
	if len(all) < 39 {
		t.Fatalf("only %d settings: %v", len(all), all)
	}
	var b strings.Builder
	var open []string
	at := map[string]int{}
	line := 0
	for _, name := range all {
		path := strings.Split(name, ".")
		for depth := range len(path) - 1 {
			if depth >= len(open) || open[depth] != path[depth] {
				b.WriteString(strings.Repeat("  ", depth) + path[depth] + ":\n")
				open = append(slices.Clone(open[:depth]), path[depth])
				line++
			}
		}
		open = open[:len(path)-1]
		b.WriteString(strings.Repeat("  ", len(path)-1) + path[len(path)-1] + ": {x: 1}\n")
		line++
		at[name] = line
	}
	config := write(t, dir, "merlon.yaml", b.String())
	r := run(t, merlon("serve", "--listen", "127.0.0.1:0", "--config", config).in(dir))
	if r.code != 2 || r.stdout != "" || len(names(t, dir)) != 1 {
		t.Errorf("exit %d, made %v", r.code, names(t, dir))
	}
	for name, line := range at {
		if !regexp.MustCompile(`(?m)^merlon\.E006 \S+merlon\.yaml:` + strconv.Itoa(line) + `: ` + regexp.QuoteMeta(name) + ` must be `).MatchString(r.stderr) {
			t.Errorf("%s (line %d) is not told:\n%s", name, line, r.stderr)
		}
	}
}
