package merlon_test

import (
	"cmp"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/asvs.md anew")

// asvsTest is a test that is named after a requirement of the ASVS.
type asvsTest struct {
	number [3]int
	name   string
	dir    string
}

// docs/asvs.md is the list of the tests that are named after requirements of the
// ASVS: it is made by go test -run TestTheASVSPageListsItsTests -update .
func TestTheASVSPageListsItsTests(t *testing.T) {
	tests := asvsTests(t)
	requirements := map[[3]int]bool{}
	for _, test := range tests {
		requirements[test.number] = true
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# ASVS

Requirements of the OWASP Application Security Verification Standard 5.0 that have a test
of their name: %d. Such a test fails when the control is taken away. What is not listed
is not claimed here; the [threat model](threat-model.md) and the
[requirements](requirements.md) name more tests. This page is made by a test.

| requirement | test | in |
|---|---|---|
`, len(requirements))
	for _, test := range tests {
		fmt.Fprintf(&b, "| V%d.%d.%d | `%s` | `%s` |\n", test.number[0], test.number[1], test.number[2], test.name, test.dir)
	}
	const page = "docs/asvs.md"
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s is not what the tests say: run go test -run TestTheASVSPageListsItsTests -update .", page)
	}
	if len(tests) == 0 {
		t.Error("no test is named after a requirement")
	}
}

// asvsTests returns the tests in the order of the standard.
func asvsTests(t *testing.T) []asvsTest {
	t.Helper()
	named := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)ASVS_V(\d+)_(\d+)_(\d+)_\w+)\(`)
	var out []asvsTest
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			test := asvsTest{name: m[1], dir: filepath.ToSlash(filepath.Dir(path))}
			for i := range test.number {
				if test.number[i], err = strconv.Atoi(m[2+i]); err != nil {
					return err
				}
			}
			out = append(out, test)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(out, func(a, b asvsTest) int {
		return cmp.Or(slices.Compare(a.number[:], b.number[:]), cmp.Compare(a.name, b.name))
	})
	return out
}
