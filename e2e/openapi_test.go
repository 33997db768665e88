package e2e_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// document is the part of the OpenAPI document that these tests read.
type document struct {
	OpenAPI string
	Servers []struct{ URL string }
	Paths   map[string]map[string]object
}

func (s *server) document(t *testing.T) document {
	t.Helper()
	var doc document
	if err := json.Unmarshal(s.client(t).do(t, "GET", "/openapi.json", nil).want(t, 200).body, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// methods returns what the document allows on a path that is asked for, HEAD beside
// GET included: that of all templates that the path fits.
func (d document) methods(path string) []string {
	all := map[string]bool{}
	for template, item := range d.Paths {
		if !fits(template, path) {
			continue
		}
		for verb := range item {
			if method := strings.ToUpper(verb); slices.Contains(verbs, method) {
				all[method] = true
				all["HEAD"] = all["HEAD"] || method == "GET"
			}
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(m string) bool { return !all[m] })
}

// verbs are the members of a path item that are methods.
var verbs = []string{"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"}

// fits reports whether a path is one of a template.
func fits(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i, word := range want {
		if word != got[i] && !strings.HasPrefix(word, "{") {
			return false
		}
	}
	return true
}

func TestTheDocumentHoldsWhatIsServedAndNothingElse(t *testing.T) {
	t.Parallel()
	s := share(t)
	doc := s.document(t)
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("openapi is %q, want 3.1", doc.OpenAPI)
	}
	for _, server := range doc.Servers {
		if strings.Trim(server.URL, "/") != "" {
			t.Errorf("the base path %q: paths are full", server.URL)
		}
	}
	operations := map[string]bool{}
	for path, item := range doc.Paths {
		for verb, operation := range item {
			method := strings.ToUpper(verb)
			if !slices.Contains(verbs, method) {
				continue
			}
			id := text(operation["operationId"])
			if id == "" || operations[id] {
				t.Errorf("%s %s: operationId %q is empty or there twice", method, path, id)
			}
			operations[id] = true
			checkOperation(t, s, method, path, operation)
		}
	}
	// What the contract promises is there.
	for path, methods := range paths {
		for method := range strings.FieldsSeq(methods) {
			if doc.Paths[path][strings.ToLower(method)] == nil {
				t.Errorf("%s %s is not in the document", method, path)
			}
		}
	}
}

// The server is asked what it serves: for every path that the words of the document
// can make, and for paths that other servers have, a method that is not there is
// answered with those that are, or with 404.
func TestNothingIsServedBesideTheDocument(t *testing.T) {
	t.Parallel()
	s := share(t)
	doc := s.document(t)
	words := []map[string]bool{}
	for template := range doc.Paths {
		for depth, word := range strings.Split(template, "/")[1:] {
			if depth == len(words) {
				words = append(words, map[string]bool{"x": true})
			}
			if !strings.HasPrefix(word, "{") {
				words[depth][word] = true
			}
		}
	}
	probes := []string{
		"/", "/admin", "/debug/pprof/", "/debug/vars", "/metrics", "/swagger", "/swagger.json", "/openapi.yaml", "/redoc", "/docs/", "/graphql", "/server-status",
		"/actuator", "/.env", "/.git/config", "/.well-known/openid-configuration", "/favicon.ico", "/robots.txt", "/index.html", "/static/x", "/console", "/authz/forward",
	}
	level := []string{""}
	for _, next := range words {
		var deeper []string
		for _, path := range level {
			for word := range next {
				deeper = append(deeper, path+"/"+word)
			}
		}
		probes, level = append(probes, deeper...), deeper
	}
	found := map[string]bool{}
	var c *client
	for i, path := range probes {
		if i%45 == 0 { // two requests each: below what an address may ask of one route
			c = s.client(t)
		}
		want := doc.methods(path)
		absent := "PUT"
		if slices.Contains(want, absent) {
			absent = "PATCH"
		}
		var got []string
		a := c.do(t, absent, path, nil)
		if a.status != 404 {
			a.wantProblem(t, 405, "method-not-allowed")
			got = slices.DeleteFunc(list(a.header["Allow"]), func(m string) bool { return m == "OPTIONS" })
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the server has %q, the document %q", path, got, want)
		}
		if get := c.do(t, "GET", path, nil); !slices.Contains(want, "GET") && get.status != 404 && get.status != 405 {
			t.Errorf("GET %s: status %d, and it is not in the document", path, get.status)
		}
		for template := range doc.Paths {
			found[template] = found[template] || fits(template, path)
		}
	}
	for template := range doc.Paths {
		if !found[template] {
			t.Errorf("%s was not asked for", template)
		}
	}
	t.Logf("%d paths", len(probes))
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
