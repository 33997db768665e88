package csrf_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/merlonhq/merlon/csrf"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/route"
)

var inSession = caller{Kind: identity.Session, Subject: "usr_one", SessionID: "ses_one"}

// keep keeps the body that the handler gets.
type keep struct {
	body string
	err  error
}

func (k *keep) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	k.body, k.err = string(b), err
}

// openRoute is a stage that gives the request a public route.
type openRoute struct{}

func (openRoute) Name() string { return "open" }
func (openRoute) Decide(x *exchange.Exchange) exchange.Outcome {
	x.Match.Route = &route.Route{Pattern: "POST /", Public: true}
	return exchange.Continue()
}

func TestTheTokenStage(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	issue := func(b csrf.Binding, at time.Time) string { token, _ := p.Issue(b, at); return token }
	good := issue(csrf.Session("ses_one"), time.Now())
	again := issue(csrf.Session("ses_one"), time.Now())
	foreign := issue(csrf.Session("ses_two"), time.Now())
	preSession := issue(csrf.PreSession("ses_one"), time.Now())
	expired := issue(csrf.Session("ses_one"), time.Now().Add(-13*time.Hour))

	const (
		jsonType  = "application/json"
		formType  = "application/x-www-form-urlencoded"
		multiType = "multipart/form-data; boundary=b"
	)
	part := func(name, value string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	big := strings.Repeat("x", 64<<10)

	for _, tt := range []struct {
		name   string
		who    caller
		open   bool // a route that nobody in particular may call; else it has none
		method string
		header []string // X-CSRF-Token
		ctype  string
		body   string
		cookie string
		code   string // of the problem, or "" when it passes
		reason string // in the event
		rest   string // what the handler reads
	}{
		// Who must have one.
		{name: "a safe method needs none", who: inSession, method: "GET"},
		{name: "HEAD needs none", who: inSession, method: "HEAD"},
		{name: "nobody needs none", who: caller{}, method: "POST"},
		{name: "an API key needs none", who: caller{Kind: identity.APIKey, Subject: "usr_one"}, method: "POST"},
		{name: "a bearer token needs none", who: caller{Kind: identity.Token, Subject: "usr_one", SessionID: "ses_one"}, method: "POST"},
		{name: "a session needs one", who: inSession, method: "POST", code: "csrf-token-missing", reason: "missing"},
		{name: "a session needs one on DELETE", who: inSession, method: "DELETE", code: "csrf-token-missing", reason: "missing"},
		{name: "a session needs one on an invented method", who: inSession, method: "BREW", code: "csrf-token-missing", reason: "missing"},
		{name: "a session without id passes with none", who: caller{Kind: identity.Session, Subject: "usr_one"}, method: "POST",
			header: []string{issue(csrf.Session(""), time.Now())}, code: "csrf-token-invalid", reason: "invalid"},

		// The header.
		{name: "in the header", who: inSession, method: "POST", header: []string{good}},
		{name: "an empty header", who: inSession, method: "POST", header: []string{""}, code: "csrf-token-missing", reason: "missing"},
		{name: "of another session", who: inSession, method: "POST", header: []string{foreign}, code: "csrf-token-invalid", reason: "invalid"},
		{name: "of another session, for that session", who: caller{Kind: identity.Session, Subject: "usr_two", SessionID: "ses_two"}, method: "POST", header: []string{foreign}},
		{name: "of the time before login", who: inSession, method: "POST", header: []string{preSession}, code: "csrf-token-invalid", reason: "invalid"},
		{name: "expired", who: inSession, method: "POST", header: []string{expired}, code: "csrf-token-invalid", reason: "expired"},
		{name: "cut", who: inSession, method: "POST", header: []string{good[:149]}, code: "csrf-token-invalid", reason: "invalid"},
		{name: "the same twice", who: inSession, method: "POST", header: []string{good, good}},
		{name: "two good ones", who: inSession, method: "POST", header: []string{good, again}, code: "csrf-token-invalid", reason: "several"},
		{name: "two in one line", who: inSession, method: "POST", header: []string{good + ", " + good}, code: "csrf-token-invalid", reason: "invalid"},
		{name: "with a body that stays", who: inSession, method: "POST", header: []string{good}, ctype: jsonType, body: `{"title": "x"}`, rest: `{"title": "x"}`},
		{name: "with a body of another type", who: inSession, method: "PUT", header: []string{good}, ctype: "text/plain", body: "csrf_token=x", rest: "csrf_token=x"},
		{name: "with a large body, which is not cut", who: inSession, method: "POST", header: []string{good}, ctype: jsonType, body: `"` + big + `"`, rest: `"` + big + `"`},

		// JSON.
		{name: "in JSON", who: inSession, method: "POST", ctype: jsonType,
			body: `{"title":"x","csrf_token":"` + good + `","n":1.0}`, rest: `{"title":"x","n":1.0}`},
		{name: "in JSON alone", who: inSession, method: "POST", ctype: "application/json; charset=utf-8",
			body: `{"csrf_token":"` + good + `"}`, rest: `{}`},
		{name: "in a dialect of JSON", who: inSession, method: "PATCH", ctype: "application/merge-patch+json",
			body: `{"csrf_token":"` + good + `"}`, rest: `{}`},
		{name: "in JSON and the header", who: inSession, method: "POST", header: []string{good}, ctype: jsonType,
			body: `{"csrf_token":"` + good + `","a":1}`, rest: `{"a":1}`},
		{name: "another one in JSON than in the header", who: inSession, method: "POST", header: []string{good}, ctype: jsonType,
			body: `{"csrf_token":"` + again + `"}`, code: "csrf-token-invalid", reason: "several"},
		{name: "a foreign one in JSON", who: inSession, method: "POST", ctype: jsonType,
			body: `{"csrf_token":"` + foreign + `"}`, code: "csrf-token-invalid", reason: "invalid"},
		{name: "two in JSON", who: inSession, method: "POST", ctype: jsonType,
			body: `{"csrf_token":"` + good + `","csrf_token":"` + good + `"}`, code: "csrf-token-missing", reason: "missing"},
		{name: "not a string in JSON", who: inSession, method: "POST", ctype: jsonType,
			body: `{"csrf_token":1}`, code: "csrf-token-missing", reason: "missing"},
		{name: "deep in JSON", who: inSession, method: "POST", ctype: jsonType,
			body: `{"a":{"csrf_token":"` + good + `"}}`, code: "csrf-token-missing", reason: "missing"},
		{name: "in broken JSON", who: inSession, method: "POST", ctype: jsonType,
			body: `{"csrf_token":"` + good + `"`, code: "csrf-token-missing", reason: "missing"},
		{name: "in JSON of 64 KiB", who: inSession, method: "POST", ctype: jsonType,
			body: `{"csrf_token":"` + good + `","a":"` + big[:64<<10-len(good)-24] + `"}`, rest: `{"a":"` + big[:64<<10-len(good)-24] + `"}`},
		{name: "in JSON of a byte more", who: inSession, method: "POST", ctype: jsonType,
			body: `{"csrf_token":"` + good + `","a":"` + big[:64<<10-len(good)-23] + `"}`, code: "csrf-token-missing", reason: "missing"},
		{name: "in JSON that says it is text", who: inSession, method: "POST", ctype: "text/plain",
			body: `{"csrf_token":"` + good + `"}`, code: "csrf-token-missing", reason: "missing"},
		{name: "in JSON without a type", who: inSession, method: "POST",
			body: `{"csrf_token":"` + good + `"}`, code: "csrf-token-missing", reason: "missing"},

		// Forms.
		{name: "in a form", who: inSession, method: "POST", ctype: formType,
			body: "a=1&csrf_token=" + good + "&b=%zz&&c", rest: "a=1&b=%zz&&c"},
		{name: "in a form alone", who: inSession, method: "POST", ctype: formType, body: "csrf_token=" + good, rest: ""},
		{name: "in a form with escapes", who: inSession, method: "POST", ctype: formType,
			body: "csrf%5Ftoken=" + strings.ReplaceAll(url.QueryEscape(good), "A", "%41") + "&a=1", rest: "a=1"},
		{name: "twice in a form", who: inSession, method: "POST", ctype: formType,
			body: "csrf_token=" + good + "&a=1&csrf_token=" + good, rest: "a=1"},
		{name: "two in a form", who: inSession, method: "POST", ctype: formType,
			body: "csrf_token=" + good + "&csrf_token=" + again, code: "csrf-token-invalid", reason: "several"},
		{name: "with a bad escape in a form", who: inSession, method: "POST", ctype: formType,
			body: "csrf_token=" + good + "%z", code: "csrf-token-invalid", reason: "invalid"},
		{name: "in a form without one", who: inSession, method: "POST", ctype: formType,
			body: "a=1", code: "csrf-token-missing", reason: "missing"},
		{name: "in the query string", who: inSession, method: "POST", ctype: formType,
			body: "", code: "csrf-token-missing", reason: "missing"},
		{name: "in a form larger than 64 KiB", who: inSession, method: "POST", ctype: formType,
			body: "csrf_token=" + good + "&a=" + big, code: "csrf-token-missing", reason: "missing"},

		// Multipart forms.
		{name: "in a multipart form, which stays", who: inSession, method: "POST", ctype: multiType,
			body: part("a", "1") + part("csrf_token", good) + "--b--\r\n", rest: part("a", "1") + part("csrf_token", good) + "--b--\r\n"},
		{name: "ahead of a large upload", who: inSession, method: "POST", ctype: multiType,
			body: part("csrf_token", good) + part("file", big) + "--b--\r\n", rest: part("csrf_token", good) + part("file", big) + "--b--\r\n"},
		{name: "behind a large upload", who: inSession, method: "POST", ctype: multiType,
			body: part("file", big) + part("csrf_token", good) + "--b--\r\n", code: "csrf-token-missing", reason: "missing"},
		{name: "two in a multipart form", who: inSession, method: "POST", ctype: multiType,
			body: part("csrf_token", good) + part("csrf_token", foreign) + "--b--\r\n", code: "csrf-token-invalid", reason: "several"},
		{name: "as a file", who: inSession, method: "POST", ctype: multiType,
			body: part("csrf_token\"; filename=\"x", good) + "--b--\r\n", code: "csrf-token-missing", reason: "missing"},
		{name: "in a multipart form without boundary", who: inSession, method: "POST", ctype: "multipart/form-data",
			body: part("csrf_token", good) + "--b--\r\n", code: "csrf-token-missing", reason: "missing"},

		// Without a session nothing is asked for, but ours is taken out.
		{name: "at login from a browser that asked for one", who: caller{}, method: "POST", ctype: jsonType,
			cookie: "__Host-merlon_presession=" + strings.Repeat("A", 43),
			body:   `{"csrf_token":"whatever","username":"x"}`, rest: `{"username":"x"}`},
		{name: "at login, an open route, with the cookie of a dead session", who: caller{}, open: true, method: "POST", ctype: jsonType,
			cookie: "__Host-merlon_session=dead",
			body:   `{"csrf_token":"whatever","username":"x"}`, rest: `{"username":"x"}`},
		// A cookie that nobody has looked at might be good.
		{name: "a session cookie without authentication", who: caller{}, method: "POST",
			cookie: "__Host-merlon_session=any", code: "csrf-token-missing", reason: "missing"},
		{name: "a session cookie without authentication, with a good token", who: caller{}, method: "POST", header: []string{good},
			cookie: "__Host-merlon_session=any", code: "csrf-token-invalid", reason: "invalid"},
		{name: "a session cookie without authentication on a safe method", who: caller{}, method: "GET", cookie: "__Host-merlon_session=any"},
		{name: "a cookie that proves somebody of no kind", who: caller{Subject: "usr_one"}, open: true, method: "POST",
			cookie: "__Host-merlon_session=any", code: "csrf-token-missing", reason: "missing"},
		{name: "at login from a program", who: caller{}, method: "POST", ctype: jsonType,
			body: `{"csrf_token":"whatever"}`, rest: `{"csrf_token":"whatever"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, chunked := range []bool{false, true} {
				r := httptest.NewRequest(tt.method, "/?csrf_token="+good, strings.NewReader(tt.body))
				if chunked {
					r.ContentLength = -1
					r.Body = io.NopCloser(iotest.HalfReader(strings.NewReader(tt.body)))
				}
				if tt.header != nil {
					r.Header["X-Csrf-Token"] = tt.header
				}
				if tt.ctype != "" {
					r.Header.Set("Content-Type", tt.ctype)
				}
				if tt.cookie != "" {
					r.Header.Set("Cookie", tt.cookie)
				}
				var got keep
				stages := []exchange.Stage{tt.who, p.Token()}
				if tt.open {
					stages = append([]exchange.Stage{openRoute{}}, stages...)
				}
				rec, reached, evs := through(r, &got, stages...)
				if tt.code == "" {
					if !reached || len(evs) != 0 {
						t.Fatalf("chunked %v: refused: %d %s", chunked, rec.Code, rec.Body)
					}
					if got.err != nil || got.body != tt.rest {
						t.Errorf("chunked %v: the handler reads %d bytes (%v)\n%.300s\nwant %d bytes\n%.300s", chunked, len(got.body), got.err, got.body, len(tt.rest), tt.rest)
					}
					continue
				}
				if reached || rec.Code != 403 || codeOf(t, rec) != tt.code {
					t.Fatalf("chunked %v: handler reached: %v, answer %d %s; want 403 %s", chunked, reached, rec.Code, rec.Body, tt.code)
				}
				if len(evs) != 1 || evs[0].Type != "malicious_csrf" || detail(evs[0])["reason"] != tt.reason || detail(evs[0])["control"] != "csrf-token" {
					t.Errorf("chunked %v: events %+v, want one with reason %q", chunked, evs, tt.reason)
				}
				for _, secret := range []string{good, foreign, expired} {
					if strings.Contains(rec.Body.String(), secret) {
						t.Error("the answer echoes a token")
					}
				}
			}
		})
	}
}

func TestTheTokenStageAloneRefusesSessions(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	h := exchange.Handler(p.Token(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for cookie, want := range map[string]int{"__Host-merlon_session=any": 403, "theme=dark": 200} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: status %d; want %d", cookie, w.Code, want)
		}
	}
}

func TestBadTokensHaveOneAnswer(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	expired, _ := p.Issue(csrf.Session("ses_one"), time.Now().Add(-13*time.Hour))
	foreign, _ := p.Issue(csrf.Session("ses_two"), time.Now())
	answers := map[string]bool{}
	for _, token := range []string{expired, foreign, "x"} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("X-CSRF-Token", token)
		rec, _, _ := through(r, nil, inSession, p.Token())
		body, _, _ := strings.Cut(rec.Body.String(), `,"request_id"`)
		answers[body] = true
	}
	if len(answers) != 1 {
		t.Errorf("clients can tell bad tokens apart: %v", answers)
	}
}

func TestABodyThatBreaksOffBreaksOffForTheHandlerToo(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	good, _ := p.Issue(csrf.Session("ses_one"), time.Now())
	broken := errors.New("connection reset")
	r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader(`{"a":`), iotest.ErrReader(broken)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-CSRF-Token", good)
	var got keep
	if _, reached, _ := through(r, &got, inSession, p.Token()); !reached || got.body != `{"a":` || !errors.Is(got.err, broken) {
		t.Errorf("handler reached: %v; it reads %q, %v", reached, got.body, got.err)
	}
}

func FuzzBodiesAreGivenOn(f *testing.F) {
	f.Add("application/json", `{"csrf_token":"x","a":1}`)
	f.Add("application/x-www-form-urlencoded", "a=1&csrf_token=x&&b")
	f.Add("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=csrf_token\r\n\r\nx\r\n--b--\r\n")
	f.Add("text/plain", "csrf_token=x")
	p := mustNew(f, csrf.Config{})
	good, _ := p.Issue(csrf.Session("ses_one"), time.Now())
	f.Fuzz(func(t *testing.T, ctype, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", ctype)
		r.Header.Set("X-CSRF-Token", good)
		var got keep
		_, reached, _ := through(r, &got, inSession, p.Token())
		if reached && got.body != body && len(got.body) >= len(body) {
			t.Errorf("the handler reads %q instead of %q", got.body, body)
		}
		// Whoever looks in the body finds no token of ours in a form any more.
		if reached && ctype == "application/x-www-form-urlencoded" {
			if form, _ := url.ParseQuery(got.body); form.Has("csrf_token") {
				t.Errorf("a token is left in %q", got.body)
			}
		}
	})
}
