package api_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/api"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// issued is the answer of POST /api/v1/auth/token.
type issued struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
}

func (s *service) post(t *testing.T, body string) *httptest.ResponseRecorder {
	t.Helper()
	return s.call(t.Context(), "POST", "/api/v1/auth/token", body)
}

// tokens wants tokens for a request.
func (s *service) tokens(t *testing.T, body string) (out issued) {
	t.Helper()
	w := s.post(t, body)
	if err := json.Unmarshal(w.Body.Bytes(), &out); w.Code != 200 || err != nil || out.AccessToken == "" || out.RefreshToken == "" {
		t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	return out
}

func (s *service) withPassword(t *testing.T, secret string) issued {
	t.Helper()
	return s.tokens(t, fmt.Sprintf(`{"grant_type":"password","username":"ada","password":%q}`, secret))
}

func refreshing(token string) string {
	return fmt.Sprintf(`{"grant_type":"refresh_token","refresh_token":%q}`, token)
}

// as calls with an access token.
func (s *service) as(t *testing.T, access, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	return s.call(t.Context(), method, path, body, "Authorization", "Bearer "+access)
}

// last returns the last event of a type.
func (e *events) last(t audit.Type) (found audit.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if ev.Type == t {
			found = ev
		}
	}
	return found
}

func detail(e audit.Event, name string) string {
	i := slices.IndexFunc(e.Detail, func(a slog.Attr) bool { return a.Key == name })
	if i < 0 {
		return ""
	}
	return e.Detail[i].Value.String()
}

func TestTokensBesideAPasswordChangeAreNotIssued(t *testing.T) {
	for name, between := range map[string]func(s *service, change func()){
		"after the old password was verified": func(s *service, change func()) { s.grants.beforeCreate = change },
		"after the grant was begun":           func(s *service, change func()) { s.grants.afterCreate = change },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			var once sync.Once
			between(s, func() { once.Do(func() { s.changePassword(t) }) })
			w := s.post(t, fmt.Sprintf(`{"grant_type":"password","username":"ada","password":%q}`, oldPassword))
			if w.Code != 401 || strings.Contains(w.Body.String(), "access_token") {
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
			if list, err := s.Tokens.List(t.Context(), s.ada.ID); err != nil || len(list) > 0 {
				t.Errorf("grants %v live on (%v)", list, err)
			}
			if got := s.events.outcomes(audit.AuthnTokenCreated); len(got) > 0 {
				t.Error("a token is recorded")
			}
			s.withPassword(t, newPassword)
		})
	}
}

func TestAPasswordChangeEndsTheOtherTokensAndSessions(t *testing.T) {
	s := start(t)
	mine, other := s.withPassword(t, oldPassword), s.withPassword(t, oldPassword)
	s.login(t, oldPassword)
	w := s.as(t, mine.AccessToken, "POST", "/api/v1/users/me/password", fmt.Sprintf(`{"current_password":%q,"new_password":%q}`, oldPassword, newPassword))
	if w.Code != 204 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if w := s.as(t, mine.AccessToken, "GET", "/api/v1/users/me", ""); w.Code != 200 {
		t.Errorf("the token that changed it: status %d", w.Code)
	}
	s.tokens(t, refreshing(mine.RefreshToken))
	if w := s.as(t, other.AccessToken, "GET", "/api/v1/users/me", ""); w.Code != 401 {
		t.Errorf("another token: status %d", w.Code)
	}
	if w := s.post(t, refreshing(other.RefreshToken)); w.Code != 401 {
		t.Errorf("its refresh token: status %d", w.Code)
	}
	if got := s.live(t); len(got) > 0 {
		t.Errorf("sessions %v live on", got)
	}
}

func TestTokensOfADisabledAccountAreRefused(t *testing.T) {
	s := start(t)
	tokens := s.withPassword(t, oldPassword)
	if err := s.Accounts.SetDisabled(t.Context(), s.ada.ID, true); err != nil {
		t.Fatal(err)
	}
	if w := s.as(t, tokens.AccessToken, "GET", "/api/v1/users/me", ""); w.Code != 401 || w.Header().Get("WWW-Authenticate") != `Bearer realm="merlon", error="invalid_token"` {
		t.Errorf("status %d, %q", w.Code, w.Header().Get("WWW-Authenticate"))
	}
	if e := s.events.last(audit.AuthnTokenRejected); detail(e, "reason") != "owner_disabled" || detail(e, "owner") != s.ada.ID || e.Severity != audit.Medium {
		t.Errorf("the event is %+v", e)
	}
	if w := s.post(t, refreshing(tokens.RefreshToken)); w.Code != 401 || !strings.Contains(w.Body.String(), `"invalid-credentials"`) {
		t.Errorf("refreshing: status %d: %s", w.Code, w.Body)
	}
	if e := s.events.last(audit.AuthnTokenRejected); detail(e, "reason") != "owner_disabled" || e.Outcome != audit.Failure || e.Principal != s.ada.ID {
		t.Errorf("the event is %+v", e)
	}
	// Enabled again, the refresh token was not used up.
	if err := s.Accounts.SetDisabled(t.Context(), s.ada.ID, false); err != nil {
		t.Fatal(err)
	}
	s.tokens(t, refreshing(tokens.RefreshToken))
}

func TestTokensDoNoMoreThanTheirAccountMayNow(t *testing.T) {
	s := start(t)
	tokens := s.withPassword(t, oldPassword)
	list := func(access string) int { return s.as(t, access, "GET", "/api/v1/api-keys", "").Code }
	if tokens.Scope != api.ScopeManageKeys || list(tokens.AccessToken) != 200 {
		t.Fatalf("scope %q, status %d", tokens.Scope, list(tokens.AccessToken))
	}
	grants := s.Grants
	s.Grants = func(role string) []string { // the account has lost what it had
		if role == api.RoleAdmin {
			return grants(role)
		}
		return nil
	}
	if got := list(tokens.AccessToken); got != 403 {
		t.Errorf("a token of before: status %d, want 403", got)
	}
	next := s.tokens(t, refreshing(tokens.RefreshToken))
	if next.Scope != "" || list(next.AccessToken) != 403 {
		t.Errorf("refreshed: scope %q", next.Scope)
	}
	s.Grants = grants
	if again := s.tokens(t, refreshing(next.RefreshToken)); again.Scope != api.ScopeManageKeys || list(again.AccessToken) != 200 {
		t.Errorf("once it has it again: scope %q", again.Scope)
	}
}

func TestAnOutageOfTheGrantStoreIs503(t *testing.T) {
	s := start(t)
	tokens := s.withPassword(t, oldPassword)
	s.grants.fail(fmt.Errorf("%w: away", sqlstore.ErrUnavailable))
	for what, w := range map[string]*httptest.ResponseRecorder{
		"an access token":   s.as(t, tokens.AccessToken, "GET", "/api/v1/users/me", ""),
		"a refresh token":   s.post(t, refreshing(tokens.RefreshToken)),
		"on a public route": s.as(t, tokens.AccessToken, "GET", "/openapi.json", ""),
	} {
		if w.Code != 503 || !strings.Contains(w.Body.String(), `"store-unavailable"`) {
			t.Errorf("%s: status %d: %s", what, w.Code, w.Body)
		}
	}
	s.grants.fail(nil)
	if w := s.as(t, tokens.AccessToken, "GET", "/api/v1/users/me", ""); w.Code != 200 {
		t.Errorf("once it is back: status %d", w.Code)
	}
	s.tokens(t, refreshing(tokens.RefreshToken)) // nothing was used up
}
