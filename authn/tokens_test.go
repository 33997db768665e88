package authn_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/token"
)

// holding are accounts that hold some scopes, are gone, or cannot be asked.
type holding struct {
	scopes []string
	err    error
}

func (h holding) Access(context.Context, string) (authn.Access, error) {
	return authn.Access{Role: "user", Scopes: h.scopes}, h.err
}

func TestTokens(t *testing.T) {
	store, err := token.NewMemory(10)
	if err != nil {
		t.Fatal(err)
	}
	m, err := token.New(token.Config{Store: store, KeyStore: store, Secret: []byte(rand.Text() + rand.Text()), Issuer: "https://api.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	good, g, err := m.Begin(t.Context(), token.Login{UserID: "usr_1", Scopes: []string{"posts:read", "posts:write"}})
	if err != nil {
		t.Fatal(err)
	}
	ended, old, err := m.Begin(t.Context(), token.Login{UserID: "usr_1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Revoke(t.Context(), old.ID, "usr_1"); err != nil {
		t.Fatal(err)
	}
	away := errors.New("away")
	now := time.Now()
	for _, tt := range []struct {
		name     string
		text     string
		now      time.Time
		accounts holding
		scopes   []string // of who is accepted
		reason   string   // of who is rejected
		severity audit.Severity
		owner    bool // whether the event says whose it was
		outage   bool
	}{
		{name: "a good one", text: good.Access, now: now, accounts: holding{scopes: []string{"posts:read", "posts:write", "keys:manage"}}, scopes: []string{"posts:read", "posts:write"}},
		{name: "of an account that has lost a scope", text: good.Access, now: now, accounts: holding{scopes: []string{"posts:read"}}, scopes: []string{"posts:read"}},
		{name: "of an account that has lost all", text: good.Access, now: now, scopes: []string{}},
		{name: "of a disabled account", text: good.Access, now: now, accounts: holding{err: fmt.Errorf("x: %w", authn.ErrNoAccount)}, reason: "owner_disabled", owner: true},
		{name: "of an account that cannot be asked for", text: good.Access, now: now, accounts: holding{err: away}, outage: true},
		{name: "of a login that has ended", text: ended.Access, now: now, reason: "ended", owner: true},
		{name: "over", text: good.Access, now: now.Add(time.Hour), reason: "expired", severity: audit.Low, owner: true},
		{name: "from the future", text: good.Access, now: now.Add(-time.Hour), reason: "not_yet_valid"},
		{name: "its refresh token", text: good.Refresh, now: now, reason: "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := authn.Tokens(m, tt.accounts).Verify(t.Context(), tt.text, netip.Addr{}, tt.now)
			var rejection *authn.Rejection
			switch {
			case tt.outage:
				if !errors.Is(err, away) || errors.As(err, &rejection) || p.Known() {
					t.Errorf("%+v, %v; want the outage", p, err)
				}
			case tt.reason != "":
				if !errors.As(err, &rejection) || rejection.Reason != tt.reason || rejection.Type != audit.AuthnTokenRejected || rejection.Severity != tt.severity ||
					(len(rejection.Detail) == 2) != tt.owner || p.Known() {
					t.Errorf("%+v, %+v; want %s", p, err, tt.reason)
				}
			case err != nil || p.Kind != identity.Token || p.Subject != "usr_1" || p.Role != "user" || p.SessionID != g.ID || !p.AuthTime.Equal(g.CreatedAt) || !slices.Equal(p.Scopes, tt.scopes):
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}
