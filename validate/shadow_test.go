package validate_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/audit/audittest"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/validate"
)

// In shadow a handler gets text that reads as an attack, and never what its schema
// does not take.
func TestSchemasInShadow(t *testing.T) {
	schema := compile[signUp](t)
	v, err := validate.New(validate.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const sql = `"full_name":"x' or '1'='1"`
	for _, tt := range []struct {
		name, body   string
		shadow       []string
		status       int
		events       []string
		refused, not uint64
	}{
		{"SQL in a line, enforced", `{` + base + `,` + sql + `}`, nil, 422,
			[]string{"malicious_sqli refused [control=validate code=invalid-content status=422 members=/full_name suspicious-content]"}, 1, 0},
		{"SQL in a line, in shadow", `{` + base + `,` + sql + `}`, []string{"validate"}, 200,
			[]string{"malicious_sqli would_refuse [control=validate code=invalid-content status=422 members=/full_name suspicious-content]"}, 0, 1},
		{"SQL in a line beside what the schema does not take, in shadow", `{` + base + `,` + sql + `,"x":1}`, []string{"validate"}, 422,
			[]string{"malicious_sqli refused [control=validate code=invalid-content status=422 members=/… unknown-member, /full_name suspicious-content]"}, 1, 0},
		{"a name that markup would change, in shadow", `{"username":"<b>bob</b>","email":"a@example.com","password":"correct horse"}`, []string{"validate"}, 422,
			[]string{"suspicious_content refused [control=validate code=invalid-content status=422 members=/username suspicious-content]"}, 1, 0},
		{"nothing to tell, in shadow", `{` + base + `,"full_name":"x or y"}`, []string{"validate"}, 200, nil, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var events audittest.Memory
			c := exchange.New(exchange.Config{Stages: []exchange.Stage{v}, Recorder: &events, InsecureShadow: tt.shadow})
			r := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				x := exchange.FromContext(r.Context())
				got, p := schema.Read(x)
				if p != nil {
					x.Fail(w, p)
				} else if !strings.HasPrefix(got.FullName.Value, "x") {
					t.Errorf("the handler got %q", got.FullName.Value)
				}
			})).ServeHTTP(w, r)
			var told []string
			for _, e := range events.Events() {
				told = append(told, fmt.Sprint(e.Type, " ", e.Outcome, " ", slog.GroupValue(e.Detail...)))
			}
			if w.Code != tt.status || !slices.Equal(told, tt.events) {
				t.Errorf("status %d, events %q; want %d, %q", w.Code, told, tt.status, tt.events)
			}
			if n := c.Counts()[0]; n.Refused != tt.refused || n.WouldRefuse != tt.not {
				t.Errorf("counts %+v; want %d, %d", n, tt.refused, tt.not)
			}
		})
	}
}
