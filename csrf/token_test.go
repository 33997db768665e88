package csrf_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/csrf"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 500, time.UTC)

// Made outside this package, in Python, from the description of the format and
// RFC 2104 and RFC 5869: key, binding "ses_one", nonce 00..0f, expiry 1800000000.
const (
	goldenSession    = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQIDBAUGBwgJCgsMDQ4PAAAAAGtJ0gA4Q0GuUxP8rUo0vFQr7reC68133MFA8fhHW67niTEWkw"
	goldenRemasked   = "paWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpKemoaCjoq2sr66pqKuqpaWlpc7sd6Wd5uQL9rZZCO-RGfGOSxInTmjSeWTlVF3i_gtCLJSzNg"
	goldenPreSession = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQIDBAUGBwgJCgsMDQ4PAAAAAGtJ0gAZohL_cqKRjV7cICWPIvwCrQr4e-tZXLMQjt_XLcWTCw"
)

func TestTheFormatOfTokens(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	before, at := time.Unix(1799999999, 999_999_999), time.Unix(1800000000, 0)
	for _, tt := range []struct {
		name  string
		token string
		b     csrf.Binding
		now   time.Time
		want  error
	}{
		{"a token of the session", goldenSession, csrf.Session("ses_one"), before, nil},
		{"the same under another pad", goldenRemasked, csrf.Session("ses_one"), before, nil},
		{"the same at its expiry", goldenSession, csrf.Session("ses_one"), at, csrf.ErrExpired},
		{"another session", goldenSession, csrf.Session("ses_two"), before, csrf.ErrInvalid},
		{"the pre-session of the same name", goldenSession, csrf.PreSession("ses_one"), before, csrf.ErrInvalid},
		{"a token of the pre-session", goldenPreSession, csrf.PreSession("ses_one"), before, nil},
		{"the session of the same name", goldenPreSession, csrf.Session("ses_one"), before, csrf.ErrInvalid},
		{"nothing to be bound to", goldenSession, csrf.Binding{}, before, csrf.ErrInvalid},
		{"no token", "", csrf.Session("ses_one"), before, csrf.ErrMissing},
		{"padding", goldenSession + "==", csrf.Session("ses_one"), before, csrf.ErrInvalid},
		{"a line break", goldenSession[:80] + "\n" + goldenSession[81:], csrf.Session("ses_one"), before, csrf.ErrInvalid},
		{"the alphabet of standard base64", strings.NewReplacer("-", "+", "_", "/").Replace(goldenRemasked), csrf.Session("ses_one"), before, csrf.ErrInvalid},
		{"spare bits set", goldenSession[:149] + "x", csrf.Session("ses_one"), before, csrf.ErrInvalid},
	} {
		if got := p.Verify(tt.token, tt.b, tt.now); !errors.Is(got, tt.want) || (got == nil) != (tt.want == nil) {
			t.Errorf("%s: Verify = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestATokenIsGoodForItsSessionOnly(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	token, _ := p.Issue(csrf.Session("ses_one"), now)
	for _, tt := range []struct {
		name string
		b    csrf.Binding
		want error
	}{
		{"the session", csrf.Session("ses_one"), nil},
		{"another session", csrf.Session("ses_two"), csrf.ErrInvalid},
		{"a session whose name begins alike", csrf.Session("ses_on"), csrf.ErrInvalid},
		{"no session", csrf.Session(""), csrf.ErrInvalid},
		{"a browser without session", csrf.PreSession("ses_one"), csrf.ErrInvalid},
	} {
		if got := p.Verify(token, tt.b, now); !errors.Is(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	nobodys, _ := p.Issue(csrf.Session(""), now)
	if err := p.Verify(nobodys, csrf.Session(""), now); !errors.Is(err, csrf.ErrInvalid) {
		t.Errorf("a token of no session is good for no session: %v", err)
	}
}

// A token that is made without thought is hash(session or "anonymous").
func TestTheTokenIsNotTheSameForEverybody(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	for _, guess := range []string{"anonymous", "ses_one", ""} {
		sum := sha256.Sum256([]byte(guess))
		for _, token := range []string{hex.EncodeToString(sum[:]), base64.RawURLEncoding.EncodeToString(sum[:])} {
			for _, b := range []csrf.Binding{csrf.Session("ses_one"), csrf.PreSession("anonymous"), csrf.Session("")} {
				if err := p.Verify(token, b, now); !errors.Is(err, csrf.ErrInvalid) {
					t.Errorf("the hash of %q is accepted: %v", guess, err)
				}
			}
		}
	}
	mine, _ := p.Issue(csrf.PreSession("browser-one"), now)
	if err := p.Verify(mine, csrf.PreSession("browser-two"), now); !errors.Is(err, csrf.ErrInvalid) {
		t.Errorf("the token of one browser without a session is good for another: %v", err)
	}
}

func TestTheTokenIsNotForEver(t *testing.T) {
	for _, tt := range []struct {
		cfg  csrf.Config
		want time.Duration
	}{
		{csrf.Config{}, 12 * time.Hour},
		{csrf.Config{TTL: time.Minute}, time.Minute},
		{csrf.Config{TTL: 24 * time.Hour}, 24 * time.Hour},
	} {
		p := mustNew(t, tt.cfg)
		b := csrf.Session("ses_one")
		token, expires := p.Issue(b, now)
		if want := now.Add(tt.want).Truncate(time.Second); !expires.Equal(want) || expires.Location() != time.UTC {
			t.Errorf("TTL %s: expires %s, want %s", tt.want, expires, want)
		}
		if err := p.Verify(token, b, expires.Add(-time.Nanosecond)); err != nil {
			t.Errorf("TTL %s: just before its expiry: %v", tt.want, err)
		}
		if err := p.Verify(token, b, expires); !errors.Is(err, csrf.ErrExpired) {
			t.Errorf("TTL %s: at its expiry: %v", tt.want, err)
		}
	}
}

// Made without thought, the check compares the token it would make now with == to the one it gets.
// Masked tokens are never equal, and each of them is good.
func TestTokensAreNeverEqualAndAllGood(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	b := csrf.Session("ses_one")
	seen := map[string]bool{}
	for range 100 {
		token, _ := p.Issue(b, now)
		if len(token) != 150 || seen[token] || seen[token[:75]] || seen[token[75:]] {
			t.Fatalf("token of %d characters, or seen before", len(token))
		}
		seen[token], seen[token[:75]], seen[token[75:]] = true, true, true
		if err := p.Verify(token, b, now); err != nil {
			t.Error(err)
		}
	}
}

func TestChangedTokensAreRefused(t *testing.T) {
	p := mustNew(t, csrf.Config{})
	b := csrf.Session("ses_one")
	token, _ := p.Issue(b, now)
	wire, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	for i := range wire {
		for bit := range 8 {
			wire[i] ^= 1 << bit
			// A flipped expiry too is invalid, not expired.
			if err := p.Verify(encode(wire), b, now); !errors.Is(err, csrf.ErrInvalid) {
				t.Errorf("bit %d of byte %d flipped: %v", bit, i, err)
			}
			wire[i] ^= 1 << bit
		}
	}
	for n := range token {
		if err := p.Verify(token[:n], b, now); err == nil {
			t.Errorf("cut to %d characters: accepted", n)
		}
	}
	for _, longer := range []string{token + "A", token + " ", token + token, "A" + token, strings.Repeat("A", 1<<20)} {
		if err := p.Verify(longer, b, now); !errors.Is(err, csrf.ErrInvalid) {
			t.Errorf("%d characters: %v", len(longer), err)
		}
	}
	// The neighbour: the same token under another pad.
	for i := range wire[:56] {
		wire[i] ^= 0x5a
		wire[56+i] ^= 0x5a
	}
	if err := p.Verify(encode(wire), b, now); err != nil {
		t.Errorf("under another pad: %v", err)
	}
}

func TestKeysRotate(t *testing.T) {
	old, next := []byte(strings.Repeat("o", 32)), []byte(strings.Repeat("n", 32))
	b := csrf.Session("ses_one")
	before := mustNew(t, csrf.Config{Key: old})
	during := mustNew(t, csrf.Config{Key: next, PreviousKeys: [][]byte{old}})
	after := mustNew(t, csrf.Config{Key: next})
	oldToken, _ := before.Issue(b, now)
	newToken, _ := during.Issue(b, now)
	for _, tt := range []struct {
		name  string
		p     *csrf.Protection
		token string
		want  error
	}{
		{"an old token during the change", during, oldToken, nil},
		{"a new token during the change", during, newToken, nil},
		{"an old token after it", after, oldToken, csrf.ErrInvalid},
		{"a new token after it", after, newToken, nil},
		{"a new token before it", before, newToken, csrf.ErrInvalid},
	} {
		if err := tt.p.Verify(tt.token, b, now); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestTheKeyIsNotTheSecretItself(t *testing.T) {
	secret := []byte(strings.Repeat("s", 32))
	p := mustNew(t, csrf.Config{Key: secret})
	secret[0] = 'x' // the caller may wipe it
	b := csrf.Session("ses_one")
	token, _ := p.Issue(b, now)
	if err := mustNew(t, csrf.Config{Key: []byte(strings.Repeat("s", 32))}).Verify(token, b, now); err != nil {
		t.Errorf("the key changed with the caller's slice: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  csrf.Config
		want string
	}{
		{"the zero Config", csrf.Config{}, "Key has 0 bytes"},
		{"a short key", csrf.Config{Key: key[:31]}, "Key has 31 bytes: want 32"},
		{"a short previous key", csrf.Config{Key: key, PreviousKeys: [][]byte{key, key[:5]}}, "PreviousKeys[1] has 5 bytes"},
		{"a short TTL", csrf.Config{Key: key, TTL: time.Second}, "from 1m0s to 24h0m0s"},
		{"a long TTL", csrf.Config{Key: key, TTL: 25 * time.Hour}, "from 1m0s to 24h0m0s"},
		{"a negative TTL", csrf.Config{Key: key, TTL: -time.Hour}, "from 1m0s to 24h0m0s"},
		{"a TTL of a fraction", csrf.Config{Key: key, TTL: 90*time.Second + 1}, "whole seconds"},
		{"everybody trusted", csrf.Config{Key: key, Origins: []string{"*"}}, `origin "*"`},
		{"clear text in production", csrf.Config{Key: key, Origins: []string{"http://localhost:3000"}}, "http://localhost:3000"},
	} {
		_, err := csrf.New(tt.cfg)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v\nwant an error that says %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "01234") {
			t.Errorf("%s: the error holds the key: %v", tt.name, err)
		}
	}
	_, err := csrf.New(csrf.Config{TTL: 1, Origins: []string{"null", "*"}})
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("New: %v\nwant four errors at once", err)
	}
	if _, err := csrf.New(csrf.Config{Key: key, Origins: []string{"http://localhost:3000"}, Development: true}); err != nil {
		t.Errorf("loopback in development: %v", err)
	}
}

// Comparing a MAC with anything but hmac.Equal tells by its time how much of it
// was right, which no behaviour shows: so the source is asked.
func TestMACsAreComparedInConstantTime(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "token.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	equal := 0
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if pkg, ok := n.X.(*ast.Ident); ok {
				switch pkg.Name + "." + n.Sel.Name {
				case "hmac.Equal":
					equal++
				case "bytes.Equal", "bytes.Compare", "slices.Equal", "reflect.DeepEqual", "strings.Compare":
					t.Errorf("token.go uses %s.%s", pkg.Name, n.Sel.Name)
				}
			}
		case *ast.BinaryExpr:
			for _, side := range []ast.Expr{n.X, n.Y} {
				if call, ok := side.(*ast.CallExpr); ok {
					if f, ok := call.Fun.(*ast.Ident); ok && (f.Name == "string" || f.Name == "sum") {
						t.Errorf("token.go compares with %s", n.Op)
					}
				}
			}
		}
		return true
	})
	if equal != 1 {
		t.Errorf("hmac.Equal is used %d times, want once", equal)
	}
}

func FuzzVerifyAcceptsOnlyWhatWasIssued(f *testing.F) {
	p := mustNew(f, csrf.Config{})
	f.Add(goldenSession, "ses_one")
	f.Add(goldenRemasked, "ses_one")
	f.Add(goldenPreSession, "ses_one")
	f.Add(goldenSession[:149], "ses_one")
	f.Add(strings.Repeat("A", 150), "")
	f.Add("", "")
	issued, err := base64.RawURLEncoding.DecodeString(goldenSession)
	if err != nil {
		f.Fatal(err)
	}
	at := time.Unix(1799999999, 0)
	f.Fuzz(func(t *testing.T, token, id string) {
		if p.Verify(token, csrf.Session(id), at) != nil {
			return
		}
		wire, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(wire) != 112 || id != "ses_one" || base64.RawURLEncoding.EncodeToString(wire) != token {
			t.Fatalf("accepted %q for %q", token, id)
		}
		for i := range 56 {
			if wire[i]^wire[56+i] != issued[56+i] {
				t.Fatalf("accepted %q, which was not issued", token)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	p := mustNew(b, csrf.Config{})
	token, _ := p.Issue(csrf.Session("ses_one"), now)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Verify(token, csrf.Session("ses_one"), now); err != nil {
			b.Fatal(err)
		}
	}
}
