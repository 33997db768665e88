package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/token"
	"github.com/merlonhq/merlon/validate"
)

// The grant types of RFC 6749 that are served, sections 4.3 and 6.
const (
	grantPassword = "password"
	grantRefresh  = "refresh_token"
)

type tokenRequest struct {
	GrantType    string                    `json:"grant_type" enum:"password,refresh_token"`
	Username     validate.Optional[string] `json:"username" null:"false" text:"identifier" minLength:"1" maxLength:"254" doc:"With grant_type password."`
	Password     validate.Optional[string] `json:"password" null:"false" text:"secret" minLength:"1" maxLength:"128" doc:"With grant_type password."`
	Code         validate.Optional[string] `json:"code" null:"false" text:"token" maxLength:"64" doc:"Of the second factor, for accounts that have one."`
	RefreshToken validate.Optional[string] `json:"refresh_token" null:"false" text:"secret" minLength:"1" maxLength:"128" doc:"With grant_type refresh_token. Good for one use."`
	Scope        validate.Optional[string] `json:"scope" text:"line" minLength:"1" maxLength:"2000" pattern:"[a-z0-9_.:-]+( [a-z0-9_.:-]+)*" doc:"Scopes, separated by blanks, of what the tokens may do at most. Without it they may do what the account may."`
}

// Check wants the members of the grant type, and none of the other one.
func (r *tokenRequest) Check(rep *validate.Report) {
	member := func(pointer string, v validate.Optional[string], wanted bool) {
		switch {
		case wanted && (!v.Set || v.Null):
			rep.Add(pointer, "required", "Must be there with this grant_type.")
		case !wanted && v.Set:
			rep.Add(pointer, "unknown-member", "Has no meaning with this grant_type.")
		}
	}
	switch r.GrantType {
	case grantPassword:
		member("/username", r.Username, true)
		member("/password", r.Password, true)
		member("/refresh_token", r.RefreshToken, false)
	case grantRefresh:
		member("/username", r.Username, false)
		member("/password", r.Password, false)
		member("/code", r.Code, false)
		member("/refresh_token", r.RefreshToken, true)
	}
}

type issuedTokens struct {
	AccessToken  string `json:"access_token" maxLength:"8192"`
	TokenType    string `json:"token_type" enum:"Bearer"`
	ExpiresIn    int    `json:"expires_in" minimum:"1" maximum:"3600" doc:"In how many seconds the access token ends."`
	RefreshToken string `json:"refresh_token" maxLength:"128" doc:"Good for one use, which gives the next one. Using it twice ends all tokens of the login."`
	Scope        string `json:"scope" maxLength:"8192" doc:"The scopes of the access token, separated by blanks."`
}

func (a *API) token(c *module.Call, in *tokenRequest) (issuedTokens, error) {
	wanted := strings.Fields(in.Scope.Or(""))
	if unknown := missing(wanted, a.Grants(RoleAdmin)); len(unknown) > 0 {
		return issuedTokens{}, invalid("/scope", "unknown", "Names a scope that does not exist.")
	}
	issue := a.passwordGrant
	if in.GrantType == grantRefresh {
		issue = a.refreshGrant
	}
	t, g, err := issue(c, in, wanted)
	if err != nil {
		return issuedTokens{}, err
	}
	c.Record(audit.TokenIssued(g.UserID, g.ID, in.GrantType, t.ID))
	c.Header().Set("Cache-Control", "no-store") // RFC 6749 section 5.1, whatever the profile of the headers
	return issuedTokens{
		AccessToken: t.Access, TokenType: "Bearer", ExpiresIn: int(t.ExpiresIn / time.Second), RefreshToken: t.Refresh, Scope: strings.Join(t.Scopes, " "),
	}, nil
}

// passwordGrant is a login that ends in tokens instead of a session: the same quota, the same time, the same answers.
func (a *API) passwordGrant(c *module.Call, in *tokenRequest, wanted []string) (token.Tokens, token.Grant, error) {
	failedBefore, err := a.takeLoginQuota(c, in.Username.Value)
	if err != nil {
		return token.Tokens{}, token.Grant{}, err
	}
	u, err := a.authenticate(c, in.Username.Value, in.Password.Value)
	if err != nil {
		return token.Tokens{}, token.Grant{}, err
	}
	scopes, err := a.narrow(c, a.Grants(u.Role), wanted)
	if err != nil {
		return token.Tokens{}, token.Grant{}, err
	}
	t, g, err := a.Tokens.Begin(c, token.Login{UserID: u.ID, Scopes: scopes, Address: c.Client(), UserAgent: c.UserAgent()})
	if err != nil {
		return token.Tokens{}, token.Grant{}, err
	}
	err = a.confirm(c, u, func(ctx context.Context) error { return a.Tokens.Revoke(ctx, g.ID, g.UserID) })
	if err != nil {
		return token.Tokens{}, token.Grant{}, err
	}
	a.loggedIn(c, u, failedBefore)
	return t, g, nil
}

// refreshGrant uses a refresh token. Who holds one need not prove anything else, but the account must still be there
// and may have lost scopes; that is found out before the token is used up.
func (a *API) refreshGrant(c *module.Call, in *tokenRequest, wanted []string) (token.Tokens, token.Grant, error) {
	a.Limits.NoAccount(c) // 256 random bits are not guessed
	t, g, err := a.Tokens.Refresh(c, in.RefreshToken.Value, c.Now(), func(g token.Grant) ([]string, error) {
		access, err := a.Access(c, g.UserID)
		if err != nil {
			return nil, err
		}
		return a.narrow(c, access.Within(g.Scopes), wanted)
	})
	refusal := (*token.Refusal)(nil)
	switch {
	case errors.As(err, &refusal):
		err = refreshRefused(c, g, refusal.Reason())
	case errors.Is(err, authn.ErrNoAccount):
		err = refreshRefused(c, g, "owner_disabled")
	}
	return t, g, err
}

// refreshRefused records a refresh token that was refused, and answers as to a wrong password.
func refreshRefused(c *module.Call, g token.Grant, reason string) error {
	if reason == "reused" {
		c.Record(audit.TokenReused(g.UserID, g.ID, grantRefresh))
	} else {
		c.Record(audit.TokenRejected(g.UserID, g.ID, grantRefresh, reason))
	}
	return problem.New(problem.InvalidCredentials, "The refresh token is not valid, or not any more.")
}

// narrow returns those of the scopes held that are wanted, or all when none is named (RFC 6749 section 3.3). Who asks
// for more is refused: tokens with less than that would fail later, where it is harder to see why. It was no failed
// credential.
func (a *API) narrow(c *module.Call, held, wanted []string) ([]string, error) {
	if len(wanted) == 0 {
		return held, nil
	}
	if len(missing(wanted, held)) > 0 {
		a.Limits.Settle(c, false)
		return nil, problem.New(problem.InsufficientScope, "The account, or the refresh token, does not hold a scope that was asked for.")
	}
	return slices.DeleteFunc(slices.Clone(held), func(s string) bool { return !slices.Contains(wanted, s) }), nil
}

// jwks is the JWK Set of the keys that sign access tokens.
func (a *API) jwks(w http.ResponseWriter, r *http.Request) {
	keys, err := a.Tokens.JWKS()
	if err != nil {
		exchange.FromContext(r.Context()).Fail(w, problem.Unavailable(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(keys) // the client may be gone
}
