package merlon_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/merlonhq/merlon"

// mayImport is the dependency policy of the library: for each package, what it
// may import of this module and of others. All else must be of the standard
// library. A package that is missing here fails the test, so adding one is a
// decision. Tests may import more: the packages under testsMayImport.
//
// Do not change this to make a build pass: read CONTRIBUTING.md first.
var mayImport = map[string][]string{
	// Shared words.
	"problem":         {"internal/accept"},
	"identity":        {},
	"audit":           {"internal/uuid7"},
	"audit/audittest": {"audit", "internal/uuid7"},
	"route":           {},
	"exchange":        {"audit", "identity", "problem", "route"},

	// Stages. None imports another; csrf and report read JSON by the scanner of validate.
	"clientip":  {"exchange"},
	"headers":   {"exchange"},
	"httpsonly": {"audit", "exchange", "identity", "internal/accept", "problem"},
	"firewall":  {"audit", "exchange", "problem"},
	"cors":      {"audit", "exchange", "origin", "problem", "route"},
	"ratelimit": {"audit", "exchange", "identity", "internal/breaker", "problem", "route"},
	"csrf":      {"audit", "exchange", "identity", "origin", "problem", "validate"},
	"authn":     {"apikey", "audit", "exchange", "identity", "problem", "session", "token"},
	"authz":     {"audit", "exchange", "identity", "problem", "route"},
	"pattern":   {"audit"},
	"report":    {"audit", "exchange", "problem", "validate"},
	"validate":  {"audit", "exchange", "problem", "sanitize", "github.com/corazawaf/libinjection-go", "golang.org/x/net/idna"},

	// Building blocks, usable alone.
	"sanitize":            {"github.com/microcosm-cc/bluemonday", "golang.org/x/net/html"},
	"password":            {"golang.org/x/crypto/argon2", "golang.org/x/crypto/bcrypt", "golang.org/x/text/unicode/norm"},
	"apikey":              {"internal/coalesce", "internal/uuid7"},
	"apikey/apikeytest":   {"apikey"},
	"session":             {"identity", "internal/coalesce", "internal/uuid7"},
	"session/sessiontest": {"session"},
	"token":               {"internal/uuid7", "validate", "github.com/go-jose/go-jose/v4"}, // validate for its JSON scanner
	"token/tokentest":     {"token"},
	"revocation":          {},
	"store/sqlstore":      {"apikey", "revocation", "session", "token"},
	"store/redisstore":    {"ratelimit"},
	"origin":              {"route", "golang.org/x/net/idna", "golang.org/x/net/publicsuffix"},

	"ratelimit/ratelimittest":   {"ratelimit"},
	"revocation/revocationtest": {"revocation"},
	"internal/breaker":          {},
	"internal/coalesce":         {},
	"internal/accept":           {},
	"internal/uuid7":            {},
	"internal/nearest":          {},
	"internal/redistest":        {},

	// The facade is the top of the library.
	".": {"audit", "authn", "authz", "clientip", "cors", "csrf", "exchange", "firewall", "headers", "httpsonly",
		"identity", "internal/nearest", "origin", "problem", "ratelimit", "route", "validate"},
}

// heavy is where imports are free: the service, its command and what is built on it.
var heavy = []string{"server", "cmd", "examples", "bench", "browser", "acmetest", "chaos", "linear", "tools", "e2e", "image", "deploy", "bin", "docs"}

// testsMayImport adds to mayImport for test files.
var testsMayImport = []string{"github.com/google/go-cmp/cmp", "pgregory.net/rapid", "modernc.org/sqlite", "golang.org/x/net/html",
	"github.com/redis/rueidis", "github.com/jackc/pgx/v5/stdlib"}

// generator is a program that is run by hand and is in no package.
const generator = "password/commongen.go"

func TestImportsFollowThePolicy(t *testing.T) {
	used := map[string]map[string]bool{}
	walkGo(t, ".", func(path string) {
		if path != generator {
			checkImports(t, path, used)
		}
	})
	for pkg, allowed := range mayImport {
		for _, imp := range allowed {
			if !used[pkg][imp] {
				t.Errorf("mayImport lets %s import %s, which it does not: remove it", pkg, imp)
			}
		}
	}
}

// A module of a Go team needs no more of the service than package module.
func TestTheExampleModuleNeedsTheLibraryAndPackageModuleOnly(t *testing.T) {
	walkGo(t, "examples/blog", func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, imp := range importsOf(t, path) {
			rel, ours := strings.CutPrefix(imp, modulePath+"/")
			if ours && (strings.HasPrefix(rel, "internal/") || strings.HasPrefix(rel, "server") && rel != "server/module") {
				t.Errorf("%s imports %s", path, rel)
			}
		}
	})
}

// startsServers starts servers for tests, and is imported by tests only.
const startsServers = "internal/redistest"

// No command is built from what a client sends, since none is started. Nor is C
// linked: the binary is static, and its memory safe.
func TestNothingStartsAProgram(t *testing.T) {
	starts := regexp.MustCompile(`\b(os\.StartProcess|syscall\.(Exec|ForkExec|StartProcess)|unix\.Exec)\b`)
	files := 0
	for _, dir := range []string{".", "server", "cmd", "examples"} {
		walkGo(t, dir, func(path string) {
			if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, startsServers+"/") {
				return
			}
			files++
			for _, imp := range importsOf(t, path) {
				if imp == "os/exec" || imp == "plugin" || imp == "C" || imp == modulePath+"/"+startsServers {
					t.Errorf("%s imports %s", path, imp)
				}
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if m := starts.Find(text); m != nil {
				t.Errorf("%s uses %s", path, m)
			}
		})
	}
	if files < 100 {
		t.Errorf("%d files were read: the test looks in the wrong place", files)
	}
}

// walkGo calls f with the Go files below dir, but for those of the heavy tree when
// dir is the root.
func walkGo(t *testing.T, dir string, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && dir == "." && (slices.Contains(heavy, path) || strings.HasPrefix(d.Name(), ".") && path != "."), d.IsDir() && d.Name() == "testdata":
			return filepath.SkipDir
		case !d.IsDir() && filepath.Ext(path) == ".go":
			f(filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func importsOf(t *testing.T, path string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var imports []string
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		imports = append(imports, imp)
	}
	return imports
}

func checkImports(t *testing.T, path string, used map[string]map[string]bool) {
	pkg := filepath.ToSlash(filepath.Dir(path))
	allowed, listed := mayImport[pkg]
	if !listed {
		t.Errorf("%s: package %s has no entry in mayImport", path, pkg)
		return
	}
	if used[pkg] == nil {
		used[pkg] = map[string]bool{}
	}
	test := strings.HasSuffix(path, "_test.go")
	for _, imp := range importsOf(t, path) {
		rel, ours := strings.CutPrefix(imp, modulePath+"/")
		host, _, _ := strings.Cut(imp, "/")
		if !test {
			used[pkg][rel], used[pkg][imp] = true, true
		}
		switch {
		case imp == modulePath:
			if !test || pkg != "." {
				t.Errorf("%s: nothing of the library imports the facade", path)
			}
		case ours && test && (!slices.Contains(heavy, strings.SplitN(rel, "/", 2)[0]) || rel == "e2e/postgrestest"):
			// Tests may use the rest of the library, and a server for tests.
		case ours && rel != pkg && !slices.Contains(allowed, rel):
			t.Errorf("%s: package %s must not import %s", path, pkg, rel)
		case !ours && strings.Contains(host, ".") && !slices.Contains(allowed, imp) && !(test && slices.Contains(testsMayImport, imp)):
			t.Errorf("%s: library code must not import %s", path, imp)
		}
	}
}
