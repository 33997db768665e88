package api

import (
	"context"
	"errors"

	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/server/internal/accounts"
)

// Access tells what an account may do now: it is the [authn.Accounts] of the
// service.
func (a *API) Access(ctx context.Context, account string) (authn.Access, error) {
	role, disabled, err := a.Accounts.Access(ctx, account)
	switch {
	case errors.Is(err, accounts.ErrNotFound), err == nil && disabled:
		return authn.Access{}, authn.ErrNoAccount
	case err != nil:
		return authn.Access{}, err
	}
	return authn.Access{Role: role, Scopes: a.Grants(role)}, nil
}
