package authn

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/token"
)

// Tokens returns a [Verifier] of access tokens. The scopes of a token are cut to those that its account holds now;
// tokens of disabled accounts, and of families that have ended, are rejected. Both are required; nil is an error that
// [New] reports.
func Tokens(m *token.Manager, accounts Accounts) Verifier { return &tokens{m, accounts} }

type tokens struct {
	manager  *token.Manager
	accounts Accounts
}

func (t *tokens) valid() error {
	if t.manager == nil || t.accounts == nil {
		return errors.New("Tokens was given a nil *token.Manager or nil Accounts: give both")
	}
	return nil
}

func (t *tokens) Verify(ctx context.Context, text string, _ netip.Addr, now time.Time) (identity.Principal, error) {
	if err := t.valid(); err != nil {
		return identity.Principal{}, err
	}
	claims, grant, err := t.manager.Verify(ctx, text, now)
	if refusal := (*token.Refusal)(nil); errors.As(err, &refusal) {
		return identity.Principal{}, rejectToken(refusal.Reason(), claims)
	}
	if err != nil {
		return identity.Principal{}, err
	}
	access, err := t.accounts.Access(ctx, claims.Subject)
	if errors.Is(err, ErrNoAccount) {
		return identity.Principal{}, rejectToken("owner_disabled", claims)
	}
	if err != nil {
		return identity.Principal{}, err
	}
	return identity.Principal{
		Kind: identity.Token, Subject: claims.Subject, Role: access.Role, Scopes: access.Within(claims.Scopes),
		SessionID: claims.SessionID, AuthTime: grant.CreatedAt,
	}, nil
}

// rejectToken says of whom a token is only where its signature is right. That a token is over is everyday life: clients
// learn from it to renew it.
func rejectToken(reason string, c token.Claims) *Rejection {
	r := &Rejection{Reason: reason, Type: audit.AuthnTokenRejected}
	if reason == "expired" {
		r.Severity = audit.Low
	}
	if c.SessionID != "" {
		r.Detail = []slog.Attr{slog.String("session_id", c.SessionID), slog.String("owner", c.Subject)}
	}
	return r
}
