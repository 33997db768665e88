package exchange_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/audit/audittest"
	"github.com/merlonhq/merlon/exchange"
)

func TestEventsAreTiedToSessionKeyAndTrace(t *testing.T) {
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for _, c := range []struct{ parent, want string }{
		{"00-" + trace + "-b7ad6b7169203331-01", `{"n":1,"key_id":"own","session_id":"ses_1","trace_id":"` + trace + `"}`},
		{"01-" + trace + "-b7ad6b7169203331-01-later", `{"n":1,"key_id":"own","session_id":"ses_1","trace_id":"` + trace + `"}`},
		{"00-" + trace + "-b7ad6b7169203331-01-later", ""},
		{"ff-" + trace + "-b7ad6b7169203331-01", ""},
		{"00-" + strings.ToUpper(trace) + "-b7ad6b7169203331-01", ""},
		{"00-00000000000000000000000000000000-b7ad6b7169203331-01", ""},
		{"00-" + trace + "-b7ad6b7169203331", ""},
		{strings.Repeat("\x1b", 55), ""},
		{"", ""},
	} {
		if c.want == "" {
			c.want = `{"n":1,"key_id":"own","session_id":"ses_1"}`
		}
		var recorder audittest.Memory
		chain := exchange.New(exchange.Config{Recorder: &recorder})
		h := chain.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			x := exchange.FromContext(r.Context())
			x.Principal.SessionID, x.Principal.KeyID = "ses_1", "key_1"
			x.Record(audit.Event{Type: audit.AuthzFail, Detail: []slog.Attr{slog.Int("n", 1), slog.String("key_id", "own")}})
		}))
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Traceparent"] = []string{c.parent}
		h.ServeHTTP(httptest.NewRecorder(), r)
		got := recorder.Events()
		if len(got) != 1 || string(audit.AppendDetail(nil, got[0].Detail)) != c.want {
			t.Errorf("%q: %v", c.parent, got)
		}
	}
}
