package api

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/validate"
)

type keyLimit struct {
	Limit         int `json:"limit" minimum:"1" maximum:"16777215"`
	WindowSeconds int `json:"window_seconds" minimum:"1" maximum:"2678400"`
}

type newKey struct {
	Name             string                       `json:"name" text:"line" minLength:"1" maxLength:"100" example:"reports"`
	Scopes           []string                     `json:"scopes" text:"token" minLength:"1" maxLength:"64" maxItems:"100" example:"posts:read"`
	ExpiresAt        validate.Optional[time.Time] `json:"expires_at" doc:"When the key ends: 90 days from now unless said otherwise."`
	ExpiresInDays    validate.Optional[int]       `json:"expires_in_days" minimum:"1" maximum:"3660"`
	AllowedAddresses validate.Optional[[]string]  `json:"allowed_addresses" text:"token" maxLength:"50" maxItems:"100" doc:"Addresses or prefixes, such as 192.0.2.0/24, from which the key may be used."`
	RateLimit        validate.Optional[keyLimit]  `json:"rate_limit" doc:"A limit of the key's own."`
}

// Check refuses two ends.
func (k *newKey) Check(rep *validate.Report) {
	if k.ExpiresAt.Set && !k.ExpiresAt.Null && k.ExpiresInDays.Set && !k.ExpiresInDays.Null {
		rep.Add("/expires_in_days", "conflict", "Give expires_at or expires_in_days, not both.")
	}
}

type keyChange struct {
	Name             validate.Optional[string]    `json:"name" null:"false" text:"line" minLength:"1" maxLength:"100"`
	Scopes           validate.Optional[[]string]  `json:"scopes" null:"false" text:"token" minLength:"1" maxLength:"64" maxItems:"100"`
	Enabled          validate.Optional[bool]      `json:"enabled" null:"false"`
	ExpiresAt        validate.Optional[time.Time] `json:"expires_at" null:"false"`
	AllowedAddresses validate.Optional[[]string]  `json:"allowed_addresses" text:"token" maxLength:"50" maxItems:"100" doc:"Null or an empty list allows every address."`
	RateLimit        validate.Optional[keyLimit]  `json:"rate_limit" doc:"Null removes it."`
}

type rotation struct {
	OverlapSeconds validate.Optional[int] `json:"overlap_seconds" minimum:"0" maximum:"2592000" doc:"How long the old key works on: a day unless said otherwise, 0 to end it at once."`
}

// key is a key as it is shown: never its text.
type key struct {
	ID               string     `json:"id" maxLength:"40"`
	Owner            string     `json:"owner" maxLength:"40"`
	Name             string     `json:"name" maxLength:"100"`
	Scopes           []string   `json:"scopes" maxLength:"64" maxItems:"100"`
	Hint             string     `json:"hint" maxLength:"50" doc:"By which its owner recognises the key."`
	Enabled          bool       `json:"enabled"`
	AllowedAddresses []string   `json:"allowed_addresses" maxLength:"50" maxItems:"100"`
	RateLimit        *keyLimit  `json:"rate_limit"`
	CreatedAt        time.Time  `json:"created_at"`
	ExpiresAt        *time.Time `json:"expires_at"`
	LastUsedAt       *time.Time `json:"last_used_at"`
	ReplacedBy       *string    `json:"replaced_by" maxLength:"40" doc:"The key that takes its place, once it was rotated."`
}

// createdKey is a key with its text: the only answer that ever holds it.
type createdKey struct {
	key
	Text string `json:"key" maxLength:"200" doc:"The key itself. It is shown once and stored nowhere."`
}

type keyPage struct {
	Items      []key   `json:"items" maxItems:"100"`
	NextCursor *string `json:"next_cursor" maxLength:"200"`
}

type keyQuery struct {
	paging
	Owner string `query:"owner" text:"token" maxLength:"40" doc:"For admins: the account whose keys to list, * for all."`
}

func keyOf(r apikey.Record) key {
	k := key{
		ID: r.ID, Owner: r.Owner, Name: r.Name, Scopes: append([]string{}, r.Scopes...), Hint: r.Hint(), Enabled: r.Enabled,
		AllowedAddresses: []string{}, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, LastUsedAt: r.LastUsedAt,
		ReplacedBy: reference(r.RotatedTo),
	}
	for _, p := range r.AllowedAddresses {
		k.AllowedAddresses = append(k.AllowedAddresses, p.String())
	}
	if r.RateLimit != nil {
		k.RateLimit = &keyLimit{Limit: r.RateLimit.Limit, WindowSeconds: int(r.RateLimit.Window / time.Second)}
	}
	return k
}

// reach is whose keys the caller may manage.
func reach(c *module.Call) string {
	if c.Principal().Role == RoleAdmin {
		return apikey.AnyOwner
	}
	return c.Principal().Subject
}

func (a *API) createKey(c *module.Call, in *newKey) (createdKey, error) {
	p := c.Principal()
	addresses, err := prefixes(in.AllowedAddresses.Value)
	if err != nil {
		return createdKey{}, err
	}
	k := apikey.NewKey{Owner: p.Subject, Name: in.Name, Scopes: in.Scopes, MakerScopes: p.Scopes, AllowedAddresses: addresses}
	switch {
	case in.ExpiresAt.Set && !in.ExpiresAt.Null:
		k.ExpiresAt = &in.ExpiresAt.Value
	case in.ExpiresInDays.Set && !in.ExpiresInDays.Null:
		end := c.Now().Add(time.Duration(in.ExpiresInDays.Value) * 24 * time.Hour)
		k.ExpiresAt = &end
	}
	if in.RateLimit.Set && !in.RateLimit.Null {
		k.RateLimit = limitOf(in.RateLimit.Value)
	}
	text, rec, err := a.Keys.Create(c, k)
	if err != nil {
		return createdKey{}, keyProblem(err)
	}
	// The text has not left yet: a key whose creation cannot be recorded is one
	// that nobody gets. The client may be gone, which is no reason to leave it.
	created := audit.KeyCreated(rec.ID, rec.Owner, rec.Scopes)
	if err := c.Commit(created); err != nil {
		c.Record(created.NotDone())
		return createdKey{}, errors.Join(err, a.Keys.Revoke(context.WithoutCancel(c), rec.ID, apikey.AnyOwner))
	}
	return createdKey{key: keyOf(rec), Text: text}, nil
}

func (a *API) listKeys(c *module.Call, q *keyQuery) (keyPage, error) {
	owner := c.Principal().Subject
	if q.Owner != "" && q.Owner != owner {
		if c.Principal().Role != RoleAdmin {
			return keyPage{}, problem.New(problem.Forbidden, "Only admins list the keys of other accounts.")
		}
		owner = q.Owner
	}
	after, err := q.after("key")
	if err != nil {
		return keyPage{}, err
	}
	recs, next, err := a.Keys.List(c, owner, after, q.Limit)
	if err != nil {
		return keyPage{}, keyProblem(err)
	}
	page := keyPage{Items: []key{}, NextCursor: reference(next)}
	for _, r := range recs {
		page.Items = append(page.Items, keyOf(r))
	}
	return page, nil
}

func (a *API) readKey(c *module.Call) (key, error) {
	rec, err := a.Keys.Get(c, c.Path("id"), reach(c))
	if err != nil {
		return key{}, keyProblem(err)
	}
	return keyOf(rec), nil
}

func (a *API) changeKey(c *module.Call, in *keyChange) (key, error) {
	change := apikey.Change{MakerScopes: c.Principal().Scopes}
	if in.Name.Set {
		change.Name = &in.Name.Value
	}
	if in.Scopes.Set {
		change.Scopes = &in.Scopes.Value
	}
	if in.Enabled.Set {
		change.Enabled = &in.Enabled.Value
	}
	if in.ExpiresAt.Set {
		change.ExpiresAt = &in.ExpiresAt.Value
	}
	if in.AllowedAddresses.Set {
		addresses, err := prefixes(in.AllowedAddresses.Value)
		if err != nil {
			return key{}, err
		}
		change.AllowedAddresses = &addresses
	}
	switch {
	case in.RateLimit.Set && in.RateLimit.Null:
		change.ClearRateLimit = true
	case in.RateLimit.Set:
		change.RateLimit = limitOf(in.RateLimit.Value)
	}
	rec, err := a.Keys.Preview(c, c.Path("id"), reach(c), change)
	if err != nil {
		return key{}, keyProblem(err)
	}
	updated := audit.KeyUpdated(rec.ID, rec.Owner, rec.Scopes)
	if err := c.Commit(updated); err != nil {
		return key{}, err
	}
	rec, err = a.Keys.Update(c, rec.ID, reach(c), change)
	if err != nil {
		c.Record(updated.NotDone())
		return key{}, keyProblem(err)
	}
	return keyOf(rec), nil
}

func (a *API) revokeKey(c *module.Call) (module.None, error) {
	rec, err := a.Keys.Get(c, c.Path("id"), reach(c))
	if err != nil {
		return module.None{}, keyProblem(err)
	}
	revoked := audit.KeyRevoked(rec.ID, rec.Owner, rec.Scopes)
	if err := c.Commit(revoked); err != nil {
		return module.None{}, err
	}
	if err := a.Keys.Revoke(c, rec.ID, reach(c)); err != nil {
		c.Record(revoked.NotDone())
		return module.None{}, keyProblem(err)
	}
	return module.None{}, nil
}

func (a *API) rotateKey(c *module.Call, in *rotation) (createdKey, error) {
	// The text of the new key goes to the caller, so it must be the owner: an admin
	// may revoke the keys of others, not act as them.
	r := apikey.Rotation{ID: c.Path("id"), Owner: c.Principal().Subject, MakerScopes: c.Principal().Scopes}
	if in.OverlapSeconds.Set && !in.OverlapSeconds.Null {
		overlap := time.Duration(in.OverlapSeconds.Value) * time.Second
		r.Overlap = &overlap
	}
	next, err := a.Keys.PreviewRotation(c, r)
	if err != nil {
		return createdKey{}, keyProblem(err)
	}
	r.NextID = next.ID
	rotated := audit.KeyRotated(next.ID, next.Owner, next.Scopes, r.ID)
	if err := c.Commit(rotated); err != nil {
		return createdKey{}, err
	}
	text, rec, err := a.Keys.Rotate(c, r)
	if err != nil {
		c.Record(rotated.NotDone())
		return createdKey{}, keyProblem(err)
	}
	return createdKey{key: keyOf(rec), Text: text}, nil
}

func limitOf(l keyLimit) *apikey.RateLimit {
	return &apikey.RateLimit{Limit: l.Limit, Window: time.Duration(l.WindowSeconds) * time.Second}
}

// prefixes reads addresses and prefixes; an address is the prefix that holds it alone.
func prefixes(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for i, s := range list {
		p, err := netip.ParsePrefix(s)
		if addr, addrErr := netip.ParseAddr(s); addrErr == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			p, err = addr.Prefix(addr.BitLen())
		}
		if err != nil || p != p.Masked() {
			return nil, invalid(fmt.Sprintf("/allowed_addresses/%d", i), "format", "Must be an address or a prefix such as 192.0.2.0/24.")
		}
		out = append(out, p)
	}
	return out, nil
}

// keyProblem turns an error of the key manager into an answer.
func keyProblem(err error) error {
	var scope *apikey.ScopeError
	var field *apikey.FieldError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, apikey.ErrScopeUnknown) && errors.As(err, &scope):
		return invalid(fmt.Sprintf("/scopes/%d", scope.Index), "unknown-scope", "There is no such scope.")
	case errors.Is(err, apikey.ErrScopeNotHeld):
		return problem.New(problem.InsufficientScope, "The caller cannot give a scope that it does not hold.")
	case errors.As(err, &field):
		pointer := "/" + field.Field
		if field.Index >= 0 {
			pointer = fmt.Sprintf("%s/%d", pointer, field.Index)
		}
		return invalid(pointer, "invalid", "This "+field.Detail+".")
	case errors.Is(err, apikey.ErrNotFound):
		return problem.New(problem.NotFound, "There is no such key.")
	case errors.Is(err, apikey.ErrConflict):
		return problem.New(problem.Conflict, "The key was changed in between, or has been rotated already.")
	case errors.Is(err, apikey.ErrTooMany):
		return problem.New(problem.Conflict, "The account has as many keys as it may have. Revoke one first.")
	}
	return err
}
