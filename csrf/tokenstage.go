package csrf

import (
	"errors"
	"log/slog"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
)

// errSeveral is what [Protection.Verify] cannot see: more than one token.
var errSeveral = errors.New("csrf: several different tokens")

// Token returns the stage "csrf-token", which asks for a token where the session
// cookie proves who the caller is. It belongs behind authentication and before
// validation.
//
// It refuses a request (403 csrf-token-missing or csrf-token-invalid) if its method
// is unsafe, its caller is known by a session cookie, and it carries no token that
// was made for that session. The token is taken from the header X-CSRF-Token, a
// form field or a JSON member csrf_token; from JSON and URL-encoded bodies it is
// removed, so that validation and the handler do not see it. Bodies are looked
// into up to 64 KiB.
//
// A browser without a session, such as one that logs in, needs no token; one that
// it sends in the body is removed all the same. A session cookie that nobody has
// looked at is not one of these: without authentication before this stage no token
// is good for it, unless the route is open.
func (p *Protection) Token() exchange.Stage { return tokenStage{p} }

type tokenStage struct{ p *Protection }

func (tokenStage) Name() string { return "csrf-token" }

func (s tokenStage) Decide(x *exchange.Exchange) exchange.Outcome {
	if safe(x.Request.Method) {
		return exchange.Continue()
	}
	session := ambient(x)
	if !session && !inBrowser(x) {
		return exchange.Continue()
	}
	token, several := take(x)
	if !session {
		return exchange.Continue()
	}
	err := errSeveral
	if !several {
		err = s.p.Verify(token, Session(x.Principal.SessionID), x.Now)
	}
	switch {
	case err == nil:
		return exchange.Continue()
	case errors.Is(err, ErrMissing):
		return refuse(problem.CSRFTokenMissing, "This request needs a CSRF token: GET /csrf/token, then send it in "+Header+".", "missing").WithSeverity(audit.Low)
	case errors.Is(err, ErrExpired):
		return refuse(problem.CSRFTokenInvalid, invalid, "expired").WithSeverity(audit.Low)
	case errors.Is(err, errSeveral):
		return refuse(problem.CSRFTokenInvalid, invalid, "several")
	}
	return refuse(problem.CSRFTokenInvalid, invalid, "invalid")
}

// invalid is one text for all bad tokens.
const invalid = "The CSRF token is not good for this session, or not any more. GET /csrf/token for a new one."

func refuse(code problem.Code, detail, reason string) exchange.Outcome {
	return exchange.Refuse(problem.New(code, detail), audit.MaliciousCSRF, slog.String("reason", reason))
}

// ambient reports whether the session cookie proves who the caller is, or might.
// Where there was no authentication a cookie proves nobody on open routes only:
// anywhere else to go on would leave the request unprotected.
func ambient(x *exchange.Exchange) bool {
	if x.Principal.Kind == identity.Session {
		return true
	}
	if x.Credential != identity.Session || x.Identified {
		return false
	}
	r := x.Route()
	return x.Principal.Known() || r == nil || !r.Open()
}

// inBrowser reports whether a caller without a session has one of our cookies,
// so that it may have asked for a token.
func inBrowser(x *exchange.Exchange) bool {
	if x.Principal.Known() {
		return false
	}
	return x.Credential == identity.Session || preSession(x.Request) != ""
}
