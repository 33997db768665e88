package authn

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/session"
)

// Sessions returns a [Verifier] of session cookies. The scopes of a session are
// what its account may do at the moment; sessions of disabled accounts are
// rejected. Both are required, since a session has no scopes of its own; nil is an
// error that [New] reports.
func Sessions(m *session.Manager, accounts Accounts) Verifier { return &sessions{m, accounts} }

type sessions struct {
	manager  *session.Manager
	accounts Accounts
}

func (s *sessions) valid() error {
	if s.manager == nil || s.accounts == nil {
		return errors.New("Sessions was given a nil *session.Manager or nil Accounts: give both")
	}
	return nil
}

func (s *sessions) Verify(ctx context.Context, token string, _ netip.Addr, now time.Time) (identity.Principal, error) {
	if err := s.valid(); err != nil {
		return identity.Principal{}, err
	}
	rec, err := s.manager.Verify(ctx, token, now)
	switch {
	case errors.Is(err, session.ErrExpired):
		return identity.Principal{}, &Rejection{Reason: "expired", Type: audit.SessionUseAfterExpire,
			Detail: []slog.Attr{slog.String("session_id", rec.ID), slog.String("owner", rec.UserID)}}
	case errors.Is(err, session.ErrInvalid):
		return identity.Principal{}, &Rejection{Reason: "invalid", Type: audit.SessionUseAfterExpire}
	case err != nil:
		return identity.Principal{}, err
	}
	access, err := s.accounts.Access(ctx, rec.UserID)
	if errors.Is(err, ErrNoAccount) {
		return identity.Principal{}, &Rejection{Reason: "owner_disabled", Type: audit.SessionUseAfterExpire,
			Detail: []slog.Attr{slog.String("session_id", rec.ID), slog.String("owner", rec.UserID)}}
	}
	if err != nil {
		return identity.Principal{}, err
	}
	return identity.Principal{
		Kind: identity.Session, Subject: rec.UserID, Role: access.Role, Scopes: access.Scopes,
		SessionID: rec.ID, AuthTime: rec.CreatedAt,
	}, nil
}
