package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/csrf"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/pattern"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/server/internal/accounts"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/validate"
)

type credentials struct {
	Username string                    `json:"username" text:"identifier" minLength:"1" maxLength:"254"`
	Password string                    `json:"password" text:"secret" minLength:"1" maxLength:"128"`
	Code     validate.Optional[string] `json:"code" text:"token" maxLength:"64" doc:"Of the second factor, for accounts that have one."`
}

type loggedIn struct {
	User      user      `json:"user"`
	CSRFToken string    `json:"csrf_token" maxLength:"512"`
	ExpiresAt time.Time `json:"expires_at" doc:"When the session ends if it is not used."`
}

func (a *API) login(c *module.Call, in *credentials) (loggedIn, error) {
	failedBefore, err := a.takeLoginQuota(c, in.Username)
	if err != nil {
		return loggedIn{}, err
	}
	u, err := a.authenticate(c, in.Username, in.Password)
	if err != nil {
		return loggedIn{}, err
	}
	// A session that the browser still has is replaced, not kept beside: whoever
	// fixed it must not be logged in (session fixation).
	if p := c.Principal(); p.Kind == identity.Session {
		if err := a.Sessions.Revoke(c, p.SessionID, p.Subject); err != nil && !errors.Is(err, session.ErrNotFound) {
			return loggedIn{}, err
		}
	}
	token, rec, err := a.Sessions.Create(c, u.ID, session.Meta{Address: c.Client(), UserAgent: c.UserAgent()})
	if err != nil {
		return loggedIn{}, err
	}
	err = a.confirm(c, u, func(ctx context.Context) error { return a.Sessions.Revoke(ctx, rec.ID, rec.UserID) })
	if err != nil {
		return loggedIn{}, err
	}
	c.SetCookie(session.Cookie(token))
	a.loggedIn(c, u, failedBefore)
	c.Record(audit.SessionBegun(u.ID, rec.ID))
	csrfToken, _ := a.CSRF.Issue(csrf.Session(rec.ID), c.Now())
	return loggedIn{User: userOf(u), CSRFToken: csrfToken, ExpiresAt: a.Sessions.ExpiresAt(rec)}, nil
}

// loggedIn records that the password of u was right, and lets the browser be known.
func (a *API) loggedIn(c *module.Call, u accounts.User, failedBefore bool) {
	success := audit.LoginSucceeded
	if failedBefore {
		success = audit.LoginSucceededAfterFailures
	}
	c.Record(success(u.ID))
	a.Watch.LoggedIn(c.Client(), u.Username)
	a.rememberDevice(c, u.Username)
}

// confirm refuses a login whose account was changed since its password was
// verified. Whoever changes a password ends the sessions that there are; one that
// was begun just after that, with the password before, is found here, and ended by
// end. Its token has not left yet, so even one that cannot be revoked opens nothing.
func (a *API) confirm(c *module.Call, verified accounts.User, end func(context.Context) error) error {
	u, err := a.Accounts.ByID(c, verified.ID)
	if err == nil && u.PasswordChangedAt.Equal(verified.PasswordChangedAt) && !u.Disabled {
		return nil
	}
	if err == nil {
		err = loginFailed(c, u.ID, "changed_in_between")
	}
	if gone := end(context.WithoutCancel(c)); !notFound(gone) {
		err = errors.Join(err, gone)
	}
	return err
}

// authenticate finds the account that the credentials prove. Unknown accounts,
// wrong passwords and disabled accounts take the same time and get the same
// answer; the event tells them apart.
func (a *API) authenticate(c *module.Call, username, password string) (accounts.User, error) {
	u, err := a.Accounts.ByUsername(c, username)
	switch {
	case errors.Is(err, accounts.ErrNotFound):
		if err := a.Hasher.VerifyUnknown(c, password); err != nil {
			return accounts.User{}, hashing(err)
		}
		a.Watch.LoginFailed(pattern.Failure{Client: c.Client(), Account: username, Password: password})
		return accounts.User{}, loginFailed(c, "", "unknown_account")
	case err != nil:
		return accounts.User{}, err
	}
	ok, rehash, err := a.Hasher.Verify(c, u.PasswordHash, password)
	switch {
	case err != nil:
		return accounts.User{}, hashing(err)
	case !ok:
		a.Watch.LoginFailed(pattern.Failure{Client: c.Client(), Account: username, ID: u.ID, Password: password})
		return accounts.User{}, loginFailed(c, u.ID, "wrong_password")
	case u.Disabled:
		return accounts.User{}, loginFailed(c, u.ID, "disabled")
	}
	if rehash {
		a.upgrade(c, u, password)
	}
	return u, nil
}

// upgrade stores the password under the configured algorithm. The login is good
// without it, so failing costs nothing but another try at the next login.
func (a *API) upgrade(c *module.Call, u accounts.User, password string) {
	hash, err := a.Hasher.Hash(c, password)
	if err != nil {
		return
	}
	_ = a.Accounts.Rehash(c, u.ID, u.PasswordHash, hash)
}

// loginFailed records a failed login. The name that was tried is not recorded:
// people type passwords into that field. The account is, where there is one.
func loginFailed(c *module.Call, account, reason string) error {
	c.Record(audit.LoginFailed(account, reason))
	return problem.New(problem.InvalidCredentials, "The username or the password is not right.")
}

// takeLoginQuota takes one unit of the account's quota of failed credential
// checks, before any hashing; it is given back when the check does not fail. The
// same is taken for accounts that do not exist. failedBefore reports whether the
// quota was in use already.
func (a *API) takeLoginQuota(c *module.Call, account string) (failedBefore bool, err error) {
	d := a.Limits.TakeAccount(c, a.quotaKey(c, account))
	if !d.Allowed {
		return false, d.Problem
	}
	return d.Limit > 0 && d.Remaining < d.Limit-1, nil
}

func (a *API) logout(c *module.Call) (module.None, error) {
	p := c.Principal()
	if err := a.end(c, p.SessionID, p.Subject); err != nil && !notFound(err) {
		return module.None{}, err
	}
	c.Record(audit.SessionLoggedOut(p.Subject, p.SessionID))
	forget(c)
	return module.None{}, nil
}

// forget makes the browser forget the session and what it has stored of it.
func forget(c *module.Call) {
	c.SetCookie(session.ExpiredCookie())
	c.Header().Set("Clear-Site-Data", `"cache", "storage"`)
}

func (a *API) csrfToken(w http.ResponseWriter, r *http.Request) {
	a.CSRF.TokenHandler().ServeHTTP(w, r)
}
