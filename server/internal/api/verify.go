package api

import (
	"errors"
	"net/netip"
	"time"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/authn"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/validate"
)

type verification struct {
	Key     string                      `json:"key" text:"secret" minLength:"1" maxLength:"512"`
	Scopes  validate.Optional[[]string] `json:"scopes" text:"token" minLength:"1" maxLength:"64" maxItems:"100" doc:"Scopes that the key must hold."`
	Address validate.Optional[string]   `json:"address" text:"token" maxLength:"50" doc:"Where the key was presented from. Keys with allowed addresses need it."`
}

// Codes of a verdict that the key alone does not decide.
const (
	codeValid             = "valid"
	codeDisabled          = "disabled"
	codeInsufficientScope = "insufficient_scope"
	codeRateLimited       = "rate_limited"
)

// verdict says whether a key is good. What it says of the key it says only of a
// key whose secret was right.
type verdict struct {
	Valid     bool       `json:"valid"`
	Code      string     `json:"code" enum:"valid,malformed,not_found,disabled,expired,insufficient_scope,address_not_allowed,rate_limited"`
	KeyID     string     `json:"key_id,omitempty" maxLength:"40"`
	Owner     string     `json:"owner,omitempty" maxLength:"40"`
	Scopes    []string   `json:"scopes,omitempty" maxLength:"64" maxItems:"100"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

func (a *API) verifyKey(c *module.Call, in *verification) (verdict, error) {
	var addr netip.Addr
	if in.Address.Set && !in.Address.Null {
		var err error
		if addr, err = netip.ParseAddr(in.Address.Value); err != nil {
			return verdict{}, invalid("/address", "format", "Must be an address.")
		}
	}
	rec, err := a.Keys.Verify(c, in.Key, addr, c.Now())
	if refusal := (*apikey.Refusal)(nil); errors.As(err, &refusal) {
		return verdict{Code: refusal.Code(), KeyID: rec.ID, Owner: rec.Owner}, nil
	}
	if err != nil {
		return verdict{}, err
	}
	v := verdict{KeyID: rec.ID, Owner: rec.Owner, ExpiresAt: rec.ExpiresAt}
	access, err := a.Access(c, rec.Owner)
	switch {
	case errors.Is(err, authn.ErrNoAccount):
		v.Code = codeDisabled
		return v, nil
	case err != nil:
		return verdict{}, err
	}
	v.Scopes = access.Within(rec.Scopes)
	if len(missing(in.Scopes.Value, v.Scopes)) > 0 {
		v.Code = codeInsufficientScope
		return v, nil
	}
	if rec.RateLimit != nil {
		own, err := a.Limits.TakeKey(c, rec.ID, identity.KeyLimit{Limit: rec.RateLimit.Limit, Window: rec.RateLimit.Window})
		if err != nil {
			return verdict{}, err
		}
		if !own.Allowed {
			v.Code = codeRateLimited
			return v, nil
		}
	}
	v.Valid, v.Code = true, codeValid
	return v, nil
}
