package csrf_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon/csrf"
	"github.com/merlonhq/merlon/identity"
)

type issued struct {
	Token     string `json:"csrf_token"`
	Header    string `json:"header"`
	ExpiresAt string `json:"expires_at"`
}

// ask asks for a token and returns what the answer and its cookie say.
func ask(t *testing.T, p *csrf.Protection, who caller, cookie string) (issued, *http.Cookie) {
	t.Helper()
	r := httptest.NewRequest("GET", "/csrf/token", nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	rec, _, _ := through(r, p.TokenHandler(), who)
	if rec.Code != 200 || rec.Header().Get("Content-Type") != "application/json" || rec.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("answer %d %v", rec.Code, rec.Header())
	}
	var got issued
	dec := json.NewDecoder(rec.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	expires, err := time.Parse("2006-01-02T15:04:05Z", got.ExpiresAt)
	if left := time.Until(expires); err != nil || left > 12*time.Hour || left < 12*time.Hour-time.Minute {
		t.Errorf("expires_at %q (%v), want in 12 h", got.ExpiresAt, err)
	}
	if got.Header != "X-CSRF-Token" {
		t.Errorf("header %q", got.Header)
	}
	cookies := rec.Result().Cookies()
	if len(cookies) == 0 {
		return got, nil
	}
	return got, cookies[0]
}

func TestATokenForASession(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	first, cookie := ask(t, p, inSession, "")
	second, _ := ask(t, p, inSession, "")
	if cookie != nil {
		t.Errorf("a session gets the cookie %v", cookie)
	}
	if first.Token == second.Token {
		t.Error("the same token twice")
	}
	for _, got := range []issued{first, second} {
		if err := p.Verify(got.Token, csrf.Session("ses_one"), time.Now()); err != nil {
			t.Error(err)
		}
	}
}

func TestATokenWithoutASession(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	first, cookie := ask(t, p, caller{}, "theme=dark")
	if cookie == nil {
		t.Fatal("no cookie")
	}
	want := &http.Cookie{Name: "__Host-merlon_presession", Value: cookie.Value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Raw: "__Host-merlon_presession=" + cookie.Value + "; Path=/; HttpOnly; Secure; SameSite=Lax"}
	if diff := cmp.Diff(want, cookie); diff != "" || len(cookie.Value) != 43 {
		t.Errorf("cookie (-want +got):\n%s", diff)
	}
	if err := p.Verify(first.Token, csrf.PreSession(cookie.Value), time.Now()); err != nil {
		t.Error(err)
	}

	// The browser that has the cookie keeps it and gets another token.
	second, again := ask(t, p, caller{}, "__Host-merlon_presession="+cookie.Value)
	if again != nil || second.Token == first.Token {
		t.Errorf("second answer: cookie %v, token the same: %v", again, second.Token == first.Token)
	}
	if err := p.Verify(second.Token, csrf.PreSession(cookie.Value), time.Now()); err != nil {
		t.Error(err)
	}

	// Another browser has another cookie.
	if _, other := ask(t, p, caller{}, ""); other == nil || other.Value == cookie.Value {
		t.Errorf("another browser gets the cookie %v", other)
	}
	// It is never promoted: with a session the cookie counts for nothing.
	third, _ := ask(t, p, inSession, "__Host-merlon_presession="+cookie.Value)
	if err := p.Verify(third.Token, csrf.PreSession(cookie.Value), time.Now()); err == nil {
		t.Error("a session's token is good for the browser without one")
	}
}

func TestCookiesThatWeDidNotMakeAreReplaced(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	good := "__Host-merlon_presession=" + strings.Repeat("A", 43)
	for name, tt := range map[string]struct {
		cookie string
		want   bool // replaced
	}{
		"one of ours":        {good, false},
		"empty":              {"__Host-merlon_presession=", true},
		"too short":          {good[:len(good)-1], true},
		"too long":           {good + "A", true},
		"not base64url":      {good[:len(good)-1] + "!", true},
		"spare bits set":     {good[:len(good)-1] + "B", true},
		"two":                {good + "; " + good, true},
		"without the prefix": {good[len("__Host-"):], true},
	} {
		if _, cookie := ask(t, p, caller{}, tt.cookie); (cookie != nil) != tt.want {
			t.Errorf("%s: cookie %v, want replaced = %v", name, cookie, tt.want)
		}
	}
}

func TestProgramsGetATokenLikeAnybodyWithoutASession(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	got, cookie := ask(t, p, caller{Kind: identity.Token, Subject: "usr_one", SessionID: "ses_one"}, "")
	if cookie == nil || p.Verify(got.Token, csrf.Session("ses_one"), time.Now()) == nil {
		t.Error("a bearer token's caller gets a token for the session")
	}
}

func TestTheHandlerWorksAlone(t *testing.T) {
	rec := httptest.NewRecorder()
	mustNew(t, csrf.Config{}).TokenHandler().ServeHTTP(rec, httptest.NewRequest("GET", "/csrf/token", nil))
	if rec.Code != 200 || rec.Result().Cookies() == nil {
		t.Errorf("answer %d %v", rec.Code, rec.Header())
	}
}
