package validate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/validate"
)

// events keeps what is recorded.
type events struct{ list []audit.Event }

func (e *events) Record(ev audit.Event) { e.list = append(e.list, ev) }

func (e *events) Commit(_ context.Context, ev audit.Event) error {
	e.Record(ev)
	return nil
}

func (e *events) String() string {
	var b []string
	for _, ev := range e.list {
		b = append(b, fmt.Sprintf("%s %s %s", ev.Type, ev.Outcome, ev.Category))
	}
	return strings.Join(b, "; ")
}

// serve answers r through the stage and next.
func serve(t *testing.T, cfg validate.Config, next http.HandlerFunc, r *http.Request) (*httptest.ResponseRecorder, *events) {
	t.Helper()
	v, err := validate.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	routes, err := route.New([]route.Route{
		{Pattern: "GET /things", Public: true},
		{Pattern: "POST /things", Public: true},
		{Pattern: "POST /small", Public: true, MaxBody: 16},
		{Pattern: "POST /large", Public: true, MaxBody: 2 << 20},
		{Pattern: "POST /form", Public: true, ContentTypes: []string{"application/json", "application/x-www-form-urlencoded"}},
		{Pattern: "POST /patch", Public: true, ContentTypes: []string{"application/merge-patch+json"}},
		{Pattern: "POST /feed", Public: true, ContentTypes: []string{"application/atom+xml"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	rec := &events{}
	w := httptest.NewRecorder()
	exchange.New(exchange.Config{Stages: []exchange.Stage{v}, Routes: routes, Recorder: rec}).Handler(next).ServeHTTP(w, r)
	return w, rec
}

func TestBodies(t *testing.T) {
	const ok = 200
	deep := strings.Repeat("[", 33) + strings.Repeat("]", 33)
	for _, tt := range []struct {
		name, path, contentType, body string
		status                        int
		code                          string
	}{
		{"JSON", "/things", "application/json", `{"a":1}`, ok, ""},
		{"JSON with its charset", "/things", "application/json; charset=UTF-8", `{"a":1}`, ok, ""},
		{"JSON in capitals", "/things", "Application/JSON", `{"a":1}`, ok, ""},
		{"JSON with another parameter", "/things", "application/json; profile=x", `{"a":1}`, ok, ""},
		{"nothing, of no type", "/things", "", ``, ok, ""},
		{"nothing, of another type", "/things", "text/plain", ``, ok, ""},
		{"JSON of no type", "/things", "", `{"a":1}`, 415, "unsupported-media-type"},
		{"JSON as text", "/things", "text/plain", `{"a":1}`, 415, "unsupported-media-type"},
		{"JSON as a form", "/things", "application/x-www-form-urlencoded", `{"a":1}`, 415, "unsupported-media-type"},
		{"JSON in another charset", "/things", "application/json; charset=utf-16", `{"a":1}`, 415, "unsupported-media-type"},
		{"JSON in two charsets", "/things", "application/json; charset=utf-8; charset=utf-16", `{"a":1}`, 415, "unsupported-media-type"},
		{"a list of types", "/things", "application/json, text/plain", `{"a":1}`, 415, "unsupported-media-type"},
		{"a type that only begins so", "/things", "application/jsonp", `{"a":1}`, 415, "unsupported-media-type"},
		{"a relative of JSON that nobody asked for", "/things", "application/merge-patch+json", `{"a":1}`, 415, "unsupported-media-type"},
		{"a relative of JSON that the route asks for", "/patch", "application/merge-patch+json", `{"a":1}`, ok, ""},
		{"a malformed relative of JSON", "/patch", "application/merge-patch+json", `{"a":1`, 400, "malformed-request"},
		{"a form where there may be one", "/form", "application/x-www-form-urlencoded", `a=1`, ok, ""},
		{"JSON where there may be a form", "/form", "application/json", `{"a":1}`, ok, ""},
		{"XML", "/things", "application/xml", `<a/>`, 415, "unsupported-media-type"},
		{"XML where the route asks for it", "/feed", "application/atom+xml", `<a/>`, 415, "unsupported-media-type"},
		{"malformed JSON", "/things", "application/json", `{"a":1`, 400, "malformed-request"},
		{"JSON that is not UTF-8", "/things", "application/json", "{\"a\":\"\xff\"}", 400, "malformed-request"},
		{"blanks only", "/things", "application/json", " ", 400, "malformed-request"},
		{"a duplicate member", "/things", "application/json", `{"a":1,"a":2}`, 422, "invalid-content"},
		{"a NUL", "/things", "application/json", `{"a":"\u0000"}`, 422, "invalid-content"},
		{"too deep", "/things", "application/json", deep, 422, "invalid-content"},
		{"as large as the route takes", "/small", "application/json", `{"a":1234567890}`, ok, ""},
		{"larger than the route takes", "/small", "application/json", `{"a":12345678901}`, 413, "payload-too-large"},
		{"as large as the default", "/things", "application/json", `{"a":` + strings.Repeat("1", 1<<20-6) + `}`, ok, ""},
		{"larger than the default", "/things", "application/json", `{"a":` + strings.Repeat("1", 1<<20-5) + `}`, 413, "payload-too-large"},
		{"larger than the default where the route takes it", "/large", "application/json", `{"a":` + strings.Repeat("1", 1<<20) + `}`, ok, ""},
	} {
		for _, chunked := range []bool{false, true} {
			name := tt.name
			if chunked {
				name += ", chunked"
			}
			t.Run(name, func(t *testing.T) {
				r := httptest.NewRequest("POST", tt.path, strings.NewReader(tt.body))
				if chunked {
					r.ContentLength = -1
					r.Body = io.NopCloser(strings.NewReader(tt.body))
				}
				if tt.contentType != "" {
					r.Header.Set("Content-Type", tt.contentType)
				}
				var served string
				w, rec := serve(t, validate.Config{}, func(w http.ResponseWriter, r *http.Request) {
					b, _ := io.ReadAll(r.Body)
					served = string(b)
				}, r)
				if w.Code != tt.status {
					t.Fatalf("status %d, want %d: %s", w.Code, tt.status, w.Body)
				}
				if tt.status == ok {
					if served != tt.body || rec.String() != "" {
						t.Errorf("the handler read %.40q, events %s", served, rec)
					}
					return
				}
				if got := code(t, w); got != tt.code {
					t.Errorf("code %s, want %s", got, tt.code)
				}
				if rec.String() != "input_validation_fail refused suspicious_activity" {
					t.Errorf("events %s", rec)
				}
			})
		}
	}
}

func code(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var doc struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("no problem document: %v: %s", err, w.Body)
	}
	return doc.Code
}

func TestHeadersOfBodies(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header http.Header
		status int
	}{
		{"identity", http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"identity"}}, 200},
		{"gzip", http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, 415},
		{"gzip behind identity", http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"identity", "gzip"}}, 415},
		{"a list", http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"identity, gzip"}}, 415},
		{"two content types", http.Header{"Content-Type": {"application/json", "application/json"}}, 415},
	} {
		r := httptest.NewRequest("POST", "/things", strings.NewReader(`{}`))
		r.Header = tt.header
		w, _ := serve(t, validate.Config{}, func(http.ResponseWriter, *http.Request) {}, r)
		if w.Code != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, w.Code, tt.status)
		}
	}
}

// A claim of little does not make a large body pass, and a claim of much does
// not make anybody wait for it.
func TestContentLengthIsAClaim(t *testing.T) {
	large := `{"a":"` + strings.Repeat("x", 100) + `"}`
	r := httptest.NewRequest("POST", "/small", strings.NewReader(large))
	r.ContentLength = 10
	r.Header.Set("Content-Type", "application/json")
	if w, _ := serve(t, validate.Config{}, func(http.ResponseWriter, *http.Request) {}, r); w.Code != 413 {
		t.Errorf("claims 10 bytes: status %d", w.Code)
	}
	r = httptest.NewRequest("POST", "/small", failing{})
	r.ContentLength = 1 << 40
	r.Header.Set("Content-Type", "application/json")
	if w, _ := serve(t, validate.Config{}, func(http.ResponseWriter, *http.Request) {}, r); w.Code != 413 {
		t.Errorf("claims a tebibyte: status %d", w.Code)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestABodyThatBreaksOffIsMalformed(t *testing.T) {
	r := httptest.NewRequest("POST", "/things", io.MultiReader(strings.NewReader(`{"a":1}`), failing{}))
	r.ContentLength = 100
	r.Header.Set("Content-Type", "application/json")
	w, _ := serve(t, validate.Config{}, func(http.ResponseWriter, *http.Request) { t.Error("served") }, r)
	if w.Code != 400 || code(t, w) != "malformed-request" {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

func TestAGetPassesUntouched(t *testing.T) {
	r := httptest.NewRequest("GET", "/things", nil)
	r.Header.Set("Content-Type", "text/nonsense")
	w, rec := serve(t, validate.Config{}, func(http.ResponseWriter, *http.Request) {}, r)
	if w.Code != 200 || rec.String() != "" {
		t.Errorf("status %d, events %s", w.Code, rec)
	}
}

// What schemas find becomes events of the request, and values never do.
func TestReadWritesEvents(t *testing.T) {
	schema := compile[signUp](t)
	query, err := validate.CompileQuery[listing]()
	if err != nil {
		t.Fatal(err)
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		x := exchange.FromContext(r.Context())
		var p *problem.Problem
		if _, p = query.Read(x); p == nil {
			_, p = schema.Read(x)
		}
		if p != nil {
			p.Write(w, r, x.ID)
		}
	}
	for _, tt := range []struct {
		name, query, body string
		status            int
		events            string
	}{
		{"nothing to tell", "", `{` + base + `}`, 200, ""},
		{"nothing sent", "", ``, 400, "input_validation_fail refused suspicious_activity"},
		{"a bad query", "?limit=0", `{` + base + `}`, 422, "input_validation_fail refused suspicious_activity"},
		{"a bad member", "", `{` + base + `,"x":1}`, 422, "input_validation_fail refused suspicious_activity"},
		{"a secret as the name of a member", "", `{` + base + `,"s3cr3t":1}`, 422, "input_validation_fail refused suspicious_activity"},
		{"a secret as the name of a member, twice", "", `{"s3cr3t":1,"s3cr3t":1}`, 422, "input_validation_fail refused suspicious_activity"},
		{"a secret as the name of a parameter", "?s3cr3t=1", `{` + base + `}`, 422, "input_validation_fail refused suspicious_activity"},
		{"SQL in a name", "", `{"username":"x' or '1'='1","email":"a@example.com","password":"correct horse"}`, 422, "malicious_sqli refused suspicious_activity"},
		{"markup in a name", "", `{"username":"<b>bob</b>","email":"a@example.com","password":"correct horse"}`, 422,
			"suspicious_content refused suspicious_activity"},
		{"a script, removed", "", `{` + base + `,"bio":"<script>s3cr3t</script>"}`, 200, "suspicious_content success suspicious_activity"},
		{"SQL in prose, kept", "", `{` + base + `,"bio":"s3cr3t' or '1'='1"}`, 200, "malicious_sqli success suspicious_activity"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/things"+tt.query, strings.NewReader(tt.body))
			r.Header.Set("Content-Type", "application/json")
			w, rec := serve(t, validate.Config{}, handler, r)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if rec.String() != tt.events {
				t.Errorf("events %s, want %s", rec, tt.events)
			}
			for _, e := range rec.list {
				if strings.Contains(fmt.Sprint(e), "s3cr3t") {
					t.Errorf("an event holds the value: %v", e)
				}
			}
		})
	}
}

func TestReadTakesABodyThatNoStageHasRead(t *testing.T) {
	schema := compile[signUp](t)
	h := exchange.New(exchange.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, p := schema.Read(exchange.FromContext(r.Context()))
		if p != nil || v.Username != "alice" {
			t.Errorf("%+v, %v", v, p)
		}
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(`{`+base+`}`)))
}

func TestZeroConfigIsSafeAndBadOnesAreErrors(t *testing.T) {
	if _, err := validate.New(validate.Config{}); err != nil {
		t.Errorf("zero Config: %v", err)
	}
	_, err := validate.New(validate.Config{MaxBody: -1, JSON: validate.Limits{MaxDepth: 1001, MaxMembers: -2, MaxStringBytes: -3}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"MaxBody -1", "MaxDepth 1001", "MaxMembers -2", "MaxStringBytes -3"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func ExampleValidator() {
	v, err := validate.New(validate.Config{MaxBody: 1 << 10})
	if err != nil {
		panic(err)
	}
	h := v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	for _, body := range []string{`{"a": 1}`, `{"a": 1`, `{"a": 1, "a": 2}`} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 204
	// 400
	// 422
}
