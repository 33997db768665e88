package module_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/store/sqlstore"
)

type input struct {
	Name string `json:"name" text:"line" maxLength:"20" optional:"true"`
}

type output struct {
	Name  string  `json:"name"`
	Ratio float64 `json:"ratio"`
}

func call(e module.Endpoint, method, target, body string) *httptest.ResponseRecorder {
	chain := exchange.New(exchange.Config{ErrorLog: slog.New(slog.NewTextHandler(io.Discard, nil))})
	w := httptest.NewRecorder()
	chain.Handler(e).ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

func TestEndpoints(t *testing.T) {
	echo := func(_ *module.Call, in *input) (output, error) { return output{Name: in.Name}, nil }
	none := func(*module.Call) (module.None, error) { return module.None{}, nil }
	failing := func(err error) module.Endpoint {
		return module.Bare(200, func(*module.Call) (output, error) { return output{Name: "half"}, err })
	}
	tests := []struct {
		name         string
		e            module.Endpoint
		target, body string
		status       int
		want         string
	}{
		{"a body", module.Body(201, echo), "/", `{"name":"<b>Ada</b>"}`, 201, `{"name":"Ada","ratio":0}`},
		{"no body where there must be one", module.Body(201, echo), "/", "", 400, `"malformed-request"`},
		{"no body where there may be none", module.OptionalBody(201, echo), "/", "", 201, `{"name":"","ratio":0}`},
		{"a body where there may be none", module.OptionalBody(201, echo), "/", `{"name":"Ada"}`, 201, `"Ada"`},
		{"a bad body where there may be none", module.OptionalBody(201, echo), "/", `{"nam":"Ada"}`, 422, `"unknown-member"`},
		{"nothing to answer", module.Bare(204, none), "/", "", 204, ""},
		{"a parameter that nobody reads", module.Bare(204, none), "/?a=b", "", 422, `"unknown-parameter"`},
		{"a problem", failing(problem.New(problem.Conflict, "Later.")), "/", "", 409, `"conflict"`},
		{"a wrapped problem", failing(fmt.Errorf("writing: %w", problem.New(problem.Conflict, "Later."))), "/", "", 409, `"conflict"`},
		{"a database that is away", failing(fmt.Errorf("reading: %w: locked", sqlstore.ErrUnavailable)), "/", "", 503, `"store-unavailable"`},
		{"any other error", failing(errors.New("secret table")), "/", "", 500, `"internal-error"`},
		{"an answer that cannot be encoded", module.Bare(200, func(*module.Call) (output, error) { return output{Ratio: math.NaN()}, nil }), "/", "", 500, `"internal-error"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.e.Err(); err != nil {
				t.Fatal(err)
			}
			w := call(tt.e, "POST", tt.target, tt.body)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) || tt.want == "" && w.Body.Len() > 0 {
				t.Errorf("status %d, body %s; want %d, %s", w.Code, w.Body, tt.status, tt.want)
			}
			if strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "half") {
				t.Errorf("the answer tells too much: %s", w.Body)
			}
		})
	}
}

func TestABodyMayBeAForm(t *testing.T) {
	e := module.BodyOrForm(200, func(_ *module.Call, in *input) (output, error) { return output{Name: in.Name}, nil })
	if err := e.Err(); err != nil || !e.Describe().Form {
		t.Fatal(err)
	}
	chain := exchange.New(exchange.Config{ErrorLog: slog.New(slog.NewTextHandler(io.Discard, nil))})
	for _, tt := range []struct {
		media, body string
		status      int
	}{
		{"application/x-www-form-urlencoded", "name=Ada", 200},
		{"application/json", `{"name":"Ada"}`, 200},
		{"application/x-www-form-urlencoded", `{"name":"Ada"}`, 422},
		{"application/json", "name=Ada", 400},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
		r.Header.Set("Content-Type", tt.media)
		w := httptest.NewRecorder()
		chain.Handler(e).ServeHTTP(w, r)
		if w.Code != tt.status || tt.status == 200 && w.Body.String() != `{"name":"Ada","ratio":0}`+"\n" {
			t.Errorf("%s of %s: status %d: %s", tt.body, tt.media, w.Code, w.Body)
		}
	}
	if e := module.Body(200, func(*module.Call, *input) (output, error) { return output{}, nil }); e.Describe().Form {
		t.Error("a body of JSON alone says that it may be a form")
	}
}

func TestAnEndpointWhoseTypesHaveNoBoundsIsAnError(t *testing.T) {
	type unbounded struct {
		Name string `json:"name"`
	}
	e := module.Body(204, func(*module.Call, *unbounded) (module.None, error) { return module.None{}, nil })
	if e.Err() == nil || !strings.Contains(e.Err().Error(), "maxLength") {
		t.Errorf("error %v", e.Err())
	}
	if (module.Endpoint{}).Err() == nil {
		t.Error("no endpoint is no error")
	}
}

func TestStatusesAreOfSuccessAndFitTheAnswer(t *testing.T) {
	none := func(*module.Call) (module.None, error) { return module.None{}, nil }
	some := func(*module.Call) (output, error) { return output{}, nil }
	for _, tt := range []struct {
		name string
		e    module.Endpoint
		want string
	}{
		{"no status", module.Bare(0, some), "status 0"},
		{"one below success", module.Bare(199, some), "status 199"},
		{"the first of success", module.Bare(200, some), ""},
		{"the last of success", module.Bare(299, some), ""},
		{"a redirect", module.Bare(300, some), "status 300"},
		{"a failure", module.Query(404, func(*module.Call, *struct{}) (output, error) { return output{}, nil }), "status 404"},
		{"204 with an answer", module.Bare(204, some), "use None"},
		{"204 with none", module.Bare(204, none), ""},
		{"200 with none", module.Bare(200, none), "None"},
		{"200 with none, with a body", module.Body(200, func(*module.Call, *input) (module.None, error) { return module.None{}, nil }), "None"},
		{"a plain handler that fails", module.Raw(500, "text/plain", http.NotFoundHandler()), "status 500"},
		{"a plain handler", module.Raw(200, "text/plain", http.NotFoundHandler()), ""},
		{"no handler", module.Raw(200, "text/plain", nil), "no handler"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.e.Err(); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want one about %q", err, tt.want)
			}
		})
	}
}

func TestModulesAreChecked(t *testing.T) {
	routes := func(module.Host) []module.Route { return nil }
	for _, tt := range []struct {
		name string
		m    module.Module
		want []string
	}{
		{"a module", module.Module{Name: "a", Routes: routes, Scopes: []module.Scope{{Name: "a:read"}, {Name: "a:write"}}}, nil},
		{"a long name", module.Module{Name: "m" + strings.Repeat("_", 31), Routes: routes}, nil},
		{"a name that is too long", module.Module{Name: "m" + strings.Repeat("_", 32), Routes: routes}, []string{"Name must"}},
		{"a name in capitals", module.Module{Name: "Blog", Routes: routes}, []string{`"Blog"`, "Name must"}},
		{"everything", module.Module{Scopes: []module.Scope{{Name: "a"}, {Name: "a"}, {}}},
			[]string{"Name must", "Routes is nil", `scope "a" is declared twice`, "no name"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.m.Check()
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("error %v; want %q", err, tt.want)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v; want %q", err, want)
				}
			}
		})
	}
}

func TestIDsSortByTheirTime(t *testing.T) {
	now := time.Now()
	a, b := module.NewID("pst", now), module.NewID("pst", now.Add(time.Second))
	if a >= b || !strings.HasPrefix(a, "pst_") || len(a) != 40 || !module.IsID("pst", a) || module.IsID("usr", a) || module.IsID("pst", a+"0") {
		t.Errorf("%s, %s", a, b)
	}
}
