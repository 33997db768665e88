package image_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A filter is a .dockerignore: the last pattern that matches a file or a directory
// that it is in decides.
type filter []rule

type rule struct {
	pattern *regexp.Regexp
	in      bool
}

func readFilter(t *testing.T) filter {
	t.Helper()
	text, err := os.ReadFile("../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	var f filter
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pattern, in := strings.CutPrefix(line, "!")
		if strings.ContainsAny(pattern, `?[]\`) || strings.HasPrefix(pattern, "/") {
			t.Fatalf(".dockerignore: %s is not understood", line)
		}
		expression := regexp.QuoteMeta(pattern)
		expression = strings.ReplaceAll(expression, `\*\*/`, `(.*/)?`)
		expression = strings.ReplaceAll(expression, `\*`, `[^/]*`)
		f = append(f, rule{regexp.MustCompile("^" + expression + "(/.*)?$"), in})
	}
	return f
}

// lets reports whether the file gets into the build context.
func (f filter) lets(path string) bool {
	in := true
	for _, r := range f {
		if r.pattern.MatchString(path) {
			in = r.in
		}
	}
	return in
}

// files returns the files of the repository, slash-separated.
func files(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if !d.IsDir() {
			rel, err := filepath.Rel("..", path)
			if err != nil {
				return err
			}
			out = append(out, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// copyContext copies what gets into the build context to dir.
func copyContext(t *testing.T, dir string) {
	t.Helper()
	f := readFilter(t)
	for _, path := range files(t) {
		if !f.lets(path) {
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", path))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		// Of the modes of a checkout nothing may depend.
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnlyWhatTheBuildNeedsGetsIntoTheContext(t *testing.T) {
	f := readFilter(t)
	for path, want := range map[string]bool{
		"go.mod": true, "go.sum": true, "doc.go": true, "cmd/merlon/main.go": true, "server/internal/sqlite/migrations/00001_core.sql": true,
		"image/etc/passwd": true, "password/common_passwords.txt.gz": true,
		".git/config": false, ".env": false, "secret_key": false, "merlon.db": false, "data/merlon.db": false, "logs/security.log": false,
		"merlon.yaml": false, "cert.pem": false, "cmd/merlon/.env": false, "server/secret_key": false, "cmd/merlon/key.pem": false,
		"merlon_test.go": false, "cmd/merlon/main_test.go": false, "headers/testdata/field-names.txt": false, "headers/testdata/x.go": false,
		"e2e/doc.go": false, "bench/chain.go": false, "tools/go.mod": false, "audit/audittest/memory.go": false,
		"Dockerfile": false, "README.md": false, "docs/api.md": false, "merlon": false, "bin/merlon": false,
	} {
		if got := f.lets(path); got != want {
			t.Errorf("%s gets in: %v, want %v", path, got, want)
		}
	}
	// Nothing of the tests, nor anything that the build does not read.
	embedded := embeddedFiles(t, f)
	source := regexp.MustCompile(`^go\.(mod|sum)$|\.go$|^image/etc/`)
	tests := regexp.MustCompile(`_test\.go$|(^|/)testdata/`)
	n := 0
	for _, path := range files(t) {
		if !f.lets(path) {
			if embedded[path] {
				t.Errorf("%s is embedded, and does not get into the build context", path)
			}
			continue
		}
		n++
		if !source.MatchString(path) && !embedded[path] || tests.MatchString(path) {
			t.Errorf("%s gets into the build context", path)
		}
	}
	if n < 100 || len(embedded) < 3 {
		t.Errorf("%d files get in, %d are embedded: the test looks in the wrong place", n, len(embedded))
	}
}

// embeddedFiles returns the files that the sources in the context embed.
func embeddedFiles(t *testing.T, f filter) map[string]bool {
	t.Helper()
	directive := regexp.MustCompile(`(?m)^\s*//go:embed (.+)$`)
	out := map[string]bool{}
	for _, path := range files(t) {
		if !f.lets(path) || filepath.Ext(path) != ".go" {
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", path))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range directive.FindAllStringSubmatch(string(text), -1) {
			for _, pattern := range strings.Fields(m[1]) {
				found, err := filepath.Glob(filepath.Join("..", filepath.Dir(path), pattern))
				if err != nil || len(found) == 0 {
					t.Errorf("%s embeds %s: %v, %d files", path, pattern, err, len(found))
				}
				for _, file := range found {
					rel, err := filepath.Rel("..", file)
					if err != nil {
						t.Fatal(err)
					}
					out[filepath.ToSlash(rel)] = true
				}
			}
		}
	}
	return out
}

// run runs a command to its end.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// make runs the commands of the build stage, with out in the place of its /out.
func (d dockerfile) make(t *testing.T, out, version string) {
	t.Helper()
	src := t.TempDir()
	copyContext(t, src)
	built := false
	for _, s := range d.build {
		switch s.op + " " + s.text {
		case "ARG VERSION", "WORKDIR /src", "COPY go.mod go.sum ./", "COPY . .":
			// The context is there already.
		case "RUN go mod download":
			// Modules come from where this machine has them.
		default:
			if s.op != "RUN" || strings.Count(s.text, "/out/") == 0 {
				t.Fatalf("the build stage has %s %s, which is not understood", s.op, s.text)
			}
			cmd := exec.Command("sh", "-ec", "umask 022; "+strings.ReplaceAll(s.text, "/out/", out+"/"))
			cmd.Dir = src
			cmd.Env = append(os.Environ(), "VERSION="+version, "GOFLAGS=")
			run(t, cmd)
			built = true
		}
	}
	if !built {
		t.Fatal("the build stage builds nothing")
	}
}
