package authn

import (
	"context"
	"errors"
	"slices"
)

// ErrNoAccount is what [Accounts] returns for an account that does not exist or
// may not act any more. Its credentials prove nobody.
var ErrNoAccount = errors.New("authn: no such account, or it is disabled")

// Accounts knows what the accounts that credentials belong to may do now.
// Credentials outlive changes of role: what a credential proves is never more
// than what its account may do at the moment.
type Accounts interface {
	// Access returns what the account may do, [ErrNoAccount], or another error
	// when that could not be found out. The answer may be as old as the time
	// within which a change of role must take effect, and no older.
	Access(ctx context.Context, account string) (Access, error)
}

// Access is what an account may do.
type Access struct {
	Role   string
	Scopes []string // read-only
}

// Within returns those of the scopes that the account holds. It returns scopes
// itself when that is all of them, as it nearly always is.
func (a Access) Within(scopes []string) []string {
	for i, s := range scopes {
		if slices.Contains(a.Scopes, s) {
			continue
		}
		held := slices.Clone(scopes[:i])
		for _, s := range scopes[i+1:] {
			if slices.Contains(a.Scopes, s) {
				held = append(held, s)
			}
		}
		return held
	}
	return scopes
}
