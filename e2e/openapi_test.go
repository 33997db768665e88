package e2e_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestTheDocumentHoldsWhatIsServedAndNothingElse(t *testing.T) {
	t.Parallel()
	s := share(t)
	c := s.client(t)
	a := c.do(t, "GET", "/openapi.json", nil).want(t, 200)
	var doc struct {
		OpenAPI string                       `json:"openapi"`
		Servers []struct{ URL string }       `json:"servers"`
		Paths   map[string]map[string]object `json:"paths"`
	}
	if err := json.Unmarshal(a.body, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("openapi is %q, want 3.1", doc.OpenAPI)
	}
	for _, server := range doc.Servers {
		if strings.Trim(server.URL, "/") != "" {
			t.Errorf("the base path %q: paths are full", server.URL)
		}
	}
	verbs := []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}
	operations := map[string]bool{}
	for path, item := range doc.Paths {
		for verb, operation := range item {
			if !slices.Contains(verbs, verb) {
				continue
			}
			method := strings.ToUpper(verb)
			id := text(operation["operationId"])
			if id == "" || operations[id] {
				t.Errorf("%s %s: operationId %q is empty or there twice", method, path, id)
			}
			operations[id] = true
			if !slices.Contains(strings.Fields(paths[path]), method) {
				t.Errorf("%s %s is in the document, and not in the contract of this version", method, path)
			}
			checkOperation(t, s, method, path, operation)
		}
	}
	for path, methods := range paths {
		for method := range strings.FieldsSeq(methods) {
			if doc.Paths[path][strings.ToLower(method)] == nil {
				t.Errorf("%s %s is not in the document", method, path)
			}
		}
	}
}

// checkOperation calls an operation as nobody, and compares the answer with what
// the document says of it.
func checkOperation(t *testing.T, s *server, method, path string, operation object) {
	t.Helper()
	at := strings.ReplaceAll(path, "{id}", "x")
	a := s.client(t).do(t, method, at, nil)
	thing := strings.Contains(path, "{id}") && strings.HasPrefix(path, "/api/v1/posts") && method == "GET" || strings.HasPrefix(path, "/assets/")
	if a.status == 405 || a.status == 404 && !thing {
		t.Errorf("%s %s: status %d", method, path, a.status)
	}
	responses, _ := operation["responses"].(object)
	security, secured := operation["security"].([]any)
	open := !secured || len(security) == 0 || slices.ContainsFunc(security, func(v any) bool { o, _ := v.(object); return len(o) == 0 })
	if needs := a.status == 401; needs == open && path != "/api/v1/auth/login" {
		t.Errorf("%s %s: status %d to nobody, and security %v", method, path, a.status, security)
	}
	documented := slices.Sorted(maps.Keys(responses))
	want := []string{"429"}
	if path == "/health" || path == "/health/ready" {
		want = nil
	}
	if !open {
		want = append(want, "401", "403")
	}
	if operation["requestBody"] != nil {
		want = append(want, "400", "413", "415", "422")
	}
	for _, status := range append(want, statusText(a.status)) {
		if !slices.Contains(documented, status) && !slices.Contains(documented, status[:1]+"XX") {
			t.Errorf("%s %s: the answer %s is not documented: %q", method, path, status, documented)
		}
	}
}

func statusText(status int) string { return strings.Trim(toText(status), " ") }
