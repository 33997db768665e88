package api_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/password"
	"github.com/merlonhq/merlon/pattern"
	"github.com/merlonhq/merlon/server/internal/accounts"
	"github.com/merlonhq/merlon/server/internal/api"
	"github.com/merlonhq/merlon/server/internal/eventdb"
	"github.com/merlonhq/merlon/server/internal/sqlite"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/store/sqlstore"
	"github.com/merlonhq/merlon/token"
)

// These tests stand between two steps of a call: what another call does there, or
// what fails there, must not leave more open than is answered and recorded.

// events is a recorder whose commits can fail.
type events struct {
	mu       sync.Mutex
	all      []audit.Event
	onCommit func(audit.Event) error
}

func (e *events) Record(ev audit.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev.Complete())
}

func (e *events) Commit(_ context.Context, ev audit.Event) error {
	if e.onCommit != nil {
		if err := e.onCommit(ev); err != nil {
			return err
		}
	}
	e.Record(ev)
	return nil
}

// outcomes returns the outcomes of the events of a type.
func (e *events) outcomes(t audit.Type) (out []audit.Outcome) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if ev.Type == t {
			out = append(out, ev.Outcome)
		}
	}
	return out
}

// sessions is a session store with something between its steps.
type sessions struct {
	session.Store
	beforeCreate, afterCreate func()
}

func (s *sessions) Create(ctx context.Context, r session.Record) error {
	if s.beforeCreate != nil {
		s.beforeCreate()
	}
	err := s.Store.Create(ctx, r)
	if s.afterCreate != nil {
		s.afterCreate()
	}
	return err
}

// grants is a store of grants that can fail, and has something between its steps.
type grants struct {
	token.Store
	mu                        sync.Mutex
	err                       error
	beforeCreate, afterCreate func()
}

func (g *grants) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

func (g *grants) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *grants) Create(ctx context.Context, r token.Grant, max int) error {
	if g.beforeCreate != nil {
		g.beforeCreate()
	}
	err := g.Store.Create(ctx, r, max)
	if g.afterCreate != nil {
		g.afterCreate()
	}
	return err
}

func (g *grants) Get(ctx context.Context, id string) (token.Grant, error) {
	if err := g.failure(); err != nil {
		return token.Grant{}, err
	}
	return g.Store.Get(ctx, id)
}

func (g *grants) Lookup(ctx context.Context, family [32]byte) (token.Grant, error) {
	if err := g.failure(); err != nil {
		return token.Grant{}, err
	}
	return g.Store.Lookup(ctx, family)
}

// keys is a key store that can fail.
type keys struct {
	apikey.Store
	onRevoke, onRotate error
}

func (k *keys) Revoke(ctx context.Context, id string, at time.Time) error {
	if err := errors.Join(k.onRevoke, ctx.Err()); err != nil {
		return err
	}
	return k.Store.Revoke(ctx, id, at)
}

func (k *keys) Rotate(ctx context.Context, old, next apikey.Record) error {
	if k.onRotate != nil {
		return k.onRotate
	}
	return k.Store.Rotate(ctx, old, next)
}

// service is the service's own routes behind a policy.
type service struct {
	*api.API
	handler  http.Handler
	events   *events
	sessions *sessions
	grants   *grants
	keys     *keys
	ada      accounts.User
}

const (
	oldPassword = "moat and portcullis 7"
	newPassword = "barbican and bailey 8"
)

func start(t *testing.T) *service {
	t.Helper()
	file, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "merlon.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := file.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	db, err := sqlstore.New(sqlstore.Config{Writer: file.Writer(), Reader: file.Reader(), Dialect: sqlstore.SQLite, Timeout: 30 * time.Second})
	check(err)
	s := &service{API: &api.API{}, events: &events{}, sessions: &sessions{Store: db.Sessions()}, grants: &grants{Store: db.Grants()}, keys: &keys{Store: db.Keys()}}
	scopes := []string{api.ScopeManageKeys}
	s.Grants, s.CheckDatabase = func(string) []string { return scopes }, file.Check
	s.Devices, err = api.NewDevices([]byte(rand.Text()))
	check(err)
	s.Accounts, err = accounts.New(accounts.Config{DB: db})
	check(err)
	s.Sessions, err = session.New(session.Config{Store: s.sessions})
	check(err)
	s.Tokens, err = token.New(token.Config{Store: s.grants, KeyStore: db.TokenKeys(), Secret: []byte(rand.Text() + rand.Text()), Issuer: "https://api.example.com"})
	check(err)
	s.Keys, err = apikey.New(apikey.Config{Store: s.keys, Scopes: scopes})
	check(err)
	s.Hasher, err = password.NewHasher(password.HasherConfig{})
	check(err)
	s.Policy, err = password.NewPolicy(password.PolicyConfig{})
	check(err)
	s.Events, err = eventdb.New(db)
	check(err)
	s.Watch, err = pattern.New(pattern.Config{Recorder: audit.Discard{}})
	check(err)
	secret := []byte(strings.Repeat("k", 32))
	s.Devices, err = api.NewDevices(secret)
	check(err)
	routes := s.Routes()
	cfg := merlon.Config{Environment: merlon.Development, Secret: secret, Recorder: s.events, ErrorLog: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Authn: authn.Config{Sessions: authn.Sessions(s.Sessions, s.API), Keys: authn.Keys(s.Keys, s.API), Tokens: authn.Tokens(s.Tokens, s.API)}}
	mux := http.NewServeMux()
	for _, r := range routes {
		cfg.Routes = append(cfg.Routes, r.Policy)
		mux.Handle(r.Policy.Pattern, r.Endpoint)
	}
	guard, err := merlon.New(cfg)
	check(err)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if err := s.Tokens.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Limits, s.CSRF, s.handler = guard.Limiter(), guard.CSRF(), guard.Handler(mux)
	hash, err := s.Hasher.Hash(t.Context(), oldPassword)
	if err != nil {
		t.Fatal(err)
	}
	if s.ada, err = s.Accounts.Create(t.Context(), accounts.User{Username: "ada", Email: "ada@example.com", Role: api.RoleUser, PasswordHash: hash}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *service) call(ctx context.Context, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, "http://localhost"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:4000"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *service) login(t *testing.T, secret string) *httptest.ResponseRecorder {
	t.Helper()
	return s.call(t.Context(), "POST", "/api/v1/auth/login", fmt.Sprintf(`{"username":"ada","password":%q}`, secret))
}

// changePassword changes the password as somebody else does at this moment.
func (s *service) changePassword(t *testing.T) {
	t.Helper()
	u, err := s.Accounts.ByID(t.Context(), s.ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := s.Hasher.Hash(t.Context(), newPassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Accounts.SetPassword(t.Context(), u.ID, u.PasswordHash, hash, ""); err != nil {
		t.Fatal(err)
	}
}

func (s *service) live(t *testing.T) []session.Record {
	t.Helper()
	list, err := s.Sessions.List(t.Context(), s.ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestALoginBesideAPasswordChangeLeavesNoSession(t *testing.T) {
	for name, between := range map[string]func(s *service, change func()){
		"after the old password was verified":      func(s *service, change func()) { s.sessions.beforeCreate = change },
		"after the session of the login was begun": func(s *service, change func()) { s.sessions.afterCreate = change },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			var once sync.Once
			between(s, func() { once.Do(func() { s.changePassword(t) }) })
			w := s.login(t, oldPassword)
			if w.Code != 401 || w.Header().Get("Set-Cookie") != "" {
				t.Errorf("status %d with cookie %q, want 401 without: %s", w.Code, w.Header().Get("Set-Cookie"), w.Body)
			}
			if got := s.live(t); len(got) > 0 {
				t.Errorf("sessions %v live on", got)
			}
			if got := s.events.outcomes(audit.AuthnLoginSuccess); len(got) > 0 {
				t.Error("a success is recorded")
			}
			if w := s.login(t, newPassword); w.Code != 200 || len(s.live(t)) != 1 {
				t.Errorf("with the new password: status %d, %s", w.Code, w.Body)
			}
		})
	}
}

// A better hash of the same password is no change of it.
func TestALoginBesideARehashIsALogin(t *testing.T) {
	s := start(t)
	s.sessions.beforeCreate = func() {
		hash, err := s.Hasher.Hash(t.Context(), oldPassword)
		if err == nil {
			err = s.Accounts.Rehash(t.Context(), s.ada.ID, s.ada.PasswordHash, hash)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if w := s.login(t, oldPassword); w.Code != 200 || len(s.live(t)) != 1 {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
}

func (s *service) key(t *testing.T) (text string, r apikey.Record) {
	t.Helper()
	scopes := []string{api.ScopeManageKeys}
	text, r, err := s.Keys.Create(t.Context(), apikey.NewKey{Owner: s.ada.ID, Name: "x", Scopes: scopes, MakerScopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return text, r
}

var errAway = errors.New("away")

func (s *service) owned(t *testing.T) []apikey.Record {
	t.Helper()
	list, _, err := s.Keys.List(t.Context(), s.ada.ID, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestWhatCannotBeRecordedIsNotDoneToAKey(t *testing.T) {
	for name, call := range map[string]func(s *service, ctx context.Context, caller string, id string) *httptest.ResponseRecorder{
		"rotation": func(s *service, ctx context.Context, caller, id string) *httptest.ResponseRecorder {
			return s.call(ctx, "POST", "/api/v1/api-keys/"+id+"/rotate", `{"overlap_seconds":0}`, "X-API-Key", caller)
		},
		"creation": func(s *service, ctx context.Context, caller, _ string) *httptest.ResponseRecorder {
			return s.call(ctx, "POST", "/api/v1/api-keys", `{"name":"y","scopes":["keys:manage"]}`, "X-API-Key", caller)
		},
		"change": func(s *service, ctx context.Context, caller, id string) *httptest.ResponseRecorder {
			return s.call(ctx, "PATCH", "/api/v1/api-keys/"+id, `{"enabled":false}`, "X-API-Key", caller)
		},
		"revocation": func(s *service, ctx context.Context, caller, id string) *httptest.ResponseRecorder {
			return s.call(ctx, "DELETE", "/api/v1/api-keys/"+id, "", "X-API-Key", caller)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			caller, _ := s.key(t)
			_, before := s.key(t)
			// The client goes away in the middle too: nothing may depend on it.
			ctx, gone := context.WithCancel(t.Context())
			s.events.onCommit = func(audit.Event) error { gone(); return errAway }
			if w := call(s, ctx, caller, before.ID); w.Code != 503 || strings.Contains(w.Body.String(), `"key"`) {
				t.Errorf("status %d, %s", w.Code, w.Body)
			}
			if got := s.owned(t); len(got) != 2 {
				t.Errorf("there are %d keys, want the two that were", len(got))
			}
			after, err := s.Keys.Get(t.Context(), before.ID, s.ada.ID)
			if err != nil || after.RotatedTo != "" || after.ReplacedAt != nil || after.Enabled != before.Enabled || !after.ExpiresAt.Equal(*before.ExpiresAt) {
				t.Errorf("the key is %+v, %v, was %+v", after, err, before)
			}
			s.events.onCommit = nil
			if w := call(s, t.Context(), caller, before.ID); w.Code >= 300 {
				t.Errorf("once it can be recorded: status %d, %s", w.Code, w.Body)
			}
		})
	}
}

func TestAPasswordChangeThatCannotBeRecordedIsNotDone(t *testing.T) {
	s := start(t)
	w := s.call(t.Context(), "POST", "/api/v1/auth/token", fmt.Sprintf(`{"grant_type":"password","username":"ada","password":%q}`, oldPassword))
	var tokens struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &tokens); err != nil || tokens.Access == "" {
		t.Fatalf("%v: %s", err, w.Body)
	}
	change := func() int {
		return s.call(t.Context(), "POST", "/api/v1/users/me/password", fmt.Sprintf(`{"current_password":%q,"new_password":%q}`, oldPassword, newPassword),
			"Authorization", "Bearer "+tokens.Access).Code
	}
	s.events.onCommit = func(audit.Event) error { return errAway }
	if got := change(); got != 503 {
		t.Errorf("status %d, want 503", got)
	}
	if w := s.login(t, oldPassword); w.Code != 200 {
		t.Errorf("with the old password: status %d, %s", w.Code, w.Body)
	}
	s.events.onCommit = nil
	if got := change(); got != 204 {
		t.Errorf("once it can be recorded: status %d", got)
	}
	if w := s.login(t, newPassword); w.Code != 200 {
		t.Errorf("with the new password: status %d, %s", w.Code, w.Body)
	}
}

func TestWhatWasRecordedAndThenFailedIsRecordedAsFailed(t *testing.T) {
	s := start(t)
	caller, _ := s.key(t)
	_, key := s.key(t)
	s.keys.onRotate, s.keys.onRevoke = errAway, errAway
	s.call(t.Context(), "POST", "/api/v1/api-keys/"+key.ID+"/rotate", "", "X-API-Key", caller)
	s.call(t.Context(), "DELETE", "/api/v1/api-keys/"+key.ID, "", "X-API-Key", caller)
	for _, typ := range []audit.Type{audit.APIKeyRotated, audit.APIKeyRevoked} {
		if got := s.events.outcomes(typ); fmt.Sprint(got) != "[success failure]" {
			t.Errorf("%s: %v, want a success that a failure takes back", typ, got)
		}
	}
}
