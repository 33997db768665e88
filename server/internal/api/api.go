// Package api holds the service's own routes: accounts, sessions, tokens, API keys, CSRF
// tokens, events and health. They are declared as a module declares its routes.
package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/csrf"
	"github.com/merlonhq/merlon/password"
	"github.com/merlonhq/merlon/pattern"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/report"
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/server/internal/accounts"
	"github.com/merlonhq/merlon/server/internal/eventdb"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/token"
	"github.com/merlonhq/merlon/validate"
)

// Scopes of the service's own routes.
const (
	ScopeManageKeys = "keys:manage"
	ScopeVerifyKeys = "keys:verify"
	ScopeReadEvents = "events:read"
)

// The roles. An admin holds every scope, and manages the keys of all accounts.
const (
	RoleAdmin = "admin"
	RoleUser  = "user"
)

// Scopes returns the service's own scopes.
func Scopes() []module.Scope {
	return []module.Scope{
		{Name: ScopeManageKeys, Description: "Create, list, change, rotate and revoke one's own API keys.", Roles: []string{RoleUser}},
		{Name: ScopeVerifyKeys, Description: "Ask whether an API key is valid."},
		{Name: ScopeReadEvents, Description: "Read security events."},
	}
}

// ReportsPath is where browsers report what a policy blocked.
const ReportsPath = "/reports"

// API is what the routes work with. All fields are required.
type API struct {
	Accounts *accounts.Store
	Sessions *session.Manager
	Tokens   *token.Manager
	Keys     *apikey.Manager
	Hasher   *password.Hasher
	Policy   *password.Policy
	Events   *eventdb.Store
	// Privacy is how clients and accounts stand in Events.
	Privacy *audit.Privacy
	// Devices tells browsers that have logged in to an account before.
	Devices *Devices
	// Watch recognises patterns of failed logins.
	Watch *pattern.Watch
	// Limits and CSRF are those of the guard, which is built from these routes:
	// they are set after Routes and before the first request.
	Limits *ratelimit.Limiter
	CSRF   *csrf.Protection
	// Grants returns the scopes that a role holds.
	Grants func(role string) []string
	// CheckDatabase reports whether the database answers and can be written.
	CheckDatabase func(context.Context) error
	// Draining reports whether the service is about to end.
	Draining func() bool
	// Reports takes what browsers report.
	Reports *report.Collector
	// LimitsState is the state of the rate limits' store: "ok", "degraded", or "unavailable" when requests are
	// refused for it.
	LimitsState func() string
	// SecurityContact is the Contact of security.txt; empty means that there is none.
	SecurityContact string
	// Document is the OpenAPI document, set after Routes.
	Document []byte
}

// Routes returns the service's own routes.
func (a *API) Routes() []module.Route {
	public := func(pattern string) route.Route { return route.Route{Pattern: pattern, Public: true} }
	person := func(pattern string) route.Route { return route.Route{Pattern: pattern, AccountOnly: true} }
	scoped := func(scope, pattern string) route.Route { return route.Route{Pattern: pattern, Scopes: []string{scope}} }
	probe := func(pattern string) route.Route { return route.Route{Pattern: pattern, Probe: true} }

	routes := []module.Route{
		{Policy: public("POST /api/v1/users"), Summary: "Register an account", Endpoint: module.Body(201, a.register)},
		{Policy: person("GET /api/v1/users/me"), Summary: "Read one's own account", Endpoint: module.Bare(200, a.me)},
		{Policy: person("PATCH /api/v1/users/me"), Summary: "Change one's own profile", Endpoint: module.Body(200, a.changeProfile)},
		{Policy: person("POST /api/v1/users/me/password"), Summary: "Change one's own password", Endpoint: module.Body(204, a.changePassword),
			Description: "Ends the account's other sessions. A wrong current password counts as a failed login."},

		{Policy: route.Route{Pattern: "POST /api/v1/auth/login", Public: true, AccountOnly: true}, Summary: "Log in", Endpoint: module.Body(200, a.login),
			Description: "Sets the session cookie and answers with a CSRF token for the new session."},
		{Policy: route.Route{Pattern: "POST /api/v1/auth/token", Public: true, AccountOnly: true, ContentTypes: []string{"application/json", validate.FormType}},
			Summary: "Get an access token", Endpoint: module.BodyOrForm(200, a.token),
			Description: "With a username and a password, or with a refresh token (RFC 6749 sections 4.3 and 6). A refresh token is good for one use; used twice, all tokens of the login end."},
		{Policy: person("POST /api/v1/auth/logout"), Summary: "Log out", Endpoint: module.Bare(204, a.logout)},
		{Policy: person("GET /api/v1/auth/sessions"), Summary: "List one's own sessions", Endpoint: module.Query(200, a.listSessions)},
		{Policy: person("DELETE /api/v1/auth/sessions/{id}"), Summary: "End one of one's own sessions", Endpoint: module.Bare(204, a.endSession)},

		{Policy: scoped(ScopeManageKeys, "POST /api/v1/api-keys"), Summary: "Create an API key", Endpoint: module.Body(201, a.createKey),
			Description: "The key appears in this answer only."},
		{Policy: scoped(ScopeManageKeys, "GET /api/v1/api-keys"), Summary: "List API keys", Endpoint: module.Query(200, a.listKeys)},
		{Policy: scoped(ScopeManageKeys, "GET /api/v1/api-keys/{id}"), Summary: "Read an API key", Endpoint: module.Bare(200, a.readKey)},
		{Policy: scoped(ScopeManageKeys, "PATCH /api/v1/api-keys/{id}"), Summary: "Change an API key", Endpoint: module.Body(200, a.changeKey)},
		{Policy: scoped(ScopeManageKeys, "DELETE /api/v1/api-keys/{id}"), Summary: "Revoke an API key", Endpoint: module.Bare(204, a.revokeKey)},
		{Policy: scoped(ScopeManageKeys, "POST /api/v1/api-keys/{id}/rotate"), Summary: "Rotate an API key", Endpoint: module.OptionalBody(201, a.rotateKey),
			Description: "The old key works until the overlap ends. The new key appears in this answer only."},
		{Policy: scoped(ScopeVerifyKeys, "POST /api/v1/api-keys/verify"), Summary: "Verify an API key", Endpoint: module.Body(200, a.verifyKey),
			Description: "For services in any language that keep their own routes: asks whether a key that was presented to them is valid."},

		{Policy: scoped(ScopeReadEvents, "GET /api/v1/events"), Summary: "Read security events, newest first", Endpoint: module.Query(200, a.listEvents)},

		{Policy: public("GET /csrf/token"), Summary: "Get a CSRF token", Endpoint: module.Raw(200, "application/json", http.HandlerFunc(a.csrfToken))},
		{Policy: public("GET /.well-known/jwks.json"), Summary: "Read the keys that verify access tokens", Endpoint: module.Raw(200, "application/json", http.HandlerFunc(a.jwks))},
		{Policy: route.Route{Pattern: "POST " + ReportsPath, Public: true, Anonymous: true, MaxBody: report.MaxBody, ContentTypes: report.ContentTypes()},
			Summary: "Report what a browser blocked", Endpoint: module.Raw(204, "", a.Reports),
			Description: "For browsers, which learn of it from Reporting-Endpoints and report-uri. Violations of the Content-Security-Policy become events."},
		{Policy: public("GET /openapi.json"), Summary: "Read this document", Endpoint: module.Raw(200, "application/json", http.HandlerFunc(a.document))},
		{Policy: probe("GET /health"), Summary: "Tell whether the process is alive", Endpoint: module.Bare(200, a.health)},
		{Policy: probe("GET /health/ready"), Summary: "Tell whether the service can work", Endpoint: module.Raw(200, "application/json", http.HandlerFunc(a.ready))},
	}
	if a.SecurityContact != "" {
		routes = append(routes, module.Route{Policy: public("GET /.well-known/security.txt"), Summary: "Tell whom to tell of vulnerabilities",
			Endpoint: module.Raw(200, "text/plain", http.HandlerFunc(a.securityText))})
	}
	return routes
}

// invalid is the answer to one member that the schema could not judge.
func invalid(pointer, code, detail string) *problem.Problem {
	return problem.New(problem.InvalidContent, "The request has content that this call does not accept.").
		WithErrors(problem.FieldError{Pointer: pointer, Code: code, Detail: detail})
}

// paging is the query of every list.
type paging struct {
	Limit  int    `query:"limit" default:"20" minimum:"1" maximum:"100" doc:"How many items to return."`
	Cursor string `query:"cursor" text:"token" maxLength:"200" doc:"The next_cursor of the page before."`
}

// after returns the id that a page begins after, as [paging] has it.
func (p *paging) after(prefix string) (string, error) {
	if p.Cursor != "" && !module.IsID(prefix, p.Cursor) {
		return "", invalid("/cursor", "format", "Must be the next_cursor of a page.")
	}
	return p.Cursor, nil
}

// reference returns nil for the empty string, which answers spell as null.
func reference(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// missing returns the scopes of want that are not in have.
func missing(want, have []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(have, s) })
}
