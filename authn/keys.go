package authn

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/identity"
)

// Keys returns a [Verifier] of API keys. With accounts a key's scopes are cut to
// those that its owner holds now, and keys of disabled accounts are rejected;
// nil accounts takes the key's scopes as they are. A nil m is an error that [New]
// reports.
func Keys(m *apikey.Manager, accounts Accounts) Verifier { return &keys{m, accounts} }

type keys struct {
	manager  *apikey.Manager
	accounts Accounts
}

func (k *keys) valid() error {
	if k.manager == nil {
		return errors.New("Keys was given a nil *apikey.Manager: give one of apikey.New")
	}
	return nil
}

func (k *keys) Verify(ctx context.Context, text string, client netip.Addr, now time.Time) (identity.Principal, error) {
	if err := k.valid(); err != nil {
		return identity.Principal{}, err
	}
	rec, err := k.manager.Verify(ctx, text, client, now)
	if err != nil {
		if refusal := (*apikey.Refusal)(nil); errors.As(err, &refusal) {
			return identity.Principal{}, rejectKey(refusal.Code(), rec.ID, rec.Owner)
		}
		return identity.Principal{}, err
	}
	p := identity.Principal{Kind: identity.APIKey, Subject: rec.Owner, Scopes: rec.Scopes, KeyID: rec.ID}
	if rec.RateLimit != nil {
		p.KeyLimit = &identity.KeyLimit{Limit: rec.RateLimit.Limit, Window: rec.RateLimit.Window}
	}
	if k.accounts != nil {
		access, err := k.accounts.Access(ctx, rec.Owner)
		if errors.Is(err, ErrNoAccount) {
			return identity.Principal{}, rejectKey("owner_disabled", rec.ID, rec.Owner)
		}
		if err != nil {
			return identity.Principal{}, err
		}
		p.Role, p.Scopes = access.Role, access.Within(rec.Scopes)
	}
	p.FirstUse = rec.LastUsedAt == nil
	return p, nil
}

func rejectKey(reason, id, owner string) *Rejection {
	r := &Rejection{Reason: reason, Type: audit.APIKeyRejected}
	if id != "" {
		r.Detail = []slog.Attr{slog.String("key_id", id), slog.String("owner", owner)}
	}
	return r
}
