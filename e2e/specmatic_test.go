package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon/examples/blog"
	service "github.com/merlonhq/merlon/server"
	"github.com/merlonhq/merlon/server/module"
)

// Specmatic makes requests of the OpenAPI document, good and bad ones, and judges the
// answers by it. It takes minutes, Java and a jar of 80 MB: make specmatic.
func TestSpecmatic(t *testing.T) {
	jar := os.Getenv("SPECMATIC_JAR")
	if jar == "" {
		t.Skip("SPECMATIC_JAR is not set; make specmatic sets it")
	}
	dir := t.TempDir()
	g := newGoBetween(t, dir)
	document := filepath.Join(dir, "openapi.json")
	if err := os.WriteFile(document, g.document(t), 0o600); err != nil {
		t.Fatal(err)
	}
	between := httptest.NewServer(g)
	defer between.Close()
	// Lenient: it does not know cookies as credentials, nor objects that may be null.
	cmd := exec.CommandContext(t.Context(), "java", "-jar", jar, "test", "--lenient", "--testBaseURL="+between.URL, document)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SPECMATIC_GENERATIVE_TESTS=true", "MAX_TEST_REQUEST_COMBINATIONS=20")
	out, err := cmd.CombinedOutput()
	summary := regexp.MustCompile(`Tests run: (\d+), Successes: (\d+), Failures: 0,`).FindSubmatch(out)
	if err != nil || summary == nil || number(string(summary[1])) < 1000 {
		t.Errorf("%v; the end of what Specmatic says:\n%s", err, out[max(0, len(out)-10_000):])
	}
	for i, fault := range g.faults {
		if i < 50 {
			t.Error(fault)
		}
	}
	t.Logf("%v, of which answered otherwise than the document says: %d", g.count, len(g.faults))
	if g.count["good"] < 1000 || g.count["bad"] < 100 {
		t.Error("few requests were made")
	}
}

// goBetween stands between Specmatic and the service. It knows what no schema says:
// credentials, ids of things that are there, scopes that exist. It puts that into
// requests, and takes note of answers that are not what Specmatic asks for.
type goBetween struct {
	t       *testing.T
	target  *url.URL
	forward http.Handler
	client  *client // an admin with a session
	key     string  // with all scopes
	n       int

	mu     sync.Mutex
	count  map[string]int
	faults []string
}

func newGoBetween(t *testing.T, dir string) *goBetween {
	t.Helper()
	// The limits of a demo would be what is tested.
	file := filepath.Join(dir, "merlon.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
environment: development
database_url: sqlite:%[1]s/merlon.db
audit: {log: %[1]s/security.log}
rate_limits:
  default: {limit: 1000000, window: 1m}
  address: {limit: 1000000, window: 1m}
  bad_credentials: {limit: 1000000, window: 1m}
  rules: []
`, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	set, problems := service.LoadSettings(service.Source{File: file, Listen: "127.0.0.1:0"})
	if service.Fatal(problems) {
		t.Fatal(problems)
	}
	srv, err := service.New(t.Context(), service.Config{
		Settings: set, Modules: []module.Module{blog.Module()}, Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	samples, err := srv.SeedDemo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx) }()
	t.Cleanup(func() { // before the one above
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	target, err := url.Parse(samples.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{url: samples.URL, dir: dir, secrets: map[string]string{}}
	g := &goBetween{t: t, target: target, forward: httputil.NewSingleHostReverseProxy(target), count: map[string]int{}}
	g.client = s.client(t).login(t, account{samples.Admin.Username, samples.Admin.Password})
	g.key = g.client.newKey(t, object{"scopes": []string{"keys:manage", "keys:verify", "events:read", "posts:read", "posts:write"}}).text(t, "key")
	return g
}

// document is what is served, without the credentials: the go-between brings these.
func (g *goBetween) document(t *testing.T) []byte {
	t.Helper()
	var doc object
	if err := json.Unmarshal(g.client.do(t, "GET", "/openapi.json", nil).want(t, 200).body, &doc); err != nil {
		t.Fatal(err)
	}
	// Left to other tests: what has no schema, and the filters of the events, of which
	// it makes many thousand combinations.
	for _, path := range []string{"/openapi.json", "/reports", "/assets/{hash}/{file}", "/api/v1/events"} {
		if doc["paths"].(object)[path] == nil {
			t.Errorf("%s is not in the document any more", path)
		}
		delete(doc["paths"].(object), path)
	}
	for _, item := range doc["paths"].(object) {
		for _, operation := range item.(object) {
			delete(operation.(object), "security")
		}
	}
	delete(doc["components"].(object), "securitySchemes")
	return []byte(toText(doc))
}

var place = regexp.MustCompile(`^/api/v1/(posts|api-keys|auth/sessions)/([^/]*)(/rotate)?$`)

func (g *goBetween) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		g.t.Error(err)
	}
	want := r.Header.Get("Specmatic-Response-Code")
	if want == "" { // it looks for other documents
		w.WriteHeader(http.StatusNotFound)
		return
	}
	path := r.URL.EscapedPath()
	// Changes of the password end sessions, and so do many logins.
	if g.client.do(g.t, "GET", "/api/v1/users/me", nil).status != 200 {
		g.client = g.client.s.client(g.t).login(g.t, g.client.account)
	}
	who := g.client
	switch m := place.FindStringSubmatch(path); {
	case m != nil && m[2] != "verify":
		r.URL.Path, r.URL.RawPath = "/api/v1/"+m[1]+"/"+g.thing(m[1])+m[3], ""
	case path == "/api/v1/auth/logout":
		who = g.client.s.client(g.t).login(g.t, g.client.account)
	}
	if query := r.URL.Query(); want[0] == '2' && query.Has("cursor") { // no page has it
		query.Del("cursor")
		r.URL.RawQuery = query.Encode()
	}
	var o object
	if json.Unmarshal(body, &o) == nil && o != nil {
		g.know(path, o)
		body = []byte(toText(o))
	}
	if path == "/api/v1/auth/token" && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		body = g.knowForm(body, want)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Host = g.target.Host
	token := r.Header.Get("X-Csrf-Token")
	r.Header.Del("X-Csrf-Token")
	switch {
	case len(token) > 512: // bad, where a token is asked for
		r.Header.Set("Cookie", sessionCookie+"="+who.jar[sessionCookie])
		r.Header.Set("X-CSRF-Token", token)
	case strings.HasPrefix(path, "/api/v1/users/me"), strings.HasPrefix(path, "/api/v1/auth/sessions"), path == "/api/v1/auth/logout":
		r.Header.Set("Cookie", sessionCookie+"="+who.jar[sessionCookie])
		r.Header.Set("X-CSRF-Token", who.csrf)
	case path != "/api/v1/auth/login" && path != "/api/v1/auth/token" && path != "/api/v1/users":
		r.Header.Set("X-API-Key", g.key)
	}
	rec := httptest.NewRecorder()
	g.forward.ServeHTTP(rec, r)
	g.judge(r, want, body, rec)
	for name, values := range rec.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes()) // Specmatic would say
}

// judge takes note of an answer.
func (g *goBetween) judge(r *http.Request, want string, body []byte, rec *httptest.ResponseRecorder) {
	got := statusText(rec.Code)
	kind := "good"
	if want[0] == '4' {
		kind = "bad"
	}
	g.count[kind]++
	if rec.Code < 500 && got[0] == want[0] {
		return
	}
	g.faults = append(g.faults, fmt.Sprintf("%s %s: want %s, got %s: %.300s: %.400s", r.Method, r.URL, want, got, body, rec.Body))
}

// thing returns the id of a new thing of the collection.
func (g *goBetween) thing(collection string) string {
	switch collection {
	case "posts":
		return g.client.act(g.t, "POST", "/api/v1/posts", post()).want(g.t, 201).text(g.t, "id")
	case "api-keys":
		return g.client.newKey(g.t, object{}).text(g.t, "id")
	}
	g.client.s.client(g.t).login(g.t, g.client.account)
	for _, s := range g.client.do(g.t, "GET", "/api/v1/auth/sessions", nil).items(g.t) {
		if s["current"] != true {
			return text(s["id"])
		}
	}
	g.t.Error("no session but the own")
	return ""
}

// knowGrant makes a request for tokens one of its grant type, which decides the members
// that there must and must not be. A member that is bad by the schema stays.
func (g *goBetween) knowGrant(o object) {
	good := func(name string, most int) bool {
		s, ok := o[name].(string)
		return ok && len(s) > 0 && len(s) <= most
	}
	drop := func(name string, most int) {
		if good(name, most) {
			delete(o, name)
		}
	}
	if good("scope", 2000) && regexp.MustCompile(`^[a-z0-9_.:-]+( [a-z0-9_.:-]+)*$`).MatchString(text(o["scope"])) {
		o["scope"] = "posts:read"
	}
	switch o["grant_type"] {
	case "password":
		drop("refresh_token", 128)
		if _, there := o["username"]; !there || good("username", 254) {
			o["username"] = g.client.account.Username
		}
		if _, there := o["password"]; !there || good("password", 128) {
			o["password"] = g.client.account.Password
		}
	case "refresh_token":
		drop("username", 254)
		drop("password", 128)
		if s, ok := o["code"].(string); ok && len(s) <= 64 {
			delete(o, "code")
		}
		if _, there := o["refresh_token"]; !there || good("refresh_token", 128) {
			o["refresh_token"] = g.client.s.client(g.t).do(g.t, "POST", "/api/v1/auth/token", object{
				"grant_type": "password", "username": g.client.account.Username, "password": g.client.account.Password,
			}).want(g.t, 200).text(g.t, "refresh_token")
		}
	}
}

// knowForm is knowGrant for a form. What has no value there is null to Specmatic.
func (g *goBetween) knowForm(body []byte, want string) []byte {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return body
	}
	o := object{}
	for name, values := range form {
		if len(values) != 1 {
			return body
		}
		if values[0] != "" || want[0] != '2' {
			o[name] = values[0]
		}
	}
	g.knowGrant(o)
	form = url.Values{}
	for name, value := range o {
		form.Set(name, text(value))
	}
	return []byte(form.Encode())
}

// know replaces values that are good by the schema by those that are good.
func (g *goBetween) know(path string, o object) {
	// Five letters are what Specmatic writes for a format that it does not know.
	random := func(v any) bool { s, ok := v.(string); return ok && len(s) == 5 }
	each := func(name, good, value string) {
		list, _ := o[name].([]any)
		for i, v := range list {
			if s, ok := v.(string); ok && regexp.MustCompile(good).MatchString(s) {
				list[i] = value
			}
		}
	}
	g.n++
	if s := text(o["website"]); len(s) > 0 && len(s) <= 2048 {
		o["website"] = "https://example.com/"
	}
	switch {
	case path == "/api/v1/users":
		if random(o["password"]) {
			o["password"] = "eleven crenels in a row"
		}
		// Some names read as SQL, some are taken.
		if s := text(o["username"]); regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{2,49}$`).MatchString(s) {
			o["username"] = fmt.Sprintf("u%0*d", len(s)-1, g.n)
		}
		if strings.Contains(text(o["email"]), "@") {
			o["email"] = fmt.Sprintf("u%d@example.com", g.n)
		}
	case path == "/api/v1/auth/login":
		if s := text(o["username"]); len(s) > 0 && len(s) <= 254 {
			o["username"] = g.client.account.Username
		}
		if s := text(o["password"]); len(s) > 0 && len(s) <= 128 {
			o["password"] = g.client.account.Password
		}
	case path == "/api/v1/auth/token":
		g.knowGrant(o)
	case path == "/api/v1/users/me/password":
		if s := text(o["current_password"]); len(s) > 0 && len(s) <= 128 {
			o["current_password"] = g.client.account.Password
		}
		if random(o["new_password"]) || len(text(o["new_password"])) >= 8 && len(text(o["new_password"])) <= 128 {
			o["new_password"] = g.client.account.Password
		}
	case strings.HasPrefix(path, "/api/v1/posts"): // some tags read as SQL
		each("tags", `^[a-z0-9_-][a-z0-9 _-]{0,48}[a-z0-9_-]$`, "castles")
	case strings.HasPrefix(path, "/api/v1/api-keys"):
		each("scopes", `^.{1,64}$`, "posts:read")
		each("allowed_addresses", `^.{1,50}$`, "192.0.2.0/24")
		if s := text(o["address"]); len(s) > 0 && len(s) <= 50 {
			o["address"] = "192.0.2.1"
		}
		if at, err := time.Parse(time.RFC3339, text(o["expires_at"])); err == nil && o["expires_at"] != nil {
			o["expires_at"] = at.Add(24 * time.Hour)
			if _, days := o["expires_in_days"].(float64); days {
				delete(o, "expires_at")
			}
		}
	}
}
