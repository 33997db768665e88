package merlon_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/audit"
)

// makesEvents are the files that may write an event down field by field: the functions of
// package audit that make them, what an application's own are made of, and what reads
// them from a line.
func makesEvents(path string) bool {
	name, here := strings.CutPrefix(path, "audit/")
	return here && (strings.HasPrefix(name, "make") || name == "kind.go" || name == "decode.go")
}

// An event that is written down field by field may lack one. Functions of package audit
// make them, whose parameters the compiler counts.
func TestEventsAreMadeByTheFunctionsOfPackageAudit(t *testing.T) {
	files := 0
	for _, dir := range []string{".", "server", "cmd", "examples"} {
		walkGo(t, dir, func(path string) {
			if strings.HasSuffix(path, "_test.go") || makesEvents(path) {
				return
			}
			files++
			for _, found := range eventLiterals(t, path, nil) {
				t.Errorf("%s: make it by a function of package audit (audit/make*.go), or an audit.Kind", found)
			}
		})
	}
	if files < 150 {
		t.Errorf("%d files were read: the test looks in the wrong place", files)
	}
}

func TestALiteralOfAnEventIsFound(t *testing.T) {
	const library = `package x; import "github.com/merlonhq/merlon/audit"; `
	const renamed = `package x; import log "github.com/merlonhq/merlon/audit"; `
	for text, want := range map[string]int{
		library + `var e = audit.Event{Type: audit.AuthzFail}`:                     1,
		library + `var e = &audit.Event{"evt_1"}`:                                  1,
		library + `var e = []audit.Event{{Type: audit.AuthzFail}, {Type: "x"}}`:    2,
		library + `var e = map[string]audit.Event{"a": {Type: audit.AuthzFail}}`:   1,
		library + `func f() { var e audit.Event; e.Type = audit.AuthzFail }`:       1,
		library + `func f() { e := new(audit.Event); e.Type = audit.AuthzFail }`:   1,
		renamed + `var e = log.Event{Type: "x"}`:                                   1,
		library + `func f() (audit.Event, error) { return audit.Event{}, nil }`:    0,
		library + `var list []audit.Event`:                                         0,
		library + `var e audit.Event = audit.Stopped()`:                            0,
		library + `type s struct{ e audit.Event }`:                                 0,
		`package x; import "example.com/audit"; var e = audit.Event{Type: "mine"}`: 0,
		`package audit; var e = Event{Type: AuthzFail}`:                            1,
		`package audit; func f() Event { return Event{} }`:                         0,
		library + `const t = "authz_fail"`:                                         1,
		library + `const t = "authz_failure"`:                                      0,
	} {
		if found := eventLiterals(t, "x.go", text); len(found) != want {
			t.Errorf("%s: found %q, want %d", text, found, want)
		}
	}
}

// eventLiterals returns where the file makes an event by itself, or spells out the type of one.
func eventLiterals(t *testing.T, path string, text any) (found []string) {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	prefix := importName(f, modulePath+"/audit")
	if f.Name.Name == "audit" {
		prefix = "."
	}
	if prefix == "" {
		return nil
	}
	report := func(n ast.Node, what string) {
		found = append(found, fmt.Sprintf("%s: %s", set.Position(n.Pos()), what))
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if isEvent(n.Type, prefix) && len(n.Elts) > 0 {
				report(n, "an event field by field")
			}
			if isEvent(elementOf(n.Type), prefix) {
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						e = kv.Value
					}
					if lit, ok := e.(*ast.CompositeLit); ok && lit.Type == nil && len(lit.Elts) > 0 {
						report(lit, "an event field by field")
					}
				}
			}
		case *ast.ValueSpec:
			if isEvent(n.Type, prefix) && len(n.Values) == 0 {
				report(n, "an empty event to be filled")
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "new" && len(n.Args) == 1 && isEvent(n.Args[0], prefix) {
				report(n, "an empty event to be filled")
			}
		case *ast.BasicLit:
			if value, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil && path != "audit/type.go" && audit.Type(value).Description() != "" {
				report(n, "the name of an event type, which has a constant")
			}
		}
		return true
	})
	return found
}

// importName returns what the file calls the package, or "".
func importName(f *ast.File, path string) string {
	i := slices.IndexFunc(f.Imports, func(s *ast.ImportSpec) bool { return s.Path.Value == strconv.Quote(path) })
	switch {
	case i < 0:
		return ""
	case f.Imports[i].Name != nil:
		return f.Imports[i].Name.Name
	}
	return filepath.Base(path)
}

// isEvent reports whether e is the type Event of the package that the file calls prefix,
// which is "." for itself.
func isEvent(e ast.Expr, prefix string) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return prefix == "." && e.Name == "Event"
	case *ast.SelectorExpr:
		id, ok := e.X.(*ast.Ident)
		return ok && id.Name == prefix && e.Sel.Name == "Event"
	}
	return false
}

// elementOf returns the type of the elements of a list or map, or nil.
func elementOf(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.ArrayType:
		return e.Elt
	case *ast.MapType:
		return e.Value
	}
	return nil
}
