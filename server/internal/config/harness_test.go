package config_test

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/server/internal/config"
)

// Not random, and good enough for the rules: 40 characters, 20 of them different.
const testKey = "fixture-qzjwk-vbhxg-7391-mplro-utdye-582"

// files is the file system of a test; a nil value is a file that may not be read.
type files map[string][]byte

func (f files) open(path string) (io.ReadCloser, error) {
	b, ok := f[path]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	if b == nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
	}
	return io.NopCloser(strings.NewReader(string(b))), nil
}

// load reads a file merlon.yaml and variables, and nothing of this machine.
func load(yaml string, env ...string) (config.Settings, []config.Problem) {
	return loadFiles(files{}, yaml, env...)
}

func loadFiles(f files, yaml string, env ...string) (config.Settings, []config.Problem) {
	all := files{"merlon.yaml": []byte(yaml)}
	for k, v := range f {
		all[k] = v
	}
	return config.Load(config.Source{File: "merlon.yaml", Environ: env, Open: all.open})
}

// production adds what production requires to yaml.
func production(yaml string) string {
	var b strings.Builder
	for _, line := range []string{"secret_key: " + testKey, "hosts: [api.example.com]", "trusted_proxies: [10.1.0.0/16]"} {
		name, _, _ := strings.Cut(line, ":")
		if !strings.HasPrefix(yaml, name+":") && !strings.Contains(yaml, "\n"+name+":") {
			b.WriteString(line + "\n")
		}
	}
	return b.String() + yaml
}

func ids(problems []config.Problem) []string {
	out := []string{}
	for _, p := range problems {
		out = append(out, strings.TrimPrefix(p.ID, "merlon."))
	}
	slices.Sort(out)
	return out
}

func lines(problems []config.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

func wantIDs(t *testing.T, problems []config.Problem, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := ids(problems); !slices.Equal(got, want) {
		t.Errorf("ids %v, want %v\n%s", got, want, lines(problems))
	}
}
