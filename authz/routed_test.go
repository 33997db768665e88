package authz_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/audit/audittest"
	"github.com/merlonhq/merlon/authz"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/route"
)

func TestRouted(t *testing.T) {
	table, err := route.New([]route.Route{
		{Pattern: "GET /items", Public: true},
		{Pattern: "POST /items", Public: true},
		{Pattern: "DELETE /items/{id}", Public: true},
		{Pattern: "OPTIONS /dav/", Public: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	var events audittest.Memory
	h := exchange.New(exchange.Config{Stages: []exchange.Stage{authz.Routed{}}, Routes: table, Recorder: &events}).
		Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	for _, tt := range []struct {
		name, method, target string
		status               int
		code, allow          string
	}{
		{"a route", "GET", "/items", 204, "", ""},
		{"HEAD of a GET", "HEAD", "/items", 204, "", ""},
		{"another method of a known path", "PUT", "/items", 405, "method-not-allowed", "GET, HEAD, POST"},
		{"OPTIONS of a known path", "OPTIONS", "/items", 405, "method-not-allowed", "GET, HEAD, POST"},
		{"OPTIONS where it is a route", "OPTIONS", "/dav/x", 204, "", ""},
		{"GET where only DELETE is", "GET", "/items/1", 405, "method-not-allowed", "DELETE"},
		{"an unknown path", "GET", "/nothing", 404, "not-found", ""},
		{"OPTIONS of an unknown path", "OPTIONS", "/nothing", 404, "not-found", ""},
		{"a known path with a slash is another one", "GET", "/items/", 404, "not-found", ""},
		{"the root", "GET", "/", 404, "not-found", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.target, nil))
			if w.Code != tt.status || w.Header().Get("Allow") != tt.allow {
				t.Errorf("got %d with Allow: %q, want %d with %q", w.Code, w.Header().Get("Allow"), tt.status, tt.allow)
			}
			if tt.code != "" && !strings.Contains(w.Body.String(), `"code":"`+tt.code+`"`) {
				t.Errorf("body %s lacks code %s", w.Body, tt.code)
			}
		})
	}
	if n := len(events.Events()); n != 0 {
		t.Errorf("%d events, want none", n)
	}
}

func TestWithoutRoutesNothingIsResolved(t *testing.T) {
	w := httptest.NewRecorder()
	authz.Routed{}.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 404 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %s", w.Code, w.Header().Get("Content-Type"))
	}
}
