package openapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/server/internal/openapi"
	"github.com/merlonhq/merlon/server/module"
)

type book struct {
	Title string `json:"title" text:"line" minLength:"1" maxLength:"200" doc:"Of the book."`
}

type search struct {
	Limit int `query:"limit" default:"20" minimum:"1" maximum:"100"`
}

func document(t *testing.T, routes ...module.Route) map[string]any {
	t.Helper()
	text, err := openapi.Document(openapi.Info{Title: "T", Version: "1"}, routes)
	if err != nil {
		t.Fatal(err)
	}
	again, err := openapi.Document(openapi.Info{Title: "T", Version: "1"}, routes)
	if err != nil || string(again) != string(text) {
		t.Error("the document has two spellings")
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// at walks down members and elements of a document.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(map[string]any)[p]
		case int:
			v = v.([]any)[p]
		}
		if v == nil {
			t.Fatalf("no %v in %v", p, path)
		}
	}
	return v
}

func routes() []module.Route {
	write := func(*module.Call, *book) (book, error) { return book{}, nil }
	list := func(*module.Call, *search) (book, error) { return book{}, nil }
	login := func(*module.Call, *book) (book, error) { return book{}, nil }
	remove := func(*module.Call) (module.None, error) { return module.None{}, nil }
	return []module.Route{
		{Policy: route.Route{Pattern: "POST /api/v1/books", Scopes: []string{"books:write"}}, Summary: "Write", Endpoint: module.Body(201, write)},
		{Policy: route.Route{Pattern: "GET /api/v1/books", Public: true}, Summary: "List", Endpoint: module.Query(200, list)},
		{Policy: route.Route{Pattern: "DELETE /api/v1/books/{id}", AccountOnly: true}, Summary: "Remove", Endpoint: module.Bare(204, remove)},
		{Policy: route.Route{Pattern: "POST /login", Public: true}, Summary: "Log in", Endpoint: module.BodyOrForm(200, login)},
		{Policy: route.Route{Pattern: "GET /health", Probe: true}, Summary: "Health", Endpoint: module.Raw(200, "application/json", http.NotFoundHandler())},
	}
}

func TestTheDocumentSaysWhatIsServed(t *testing.T) {
	doc := document(t, routes()...)
	if doc["openapi"] != "3.1.0" {
		t.Errorf("openapi %v", doc["openapi"])
	}
	post := at(t, doc, "paths", "/api/v1/books", "post")
	title := at(t, post, "requestBody", "content", "application/json", "schema", "properties", "title").(map[string]any)
	if title["maxLength"] != 200.0 || title["description"] != "Of the book." {
		t.Errorf("title %v", title)
	}
	if closed := at(t, post, "requestBody", "content", "application/json", "schema").(map[string]any)["additionalProperties"]; closed != false {
		t.Errorf("the body is open: %v", closed)
	}
	if got := fmt.Sprint(at(t, post, "security")); got != "[map[session:[]] map[access_token:[]] map[api_key:[]]]" {
		t.Errorf("security of a scoped route: %s", got)
	}
	if got := fmt.Sprint(at(t, post, "x-scopes"), " ", at(t, post, "description")); got != "[books:write] Asks for the scope books:write." {
		t.Errorf("scopes of a scoped route: %s", got)
	}
	if got := fmt.Sprint(at(t, doc, "paths", "/api/v1/books", "get", "security")); got != "[map[] map[session:[]] map[access_token:[]] map[api_key:[]]]" {
		t.Errorf("security of a public route: %s", got)
	}
	if got := fmt.Sprint(at(t, doc, "paths", "/api/v1/books/{id}", "delete", "security")); got != "[map[session:[]] map[access_token:[]]]" {
		t.Errorf("security of an account route: %s", got)
	}
	bearer := at(t, doc, "components", "securitySchemes", "access_token").(map[string]any)
	if bearer["type"] != "http" || bearer["scheme"] != "bearer" || bearer["bearerFormat"] != "JWT" {
		t.Errorf("the scheme of access tokens: %v", bearer)
	}
	bodies := at(t, doc, "paths", "/login", "post", "requestBody", "content").(map[string]any)
	if len(bodies) != 2 || fmt.Sprint(bodies["application/json"]) != fmt.Sprint(bodies["application/x-www-form-urlencoded"]) {
		t.Errorf("a body that may be a form: %v", bodies)
	}
	if bodies := at(t, post, "requestBody", "content").(map[string]any); len(bodies) != 1 {
		t.Errorf("a body that may not: %v", bodies)
	}
	for path, want := range map[string]string{"/api/v1/books get": "Open to everybody.", "/api/v1/books/{id} delete": "Asks for an account, closed to API keys."} {
		path, method, _ := strings.Cut(path, " ")
		if got := at(t, doc, "paths", path, method, "description"); got != want {
			t.Errorf("%s %s: %v, want %s", method, path, got, want)
		}
	}
	limit := at(t, doc, "paths", "/api/v1/books", "get", "parameters", 0).(map[string]any)
	if limit["name"] != "limit" || limit["in"] != "query" || at(t, limit, "schema", "default") != 20.0 {
		t.Errorf("parameter %v", limit)
	}
	var statuses []string
	for s := range at(t, post, "responses").(map[string]any) {
		statuses = append(statuses, s)
	}
	slices.Sort(statuses)
	if got := strings.Join(statuses, " "); got != "201 400 401 403 409 413 415 421 422 429 500 503" {
		t.Errorf("statuses %s", got)
	}
}

// Every reference of the document leads to something.
func TestReferencesLeadSomewhere(t *testing.T) {
	doc := document(t, routes()...)
	found := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				found++
				var path []any
				for seg := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
					path = append(path, seg)
				}
				at(t, doc, path...)
			}
			for _, member := range v {
				walk(member)
			}
		case []any:
			for _, element := range v {
				walk(element)
			}
		}
	}
	walk(doc)
	if found == 0 {
		t.Error("no references: the test looks in the wrong place")
	}
}

func TestWhatCannotBeDocumentedIsAnError(t *testing.T) {
	same := routes()[0]
	if _, err := openapi.Document(openapi.Info{}, []module.Route{same, same}); err == nil || !strings.Contains(err.Error(), "postApiV1Books") {
		t.Errorf("an operation twice: %v", err)
	}
	if _, err := openapi.Document(openapi.Info{}, []module.Route{{Policy: route.Route{Pattern: "GET /x", Public: true}}}); err == nil {
		t.Error("a route without an endpoint is documented")
	}
}
