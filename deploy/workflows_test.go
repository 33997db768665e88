package deploy_test

import (
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// A workflow is a file below .github/workflows, as far as these tests read it.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Permissions map[string]string
		Timeout     int `json:"timeout-minutes"`
		Steps       []struct {
			Uses, Run string
			With      map[string]any
		}
	}
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	paths, err := filepath.Glob("../.github/workflows/*")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]workflow{}
	for _, path := range paths {
		var w workflow
		if err := yaml.Unmarshal([]byte(read(t, path)), &w); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out[filepath.Base(path)] = w
	}
	if got := slices.Sorted(maps.Keys(out)); !slices.Equal(got, []string{"ci.yml", "release.yml", "scheduled.yml"}) {
		t.Errorf("the workflows are %q", got)
	}
	return out
}

// A tag can be moved, a commit cannot.
func TestActionsArePinnedByTheirCommit(t *testing.T) {
	pinned := regexp.MustCompile(`^\s+(- )?uses: [a-z0-9-]+/[a-z0-9-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	n := 0
	for name, w := range workflows(t) {
		for line := range strings.Lines(read(t, filepath.Join("../.github/workflows", name))) {
			if strings.Contains(line, "uses:") {
				n++
				if !pinned.MatchString(strings.TrimSuffix(line, "\n")) {
					t.Errorf("%s: %s is not pinned by a commit, with its version beside it", name, strings.TrimSpace(line))
				}
			}
		}
		for job, j := range w.Jobs {
			for _, step := range j.Steps {
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
					t.Errorf("%s, %s: the checkout leaves the token for the steps that follow", name, job)
				}
				// A name of a branch or a title would become a part of the command.
				if strings.Contains(step.Run, "${{") {
					t.Errorf("%s, %s: %q has an expression in a command: hand it over in env", name, job, step.Run)
				}
			}
		}
	}
	if n < 6 {
		t.Errorf("%d actions are used: the test looks in the wrong place", n)
	}
}

func TestWorkflowsHaveTheLeastPermissions(t *testing.T) {
	more := map[string]map[string]string{
		"release.yml publish": {"actions": "read", "contents": "write", "id-token": "write", "attestations": "write"},
	}
	for name, w := range workflows(t) {
		if w.Permissions == nil || len(w.Permissions) > 0 {
			t.Errorf("%s gives every job %v, want nothing", name, w.Permissions)
		}
		for job, j := range w.Jobs {
			want := more[name+" "+job]
			if want == nil {
				want = map[string]string{"contents": "read"}
			}
			if !maps.Equal(j.Permissions, want) {
				t.Errorf("%s, %s has %v, want %v", name, job, j.Permissions, want)
			}
			if j.Timeout == 0 {
				t.Errorf("%s, %s may run for six hours", name, job)
			}
			// Who may write runs nothing of the repository.
			for _, step := range j.Steps {
				if len(want) > 1 && strings.HasPrefix(step.Uses, "actions/checkout@") {
					t.Errorf("%s, %s may write, and has the repository's code", name, job)
				}
			}
		}
	}
}

func TestTheWorkflowsRunTheCommandsOfTheRepository(t *testing.T) {
	runs := map[string][]string{}
	for name, w := range workflows(t) {
		for _, j := range w.Jobs {
			for _, step := range j.Steps {
				runs[name] = append(runs[name], step.Run)
			}
		}
	}
	for name, commands := range map[string][]string{
		"ci.yml": {".ci/run"}, "scheduled.yml": {"tools/fuzz/run", "go tool -modfile=tools/go.mod govulncheck ./..."}, "release.yml": {"make dist", "make reproducible"},
	} {
		for _, c := range commands {
			if !slices.Contains(runs[name], c) {
				t.Errorf("%s does not run %s: %q", name, c, runs[name])
			}
		}
	}
}

// What is fuzzed is every target there is.
func TestEveryFuzzTargetIsFuzzed(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	var want []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "node_modules", "dist"}, d.Name()) {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, "_test.go") {
			dir := "."
			if d := filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, "../"))); d != "." {
				dir = "./" + d
			}
			for _, m := range declared.FindAllStringSubmatch(read(t, path), -1) {
				want = append(want, dir+" "+m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "../tools/fuzz/targets").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(got) < 30 {
		t.Errorf("tools/fuzz/targets lists %q, there are %q", got, want)
	}
}
