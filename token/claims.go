package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/merlonhq/merlon/validate"
)

// accessType is the typ of access tokens (RFC 9068 section 2.1). No other kind of token has it.
const accessType = "at+jwt"

// clientID is the client_id of all access tokens, a claim that RFC 9068 section 2.2 requires. There are no clients: the
// account itself has asked for the token.
const clientID = "first-party"

const (
	// MaxAccessTTL is the longest life of an access token.
	MaxAccessTTL = time.Hour
	// Leeway is how far in the future a token may have been made: clocks of nodes differ. An access token is over at
	// the second that exp names, without any.
	Leeway = 10 * time.Second

	maxScopes = 256
)

// Claims are what an access token says.
type Claims struct {
	Issuer    string    // iss
	Subject   string    // sub: the account
	Audience  string    // aud
	ExpiresAt time.Time // exp, whole seconds
	NotBefore time.Time // nbf
	IssuedAt  time.Time // iat
	ID        string    // jti
	ClientID  string    // client_id
	Scopes    []string  // scope
	SessionID string    // sid: the [Grant]
}

// claimsJSON is the payload of an access token.
type claimsJSON struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	ExpiresAt int64  `json:"exp"`
	NotBefore int64  `json:"nbf"`
	IssuedAt  int64  `json:"iat"`
	ID        string `json:"jti"`
	ClientID  string `json:"client_id"`
	Scope     string `json:"scope"`
	SessionID string `json:"sid"`
}

func (c *Claims) encode() ([]byte, error) {
	return json.Marshal(claimsJSON{
		Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience,
		ExpiresAt: c.ExpiresAt.Unix(), NotBefore: c.NotBefore.Unix(), IssuedAt: c.IssuedAt.Unix(),
		ID: c.ID, ClientID: c.ClientID, Scope: strings.Join(c.Scopes, " "), SessionID: c.SessionID,
	})
}

// parseClaims reads the payload of an access token. All claims are required, each once and of its type. Claims that it
// does not know are not looked at.
func parseClaims(payload []byte) (c Claims, err error) {
	if validate.CheckJSON(payload, validate.Limits{MaxDepth: 8, MaxMembers: 256}) != nil {
		return Claims{}, refuse("malformed")
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(payload, &all) != nil {
		return Claims{}, refuse("malformed")
	}
	var scope string
	for name, to := range map[string]*string{
		"iss": &c.Issuer, "sub": &c.Subject, "aud": &c.Audience, "jti": &c.ID, "client_id": &c.ClientID, "scope": &scope, "sid": &c.SessionID,
	} {
		raw := all[name]
		if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, to) != nil || *to == "" && name != "scope" {
			return Claims{}, refuse("claims")
		}
	}
	for name, to := range map[string]*time.Time{"exp": &c.ExpiresAt, "nbf": &c.NotBefore, "iat": &c.IssuedAt} {
		var ok bool
		if *to, ok = seconds(all[name]); !ok {
			return Claims{}, refuse("claims")
		}
	}
	if scope != "" {
		c.Scopes = strings.Split(scope, " ")
	}
	if len(c.Scopes) > maxScopes {
		return Claims{}, refuse("claims")
	}
	for _, s := range c.Scopes {
		if s == "" {
			return Claims{}, refuse("claims")
		}
	}
	return c, nil
}

// seconds reads a whole number of seconds since 1970: 1 to 12 digits.
func seconds(raw json.RawMessage) (time.Time, bool) {
	if len(raw) == 0 || len(raw) > 12 || len(raw) > 1 && raw[0] == '0' {
		return time.Time{}, false
	}
	for _, d := range raw {
		if d < '0' || d > '9' {
			return time.Time{}, false
		}
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return time.Unix(n, 0).UTC(), err == nil
}

// VerifierConfig says which access tokens are accepted. All fields are required.
type VerifierConfig struct {
	_ [0]func()

	// Keys are those of the issuer, such as [ParseKeySet] reads them.
	Keys *KeySet
	// Issuer is the exact iss, and Audience the exact aud.
	Issuer, Audience string
}

// A Verifier verifies access tokens by themselves: that one was issued for its audience, and is not over. Whether its
// family still lives only its issuer knows.
type Verifier struct {
	keys             *KeySet
	issuer, audience string
}

// NewVerifier compiles cfg, reporting everything that is missing at once.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	var errs []error
	for _, f := range [...]struct {
		name    string
		missing bool
	}{{"Keys", cfg.Keys == nil}, {"Issuer", cfg.Issuer == ""}, {"Audience", cfg.Audience == ""}} {
		if f.missing {
			errs = append(errs, fmt.Errorf("token: %s is missing", f.name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Verifier{cfg.Keys, cfg.Issuer, cfg.Audience}, nil
}

// Verify returns what the access token text says, at the instant now. The error is a *[Refusal]; the claims are set
// with it where the token was ours and is over.
func (v *Verifier) Verify(text string, now time.Time) (Claims, error) {
	h, payload, err := v.keys.Verify(text)
	if err != nil {
		return Claims{}, err
	}
	if h.Type != accessType {
		return Claims{}, refuse("type")
	}
	c, err := parseClaims(payload)
	if err != nil {
		return Claims{}, err
	}
	latest := now.Add(Leeway)
	switch {
	case c.Issuer != v.issuer:
		return Claims{}, refuse("issuer")
	case c.Audience != v.audience:
		return Claims{}, refuse("audience")
	case c.ExpiresAt.Sub(c.IssuedAt) > MaxAccessTTL || !c.ExpiresAt.After(c.IssuedAt):
		return Claims{}, refuse("lifetime")
	case c.IssuedAt.After(latest) || c.NotBefore.After(latest):
		return Claims{}, refuse("not_yet_valid")
	case !now.Before(c.ExpiresAt):
		return c, refuse("expired")
	}
	return c, nil
}
