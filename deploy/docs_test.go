package deploy_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commandLines returns the lines of the shell examples of docs/deploying.md.
func commandLines(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(read(t, "../docs/deploying.md"), -1) {
		for line := range strings.Lines(block[1]) {
			for part := range strings.SplitSeq(strings.TrimSpace(line), " && ") {
				out = append(out, part)
			}
		}
	}
	if len(out) < 30 {
		t.Fatalf("%d command lines: the test looks in the wrong place", len(out))
	}
	return out
}

// help returns what the program says of a command, or "" where there is no such command.
func help(t *testing.T, words ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, append(words, "--help")...).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "Usage: merlon "+strings.Join(words, " ")) {
		return ""
	}
	return string(out)
}

// Whoever follows the documentation in a bad hour types commands that exist.
func TestTheCommandsOfTheDocumentationExist(t *testing.T) {
	ours := regexp.MustCompile(`(?:^|\s)(?:/?merlon|merlonctl)((?: [a-z][a-z-]*)+)((?: .*)?)$`)
	seen := map[string]bool{}
	inProse := regexp.MustCompile("`merlon((?: [a-z][a-z-]*)+)((?: --[a-z-]+)*)`")
	lines := commandLines(t)
	for _, m := range inProse.FindAllStringSubmatch(read(t, "../docs/deploying.md"), -1) {
		lines = append(lines, "merlon"+m[1]+m[2])
	}
	for _, line := range lines {
		line, _, _ = strings.Cut(line, " < ")
		line, _, _ = strings.Cut(line, " > ")
		if _, inside, ok := strings.Cut(line, " -- "); ok {
			line = inside
		}
		m := ours.FindStringSubmatch(line)
		if m == nil || strings.HasPrefix(line, "kubectl ") || strings.HasPrefix(line, "docker load") ||
			strings.HasPrefix(line, "systemctl") || strings.HasPrefix(line, "install") {
			continue
		}
		words := strings.Fields(m[1])
		text := help(t, words...)
		if text == "" {
			t.Errorf("%q: there is no command merlon %s", line, strings.Join(words, " "))
			continue
		}
		seen[strings.Join(words, " ")] = true
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(m[2], -1) {
			if !strings.Contains(text, "      "+flag+"=") && !strings.Contains(text, "      "+flag+" ") {
				t.Errorf("%q: merlon %s has no flag %s", line, strings.Join(words, " "), flag)
			}
		}
	}
	for _, want := range []string{"check", "health", "secrets generate", "users create", "users disable", "users enable", "events query", "events verify", "events public-key", "migrate up", "migrate status"} {
		if !seen[want] {
			t.Errorf("merlon %s is not in the documentation, or the test does not see it", want)
		}
	}
}

func TestTheRoutesOfTheDocumentationExist(t *testing.T) {
	doc := read(t, "../docs/deploying.md")
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(openAPI(t)), &document); err != nil {
		t.Fatal(err)
	}
	variable := regexp.MustCompile(`\{[a-z]+\}|\$[A-Z_]+`)
	exists := func(method, path string) bool {
		for p, methods := range document.Paths {
			if variable.ReplaceAllString(p, "*") == variable.ReplaceAllString(path, "*") && methods[strings.ToLower(method)] != nil {
				return true
			}
		}
		return false
	}
	n := 0
	for _, m := range regexp.MustCompile("`(GET|POST|PATCH|DELETE) (/[^` ]+)`|curl -X ([A-Z]+) https://[a-z.]+(/\\S+)").FindAllStringSubmatch(doc, -1) {
		n++
		if !exists(m[1]+m[3], m[2]+m[4]) {
			t.Errorf("there is no %s %s", m[1]+m[3], m[2]+m[4])
		}
	}
	if n < 2 {
		t.Errorf("%d routes are named: the test looks in the wrong place", n)
	}
	if exists("DELETE", "/api/v1/api-keys") {
		t.Error("the test finds routes that do not exist")
	}
}

// openAPI returns the document of the running service.
func openAPI(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(binary, "demo", "--json", "--listen", "127.0.0.1:0")
	cmd.Dir = dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // of a demo nothing is kept
		_ = cmd.Wait()         // it was killed
	})
	var demo struct{ URL string }
	if err := json.NewDecoder(out).Decode(&demo); err != nil {
		t.Fatal(err)
	}
	return string(get(t, demo.URL+"/openapi.json"))
}

// What is installed by the documentation is in the archive, and what it names is there.
func TestTheFilesOfTheDocumentationExist(t *testing.T) {
	made := map[string]bool{"merlon": true, "cert.pem": true, "key.pem": true}
	n := 0
	for _, line := range commandLines(t) {
		words := strings.Fields(line)
		if words[0] != "install" || strings.Contains(line, " -d ") {
			continue
		}
		for _, w := range words[1 : len(words)-1] {
			if strings.HasPrefix(w, "-") || strings.HasPrefix(w, "/") || regexp.MustCompile(`^(\d+|merlon)$`).MatchString(w) || made[w] {
				continue
			}
			n++
			if _, err := os.Stat(w); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
	}
	if n < 4 {
		t.Errorf("%d files are installed: the test looks in the wrong place", n)
	}
	for _, m := range regexp.MustCompile(`(?:^|[\s(])(deploy/[a-z./-]+)`).FindAllStringSubmatch(read(t, "../docs/deploying.md"), -1) {
		if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
			t.Error(err)
		}
	}
}

// The line that takes the place of tls is one that the program takes there.
func TestTheLineForAnAuthorityTakesThePlaceOfTheFiles(t *testing.T) {
	line := regexp.MustCompile("`(acme: \\{[^`]*\\})`").FindStringSubmatch(read(t, "../docs/deploying.md"))
	if line == nil {
		t.Fatal("docs/deploying.md does not tell how to use an authority")
	}
	settings := regexp.MustCompile(`(?m)^tls: .*$`).ReplaceAllString(read(t, "systemd/merlon.yaml"), line[1])
	data := t.TempDir()
	settings = strings.NewReplacer("/var/lib/merlon", data, "/var/log/merlon", data).Replace(settings)
	config := write(t, filepath.Join(t.TempDir(), "merlon.yaml"), settings, 0o644)
	key := write(t, filepath.Join(t.TempDir(), "secret_key"), rand.Text()+rand.Text(), 0o400)
	check(t, config, "MERLON_SECRET_KEY_FILE="+key).wantNothing(t)
}
