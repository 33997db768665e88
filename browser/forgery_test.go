package browser_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/attacks.js
var attacks string

// stage serves the pages of attackers, or of an honest application.
func stage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	switch r.URL.Path {
	case "/":
		_, _ = io.WriteString(w, "<!doctype html><title>stage</title><body><script>"+attacks+"</script></body>")
	case "/sandbox":
		_, _ = io.WriteString(w, `<!doctype html><title>sandbox</title><iframe sandbox="allow-scripts allow-forms allow-popups" src="/"></iframe>`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// origins are pages that may not do anything. The service is localhost; for the
// first, a browser sends the cookie of the service along.
func origins(port int) map[string]string {
	return map[string]string{
		"a neighbour of the same site": fmt.Sprintf("http://localhost:%d/", port),
		"another site":                 fmt.Sprintf("http://127.0.0.1:%d/", port),
		"a site below the service's":   fmt.Sprintf("http://evil.localhost:%d/", port),
		"an opaque origin":             fmt.Sprintf("http://localhost:%d/sandbox", port),
	}
}

// victim is a browser in which somebody is logged in.
type victim struct {
	*service
	home   context.Context // a page of the service's own origin
	cookie string
}

func newVictim(t *testing.T, browser context.Context, s *service) *victim {
	t.Helper()
	v := &victim{service: s, home: tab(t, browser, s.page("/health"))}
	// The answers of the API forbid themselves all requests. A page that the
	// service would serve is not what is tried here.
	if err := call(v.home, page.SetBypassCSP, page.SetBypassCSPParams{Enabled: true}); err != nil {
		t.Fatal(err)
	}
	visit(t, v.home, s.page("/health"))
	if got := v.fetch(t, v.home, "POST", "/api/v1/auth/login", s.User, ""); got.Status != 200 {
		t.Fatalf("logging in from the service's own origin: %+v", got)
	}
	v.cookie = v.cookies(t)["__Host-merlon_session"].Value
	return v
}

// cookies returns the cookies of the service as the browser keeps them.
func (v *victim) cookies(t *testing.T) map[string]*network.Cookie {
	t.Helper()
	got, err := chromedp.Call(v.home, network.GetCookies, network.GetCookiesParams{URLs: []string{v.page("/")}})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*network.Cookie{}
	for _, c := range got.Cookies {
		out[c.Name] = c
	}
	return out
}

type fetched struct {
	Status int
	Body   string
}

// json returns a member of the answer.
func (f fetched) json(t *testing.T, name string) string {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(f.Body), &o); err != nil {
		t.Fatalf("%+v: %v", f, err)
	}
	s, _ := o[name].(string)
	return s
}

// fetch asks the service as a script of the page does; status 0 says that the
// browser did not let it.
func (v *victim) fetch(t *testing.T, from context.Context, method, path string, body any, token string) fetched {
	t.Helper()
	headers := map[string]string{}
	options := map[string]any{"method": method, "credentials": "include", "headers": headers}
	if body != nil {
		headers["Content-Type"] = "application/json"
		options["body"] = quote(t, body)
	}
	if token != "" {
		headers["X-CSRF-Token"] = token
	}
	return evaluate[fetched](t, from, fmt.Sprintf(
		`fetch(%s, %s).then(async (a) => ({Status: a.status, Body: await a.text()}), (e) => ({Status: 0, Body: e.message}))`,
		quote(t, v.page(path)), quote(t, options)))
}

// state is all that an attack could change, as the API tells it to the victim's
// session, asked for by a program.
func (v *victim) state(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, path := range []string{"/api/v1/users/me", "/api/v1/posts?limit=100", "/api/v1/api-keys", "/api/v1/auth/sessions"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", v.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.AddCookie(&http.Cookie{Name: "__Host-merlon_session", Value: v.cookie})
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var o map[string]any
		err = json.NewDecoder(resp.Body).Decode(&o)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("GET %s with the victim's session: status %d, %v, %v", path, resp.StatusCode, o, err)
		}
		if items, ok := o["items"].([]any); ok {
			for _, item := range items {
				delete(item.(map[string]any), "last_seen_at")
				delete(item.(map[string]any), "last_used_at")
			}
		}
		out[path] = o
	}
	return out
}

// families are the names that attacks.js gives them.
var families = []string{"changes", "preflighted", "reads"}

// run runs all attacks in the page, or in the frame that it holds, and returns what
// they read.
func run(t *testing.T, attacker context.Context, origin string, target map[string]any) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, family := range families {
		expression := fmt.Sprintf("attack(%s, %s)", family, quote(t, target))
		var read map[string]string
		if strings.HasSuffix(origin, "/sandbox") {
			read = evaluateInFrame[map[string]string](t, attacker, expression)
		} else {
			read = evaluate[map[string]string](t, attacker, expression)
		}
		if len(read) < 5 {
			t.Fatalf("%s: %d attacks ran", family, len(read))
		}
		for name, text := range read {
			all[family+": "+name] = text
		}
	}
	return all
}

func TestPagesOfOtherOriginsChangeAndReadNothing(t *testing.T) {
	s := demo(t)
	port, public := serve(t, http.HandlerFunc(stage)), serve(t, http.HandlerFunc(stage))
	browser := launch(t, map[string]any{"ip-address-space-overrides": fmt.Sprintf("127.0.0.1:%d=public", public)})
	v := newVictim(t, browser, s)
	_, text := s.do(t, "POST", "/api/v1/posts", map[string]any{"title": "The victim's", "content": "A post of the victim's."})
	post := fetched{Body: string(text)}.json(t, "id")
	target := map[string]any{"api": "http://localhost:" + s.port, "post": post, "thief": s.Admin}
	before, cookies := v.state(t), v.cookies(t)

	attackers := origins(port)
	const internet = "a site of the internet, towards this machine"
	attackers[internet] = fmt.Sprintf("http://localhost:%d/", public)
	for name, origin := range attackers {
		t.Run(name, func(t *testing.T) {
			attacker := tab(t, browser, origin)
			csrf, cors := s.events(t, "malicious_csrf"), s.events(t, "malicious_cors")
			for attack, read := range run(t, attacker, origin, target) {
				if read != "" {
					t.Errorf("%s reads %q", attack, read)
				}
			}
			if after := v.state(t); !reflect.DeepEqual(after, before) {
				t.Errorf("the state is %v, and was %v", after, before)
			}
			// Refused for what they are, and not for a form that is not JSON or the like.
			// Where the browser itself keeps a page away, little is left to refuse.
			wantCSRF, wantCORS := csrf+15, cors+6
			if origin == attackers[internet] {
				wantCSRF, wantCORS = csrf+1, cors
			}
			for end := time.Now().Add(5 * time.Second); s.events(t, "malicious_csrf") < wantCSRF || s.events(t, "malicious_cors") < wantCORS; time.Sleep(50 * time.Millisecond) {
				if time.Now().After(end) {
					t.Errorf("%d requests were refused as forgeries and %d as preflights of a foreign origin; want %d and %d",
						s.events(t, "malicious_csrf")-csrf, s.events(t, "malicious_cors")-cors, wantCSRF-csrf, wantCORS-cors)
					break
				}
			}
			after := v.cookies(t)
			for name, c := range cookies {
				if after[name] == nil || after[name].Value != c.Value {
					t.Errorf("the cookie %s is another: %v", name, after[name])
				}
			}
		})
	}
	for name, address := range map[string]string{
		"logging out": "/api/v1/auth/logout", "deleting by a query": "/api/v1/posts/" + post + "?_method=DELETE", "a token in the query": "/api/v1/posts?csrf_token=x",
	} {
		attacker := tab(t, browser, attackers["another site"])
		if err := chromedp.Do(attacker, chromedp.Evaluate[chromedp.Void]("location.href = "+quote(t, s.page(address)))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		if after := v.state(t); !reflect.DeepEqual(after, before) {
			t.Errorf("following a link for %s: the state is %v, and was %v", name, after, before)
		}
	}
	if got := evaluate[string](t, v.home, "document.cookie"); got != "" {
		t.Errorf("scripts of the service's own origin read the cookies %q", got)
	}
	admin := newVictimOf(t, s, s.Admin)
	if n := len(admin.state(t)["/api/v1/auth/sessions"].(map[string]any)["items"].([]any)); n != 1 {
		t.Errorf("the attacker's account has %d sessions, want the one of this test", n)
	}
}

// events counts the events of a type in the event log.
func (s *service) events(t *testing.T, typ string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "security.log"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), `"type":"`+typ+`"`)
}

// newVictimOf logs somebody in by a program.
func newVictimOf(t *testing.T, s *service, who account) *victim {
	t.Helper()
	resp, err := http.Post(s.URL+"/api/v1/auth/login", "application/json", strings.NewReader(quote(t, who)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, c := range resp.Cookies() {
		if c.Name == "__Host-merlon_session" {
			return &victim{service: s, cookie: c.Value}
		}
	}
	t.Fatalf("logging in: status %d", resp.StatusCode)
	return nil
}

// The nearest neighbours that are allowed.
func TestThePagesOfTheServiceAndOfListedOriginsSucceed(t *testing.T) {
	s := demo(t)
	port := serve(t, http.HandlerFunc(stage))
	browser := launch(t, map[string]any{"host-resolver-rules": fmt.Sprintf("MAP localhost:3000 127.0.0.1:%d, MAP localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", port)})
	v := newVictim(t, browser, s)
	for name, from := range map[string]context.Context{
		"the service's own":   v.home,
		"the listed origin's": tab(t, browser, "http://localhost:3000/"),
	} {
		t.Run(name, func(t *testing.T) {
			if me := v.fetch(t, from, "GET", "/api/v1/users/me", nil, ""); me.json(t, "username") != s.User.Username {
				t.Errorf("reading: %+v", me)
			}
			body := map[string]any{"title": name, "content": "written by a page of " + name}
			if without := v.fetch(t, from, "POST", "/api/v1/posts", body, ""); without.Status != 403 || without.json(t, "code") != "csrf-token-missing" {
				t.Errorf("without a token: %+v", without)
			}
			token := v.fetch(t, from, "GET", "/csrf/token", nil, "").json(t, "csrf_token")
			posted := v.fetch(t, from, "POST", "/api/v1/posts", body, token)
			if posted.Status != 201 {
				t.Fatalf("with a token: %+v", posted)
			}
			id := posted.json(t, "id")
			if changed := v.fetch(t, from, "PATCH", "/api/v1/posts/"+id, map[string]any{"title": "changed"}, token); changed.Status != 200 {
				t.Errorf("PATCH: %+v", changed)
			}
			if removed := v.fetch(t, from, "DELETE", "/api/v1/posts/"+id, nil, token); removed.Status != 204 {
				t.Errorf("DELETE: %+v", removed)
			}
			if again := v.fetch(t, from, "POST", "/api/v1/auth/login", s.User, token); again.Status != 200 {
				t.Errorf("logging in: %+v", again)
			}
		})
	}
	// The origin beside the listed one: the same page on the port it really has.
	if me := v.fetch(t, tab(t, browser, fmt.Sprintf("http://localhost:%d/", port)), "GET", "/api/v1/users/me", nil, ""); me.Status != 0 {
		t.Errorf("an origin that is not listed reads: %+v", me)
	}
}

// weak is a service without any of the controls, which notes what reaches it with
// the cookie of somebody who is logged in.
type weak struct {
	mu  sync.Mutex
	saw []string
}

func (s *weak) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if origin := r.Header.Get("Origin"); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Access-Control-Allow-Methods", "PATCH, PUT, DELETE")
		h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	}
	if r.URL.Path == "/enter" {
		http.SetCookie(w, &http.Cookie{Name: "weak", Value: "1", Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
		return
	}
	if _, err := r.Cookie("weak"); err == nil && r.Method != "OPTIONS" {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.saw = append(s.saw, fmt.Sprintf("%s %s %s %s", r.Method, r.URL.Path, r.Header.Get("Sec-Fetch-Dest"), body))
		s.mu.Unlock()
	}
	if r.Header.Get("Sec-Fetch-Dest") == "script" {
		h.Set("Content-Type", "text/javascript")
	} else {
		h.Set("Content-Type", "application/json")
	}
	_, _ = io.WriteString(w, `"what only the victim may read"`)
}

// A page that can do nothing anywhere would find every service strong.
func TestTheAttacksSucceedAgainstAWeakService(t *testing.T) {
	target := &weak{}
	port, victims := serve(t, http.HandlerFunc(stage)), serve(t, target)
	browser := launch(t, nil)
	tab(t, browser, fmt.Sprintf("http://localhost:%d/enter", victims))
	origin := origins(port)["a neighbour of the same site"]
	read := run(t, tab(t, browser, origin), origin, map[string]any{
		"api": fmt.Sprintf("http://localhost:%d", victims), "post": "pst_1", "thief": account{"thief", "a password of the thief"},
	})
	var learned []string
	for attack, text := range read {
		if text != "" {
			learned = append(learned, attack)
		}
	}
	slices.Sort(learned)
	for _, attack := range []string{"reads: fetch, with CORS", "reads: XMLHttpRequest", "reads: fetch of a token", "reads: a script", "changes: JSON as plain text, with CORS", "preflighted: DELETE"} {
		if !slices.Contains(learned, attack) {
			t.Errorf("%s reads nothing of the weak service; what reads is %q", attack, learned)
		}
	}
	saw := strings.Join(target.saw, "\n")
	for _, want := range []string{
		"POST /api/v1/posts iframe title=a+form&", "POST /api/v1/posts iframe ------", `POST /api/v1/posts iframe {"title":"a form that spells JSON"`,
		`POST /api/v1/posts document {"title":"a form in a new window"`, "POST /api/v1/auth/logout", "POST /api/v1/posts/pst_1 iframe _method=DELETE",
		`POST /api/v1/posts empty {"title":"JSON as plain text, without CORS"`, `POST /api/v1/posts empty {"title":"JSON without a type, without CORS"`,
		`POST /api/v1/posts empty {"title":"a beacon"`, `POST /api/v1/posts empty {"title":"a request that outlives the page"`,
		`POST /api/v1/users iframe {"username":"forged"`, "POST /api/v1/auth/login iframe username=thief&", `POST /api/v1/auth/login iframe {"username":"thief"`,
		"POST /api/v1/auth/token iframe grant_type=password&", `POST /api/v1/posts empty {"title":"JSON, with CORS"`, `POST /api/v1/posts empty {"title":"a made-up token`,
		`PATCH /api/v1/users/me empty {"bio":"PATCH"`, "PUT /api/v1/posts/pst_1 empty", "DELETE /api/v1/posts/pst_1 empty",
		"GET /api/v1/users/me image", "GET /api/v1/users/me script", "GET /api/v1/users/me style", "GET /api/v1/users/me iframe", "GET /api/v1/users/me object", "GET /api/v1/users/me document",
	} {
		if !strings.Contains(saw, want) {
			t.Errorf("%q did not reach the weak service", want)
		}
	}
	if t.Failed() {
		t.Log(saw)
	}
}
