package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server"
	"github.com/merlonhq/merlon/server/internal/sqlite"
	"github.com/merlonhq/merlon/server/servertest"
	"github.com/merlonhq/merlon/store/sqlstore"
	"github.com/merlonhq/merlon/token"
)

// issued is an answer of POST /api/v1/auth/token.
type issued struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

func obtain(t *testing.T, url, body string) (out issued) {
	t.Helper()
	status, answer := post(t, url+"/api/v1/auth/token", body)
	if err := json.Unmarshal([]byte(answer), &out); status != 200 || err != nil || out.AccessToken == "" {
		t.Fatalf("status %d, %v: %s", status, err, answer)
	}
	return out
}

func withPassword(name, password string) string {
	return fmt.Sprintf(`{"grant_type":"password","username":%q,"password":%q}`, name, password)
}

func withRefresh(refresh string) string {
	return fmt.Sprintf(`{"grant_type":"refresh_token","refresh_token":%q}`, refresh)
}

// get returns the status and the body of a call with an access token.
func get(t *testing.T, url, access string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if access != "" {
		req.Header.Set("Authorization", "Bearer "+access)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// claimsOf returns what an access token says.
func claimsOf(t *testing.T, access string) (c struct{ Iss, Aud, Sub string }) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[1])
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Tokens that the service's own key signs, for other times, issuers and audiences: of another process on the same data
// whose clock and settings are ours to choose.
func TestASVS_V9_2_TokensOfTheRightKeyAreRefusedForTheirClaims(t *testing.T) {
	samples, dir := servertest.Start(t)
	honest := obtain(t, samples.URL, withPassword("demo-user", samples.User.Password))
	mine := claimsOf(t, honest.AccessToken)
	secret, err := os.ReadFile(filepath.Join(dir, "secret_key"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "merlon.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	db, err := sqlstore.New(sqlstore.Config{Writer: file.Writer(), Reader: file.Reader(), Dialect: sqlstore.SQLite})
	if err != nil {
		t.Fatal(err)
	}
	me := samples.URL + "/api/v1/users/me"
	for _, tt := range []struct {
		name             string
		ago              time.Duration
		issuer, audience string
		reason           string // "": it is accepted
	}{
		{"made a minute ago", time.Minute, mine.Iss, mine.Aud, ""},
		{"a minute before its end", 14 * time.Minute, mine.Iss, mine.Aud, ""},
		{"after its end", 15*time.Minute + time.Second, mine.Iss, mine.Aud, "expired"},
		{"made five seconds from now", -5 * time.Second, mine.Iss, mine.Aud, ""},
		{"made a minute from now", -time.Minute, mine.Iss, mine.Aud, "not_yet_valid"},
		{"for another audience", 0, mine.Iss, "https://other.example", "audience"},
		{"of another issuer", 0, "https://other.example", mine.Aud, "issuer"},
	} {
		now := time.Now().Add(-tt.ago)
		m, err := token.New(token.Config{Store: db.Grants(), KeyStore: db.TokenKeys(), Secret: secret, Issuer: tt.issuer, Audience: tt.audience, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		tokens, _, err := m.Begin(t.Context(), token.Login{UserID: mine.Sub})
		if err != nil {
			t.Fatal(err)
		}
		want := 200
		if tt.reason != "" {
			want = 401
		}
		if status, body := get(t, me, tokens.Access); status != want {
			t.Errorf("a token %s: status %d, want %d: %s", tt.name, status, want, body)
		}
		if tt.reason != "" {
			waitFor(t, filepath.Join(dir, "security.log"), `"reason":"`+tt.reason+`"`)
		}
	}
}

// waitFor waits until a file holds a text.
func waitFor(t *testing.T, file, want string) {
	t.Helper()
	var text []byte
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), want) {
			return
		}
	}
	t.Errorf("%s lacks %s:\n%s", file, want, text)
}

// serve serves the settings until the returned function is called.
func serve(t *testing.T, set server.Settings) (url string, stop func()) {
	t.Helper()
	srv, err := server.New(t.Context(), server.Config{Settings: set, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx) }()
	return "http://" + srv.Addr(), func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	}
}

const adaPassword = "moat and portcullis 7"

func withAda(t *testing.T, set server.Settings) server.Settings {
	t.Helper()
	if _, err := server.CreateUser(t.Context(), set, server.NewUser{Username: "ada", Email: "ada@example.com", Role: "user", Password: adaPassword}); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestTokensOutliveARestartAndAChangeOfTheSecretKey(t *testing.T) {
	dir := t.TempDir()
	old, next := rand.Text()+rand.Text(), rand.Text()+rand.Text()
	with := func(environ ...string) server.Settings {
		return settings(t, dir, append(environ, "MERLON_ENVIRONMENT=development", "MERLON_LISTEN=127.0.0.1:0")...)
	}
	url, stop := serve(t, withAda(t, with("MERLON_SECRET_KEY="+old)))
	tokens := obtain(t, url, withPassword("ada", adaPassword))
	stop()
	for _, environ := range [][]string{
		{"MERLON_SECRET_KEY=" + old},
		{"MERLON_SECRET_KEY=" + next, "MERLON_SECRET_KEY_PREVIOUS=" + old},
		{"MERLON_SECRET_KEY=" + next},
	} {
		url, stop := serve(t, with(environ...))
		if status, body := get(t, url+"/api/v1/users/me", tokens.AccessToken); status != 200 {
			t.Errorf("with %d secrets: status %d: %s", len(environ), status, body)
		}
		next := obtain(t, url, withRefresh(tokens.RefreshToken))
		tokens.RefreshToken = next.RefreshToken
		stop()
	}
	// A key that nobody can open is replaced: the access token ends, the login goes on.
	url, stop = serve(t, with("MERLON_SECRET_KEY="+rand.Text()+rand.Text()))
	defer stop()
	if status, _ := get(t, url+"/api/v1/users/me", tokens.AccessToken); status != 401 {
		t.Errorf("without the secret: status %d, want 401", status)
	}
	tokens = obtain(t, url, withRefresh(tokens.RefreshToken))
	if status, body := get(t, url+"/api/v1/users/me", tokens.AccessToken); status != 200 {
		t.Errorf("refreshed: status %d: %s", status, body)
	}
	// The private key is nowhere in clear, and neither is a token.
	for _, name := range []string{"merlon.db", "merlon.db-wal"} {
		text, err := os.ReadFile(filepath.Join(dir, "data", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, never := range []string{tokens.AccessToken, tokens.RefreshToken, tokens.RefreshToken[26:]} {
			if strings.Contains(string(text), never) {
				t.Errorf("%s holds a token", name)
			}
		}
	}
}

func TestEachAlgorithmOfTheSettingsSigns(t *testing.T) {
	for algorithm, published := range map[string]int{"EdDSA": 1, "ES256": 1, "RS256": 1, "HS256": 0} {
		t.Run(algorithm, func(t *testing.T) {
			set := withAda(t, settings(t, t.TempDir(), "MERLON_ENVIRONMENT=development", "MERLON_LISTEN=127.0.0.1:0", "MERLON_TOKENS__ALGORITHM="+algorithm,
				"MERLON_TOKENS__ACCESS_TTL=2m", "MERLON_TOKENS__ISSUER=https://id.example", "MERLON_TOKENS__AUDIENCE=blog"))
			url, stop := serve(t, set)
			defer stop()
			tokens := obtain(t, url, withPassword("ada", adaPassword))
			if status, body := get(t, url+"/api/v1/users/me", tokens.AccessToken); status != 200 {
				t.Errorf("status %d: %s", status, body)
			}
			_, jwks := get(t, url+"/.well-known/jwks.json", "")
			var doc struct{ Keys []json.RawMessage }
			if err := json.Unmarshal([]byte(jwks), &doc); err != nil || len(doc.Keys) != published || doc.Keys == nil {
				t.Errorf("published is %s (%v), want %d keys", jwks, err, published)
			}
			if published == 0 {
				return
			}
			// A service beside this one, with the library.
			set2, err := token.ParseKeySet(token.Algorithm(algorithm), []byte(jwks))
			if err != nil {
				t.Fatal(err)
			}
			v, err := token.NewVerifier(token.VerifierConfig{Keys: set2, Issuer: "https://id.example", Audience: "blog"})
			if err != nil {
				t.Fatal(err)
			}
			c, err := v.Verify(tokens.AccessToken, time.Now())
			if err != nil || c.ExpiresAt.Sub(c.IssuedAt) != 2*time.Minute {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
}

// The rule by account of POST /auth/token is for passwords: a refresh token is no misuse of it that is told of.
func TestARefreshIsNoMisuseOfTheRuleByAccount(t *testing.T) {
	dir := t.TempDir()
	set := withAda(t, settings(t, dir, "MERLON_ENVIRONMENT=development", "MERLON_LISTEN=127.0.0.1:0", "MERLON_SECRET_KEY="+rand.Text()+rand.Text()))
	var out bytes.Buffer
	srv, err := server.New(t.Context(), server.Config{Settings: set, Log: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx) }()
	url := "http://" + srv.Addr()
	tokens := obtain(t, url, withPassword("ada", adaPassword))
	obtain(t, url, withRefresh(tokens.RefreshToken))
	cancel()
	if err := errors.Join(<-served, srv.Close()); err != nil {
		t.Error(err)
	}
	if strings.Contains(out.String(), "merlon.N006") {
		t.Errorf("the log:\n%s", out.String())
	}
}
