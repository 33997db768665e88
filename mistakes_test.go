package merlon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/csrf"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/sanitize"
	"github.com/merlonhq/merlon/validate"
)

// Mistakes that hand-made API security makes again and again: one test for each,
// which fails on the mistake.

func limitOf(n int) func(*merlon.Config) {
	return func(c *merlon.Config) {
		c.RateLimit.Rules = []ratelimit.Rule{{Name: "posts", Match: []string{"GET /posts"}, By: []ratelimit.Part{ratelimit.ByAddress},
			Limits: []ratelimit.Limit{{Max: n, Window: time.Minute}}}}
	}
}

func TestMistakeRequestsOfOneSecondAreCountedEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := guard(t, blog(limitOf(3))).Handler(served)
		statuses := ""
		for range 5 { // no time passes in between
			statuses += fmt.Sprint(do(h, request("GET", "/posts")).Code, " ")
		}
		if statuses != "200 200 200 429 429 " {
			t.Errorf("statuses %s", statuses)
		}
	})
}

func TestMistakeTheLimitIsOneAtomicDecision(t *testing.T) {
	h := guard(t, blog(limitOf(10))).Handler(served)
	var admitted atomic.Int32
	done := make(chan struct{})
	for range 60 {
		go func() {
			defer func() { done <- struct{}{} }()
			if do(h, request("GET", "/posts")).Code == 200 {
				admitted.Add(1)
			}
		}()
	}
	for range 60 {
		<-done
	}
	if n := admitted.Load(); n != 10 {
		t.Errorf("%d admitted; want 10", n)
	}
}

func TestMistakeTheClientCannotChooseItsAddress(t *testing.T) {
	h := guard(t, blog(limitOf(1))).Handler(served)
	do(h, request("GET", "/posts", "X-Forwarded-For", "203.0.113.1"))
	if w := do(h, request("GET", "/posts", "X-Forwarded-For", "203.0.113.2")); w.Code != 429 {
		t.Errorf("a forged address has a limit of its own: status %d", w.Code)
	}
	// Behind a declared proxy the right-most entry counts, and is told apart.
	h = guard(t, blog(limitOf(1), func(c *merlon.Config) { c.ClientIP.TrustedProxies = []string{"192.0.2.1/32"} })).Handler(served)
	do(h, request("GET", "/posts", "X-Forwarded-For", "6.6.6.6, 203.0.113.1"))
	if w := do(h, request("GET", "/posts", "X-Forwarded-For", "7.7.7.7, 203.0.113.1")); w.Code != 429 {
		t.Errorf("the entry that the client wrote counts: status %d", w.Code)
	}
	if w := do(h, request("GET", "/posts", "X-Forwarded-For", "6.6.6.6, 203.0.113.2")); w.Code != 200 {
		t.Errorf("another client behind the proxy: status %d", w.Code)
	}
}

func TestMistakeRetryAfterIsComputedAndTheRefusalIsNo500(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := guard(t, blog(limitOf(1))).Handler(served)
		do(h, request("GET", "/posts"))
		time.Sleep(45 * time.Second)
		w := do(h, request("GET", "/posts"))
		if w.Code != 429 || w.Header().Get("Retry-After") != "15" {
			t.Errorf("status %d, Retry-After %q; want 429, 15", w.Code, w.Header().Get("Retry-After"))
		}
	})
}

func TestMistakeCSRFTokensAreRandomBoundMaskedAndExpire(t *testing.T) {
	p, err := csrf.New(csrf.Config{Key: []byte(strings.Repeat("k", 32))})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	mine, expires := p.Issue(csrf.Session("ses_mine"), now)
	again, _ := p.Issue(csrf.Session("ses_mine"), now)
	anonymous, _ := p.Issue(csrf.PreSession("ses_mine"), now)
	if mine == again {
		t.Error("two answers hold the same token")
	}
	if err := p.Verify(mine, csrf.Session("ses_mine"), now); err != nil {
		t.Errorf("one's own token: %v", err)
	}
	for name, err := range map[string]error{
		"of another session": p.Verify(mine, csrf.Session("ses_other"), now),
		"of nobody":          p.Verify(anonymous, csrf.Session("ses_mine"), now),
		"of yesterday":       p.Verify(mine, csrf.Session("ses_mine"), expires),
		"none":               p.Verify("", csrf.Session("ses_mine"), now),
	} {
		if err == nil {
			t.Errorf("a token %s is accepted", name)
		}
	}
}

// Secrets that are compared with == tell by their time how much of them is right.
func TestMistakeSecretsAreComparedInConstantTime(t *testing.T) {
	secret := regexp.MustCompile(`(?i)(token|secret|password|hash|mac|sum|digest|signature)$`)
	variable := map[string]bool{"bytes.Equal": true, "bytes.Compare": true, "slices.Equal": true, "reflect.DeepEqual": true, "strings.Compare": true}
	for _, pkg := range []string{"csrf", "apikey", "session", "password"} {
		files, err := filepath.Glob(pkg + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(pkg, err)
		}
		constant := 0
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					name := nameOf(n.X) + "." + n.Sel.Name
					if name == "hmac.Equal" || name == "subtle.ConstantTimeCompare" {
						constant++
					}
				case *ast.CallExpr:
					fun, ok := n.Fun.(*ast.SelectorExpr)
					if !ok || !variable[nameOf(fun.X)+"."+fun.Sel.Name] {
						return true
					}
					for _, arg := range n.Args {
						if secret.MatchString(nameOf(arg)) {
							t.Errorf("%s compares %s with %s", file, nameOf(arg), fun.Sel.Name)
						}
					}
				case *ast.BinaryExpr:
					if n.Op != token.EQL && n.Op != token.NEQ {
						return true
					}
					x, y := nameOf(n.X), nameOf(n.Y)
					if secret.MatchString(x) && y != "" || secret.MatchString(y) && x != "" {
						if public[file+" "+x+" "+y] {
							return true
						}
						t.Errorf("%s compares %s with %s by %s", file, x, y, n.Op)
					}
				}
				return true
			})
		}
		if pkg != "session" && constant == 0 { // sessions are looked up by the hash of their token
			t.Errorf("package %s compares nothing in constant time", pkg)
		}
	}
}

// public lists the comparisons of what has such a name and tells nothing.
var public = map[string]bool{
	"csrf/take.go t token":     true, // both are what the client sent
	"apikey/key.go sum want":   true, // the checksum, which anybody can compute
	"apikey/verify.go sum sum": true, // the same
}

// nameOf is the name of what an expression is about: of a variable, a field, what
// is sliced, indexed, or converted.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		if e.Name == "nil" {
			return ""
		}
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.SliceExpr:
		return nameOf(e.X)
	case *ast.IndexExpr:
		return nameOf(e.X)
	case *ast.StarExpr:
		return nameOf(e.X)
	case *ast.ParenExpr:
		return nameOf(e.X)
	case *ast.CallExpr:
		if fun, _ := e.Fun.(*ast.Ident); len(e.Args) == 1 && (fun == nil || fun.Name != "len") {
			return nameOf(e.Args[0])
		}
	}
	return ""
}

func TestMistakeMarkupIsRemovedByAParserAndProseIsKept(t *testing.T) {
	for _, attack := range []string{
		`<scr<script>ipt>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `<svg/onload=alert(1)>`,
		`<a href="java&#10;script:alert(1)">x</a>`, `<IFRAME SRC=javascript:alert(1)>`, `<p oNcLiCk='alert(1)'>x</p>`,
	} {
		out, removed := sanitize.Rich(attack)
		if lower := strings.ToLower(out); !removed || strings.Contains(lower, "alert") && strings.ContainsAny(lower, "=") ||
			strings.Contains(lower, "<script") || strings.Contains(lower, "javascript:") || strings.Contains(lower, "onclick") {
			t.Errorf("%s is stored as %s", attack, out)
		}
	}
	for _, honest := range []string{"O'Brien", "SELECT a book; -- really", "1 < 2", "/* a comment */", "a union; select few"} {
		if out, _ := sanitize.Plain(honest); out != honest {
			t.Errorf("%q is stored as %q", honest, out)
		}
		if _, found := validate.SQLInjection(honest); found {
			t.Errorf("%q is taken for an attack", honest)
		}
	}
	for _, attack := range []string{"1' OR '1'='1", "x'; DROP TABLE users; --", "1 UNION SELECT password FROM users"} {
		if _, found := validate.SQLInjection(attack); !found {
			t.Errorf("%q is not found", attack)
		}
	}
}

func TestMistakeThePolicyForContentHasNoUnsafeInline(t *testing.T) {
	w := do(guard(t, blog()).Handler(served), request("GET", "/posts"))
	if got := w.Header().Get("Content-Security-Policy"); got != "default-src 'none'; frame-ancestors 'none'" {
		t.Errorf("Content-Security-Policy: %s", got)
	}
}

func TestMistakeThereIsNoXSSProtectionHeader(t *testing.T) {
	w := do(guard(t, blog()).Handler(served), request("GET", "/posts"))
	if got, found := w.Header()["X-Xss-Protection"]; found {
		t.Errorf("X-XSS-Protection: %s", got)
	}
}

// touches counts what is written about uses.
type touches struct {
	apikey.Store
	n atomic.Int32
}

func (s *touches) Touch(ctx context.Context, uses []apikey.Use) error {
	s.n.Add(1)
	return s.Store.Touch(ctx, uses)
}

func TestMistakeReadingWritesNothing(t *testing.T) {
	memory, err := apikey.NewMemory(10)
	if err != nil {
		t.Fatal(err)
	}
	store := &touches{Store: memory}
	keys, err := apikey.New(apikey.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	text, _, err := keys.Create(ctx, apikey.NewKey{Owner: "usr_1", Name: "k"})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err := keys.Verify(ctx, text, netip.Addr{}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if n := store.n.Load(); n != 0 {
		t.Errorf("%d writes on the path of reads; want 0", n)
	}
	if err := keys.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if n := store.n.Load(); n != 1 {
		t.Errorf("%d writes for a thousand uses; want 1", n)
	}
}

func TestMistakeScopesAreASetAndKeysHaveAnID(t *testing.T) {
	memory, err := apikey.NewMemory(10)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := apikey.New(apikey.Config{Store: memory, Scopes: []string{"posts:read", "posts:write"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	_, rec, err := keys.Create(ctx, apikey.NewKey{Owner: "usr_1", Name: "k", MakerScopes: []string{"posts:read"}, Scopes: []string{"posts:read", "posts:read"}})
	if err != nil || len(rec.Scopes) != 1 || !strings.HasPrefix(rec.ID, "key_") || rec.Hint() == "" {
		t.Errorf("record %+v, error %v", rec, err)
	}
	_, _, err = keys.Create(ctx, apikey.NewKey{Owner: "usr_1", Name: "k", MakerScopes: []string{"posts:read"}, Scopes: []string{"posts:read,posts:write"}})
	if !errors.Is(err, apikey.ErrScopeUnknown) {
		t.Errorf("a list in one scope: %v", err)
	}
	text, next, err := keys.Rotate(ctx, apikey.Rotation{ID: rec.ID, Owner: "usr_1", MakerScopes: []string{"posts:read"}})
	if err != nil || text == "" || next.ID == rec.ID {
		t.Errorf("rotation: %+v, %v", next, err)
	}
}

func TestMistakeProductionIsTheDefaultAndTrustsNoLocalhost(t *testing.T) {
	g := guard(t, blog(func(c *merlon.Config) { c.Origins = nil }))
	w := do(g.Handler(served), request("OPTIONS", "/posts", "Origin", "http://localhost:3000", "Access-Control-Request-Method", "POST"))
	if w.Code == http.StatusNoContent || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("status %d, header %v", w.Code, w.Header())
	}
	if _, err := merlon.New(blog(func(c *merlon.Config) { c.Origins = []string{"http://localhost:3000"} })); err == nil {
		t.Error("production accepts an origin in clear text")
	}
}

func TestMistakeTimesAreInstants(t *testing.T) {
	memory, err := apikey.NewMemory(10)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	keys, err := apikey.New(apikey.Config{Store: memory, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	// One o'clock in the afternoon, five hours west: still to come.
	var end time.Time
	if err := json.Unmarshal([]byte(`"2026-03-29T08:00:00-05:00"`), &end); err != nil {
		t.Fatal(err)
	}
	text, _, err := keys.Create(context.Background(), apikey.NewKey{Owner: "usr_1", Name: "k", ExpiresAt: &end})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Verify(context.Background(), text, netip.Addr{}, now.Add(59*time.Minute)); err != nil {
		t.Errorf("a minute before its end: %v", err)
	}
	if _, err := keys.Verify(context.Background(), text, netip.Addr{}, now.Add(time.Hour)); !errors.Is(err, apikey.ErrExpired) {
		t.Errorf("at its end: %v", err)
	}
}
