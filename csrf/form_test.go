package csrf_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/csrf"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
)

var field = regexp.MustCompile(`^<input type="hidden" name="csrf_token" value="([A-Za-z0-9_-]{100,})">$`)

// tabs are the tabs of one browser: pages with a form, and what sends it. The
// session is "" before the login.
type tabs struct {
	p       *csrf.Protection
	now     time.Time
	session string
	cookies []*http.Cookie
}

func (b *tabs) serve(r *http.Request, h http.HandlerFunc) *httptest.ResponseRecorder {
	who := testStage(func(x *exchange.Exchange) exchange.Outcome {
		x.Now = b.now
		if b.session != "" {
			x.Principal = identity.Principal{Kind: identity.Session, Subject: "usr_1", SessionID: b.session}
		}
		return exchange.Continue()
	})
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	exchange.New(exchange.Config{Stages: []exchange.Stage{b.p.Origin(), who, b.p.Token()}}).Handler(h).ServeHTTP(w, r)
	b.cookies = append(b.cookies, w.Result().Cookies()...)
	return w
}

// open returns the token in the form of a page.
func (b *tabs) open(t *testing.T) string {
	t.Helper()
	found := ""
	b.serve(httptest.NewRequest("GET", "https://example.com/form", nil), func(w http.ResponseWriter, r *http.Request) {
		m := field.FindStringSubmatch(string(b.p.Field(w, r)))
		if m == nil {
			t.Fatal("the field has another form")
		}
		found = m[1]
	})
	return found
}

// send sends the form, and returns the status and the body.
func (b *tabs) send(token string) (int, string) {
	form := url.Values{"text": {"x"}, "csrf_token": {token}}
	r := httptest.NewRequest("POST", "https://example.com/form", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://example.com")
	r.Header.Set("Accept", "text/html")
	w := b.serve(r, func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("csrf_token") != "" || r.PostFormValue("text") != "x" {
			w.WriteHeader(500)
		}
	})
	return w.Code, w.Body.String()
}

type testStage func(*exchange.Exchange) exchange.Outcome

func (testStage) Name() string                                   { return "test" }
func (s testStage) Decide(x *exchange.Exchange) exchange.Outcome { return s(x) }

func TestFormsInSeveralTabs(t *testing.T) {
	p, err := csrf.New(csrf.Config{Key: []byte(strings.Repeat("k", 32)), TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b := &tabs{p: p, now: time.Now()}
	want := func(what, token string, status int) {
		t.Helper()
		got, body := b.send(token)
		if got != status {
			t.Errorf("%s: status %d, want %d", what, got, status)
		}
		if status == 403 && (!strings.Contains(body, "load its page again") || !strings.Contains(body, "nothing was changed")) {
			t.Errorf("%s: the refusal does not say what to do: %s", what, body)
		}
	}
	first, second := b.open(t), b.open(t)
	if first == second || len(b.cookies) != 1 {
		t.Errorf("two pages of a browser have the same token (%v) or %d cookies", first == second, len(b.cookies))
	}
	want("the second tab before the login", second, 200)
	want("the first tab before the login", first, 200)

	b.session = "ses_1" // logged in, in a third tab
	want("a page from before the login", first, 403)
	third, fourth := b.open(t), b.open(t)
	want("its page, loaded again", third, 200)
	want("another tab", fourth, 200)
	want("the same page, sent once more", third, 200)

	b.session = "ses_2" // logged in again, in a fourth
	want("a page of the session before", third, 403)
	fifth := b.open(t)
	want("its page, loaded again", fifth, 200)

	b.now = b.now.Add(time.Hour)
	want("a page that was open for too long", fifth, 403)
	want("its page, loaded again", b.open(t), 200)
	want("a form without the field", "", 403)
}

// Without a chain nobody has a session.
func TestAFieldOutsideOfAChainIsThatOfAPreSession(t *testing.T) {
	p, err := csrf.New(csrf.Config{Key: []byte(strings.Repeat("k", 32))})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	m := field.FindStringSubmatch(string(p.Field(w, httptest.NewRequest("GET", "/", nil))))
	cookies := w.Result().Cookies()
	if m == nil || len(cookies) != 1 || cookies[0].Name != "__Host-merlon_presession" || !cookies[0].HttpOnly || !cookies[0].Secure {
		t.Fatalf("field %q, cookies %v", m, cookies)
	}
	if err := p.Verify(m[1], csrf.PreSession(cookies[0].Value), time.Now()); err != nil {
		t.Errorf("the token is not that of the cookie: %v", err)
	}
}
